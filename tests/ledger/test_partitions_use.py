"""Movements lie in partitions by month, and nobody notices."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import asyncpg
import pytest

import ledger
from core.clock import now
from ledger import Movement, Recovery, Reversal
from tests.ledger.ledger_helpers import (
    call_post,
    group,
    new_clearing,
    opened,
    operating,
    owed,
    pending,
    post_one,
    posted,
    posted_balances,
    snapshot,
    wallet,
)


def month(number: int) -> datetime:
    """The beginning of the month that many after this one."""
    this = now()
    years, index = divmod(this.month - 1 + number, 12)
    return datetime(this.year + years, index + 1, 1, tzinfo=UTC)


def name(number: int) -> str:
    return f"movement_{month(number):%Y_%m}"


def uuid7_at(moment: datetime) -> UUID:
    milliseconds = int(moment.timestamp() * 1000)
    return UUID(int=milliseconds << 80 | 0x7 << 76 | 0b10 << 62 | uuid4().int & ((1 << 62) - 1))


async def partitions(connection: asyncpg.Connection) -> set[str]:
    rows = await connection.fetch(
        "select relid::regclass::text as name from pg_partition_tree('ledger.movement') where isleaf"
    )
    return {row["name"].removeprefix("ledger.") for row in rows}


async def lying_in(connection: asyncpg.Connection) -> Counter[str]:
    """How many movements each partition has."""
    rows = await connection.fetch("select tableoid::regclass::text as name from ledger.movement")
    return Counter(row["name"].removeprefix("ledger.") for row in rows)


async def post_at(connection: asyncpg.Connection, debit: int, credit: int, amount: int, moment: datetime) -> UUID:
    """Post a movement under an id of a moment, as a client whose clock says so would."""
    movement = uuid7_at(moment)
    outcomes = await call_post(connection, debit, credit, [Decimal(amount)], ids=[movement])
    assert outcomes == ["posted"]
    return movement


async def test_movements_of_now_lie_in_the_first_partition(connection: asyncpg.Connection) -> None:
    """It ends with the month that the books were made in."""
    clearing, creator = await opened(connection, new_clearing(), pending())
    await post_one(connection, (clearing, creator, 5))
    await ledger.post(
        [group((clearing, creator, 5)), operating(Recovery(clearing, creator, "test"))], on=connection
    )
    assert await lying_in(connection) == {"movement_first": 2}


async def test_partitions_of_the_coming_months_are_made_once(connection: asyncpg.Connection) -> None:
    there = await partitions(connection)
    made = await ledger.create_partitions(on=connection, months=5)
    assert {name(number) for number in range(1, 6)} <= await partitions(connection) == there | set(made)
    assert name(5) in made
    assert {"movement_first", "movement_default"} <= there
    before = await snapshot(connection)
    assert await ledger.create_partitions(on=connection, months=5) == []
    assert await snapshot(connection) == before


async def test_account_is_one_across_partitions(connection: asyncpg.Connection) -> None:
    """Statement, history and reversals find a movement wherever it lies."""
    await ledger.create_partitions(on=connection, months=2)
    debt, ana = await opened(connection, owed(), wallet())
    years = timedelta(days=3 * 365)
    moments = [now(), month(1), month(2) - timedelta(milliseconds=1), month(2), now() + years, now()]
    movements = [await post_at(connection, debt, ana, 1 + number, moment) for number, moment in enumerate(moments)]
    assert await lying_in(connection) == {"movement_first": 2, name(1): 2, name(2): 1, "movement_default": 1}
    lines = await ledger.statement(ana, on=connection)
    assert [(line.version, line.movement_id, line.balance) for line in lines] == [
        (number + 1, movement, sum(range(1, number + 2))) for number, movement in enumerate(movements)
    ]
    for line in lines:
        past = await ledger.history(ana, version=line.version, on=connection)
        assert past == ledger.PastBalance(line.balance, line.version, line.posted_at)
        assert await ledger.history(ana, at=line.posted_at, on=connection) == past
    back = await posted(connection, *(Reversal(movement, None, "back") for movement in movements[::-1]))
    assert len(back.movements) == len(movements)
    assert await posted_balances(connection, debt, ana) == [0, 0]


async def test_every_partition_keeps_the_rules(connection: asyncpg.Connection, owner: asyncpg.Connection) -> None:
    await ledger.create_partitions(on=connection, months=3)
    debt, ana = await opened(connection, owed(), wallet())
    for number in range(4):
        await post_at(connection, debt, ana, 1, month(number) + timedelta(hours=1) if number else now())
    assert len(await lying_in(connection)) == 4
    before = await snapshot(connection)
    for partition in await partitions(connection):
        table = f"ledger.{partition}"
        assert await connection.fetchval(f"select count(*) from {table}") <= 1
        with pytest.raises(asyncpg.RestrictViolationError):
            await owner.execute(f"truncate {table} cascade")
        for change in (f"delete from {table}", f"update {table} set amount = 1", f"truncate {table} cascade"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(change)
        if partition != "movement_default":
            with pytest.raises(asyncpg.RestrictViolationError):
                await owner.execute(f"update {table} set amount = 1")
            for side in ("debit", "credit"):
                copied = f"""
                    insert into ledger.movement (id, group_id, asset_id, kind, debit, credit, amount, debit_after,
                        credit_after, debit_version, credit_version, posted_at, effective_at)
                    select (left(id::text, 24) || '000000000000')::uuid, group_id, asset_id, kind, debit, credit,
                        amount, debit_after, credit_after,
                        debit_version + {100 * (side == "credit")}, credit_version + {100 * (side == "debit")},
                        posted_at, effective_at
                    from {table}
                """
                with pytest.raises(asyncpg.UniqueViolationError, match=side):
                    await owner.execute(copied)
    assert await snapshot(connection) == before


async def test_month_that_lies_in_the_default_partition_goes_without_one(connection: asyncpg.Connection) -> None:
    """Its neighbours have theirs, and the movements stay where they are."""
    debt, ana = await opened(connection, owed(), wallet())
    await post_at(connection, debt, ana, 5, month(8) + timedelta(days=3))
    made = await ledger.create_partitions(on=connection, months=9)
    assert name(8) not in made
    assert {name(7), name(9)} <= set(made)
    assert await lying_in(connection) == {"movement_default": 1}
    assert await ledger.create_partitions(on=connection, months=9) == []


async def test_partitions_are_left_for_another_time_while_the_tables_are_busy(
    connection: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    """Whoever posts meanwhile is held up for a second at most, and then all is as ever."""
    debt, ana = await opened(connection, owed(), wallet())
    await ledger.create_partitions(on=connection, months=6)
    async with other.transaction():
        await posted(other, Movement(debt, ana, 5, "test"))
        assert await asyncio.wait_for(ledger.create_partitions(on=connection, months=7), 5) == []
    assert await ledger.create_partitions(on=connection, months=7) == [name(7)]
    await posted(connection, Movement(debt, ana, 5, "test"))


async def test_partitions_are_made_by_ten_at_once(connection: asyncpg.Connection, pool: asyncpg.Pool) -> None:
    async def make() -> list[str]:
        async with pool.acquire() as mine:
            return await ledger.create_partitions(on=mine, months=6)

    made = [one for names in await asyncio.gather(*(make() for _ in range(10))) for one in names]
    made += await ledger.create_partitions(on=connection, months=6)
    assert Counter(made) == Counter(set(made))
    assert name(6) in made
