"""The sandbox on a migrated database that is emptied for each test."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from app.postgres import Lease
from providers.payments.sandbox import SandboxControl, SandboxProvider
from tests.support.databases import copy_of

from .sandboxes import sandbox

_EMPTY = """
truncate sandbox.payment, sandbox.request, sandbox.event, sandbox.refund, sandbox.dispute, sandbox.account,
    sandbox.transfer, sandbox.payout, sandbox.method, sandbox.agenda, sandbox.fault, sandbox.rule,
    sandbox.balance_transaction;
update sandbox.clock set ahead = default, armed = default, ruled = default;
"""

pytest.register_assert_rewrite(f"{__package__}.conformance")


@pytest.fixture(scope="session")
def sandbox_dsn(lease: Lease, template: str) -> str:
    """The address of a database for all tests of the sandbox."""
    return copy_of(lease, template, "test_sandbox")


@pytest.fixture
async def dsn(sandbox_dsn: str) -> str:
    """The address of a migrated database with nothing of the sandbox in it: emptying is quicker than copying."""
    connection = await asyncpg.connect(sandbox_dsn)
    await connection.execute(_EMPTY)
    await connection.close()
    return sandbox_dsn


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[asyncpg.Pool]:
    async with asyncpg.create_pool(dsn, min_size=1, max_size=8) as pool:
        yield pool


@pytest.fixture
def provider(pool: asyncpg.Pool) -> SandboxProvider:
    return sandbox(pool)


@pytest.fixture
def control(provider: SandboxProvider) -> SandboxControl:
    return provider.control()
