"""What a worker and a migration do for the ledger: holds expire, and months have partitions before they begin."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest
import structlog

import ledger
from app.migrate import migrate
from core.clock import now
from core.ids import uuid7
from ledger import Hold, HoldState, Refusal, Refused
from services import bookkeeping
from tests.ledger.ledger_helpers import CLEARING, group, opened, pending, post_one
from tests.support.world import World, eventually, running_world

_PARTITIONS = """
    select relid::regclass::text from pg_partition_tree('ledger.movement') where isleaf order by 1
"""


@pytest.fixture
async def working(dsn: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """A web server with a worker that looks often."""
    monkeypatch.setattr("app.worker._SWEEP_SECONDS", 0.05)
    monkeypatch.setattr("app.worker._PARTITIONS_SECONDS", 0.05)
    async with running_world(dsn, deliveries=False) as world:
        yield world


@pytest.fixture
async def idle(dsn: str) -> AsyncIterator[World]:
    """A web server without a worker."""
    async with running_world(dsn, worker=False, deliveries=False) as world:
        yield world


async def remove(partition: str, owner: asyncpg.Connection) -> None:
    async with owner.transaction():
        await owner.execute(f"alter table ledger.movement detach partition {partition}")
        await owner.execute(f"drop table {partition}")


async def held(connection: asyncpg.Connection, hold: Hold) -> HoldState:
    return (await ledger.holds([hold.id], on=connection))[hold.id]


async def test_worker_gives_back_what_an_expired_hold_reserved(
    working: World, connection: asyncpg.Connection
) -> None:
    clearing, creator = await opened(connection, CLEARING, pending())
    await post_one(connection, (clearing, creator, 100))
    short = Hold(uuid7(), creator, clearing, 60, "test", None, now() + timedelta(seconds=0.3))
    long = Hold(uuid7(), creator, clearing, 40, "test", None, now() + timedelta(hours=1))
    for hold in (short, long):
        await ledger.hold(str(hold.id), hold, on=connection)
    assert await ledger.balance(creator, on=connection) == ledger.Balance(100, 100, 0, 1)

    async def given_back() -> bool:
        return await ledger.balance(creator, on=connection) == ledger.Balance(100, 40, 60, 1)

    await eventually(given_back, 5, lambda: "nobody expired the hold")
    assert (await held(connection, short)).ending == "expired"
    assert (await held(connection, long)).ending is None
    assert await ledger.capture("late", short.id, kind="test", on=connection) == Refused(
        Refusal.HOLD_ENDED, creator
    )


async def test_more_holds_than_a_batch_are_expired_without_a_pause(
    idle: World, connection: asyncpg.Connection
) -> None:
    clearing, creator = await opened(connection, CLEARING, pending())
    await post_one(connection, (clearing, creator, 1_000))
    expires_at = now() + timedelta(seconds=0.2)
    await ledger.post(
        [
            ledger.Group(str(n), (Hold(uuid7(), creator, clearing, 1, "test", None, expires_at),))
            for n in range(501)
        ],
        on=connection,
    )
    await asyncio.sleep(0.3)
    assert await bookkeeping.expire_holds(idle.engine) == 500
    assert await bookkeeping.expire_holds(idle.engine) == 1
    assert await bookkeeping.expire_holds(idle.engine) == 0
    assert await ledger.balance(creator, on=connection) == ledger.Balance(1_000, 0, 1_000, 1)


async def test_worker_makes_the_partitions_of_the_coming_months(working: World, owner: asyncpg.Connection) -> None:
    expected = [row[0] for row in await owner.fetch(_PARTITIONS)]
    assert len(expected) >= 2 + ledger.partitions.MONTHS_AHEAD
    await remove(expected[1], owner)

    async def made() -> bool:
        return [row[0] for row in await owner.fetch(_PARTITIONS)] == expected

    await eventually(made, 5, lambda: "nobody made the partition")


async def test_migrating_makes_the_partitions_of_the_coming_months(dsn: str, owner: asyncpg.Connection) -> None:
    expected = [row[0] for row in await owner.fetch(_PARTITIONS)]
    await remove(expected[1], owner)
    assert [row[0] for row in await owner.fetch(_PARTITIONS)] != expected
    await migrate(dsn)
    assert [row[0] for row in await owner.fetch(_PARTITIONS)] == expected


async def test_movements_in_the_default_partition_are_warned_of(idle: World, owner: asyncpg.Connection) -> None:
    with structlog.testing.capture_logs() as logs:
        await bookkeeping.make_partitions(idle.engine)
    assert logs == []

    await owner.execute("alter table ledger.movement detach partition ledger.movement_first")
    clearing, creator = await opened(owner, CLEARING, pending())
    await ledger.post([group((clearing, creator, 1), (clearing, creator, 1))], on=owner)
    with structlog.testing.capture_logs() as logs:
        await bookkeeping.make_partitions(idle.engine)
    assert [(log["log_level"], log["movements"]) for log in logs] == [("warning", 2)]
