"""Accounts that every process touches are several rows, and read as one."""

import asyncio
from datetime import timedelta
from itertools import pairwise

import asyncpg
import pytest

import ledger
from core.clock import now
from ledger import STRIPES, Movement, Outcome, Position, Posted, Recovery, Reversal, StatementLine
from tests.ledger.ledger_helpers import (
    FEES,
    at_once,
    available,
    funded,
    group,
    new_clearing,
    opened,
    operating,
    owed,
    pending,
    post_apart,
    posted,
    posted_balances,
    snapshot,
    until_waiting,
    wallet,
)


@pytest.fixture
def dsn(shared_dsn: str) -> str:
    return shared_dsn


async def rows_of(connection: asyncpg.Connection, account: int) -> list[int]:
    """The ids of an account's rows, the account itself first."""
    rows = await connection.fetch(
        "select id from ledger.account where id = $1 or stripe_of = $1 order by stripe", account
    )
    return [row["id"] for row in rows]


async def whole_statement(connection: asyncpg.Connection, account: int, size: int = 7) -> list[StatementLine]:
    """Read page by page, as a client does."""
    lines: list[StatementLine] = []
    after: Position | None = None
    while page := await ledger.statement(account, on=connection, after=after, limit=size):
        lines += page
        after = page[-1].position
    return lines


def assert_one_account(lines: list[StatementLine]) -> None:
    """Numbers without a gap, a balance that follows from them, and times that never go back."""
    assert [line.version for line in lines] == list(range(1, len(lines) + 1))
    assert [after.balance - before.balance for before, after in pairwise(lines)] == [
        line.amount for line in lines[1:]
    ]
    assert lines[0].balance == lines[0].amount
    assert [line.posted_at for line in lines] == sorted(line.posted_at for line in lines)
    for row in {line.row for line in lines}:
        versions = [line.row_version for line in lines if line.row == row]
        assert versions == list(range(1, len(versions) + 1))


async def test_platforms_and_providers_accounts_are_opened_in_stripes(connection: asyncpg.Connection) -> None:
    clearing, debt, ana = await opened(connection, new_clearing(), owed(), wallet())
    rows = await connection.fetch(
        "select id, stripe, code, kind, guarded, lock_rank from ledger.account"
        " where id = $1 or stripe_of = $1 order by stripe",
        clearing,
    )
    assert [row["stripe"] for row in rows] == list(range(STRIPES))
    assert rows[0]["id"] == clearing
    code = rows[0]["code"]
    assert [row["code"] for row in rows[1:]] == [f"{code}#{number}" for number in range(1, STRIPES)]
    assert {(row["kind"], row["guarded"], row["lock_rank"]) for row in rows} == {("clearing", False, 20)}
    assert [len(await rows_of(connection, account)) for account in (debt, ana)] == [1, 1]
    assert (FEES.striped, new_clearing().striped, owed().striped, pending().striped) == (True, True, False, False)


@pytest.mark.parametrize("company", ["nobody", "movements", "others"])
async def test_two_connections_post_to_one_account_without_waiting_for_each_other(
    connection: asyncpg.Connection, other: asyncpg.Connection, company: str
) -> None:
    """The first transaction is still open when the second one is done."""
    striped, ana, ben = await opened(connection, new_clearing(), wallet(), wallet())

    async def post(on: asyncpg.Connection, credit: int) -> list[Outcome]:
        beside = {
            "nobody": [],
            "movements": [group((credit, striped, 1))],
            "others": [operating(Recovery(credit, striped, "test"))],
        }
        return await ledger.post([group((striped, credit, 5)), *beside[company]], on=on)

    async with connection.transaction():
        mine = await post(connection, ana)
        theirs = await asyncio.wait_for(post(other, ben), 10)
    assert isinstance(mine[0], Posted)
    assert isinstance(theirs[0], Posted)
    assert mine[0].movements[0].debit != theirs[0].movements[0].debit
    assert_one_account(await whole_statement(connection, striped))
    left = {"nobody": 5, "movements": 4, "others": 0}[company]
    assert await posted_balances(connection, striped, ana, ben) == [-2 * left, left, left]


