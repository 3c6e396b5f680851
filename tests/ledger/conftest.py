"""Connections to the books of a fresh database."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from ledger import Status, verify
from models.database import APP_ROLE


@pytest.fixture
async def connection(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection as the application has it. Whatever the test did with it, the books are sound afterwards."""
    connection = await asyncpg.connect(dsn, server_settings={"role": APP_ROLE})
    yield connection
    broken = [finding for finding in await verify(connection) if finding.status is Status.BROKEN]
    await connection.close()
    assert broken == []


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[asyncpg.Pool]:
    """Connections as the application has them."""
    async with asyncpg.create_pool(dsn, min_size=0, max_size=25, server_settings={"role": "comptoir_app"}) as pool:
        yield pool
