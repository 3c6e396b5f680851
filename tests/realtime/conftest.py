"""Writers, a bus, relays and feeds on a migrated database that is emptied for each test."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from types import SimpleNamespace

import asyncpg
import pytest

from app.postgres import Lease
from models.database import Database
from services.bus import Bus, LocalBus
from services.relay import Relay
from tests.realtime.realtime_helpers import Payments
from tests.support.databases import copy_of


@pytest.fixture(scope="session")
def realtime_dsn(lease: Lease, template: str) -> str:
    """The address of a database for all tests of the realtime."""
    return copy_of(lease, template, "test_realtime")


@pytest.fixture
async def dsn(realtime_dsn: str) -> str:
    """The address of a database without events: emptying is quicker than copying."""
    connection = await asyncpg.connect(realtime_dsn)
    await connection.execute(
        """
        set session_replication_role = replica;
        truncate payments, payment_events, outbox_events, creator_feeds restart identity cascade;
        update relay_position set assigned = 0, published = 0
        """
    )
    await connection.close()
    return realtime_dsn


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
