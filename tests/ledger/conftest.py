"""A fresh database for each test."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import count

import asyncpg
import private_postgres
import pytest

from ledger import Status, verify

_numbers = count(1)


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """The folder of a running server's socket."""
    with private_postgres.running() as folder:
        yield folder


@pytest.fixture(scope="session")
def template(cluster: str) -> str:
    async def prepare() -> None:
        await private_postgres.make_database(cluster, "ledger_template")
        await private_postgres.apply_migrations(cluster, "ledger_template")

    asyncio.run(prepare())
    return "ledger_template"


@pytest.fixture
async def dsn(cluster: str, template: str) -> str:
    """A fresh database. The URI is its owner's; the application sets the role comptoir_app."""
    name = f"ledger_{next(_numbers)}"
    await private_postgres.make_database(cluster, name, template)
    return private_postgres.dsn_of(cluster, name)


@pytest.fixture
async def connection(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection as the application has it. Whatever the test did with it, the books are sound afterwards."""
    connection = await private_postgres.connect(dsn, "comptoir_app")
    yield connection
    broken = [finding for finding in await verify(connection) if finding.status is Status.BROKEN]
    await connection.close()
    assert broken == []


@pytest.fixture
async def owner(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A superuser's connection."""
    connection = await private_postgres.connect(dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[asyncpg.Pool]:
    """Connections as the application has them."""
    async with asyncpg.create_pool(dsn, min_size=0, max_size=25, server_settings={"role": "comptoir_app"}) as pool:
        yield pool
