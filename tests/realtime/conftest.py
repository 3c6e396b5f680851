"""A PostgreSQL of its own for these tests: an open transaction of anybody else would hold their feeds back."""

import asyncio
import os
import shutil
import subprocess  # ruff: ignore[suspicious-subprocess-import] - starts PostgreSQL
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace

import asyncpg
import pytest
from realtime_helpers import Payments, free_port

from models.database import Database
from services.bus import Bus, LocalBus
from services.relay import Relay

TABLES = Path(__file__).with_name("tables.sql")
NOBODY = 65534


def _as_nobody(*command: str) -> list[str]:
    if os.geteuid() != 0:
        return list(command)
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *command]


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a private server, up to the database's name."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    home = Path(tempfile.mkdtemp(prefix="comptoir-realtime-"))
    if os.geteuid() == 0:
        os.chown(home, NOBODY, NOBODY)
    data, port = home / "data", free_port()
    subprocess.run(
        _as_nobody(f"{programs}/initdb", "-D", str(data), "-U", "owner", "-A", "trust", "--no-sync"),
        check=True,
        capture_output=True,
        cwd=home,
    )
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "fsync": "off",
        "max_connections": "100",
    }
    arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    with (home / "log").open("wb") as log:
        server = subprocess.Popen(
            _as_nobody(f"{programs}/postgres", "-D", str(data), *arguments), stdout=log, stderr=log, cwd=home
        )
    address = f"postgresql://owner@127.0.0.1:{port}"
    try:
        asyncio.run(_prepare(address))
        yield address
    finally:
        server.terminate()
        server.wait(timeout=30)
        shutil.rmtree(home)


async def _prepare(address: str) -> None:
    for _ in range(200):
        try:
            connection = await asyncpg.connect(f"{address}/postgres")
            break
        except (OSError, asyncpg.CannotConnectNowError):
            await asyncio.sleep(0.05)
    else:
        pytest.fail("PostgreSQL did not start")
    await connection.execute(TABLES.read_text())
    await connection.close()


@pytest.fixture
async def dsn(postgres: str) -> str:
    """The address of a database without rows, as its owner."""
    connection = await asyncpg.connect(f"{postgres}/postgres")
    await connection.execute(
        """
        truncate payments, payment_events, outbox_events, creator_feeds restart identity;
        update relay_position set assigned = 0, published = 0
        """
    )
    await connection.close()
    return f"{postgres}/postgres"


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    database = await Database.connect(dsn)
    yield database
    await database.close()


@pytest.fixture
def payments(dsn: str, database: Database) -> Payments:
    return Payments(dsn, database)


@pytest.fixture
def bus() -> LocalBus:
    return LocalBus()


@pytest.fixture
def engine(database: Database, bus: LocalBus) -> SimpleNamespace:
    return SimpleNamespace(database=database, bus=bus)


@pytest.fixture
async def make_relay(dsn: str) -> AsyncIterator[Callable[[Bus], Relay]]:
    """Makes relays that are closed at the end."""
    async with AsyncExitStack() as stack:

        def make(bus: Bus) -> Relay:
            relay = Relay(dsn, bus)
            stack.push_async_callback(relay.close)
            return relay

        yield make


@pytest.fixture
async def relay(make_relay: Callable[[Bus], Relay], bus: LocalBus) -> Relay:
    """A relay at work."""
    relay = make_relay(bus)
    relay.start()
    return relay
