"""Connections to the books of a fresh database, or of one that a module's tests share."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import asyncpg
import pytest

from app.postgres import Lease
from ledger import STRIPES, Status, verify
from models.database import APP_ROLE
from tests.support.databases import copy_of


@pytest.fixture(scope="module")
def shared_dsn(request: pytest.FixtureRequest, lease: Lease, template: str) -> Iterator[str]:
    """A database for all tests of a module, each with accounts of its own: copying one takes longer than a test.

    A module chooses it by a fixture of its own, ``dsn``, that returns it.
    """
    name = f"shared_{request.module.__name__.rpartition('.')[2]}"
    yield copy_of(lease, template, name)

    async def drop() -> None:
        admin = await asyncpg.connect(lease.dsn("postgres"))
        await admin.execute(f"drop database {name} with (force)")
        await admin.close()

    asyncio.run(drop())


@pytest.fixture
async def connection(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection as the application has it. Whatever the test did with it, the books are sound afterwards."""
    connection = await asyncpg.connect(dsn, server_settings={"role": APP_ROLE})
    yield connection
    broken = [finding for finding in await verify(connection) if finding.status is Status.BROKEN]
    await connection.close()
    assert broken == []


@pytest.fixture
async def other(dsn: str, connection: asyncpg.Connection) -> AsyncIterator[asyncpg.Connection]:
    """Another connection as the application has it, with other rows of every account that is striped.

    They are not its first rows either, on which holds lie.
    """
    async with AsyncExitStack() as stack:
        while True:
            another = await asyncpg.connect(dsn, server_settings={"role": APP_ROLE})
            stack.push_async_callback(another.close)
            if another.get_server_pid() % STRIPES not in {0, connection.get_server_pid() % STRIPES}:
                break
        yield another


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[asyncpg.Pool]:
    """Connections as the application has them."""
    async with asyncpg.create_pool(dsn, min_size=0, max_size=25, server_settings={"role": APP_ROLE}) as pool:
        yield pool
