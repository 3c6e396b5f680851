"""Limits on uses, at the same moment from many sides."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from uuid import UUID

import asyncpg
import pytest

from core.ids import uuid7
from models.database import Database
from services import usage
from services.usage import UNLIMITED, Use

ALL = "all"


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    """A process's connections."""
    opened = await Database.connect(dsn)
    yield opened
    await opened.close()


@pytest.fixture
async def another(dsn: str) -> AsyncIterator[Database]:
    """Another process's connections to the same database."""
    opened = await Database.connect(dsn)
    yield opened
    await opened.close()


class RefusedError(Exception):
    """What a caller makes of a refused use: everything it did is undone."""


async def use(database: Database, uses: Sequence[Use]) -> list[Use]:
    """Use in a transaction of its own, as a checkout does; return what was refused."""
    refused: list[Use] = []
    try:
        async with database.transaction() as transaction:
            refused = await usage.use(uses, on=transaction.connection)
            if refused:
                raise RefusedError  # ruff: ignore[raise-within-try] - undoing the transaction is what it is for
    except RefusedError:
        pass
    return refused


async def used(database: Database, subject: UUID, scope: str = ALL) -> int:
    return (await usage.used([(subject, scope)], db=database.reader)).get((subject, scope), 0)


async def test_a_limit_of_one_is_used_by_one_of_twenty(database: Database, another: Database) -> None:
    only = Use(uuid7(), ALL, 1, 1)

    refusals = await asyncio.gather(*(use(side, [only]) for side in (database, another) * 10))

    assert sorted(map(len, refusals)) == [0, *[1] * 19]
    assert await used(database, only.subject) == 1


async def test_many_at_once_use_no_more_than_the_limit(database: Database, another: Database) -> None:
    subject = uuid7()
    uses = [Use(subject, ALL, 3, 20)]

    refusals = await asyncio.gather(*(use(side, uses) for side in (database, another) * 10))

    # Six times three fit into twenty.
    assert sum(refused == [] for refused in refusals) == 6
    assert await used(database, subject) == 18


async def test_each_buyer_has_a_limit_of_their_own(database: Database) -> None:
    subject = uuid7()
    buyers = [f"buyer:somebody-{number % 4}@example.com" for number in range(20)]

    refusals = await asyncio.gather(
        *(use(database, [Use(subject, ALL, 1, 100), Use(subject, buyer, 1, 2)]) for buyer in buyers)
    )

    assert sum(refused == [] for refused in refusals) == 8
    assert {refused[0].scope for refused in refusals if refused} == set(buyers)
    for buyer in set(buyers):
        assert await used(database, subject, buyer) == 2
    assert await used(database, subject) == 8, "what one limit refuses counts towards none"


async def test_uses_named_in_any_order_never_wait_for_each_other_in_a_circle(
    database: Database, another: Database
) -> None:
    uses = [Use(uuid7(), scope, 1, UNLIMITED) for scope in (ALL, "buyer:somebody", "period:2026-11")]

    async def back_and_forth(side: Database, mine: Sequence[Use]) -> None:
        for _ in range(5):
            assert await use(side, mine) == []
            async with side.transaction() as transaction:
                await usage.release([each.as_json() for each in mine], on=transaction.connection)

    await asyncio.gather(
        *(back_and_forth(database, uses) for _ in range(8)),
        *(back_and_forth(another, uses[::-1]) for _ in range(8)),
    )

    assert [await used(database, each.subject, each.scope) for each in uses] == [0, 0, 0]


async def test_what_is_released_can_be_used_once_more(database: Database) -> None:
    only = Use(uuid7(), ALL, 1, 1)
    assert await use(database, [only]) == []
    assert await use(database, [only]) == [only]

    async with database.transaction() as transaction:
        await usage.release([only.as_json()], on=transaction.connection)

    assert await use(database, [only]) == []
    assert await use(database, [only]) == [only]


async def test_releases_and_uses_at_once_come_out_even(database: Database, another: Database) -> None:
    subject = uuid7()
    one = Use(subject, ALL, 1, UNLIMITED)
    assert await use(database, [Use(subject, ALL, 30, UNLIMITED)]) == []

    async def release(side: Database) -> None:
        async with side.transaction() as transaction:
            await usage.release([one.as_json(), one.as_json()], on=transaction.connection)

    await asyncio.gather(
        *(use(side, [one]) for side in (database, another) * 10),
        *(release(side) for side in (database, another) * 5),
    )

    assert await used(database, subject) == 30 + 20 - 2 * 10


async def test_more_is_never_released_than_was_used(database: Database) -> None:
    only = Use(uuid7(), ALL, 1, 5)
    assert await use(database, [only]) == []

    with pytest.raises(asyncpg.CheckViolationError):
        async with database.transaction() as transaction:
            await usage.release([only.as_json(), only.as_json()], on=transaction.connection)

    assert await used(database, only.subject) == 1


async def test_the_same_twice_in_one_call_counts_twice(database: Database) -> None:
    subject = uuid7()
    one = Use(subject, ALL, 1, 3)

    assert await use(database, [one, one]) == []
    assert await use(database, [one, one]) == [Use(subject, ALL, 2, 3)]

    assert await used(database, subject) == 2


async def test_a_first_use_beyond_the_limit_leaves_no_counter(database: Database) -> None:
    subject = uuid7()

    assert await use(database, [Use(subject, ALL, 2, 1)]) == [Use(subject, ALL, 2, 1)]

    assert await usage.used([(subject, ALL)], db=database.reader) == {}


async def test_nothing_is_asked_for_nothing(database: Database) -> None:
    assert await usage.used([], db=database.reader) == {}
    assert await use(database, []) == []
    async with database.transaction() as transaction:
        await usage.release([], on=transaction.connection)
