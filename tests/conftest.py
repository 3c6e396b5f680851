"""A PostgreSQL for the run, a fresh database for each test made by the real migrations, and a whole server."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

import ledger
from app.migrate import migrate
from app.postgres import Cluster, Lease
from tests.support.databases import fresh_database
from tests.support.world import World, running_world


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs a Redis where there is none, and say so; fail instead where one is required."""
    if os.environ.get("REDIS_URL") or shutil.which("redis-server"):
        return
    left_out = [item for item in items if item.get_closest_marker("redis")]
    if not left_out:
        return
    if "redis" in os.environ.get("COMPTOIR_TEST_REQUIRE", ""):
        raise pytest.UsageError("Redis is required: set REDIS_URL or install redis-server.")
    config.stash[_LEFT_OUT] = len(left_out)
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


_LEFT_OUT = pytest.StashKey[int]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    number = config.stash.get(_LEFT_OUT, 0)
    if number:
        terminalreporter.write_line(
            f"{number} tests need a Redis and did not run: install redis-server or set REDIS_URL to run them too.",
            yellow=True,
        )


@pytest.fixture(scope="session")
def lease() -> Iterator[Lease]:
    """The run's own PostgreSQL, gone afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="comptoir-test-"))
    directory.chmod(0o711)
    # Nothing here outlives the run, so nothing waits for the disk.
    cluster = Cluster(directory / "postgres", settings={"fsync": "off", "max_connections": "300"})
    opened = cluster.lease()
    yield opened
    opened.close()
    cluster.stop()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def template(lease: Lease) -> str:
    """The name of a migrated database that tests copy."""
    lease.ensure_database("template_comptoir")
    asyncio.run(migrate(lease.dsn("template_comptoir")))
    return "template_comptoir"


@pytest.fixture
async def dsn(lease: Lease, template: str) -> AsyncIterator[str]:
    """A fresh, migrated database, as its owner reaches it."""
    async with fresh_database(lease, template) as address:
        yield address


@pytest.fixture
async def owner(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection as the database's owner, who may do everything."""
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def books(dsn: str) -> AsyncIterator[None]:
    """Prove the books once the test has done what it does."""
    yield
    await assert_books_are_sound(dsn)


async def assert_books_are_sound(dsn: str) -> None:
    """Run every invariant of the ledger."""
    connection = await asyncpg.connect(dsn)
    try:
        findings = await ledger.verify(connection)
    finally:
        await connection.close()
    broken = [finding for finding in findings if finding.status is ledger.Status.BROKEN]
    assert broken == []


@pytest.fixture
async def world(dsn: str, books: None) -> AsyncIterator[World]:
    """A web server on a free port with a worker beside it, both in this process, on a fresh database."""
    async with running_world(dsn) as running:
        yield running