async def test_account_of_one_row_is_waited_for(
    connection: asyncpg.Connection, owner: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    """So that the test above would have noticed."""
    debt, ana, ben = await opened(connection, owed(), wallet(), wallet())
    async with connection.transaction():
        await posted(connection, Movement(debt, ana, 5, "test"))
        task = asyncio.create_task(posted(other, Movement(debt, ben, 7, "test")))
        await until_waiting(owner)
    await task


async def test_stripes_read_as_one(
    connection: asyncpg.Connection, owner: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    source, ana = await funded(connection, 10_000)
    striped, second = await opened(connection, new_clearing(), new_clearing())

    async def post(number: int) -> None:
        for turn in range(6):
            debit, credit = ((ana, striped), (striped, ana), (striped, second))[(number + turn) % 3]
            await post_apart(pool, group((debit, credit, number + 1)), group((striped, source, 1)))

    await asyncio.gather(*(post(number) for number in range(10)))
    assert len({line.row for line in await ledger.statement(striped, on=connection)}) > 3
    for account in (striped, second):
        lines = await whole_statement(connection, account)
        assert_one_account(lines)
        rows = await connection.fetch(
            "select sum(posted) as posted, sum(version)::int as version from ledger.account"
            " where id = $1 or stripe_of = $1",
            account,
        )
        balance = await ledger.balance(account, on=connection)
        assert balance is not None
        assert (balance.posted, balance.held, balance.available, balance.version) == (
            rows[0]["posted"], 0, rows[0]["posted"], rows[0]["version"],
        ) == (lines[-1].balance, 0, lines[-1].balance, len(lines))  # fmt: skip
        assert [line async for line in ledger.stream(account, on=connection)] == lines
        assert await ledger.statement(account, on=connection, limit=1000) == lines
        assert {line.counterparty for line in lines} <= {source, ana, striped, second}
        for line in (lines[0], lines[len(lines) // 2], lines[-1]):
            past = await ledger.history(account, at=line.posted_at, on=connection)
            then = [other for other in lines if other.posted_at <= line.posted_at]
            assert past == ledger.PastBalance(then[-1].balance, len(then), line.posted_at)
    assert sum(await posted_balances(connection, source, ana, striped, second)) == 0


async def test_statement_between_two_moments_keeps_its_numbers(
    connection: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    striped, debt = await opened(connection, new_clearing(), owed())
    for number in range(12):
        await posted((connection, other)[number % 2], Movement(debt, striped, number + 1, "test"))
    lines = await whole_statement(connection, striped, size=5)
    assert len({line.row for line in lines}) == 2
    since, until = lines[3].posted_at, lines[9].posted_at
    assert await ledger.statement(striped, on=connection, since=since, until=until) == lines[3:9]
    assert await ledger.statement(
        striped, on=connection, since=since, until=until, after=lines[4].position, limit=3
    ) == lines[5:8]  # fmt: skip
    assert await ledger.statement(striped, on=connection, since=until + timedelta(days=1)) == []
    assert [line async for line in ledger.stream(striped, on=connection, since=since, until=until)] == lines[3:9]


async def test_stripe_cannot_be_addressed(connection: asyncpg.Connection) -> None:
    (striped,) = await opened(connection, new_clearing())
    before = await snapshot(connection)
    for row in (await rows_of(connection, striped))[1:]:
        assert await ledger.balance(row, on=connection) is None
        assert await ledger.statement(row, on=connection) == []
        assert await ledger.history(row, version=0, on=connection) is None
        assert await ledger.history(row, at=now() - timedelta(seconds=1), on=connection) is None
        for change in (ledger.close_account, ledger.reopen_account):
            with pytest.raises(ledger.UnknownAccountError):
                await change(row, on=connection)
        with pytest.raises(ledger.UnknownAccountError):
            await ledger.set_credit_limit(row, 5, on=connection)
    assert await snapshot(connection) == before


async def test_settled_moment_waits_for_whoever_is_posting(
    connection: asyncpg.Connection, owner: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    """A line that is still on its way is before it, whoever it comes from, and what comes after it is later."""
    striped, debt = await opened(connection, new_clearing(), owed())
    await posted(connection, Movement(debt, striped, 1, "test"))
    async with other.transaction():
        late = await posted(other, Movement(debt, striped, 2, "test"))
        task = asyncio.create_task(ledger.settled_until(striped, on=connection))
        await until_waiting(owner)
    settled = await task
    assert settled is not None
    assert settled > late.posted_at
    after = await posted(connection, Movement(debt, striped, 3, "test"))
    assert after.posted_at >= settled
    lines = await ledger.statement(striped, on=connection, until=settled)
    assert [line.amount for line in lines] == [1, 2]
    assert await ledger.settled_until(debt, on=connection) is None


async def test_stream_ends_where_it_was_settled_when_it_began(
    connection: asyncpg.Connection, owner: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    striped, debt = await opened(connection, new_clearing(), owed())
    await posted(connection, Movement(debt, striped, 1, "test"))
    transaction = other.transaction()
    await transaction.start()
    await posted(other, Movement(debt, striped, 2, "test"))
    lines = aiter(ledger.stream(striped, on=connection))
    first = asyncio.ensure_future(anext(lines))
    await until_waiting(owner)
    await transaction.commit()
    read = [await first]
    await posted(other, Movement(debt, striped, 3, "test"))
    read += [line async for line in lines]
    assert [(line.version, line.amount, line.balance) for line in read] == [(1, 1, 1), (2, 2, 3)]


async def test_striped_account_is_closed_and_reopened_whole(
    connection: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    striped, ana = await opened(connection, new_clearing(), wallet())
    await ledger.close_account(striped, on=connection)
    refused = ledger.Refused(ledger.Refusal.ACCOUNT_CLOSED, striped)
    for poster in (connection, other):
        assert await ledger.post([group((striped, ana, 5))], on=poster) == [refused]
        assert await ledger.post([group((striped, ana, 5)), group((striped, ana, 5))], on=poster) == [refused] * 2
    await ledger.reopen_account(striped, on=connection)
    for poster in (connection, other):
        await posted(poster, Movement(striped, ana, 5, "test"))


async def test_account_whose_stripes_sum_to_zero_is_empty(
    connection: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    """What came through one of them and left through another is not there any more."""
    striped, debt = await opened(connection, new_clearing(), owed())
    await posted(connection, Movement(debt, striped, 5, "test"))
    with pytest.raises(ledger.AccountNotEmptyError):
        await ledger.close_account(striped, on=connection)
    await posted(other, Movement(striped, debt, 5, "test"))
    assert await available(connection, striped) == (0, 0, 0)
    await ledger.close_account(striped, on=connection)
    assert await ledger.post([group((debt, striped, 1))], on=other) == [
        ledger.Refused(ledger.Refusal.ACCOUNT_CLOSED, striped)
    ]


async def test_stripes_are_opened_once_by_twenty_at_once(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    spec = new_clearing()
    found = await asyncio.gather(*(ledger.ensure([spec], on=pool) for _ in range(20)))
    (account,) = {ids[spec] for ids in found}
    assert len(await rows_of(connection, account)) == STRIPES


async def test_reversal_waits_for_the_stripe_it_goes_through(
    connection: asyncpg.Connection, owner: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    """It is the row of the original that has to be locked, whichever connection it is sent back on."""
    striped, debt = await opened(connection, new_clearing(), owed())
    (original,) = (await posted(connection, Movement(debt, striped, 5, "test"))).movements
    _, ana = await funded(connection, 9)
    async with connection.transaction():
        await posted(connection, Movement(ana, striped, 1, "test"))
        task: asyncio.Task[object] = asyncio.create_task(posted(other, Reversal(original.id, None, "back")))
        await until_waiting(owner)
    await at_once(task)
    assert await posted_balances(connection, striped, debt) == [1, 0]
