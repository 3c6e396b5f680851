"""Partitions of the movements: a month each, made ahead."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import asyncpg
import pytest

import ledger
from core.clock import now
from ledger.partitions import MONTHS_AHEAD
from models.database import APP_ROLE
from tests.ledger.ledger_helpers import call_post, funded, until_waiting

BOUNDS = """
select relid::regclass::text as name, pg_get_expr(relpartbound, relid) as bounds
from pg_partition_tree('ledger.movement') join pg_class on pg_class.oid = relid
where isleaf order by relid::regclass::text
"""


def month(ahead: int) -> datetime:
    """The beginning of a month from now."""
    today = now()
    years, number = divmod(today.month - 1 + ahead, 12)
    return datetime(today.year + years, number + 1, 1, tzinfo=UTC)


def partition(ahead: int) -> str:
    return f"movement_{month(ahead):%Y_%m}"


def uuid_at(moment: datetime, *, milliseconds: int = 0, number: int = 0) -> UUID:
    """A UUIDv7 of a moment."""
    return UUID(int=(int(moment.timestamp() * 1000) + milliseconds) << 80 | 0x7000_8000_0000_0000_0000 | number)


async def partition_of(connection: asyncpg.Connection, movement: UUID) -> str | None:
    sql = "select tableoid::regclass::text from ledger.movement where id = $1"
    name: str | None = await connection.fetchval(sql, movement)
    return name and name.removeprefix("ledger.")


async def post_at(connection: asyncpg.Connection, accounts: list[int], movement: UUID) -> str | None:
    """Post a movement with that id and return the partition it is in."""
    assert await call_post(connection, *accounts, [Decimal(5)], ids=[movement]) == ["posted"]
    return await partition_of(connection, movement)


@pytest.fixture
async def accounts(connection: asyncpg.Connection) -> list[int]:
    return await funded(connection, 0)


async def test_movements_of_each_month_lie_together(connection: asyncpg.Connection, accounts: list[int]) -> None:
    last = MONTHS_AHEAD
    found = [
        await post_at(connection, accounts, uuid_at(month(ahead), milliseconds=milliseconds))
        for ahead in range(1, last + 2)
        for milliseconds in (-1, 0)
    ]
    expected = [name for ahead in range(1, last + 1) for name in (partition(ahead), partition(ahead))]
    assert found == ["movement_first", *expected, "movement_default"]


async def test_months_that_are_there_stay(connection: asyncpg.Connection) -> None:
    before = await connection.fetch(BOUNDS)
    assert await ledger.create_partitions(on=connection) == []
    assert await connection.fetch(BOUNDS) == before
    assert [row["name"] for row in before] == [
        f"ledger.{name}"
        for name in [*(partition(1 + n) for n in range(MONTHS_AHEAD)), "movement_default", "movement_first"]
    ]


async def test_months_further_ahead_are_made_once(connection: asyncpg.Connection) -> None:
    made = [partition(MONTHS_AHEAD + number) for number in (1, 2)]
    assert await ledger.create_partitions(on=connection, months=MONTHS_AHEAD + 2) == made
    assert await ledger.create_partitions(on=connection, months=MONTHS_AHEAD + 2) == []


async def test_many_may_make_them_at_once(pool: asyncpg.Pool) -> None:
    async def make() -> list[str]:
        async with pool.acquire() as connection:
            return await ledger.create_partitions(on=connection, months=MONTHS_AHEAD + 4)

    made = await asyncio.gather(*(make() for _ in range(4)))
    assert sorted(name for names in made for name in names) == [partition(MONTHS_AHEAD + n) for n in range(1, 5)]


async def test_month_that_began_in_the_default_partition_stays_there(
    connection: asyncpg.Connection, accounts: list[int]
) -> None:
    early = uuid_at(month(MONTHS_AHEAD + 2), number=1)
    assert await post_at(connection, accounts, early) == "movement_default"
    made = await ledger.create_partitions(on=connection, months=MONTHS_AHEAD + 3)
    assert made == [partition(MONTHS_AHEAD + 1), partition(MONTHS_AHEAD + 3)]
    late = uuid_at(month(MONTHS_AHEAD + 2), number=2)
    assert await post_at(connection, accounts, late) == "movement_default"
    assert await partition_of(connection, early) == "movement_default"
    assert (await ledger.balances(accounts, on=connection))[accounts[1]].posted == 10


async def test_busy_tables_are_left_for_another_time(
    connection: asyncpg.Connection, dsn: str, owner: asyncpg.Connection, accounts: list[int]
) -> None:
    busy = await asyncpg.connect(dsn, server_settings={"role": APP_ROLE})
    transaction = busy.transaction()
    await transaction.start()
    await post_at(busy, accounts, uuid_at(now()))
    making = asyncio.create_task(ledger.create_partitions(on=connection, months=MONTHS_AHEAD + 2))
    await until_waiting(owner)
    assert await asyncio.wait_for(making, 10) == []
    await transaction.commit()
    await busy.close()
    assert len(await ledger.create_partitions(on=connection, months=MONTHS_AHEAD + 2)) == 2


@pytest.fixture
async def next_month(connection: asyncpg.Connection, accounts: list[int]) -> str:
    """A partition that was just made, with a movement in it."""
    ahead = MONTHS_AHEAD + 1
    assert await ledger.create_partitions(on=connection, months=ahead) == [partition(ahead)]
    assert await post_at(connection, accounts, uuid_at(month(ahead))) == partition(ahead)
    return f"ledger.{partition(ahead)}"


async def test_new_partition_is_append_only(
    connection: asyncpg.Connection, owner: asyncpg.Connection, next_month: str, subtests: pytest.Subtests
) -> None:
    for change in (
        f"update {next_month} set amount = 1",
        f"delete from {next_month}",
        f"truncate {next_month} cascade",
    ):
        with subtests.test(change):
            with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
                await owner.execute(change)
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(change)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(f"insert into {next_month} select * from {next_month}")
    assert await connection.fetchval(f"select count(*) from {next_month}") == 1


@pytest.mark.parametrize(("same", "other"), [("debit", "credit"), ("credit", "debit")])
async def test_new_partition_has_each_version_once(
    owner: asyncpg.Connection, next_month: str, same: str, other: str
) -> None:
    sql = f"""
        with copy as (
            select (jsonb_populate_record(movement, jsonb_build_object('id', $1::uuid, '{other}_version', 1000))).*
            from {next_month} as movement
        )
        insert into {next_month} select * from copy
    """
    with pytest.raises(asyncpg.UniqueViolationError, match=f"{same}_{same}_version"):
        await owner.execute(sql, uuid_at(month(MONTHS_AHEAD + 1), number=1))
