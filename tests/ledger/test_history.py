"""What an account held: by version and by time alike, and never another answer afterwards."""

import asyncio
import random
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

import ledger
from core.clock import now
from ledger import Movement, PastBalance
from tests.ledger.ledger_helpers import (
    at_once,
    funded,
    group,
    new_clearing,
    opened,
    owed,
    post_apart,
    posted,
    until_waiting,
    wallet,
)

MICROSECOND = timedelta(microseconds=1)


@pytest.fixture
def dsn(shared_dsn: str) -> str:
    return shared_dsn


async def test_past_balance_is_that_of_the_statement(connection: asyncpg.Connection) -> None:
    """At every version; at every moment of posting, just before it, and just after it."""
    dice = random.Random(7)
    source, ana, ben = await funded(connection, 500, 0)
    for _ in range(15):
        debit, credit = dice.sample([ana, source, ben], 2) if dice.random() < 0.5 else (source, ana)
        await ledger.post(
            [group((debit, credit, dice.randint(1, 60))) for _ in range(dice.randint(1, 3))], on=connection
        )
    for account in (source, ana):
        lines = await ledger.statement(account, on=connection)
        assert len(lines) > 15
        assert await ledger.history(account, version=0, on=connection) == PastBalance(0, 0, None)
        for line in lines:
            past = await ledger.history(account, version=line.version, on=connection)
            assert past == PastBalance(line.balance, line.version, line.posted_at)
        for moment in {line.posted_at for line in lines}:
            until = max((line for line in lines if line.posted_at <= moment), key=lambda line: line.version)
            before = [line for line in lines if line.posted_at < moment]
            assert await ledger.history(account, at=moment, on=connection) == PastBalance(
                until.balance, until.version, moment
            )
            assert await ledger.history(account, at=moment - MICROSECOND, on=connection) == (
                PastBalance(before[-1].balance, before[-1].version, before[-1].posted_at)
                if before
                else PastBalance(0, 0, None)
            )
        last = PastBalance(lines[-1].balance, len(lines), lines[-1].posted_at)
        assert await ledger.history(account, at=now(), on=connection) == last


async def test_past_is_asked_for_in_one_way(connection: asyncpg.Connection) -> None:
    (ana, clearing) = await opened(connection, wallet(), new_clearing())
    for question in ({}, {"version": 0, "at": now()}):
        with pytest.raises(ValueError, match="a version or for a moment"):
            await ledger.history(ana, on=connection, **question)
    with pytest.raises(ValueError, match="future"):
        await ledger.history(ana, at=now() + timedelta(minutes=1), on=connection)
    with pytest.raises(ValueError, match="striped"):
        await ledger.history(clearing, version=0, on=connection)
    for version in (1, -1):
        with pytest.raises(ValueError, match="not one of it"):
            await ledger.history(ana, version=version, on=connection)
    assert await ledger.history(ana, at=datetime(2000, 1, 1, tzinfo=UTC), on=connection) == PastBalance(0, 0, None)
    for question in ({"version": 0}, {"version": 5}, {"at": now()}, {"at": datetime(2000, 1, 1, tzinfo=UTC)}):
        assert await ledger.history(2**50, on=connection, **question) is None


async def test_future_of_the_server_is_not_known(connection: asyncpg.Connection) -> None:
    """Even to a client whose clock runs ahead."""
    (ana,) = await opened(connection, wallet())
    with pytest.raises(asyncpg.InvalidParameterValueError, match="future"):
        await connection.fetch("select * from ledger.balance_at($1, clock_timestamp() + interval '1 minute')", ana)


@pytest.mark.parametrize("commits", [True, False])
async def test_posting_under_way_is_waited_for(
    connection: asyncpg.Connection, owner: asyncpg.Connection, other: asyncpg.Connection, commits: bool
) -> None:
    """It was posted before the moment that is asked for, and is not in the books yet."""
    source, ana = await funded(connection, 100)
    transaction = other.transaction()
    await transaction.start()
    late = await posted(other, Movement(source, ana, 7, "test"))
    moment = await owner.fetchval("select clock_timestamp()")
    task = asyncio.create_task(ledger.history(ana, at=moment, on=connection))
    await until_waiting(owner)
    await (transaction.commit() if commits else transaction.rollback())
    past = await task
    if commits:
        assert past == PastBalance(107, 2, late.posted_at)
    else:
        assert past is not None
        assert (past.posted, past.version) == (100, 1)
    await posted(other, Movement(source, ana, 1, "test"))
    assert await ledger.history(ana, at=moment, on=connection) == past


@pytest.mark.parametrize("new", [True, False])
async def test_posting_under_way_on_any_stripe_is_waited_for(
    connection: asyncpg.Connection, owner: asyncpg.Connection, other: asyncpg.Connection, new: bool
) -> None:
    """Whether the stripe has moved before or not."""
    striped, debt = await opened(connection, new_clearing(), owed())
    await posted(connection, Movement(debt, striped, 1, "test"))
    if not new:
        await posted(other, Movement(debt, striped, 10, "test"))
    async with other.transaction():
        late = await posted(other, Movement(debt, striped, 100, "test"))
        moment = await owner.fetchval("select clock_timestamp()")
        task = asyncio.create_task(ledger.history(striped, at=moment, on=connection))
        await until_waiting(owner)
    past = await task
    assert past == PastBalance(101 if new else 111, 2 if new else 3, late.posted_at)
    await posted(connection, Movement(debt, striped, 1000, "test"))
    assert await ledger.history(striped, at=moment, on=connection) == past


async def test_settled_past_is_read_without_waiting(
    connection: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    """What is posted from now on is later than the last movement, so nobody needs to be waited for."""
    source, ana = await funded(connection, 100)
    (line,) = await ledger.statement(ana, on=connection)
    async with other.transaction():
        await posted(other, Movement(source, ana, 7, "test"))
        for question in ({"at": line.posted_at - MICROSECOND}, {"version": 1}, {"version": 0}):
            task: asyncio.Task[object] = asyncio.create_task(ledger.history(ana, on=connection, **question))
            await at_once(task)
        async with connection.transaction(readonly=True):
            assert await ledger.history(ana, version=1, on=connection) == PastBalance(100, 1, line.posted_at)
            assert await ledger.history(ana, at=line.posted_at - MICROSECOND, on=connection) == PastBalance(
                0, 0, None
            )


async def test_past_stays_as_it_was_while_everybody_posts(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    source, ana = await funded(connection, 100)
    (striped,) = await opened(connection, new_clearing())
    answers: list[tuple[int, datetime, PastBalance | None]] = []

    async def post() -> None:
        for _ in range(25):
            await post_apart(pool, group((source, ana, 3), (ana, striped, 2)))

    async def ask() -> None:
        async with pool.acquire() as mine:
            for _ in range(25):
                for account in (ana, striped):
                    moment = await mine.fetchval("select clock_timestamp()")
                    answers.append((account, moment, await ledger.history(account, at=moment, on=mine)))

    await asyncio.gather(post(), ask(), post(), ask(), post())
    lines = {account: await ledger.statement(account, on=connection, limit=1000) for account in (ana, striped)}
    for account, moment, answer in answers:
        assert answer == await ledger.history(account, at=moment, on=connection)
        then = [line for line in lines[account] if line.posted_at <= moment]
        assert answer == (
            PastBalance(then[-1].balance, len(then), then[-1].posted_at) if then else PastBalance(0, 0, None)
        )
    assert len({answer for _, _, answer in answers}) > 10
