"""Credit limits, closing and reopening: what changes about an account beside its balance."""

import asyncio
import random
from uuid import uuid4

import asyncpg
import pytest

import ledger
from ledger import (
    AccountNotEmptyError,
    CreditLimitInUseError,
    Hold,
    Movement,
    Outcome,
    Recovery,
    Refusal,
    Refused,
    UnknownAccountError,
)
from tests.ledger.ledger_helpers import (
    codes,
    do,
    funded,
    group,
    is_new,
    opened,
    operating,
    owed,
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


async def changes(connection: asyncpg.Connection, account: int) -> list[tuple[int, str, int, int]]:
    rows = await connection.fetch(
        "select number, change, credit_limit, at_version, changed_at from ledger.account_change"
        " where account = $1 order by number",
        account,
    )
    assert [row["changed_at"] for row in rows] == sorted(row["changed_at"] for row in rows)
    return [(row["number"], row["change"], int(row["credit_limit"]), row["at_version"]) for row in rows]


async def test_limit_can_be_raised_and_lowered_as_far_as_it_is_not_in_use(connection: asyncpg.Connection) -> None:
    _, ana, ben = await funded(connection, 10, 0)
    await ledger.set_credit_limit(ana, 50, on=connection)
    await posted(connection, Movement(ana, ben, 40, "test"))
    for limit in (0, 29):
        with pytest.raises(CreditLimitInUseError):
            await ledger.set_credit_limit(ana, limit, on=connection)
    await ledger.set_credit_limit(ana, 30, on=connection)
    assert await do(connection, Movement(ana, ben, 1, "test")) == Refused(Refusal.INSUFFICIENT_FUNDS, ana, 1)
    await posted(connection, Movement(ben, ana, 30, "test"))
    await ledger.set_credit_limit(ana, 0, on=connection)
    assert await posted_balances(connection, ana) == [0]


async def test_every_change_is_remembered_with_the_version_it_came_after(connection: asyncpg.Connection) -> None:
    source, ana = await funded(connection, 0)
    await ledger.set_credit_limit(ana, 50, on=connection)
    await posted(connection, Movement(source, ana, 7, "test"), Movement(ana, source, 7, "test"))
    await ledger.close_account(ana, on=connection)
    await ledger.reopen_account(ana, on=connection)
    await ledger.set_credit_limit(ana, 0, on=connection)
    assert await changes(connection, ana) == [
        (1, "credit_limit", 50, 0),
        (2, "closed", 50, 2),
        (3, "reopened", 50, 2),
        (4, "credit_limit", 0, 2),
    ]


async def test_change_to_what_it_is_already_is_no_change(connection: asyncpg.Connection) -> None:
    (ana,) = await opened(connection, wallet())
    before = await snapshot(connection)
    await ledger.set_credit_limit(ana, 0, on=connection)
    await ledger.reopen_account(ana, on=connection)
    assert await snapshot(connection) == before
    await ledger.close_account(ana, on=connection)
    await ledger.close_account(ana, on=connection)
    assert await changes(connection, ana) == [(1, "closed", 0, 0)]


async def test_account_with_something_on_it_cannot_be_closed(connection: asyncpg.Connection) -> None:
    source, ana = await funded(connection, 10)
    before = await snapshot(connection)
    for account in (source, ana):
        with pytest.raises(AccountNotEmptyError):
            await ledger.close_account(account, on=connection)
    assert await snapshot(connection) == before


async def test_closed_account_keeps_its_statement_and_is_reopened_with_it(connection: asyncpg.Connection) -> None:
    source, ana = await funded(connection, 10)
    await posted(connection, Movement(ana, source, 10, "test"))
    lines = await ledger.statement(ana, on=connection)
    await ledger.close_account(ana, on=connection)
    assert await ledger.statement(ana, on=connection) == lines
    assert await ledger.balance(ana, on=connection) == ledger.Balance(0, 0, 0, 2)
    asked = [
        operating(Movement(source, ana, 1, "test")),
        operating(Hold(uuid4(), ana, source, 1, "test")),
        operating(Recovery(ana, source, "test")),
    ]
    closed = Refusal.ACCOUNT_CLOSED
    assert codes(await ledger.post(asked, on=connection)) == [closed, closed, None]
    await ledger.reopen_account(ana, on=connection)
    outcome = await posted(connection, Movement(source, ana, 1, "test"))
    assert outcome.after[ana] == ledger.AccountAfter(1, 3)


@pytest.mark.parametrize("limit", [-1, 10**38, 1.0, True, None])
async def test_limit_that_is_none_is_refused(connection: asyncpg.Connection, limit: object) -> None:
    (ana,) = await opened(connection, wallet())
    before = await snapshot(connection)
    with pytest.raises(ValueError, match="credit limit"):
        await ledger.set_credit_limit(ana, limit, on=connection)  # type: ignore[arg-type]
    assert await snapshot(connection) == before
    await ledger.set_credit_limit(ana, 10**38 - 1, on=connection)


async def test_account_that_is_not_there_is_unknown(connection: asyncpg.Connection) -> None:
    before = await snapshot(connection)
    with pytest.raises(UnknownAccountError):
        await ledger.set_credit_limit(2**50, 5, on=connection)
    for change in (ledger.close_account, ledger.reopen_account):
        with pytest.raises(UnknownAccountError):
            await change(2**50, on=connection)
    assert await snapshot(connection) == before


@pytest.mark.parametrize("company", [0, 1])
async def test_posting_waits_for_a_closing_and_is_refused(
    connection: asyncpg.Connection, owner: asyncpg.Connection, pool: asyncpg.Pool, company: int
) -> None:
    source, ana, ben = await funded(connection, 0, 0)
    async with connection.transaction():
        await ledger.close_account(ana, on=connection)
        asked = [group((source, ana, 5)), group((source, ben, 5))][: 1 + company]
        task = asyncio.create_task(post_apart(pool, *asked))
        await until_waiting(owner)
    assert codes(await task) == [Refusal.ACCOUNT_CLOSED, None][: 1 + company]
    assert await posted_balances(connection, ana) == [0]


async def test_closing_waits_for_a_posting_and_fails(
    connection: asyncpg.Connection, owner: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    source, ana = await funded(connection, 0)
    async with connection.transaction():
        await posted(connection, Movement(source, ana, 5, "test"))
        task = asyncio.create_task(ledger.close_account(ana, on=other))
        await until_waiting(owner)
    with pytest.raises(AccountNotEmptyError):
        await task


async def test_limit_waits_for_a_posting_that_makes_use_of_it(
    connection: asyncpg.Connection, owner: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    source, ana = await funded(connection, 0)
    await ledger.set_credit_limit(ana, 50, on=connection)
    async with connection.transaction():
        await posted(connection, Movement(ana, source, 50, "test"))
        task = asyncio.create_task(ledger.set_credit_limit(ana, 0, on=other))
        await until_waiting(owner)
    with pytest.raises(CreditLimitInUseError):
        await task
    async with connection.transaction():
        await ledger.set_credit_limit(ana, 60, on=connection)
        raised = asyncio.create_task(do(other, Movement(ana, source, 10, "test")))
        await until_waiting(owner)
    assert is_new(await raised)


async def test_changes_and_postings_at_once_agree(connection: asyncpg.Connection, pool: asyncpg.Pool) -> None:
    """Whoever was first: nothing is posted to a closed account, and no limit is overdrawn."""
    source, *wallets = await funded(connection, *[0] * 4)

    async def post(seed: int) -> list[Outcome]:
        dice, outcomes = random.Random(seed), []
        for _ in range(40):
            one, two = dice.sample(wallets, 2)
            legs = [(source, one, 5), (one, source, 5), (one, two, 3), (two, source, 2)]
            outcomes += await post_apart(pool, *(group(dice.choice(legs)) for _ in range(dice.choice([1, 3]))))
        return outcomes

    async def change(seed: int) -> int:
        dice, done = random.Random(seed), 0
        async with pool.acquire() as mine:
            for _ in range(40):
                account = dice.choice(wallets)
                try:
                    match dice.randrange(3):
                        case 0:
                            await ledger.set_credit_limit(account, dice.choice([0, 10]), on=mine)
                        case 1:
                            await ledger.close_account(account, on=mine)
                        case _:
                            await ledger.reopen_account(account, on=mine)
                    done += 1
                except (AccountNotEmptyError, CreditLimitInUseError):
                    pass
        return done

    results = await asyncio.gather(*(post(seed) for seed in range(4)), *(change(seed) for seed in range(3)))
    found = {code for part in results if isinstance(part, list) for code in codes(part)}
    assert found == {None, Refusal.ACCOUNT_CLOSED, Refusal.INSUFFICIENT_FUNDS}
    # By the history of its changes, at no version was an account below its limit or moved while it was closed.
    for account in wallets:
        known = await changes(connection, account)
        for line in await ledger.statement(account, on=connection, limit=10_000):
            before = [one for one in known if one[3] < line.version]
            assert line.balance >= -(before[-1][2] if before else 0)
            states = [change for _, change, _, _ in before if change != "credit_limit"]
            assert states[-1:] != ["closed"]
    for account in wallets:
        await ledger.reopen_account(account, on=connection)
    (debt,) = await opened(connection, owed())
    assert is_new(await do(connection, *(Movement(debt, account, 1, "test") for account in wallets)))
