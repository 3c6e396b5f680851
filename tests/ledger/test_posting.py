from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest

import ledger
from ledger import AccountAfter, AccountKind, Group, Posted, Recovery, Refusal, Refused, chart
from tests.ledger.ledger_helpers import (
    codes,
    group,
    is_new,
    new_clearing,
    new_till,
    opened,
    operating,
    pending,
    post_one,
    posted_balances,
    written,
)


@pytest.fixture
def dsn(shared_dsn: str) -> str:
    return shared_dsn


async def test_group_moves_every_leg(connection: asyncpg.Connection) -> None:
    clearing, creator, fees, tax = await opened(connection, new_clearing(), pending(), new_till(), new_till())
    outcome = await post_one(connection, (clearing, creator, 850), (clearing, fees, 100), (clearing, tax, 50))
    assert isinstance(outcome, Posted)
    assert is_new(outcome)
    assert await posted_balances(connection, clearing, creator, fees, tax) == [-1000, 850, 100, 50]
    assert (await ledger.balances([clearing], on=connection))[clearing].version == 3
    # What it says is what the books say.
    stored = await connection.fetch(
        "select * from ledger.movement where group_id = $1 order by id", outcome.group_id
    )
    assert [
        (row["id"], row["debit"], row["credit"], int(row["amount"]), row["group_id"], row["posted_at"])
        for row in stored
    ] == [
        (movement.id, movement.debit, movement.credit, movement.amount, outcome.group_id, outcome.posted_at)
        for movement in outcome.movements
    ]
    assert [
        (int(row["debit_after"]), row["debit_version"], int(row["credit_after"]), row["credit_version"])
        for row in stored
    ] == [(-850, 1, 850, 1), (-950, 2, 100, 1), (-1000, 3, 50, 1)]
    assert [(movement.debit_after, movement.credit_after) for movement in outcome.movements] == [
        (AccountAfter(-850, 1), AccountAfter(850, 1)),
        (AccountAfter(-950, 2), AccountAfter(100, 1)),
        (AccountAfter(-1000, 3), AccountAfter(50, 1)),
    ]
    rows = {movement.credit for movement in outcome.movements} | {outcome.movements[0].debit}
    assert set(outcome.after) == rows
    assert outcome.after[creator] == AccountAfter(850, 1)
    assert outcome.after[outcome.movements[0].debit] == AccountAfter(-1000, 3)


async def test_empty_batch_is_nothing(connection: asyncpg.Connection) -> None:
    assert await ledger.post([], on=connection) == []


async def test_overdraft_is_refused_and_neighbours_are_unharmed(connection: asyncpg.Connection) -> None:
    before = await written(connection)
    clearing, rich, poor, fees = await opened(connection, new_clearing(), pending(), pending(), new_till())
    batch = [
        group((clearing, rich, 100)),
        group((clearing, poor, 30)),
        group((rich, fees, 10), (poor, fees, 50)),
        group((rich, fees, 90)),
        group((poor, fees, 30)),
    ]
    outcomes = await ledger.post(batch, on=connection)
    assert codes(outcomes) == [None, None, Refusal.INSUFFICIENT_FUNDS, None, None]
    assert outcomes[2] == Refused(Refusal.INSUFFICIENT_FUNDS, account=poor, missing=20)
    assert [outcome.after.get(rich) for outcome in outcomes if isinstance(outcome, Posted)] == [
        AccountAfter(100, 1),
        None,
        AccountAfter(10, 2),
        None,
    ]
    assert await posted_balances(connection, clearing, rich, poor, fees) == [-130, 10, 0, 120]
    assert await written(connection, before) == (4, 5)


async def test_first_come_first_served_within_a_batch(connection: asyncpg.Connection) -> None:
    clearing, creator, fees = await opened(connection, new_clearing(), pending(), new_till())
    await post_one(connection, (clearing, creator, 100))
    wanted = [150, 40, 70, 60, 1]
    outcomes = await ledger.post([group((creator, fees, amount)) for amount in wanted], on=connection)
    short = Refusal.INSUFFICIENT_FUNDS
    assert codes(outcomes) == [short, None, short, None, short]
    assert [outcome.missing for outcome in outcomes if isinstance(outcome, Refused)] == [50, 10, 1]


async def test_hundreds_of_failing_groups_leave_the_rest_alone(connection: asyncpg.Connection) -> None:
    clearing, fees, *creators = await opened(
        connection, new_clearing(), new_till(), *(pending() for _ in range(20))
    )
    await ledger.post([group((clearing, creator, 10)) for creator in creators], on=connection)
    batch = [group((creators[n % 20], fees, 1)) for n in range(500)]
    outcomes = await ledger.post(batch, on=connection)
    assert codes(outcomes) == [None] * 200 + [Refusal.INSUFFICIENT_FUNDS] * 300
    assert await posted_balances(connection, fees, *creators) == [200] + [0] * 20


async def test_dip_within_a_group_is_an_overdraft(connection: asyncpg.Connection) -> None:
    clearing, creator, fees = await opened(connection, new_clearing(), pending(), new_till())
    outcome = await post_one(connection, (creator, fees, 10), (clearing, creator, 10))
    assert outcome == Refused(Refusal.INSUFFICIENT_FUNDS, account=creator, missing=10)


async def test_credit_limit_is_the_floor(connection: asyncpg.Connection) -> None:
    creator, fees = await opened(connection, pending(), new_till())
    await ledger.set_credit_limit(creator, 50, on=connection)
    assert await post_one(connection, (creator, fees, 51)) == Refused(
        Refusal.INSUFFICIENT_FUNDS, account=creator, missing=1
    )
    assert is_new(await post_one(connection, (creator, fees, 50)))


async def test_malformed_groups_decide_nothing(connection: asyncpg.Connection) -> None:
    before = await written(connection)
    clearing, creator, euros, fees = await opened(
        connection, new_clearing(), pending(), pending(asset="EUR"), new_till()
    )
    good = group((clearing, creator, 5))
    batch = [
        group(),
        group((creator, fees, 50), (clearing, clearing, 5)),
        group((clearing, 999_999, 5)),
        group((2**63, creator, 5)),
        group((-1, creator, 5)),
        group((clearing, euros, 5)),
        good,
        Group("", good.operations),
        Group("k" * 256, good.operations),
        Group("a\0b", good.operations),
        Group("\ud800", good.operations),
        Group("naive", good.operations, datetime(2026, 1, 1)),  # ruff: ignore[call-datetime-without-tzinfo]
        Group("kind", (replace(good.operations[0], kind=""),)),
    ]
    assert codes(await ledger.post(batch, on=connection)) == [
        Refusal.NO_MOVEMENTS,
        Refusal.SAME_ACCOUNT,
        Refusal.UNKNOWN_ACCOUNT,
        Refusal.UNKNOWN_ACCOUNT,
        Refusal.UNKNOWN_ACCOUNT,
        Refusal.ASSET_MISMATCH,
        None,
        *[Refusal.MALFORMED] * 6,
    ]
    assert await written(connection, before) == (1, 1)


async def test_closed_account_is_refused_and_stays_refused(
    connection: asyncpg.Connection, owner: asyncpg.Connection
) -> None:
    clearing, creator = await opened(connection, new_clearing(), pending())
    await ledger.close_account(creator, on=connection)
    key, refused = str(uuid4()), Refused(Refusal.ACCOUNT_CLOSED, account=creator)
    assert await post_one(connection, (clearing, creator, 5), key=key) == refused
    await ledger.reopen_account(creator, on=connection)
    assert await post_one(connection, (clearing, creator, 5), key=key) == replace(refused, replayed=True)
    assert is_new(await post_one(connection, (clearing, creator, 5)))
    with pytest.raises(asyncpg.CheckViolationError, match="closed_account_is_empty"):
        await owner.execute("update ledger.account set state = 'closed' where id = $1", creator)


async def test_several_assets_in_one_batch(connection: asyncpg.Connection) -> None:
    """Where a group has several, each of them goes through the liquidity."""
    fx, yen_fx, creator, creator_yen = await opened(
        connection,
        chart.platform(AccountKind.FX, "USD"),
        chart.platform(AccountKind.FX, "JPY"),
        pending(),
        pending(asset="JPY"),
    )
    outcomes = await ledger.post(
        [
            group((fx, creator, 5), (yen_fx, creator_yen, 700)),
            group((fx, creator_yen, 5)),
            group((creator_yen, yen_fx, 300)),
            group((creator, fx, 1)),
        ],
        on=connection,
    )
    assert codes(outcomes) == [None, Refusal.ASSET_MISMATCH, None, None]
    assert await posted_balances(connection, creator, creator_yen) == [4, 400]


async def test_lost_connection_leaves_nothing_and_the_key_free(
    connection: asyncpg.Connection, owner: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    before = await written(connection)
    clearing, creator = await opened(connection, new_clearing(), pending())
    batch = [group((clearing, creator, 5)) for _ in range(50)]
    async with pool.acquire() as doomed:
        await doomed.execute("begin")
        await ledger.post(batch, on=doomed)
        await owner.fetchval("select pg_terminate_backend($1, 5000)", doomed.get_server_pid())
    assert await written(connection, before) == (0, 0)
    assert all(map(is_new, await ledger.post(batch, on=connection)))


@pytest.mark.parametrize("isolation", ["repeatable_read", "serializable"])
@pytest.mark.parametrize("others", [0, 1, 2])
async def test_other_isolation_is_refused(connection: asyncpg.Connection, isolation: str, others: int) -> None:
    clearing, creator = await opened(connection, new_clearing(), pending())
    beside = [group((clearing, creator, 1)), operating(Recovery(creator, clearing, "test"))]
    with pytest.raises(asyncpg.ActiveSQLTransactionError, match="READ COMMITTED"):
        async with connection.transaction(isolation=isolation):
            await ledger.post([group((clearing, creator, 5)), *beside[:others]], on=connection)


@pytest.mark.parametrize("side", ["debit", "credit"])
@pytest.mark.parametrize("others", [0, 1, 2])
async def test_posting_never_goes_back_in_time(
    connection: asyncpg.Connection, owner: asyncpg.Connection, side: str, others: int
) -> None:
    """As after a clock that was set back: what was posted so far lies in the future, on whichever side it is.

    A group alone, several movements, and several kinds of operations are posted in three ways.
    """
    source, creator = await opened(connection, chart.creator(AccountKind.OWED, "USD", uuid4()), pending())
    first = await post_one(connection, (source, creator, 5))
    assert isinstance(first, Posted)
    ahead, account = timedelta(hours=1), source if side == "debit" else creator
    await owner.execute("set session_replication_role = replica")
    await owner.execute("update ledger.account set posted_at = posted_at + $1 where id = $2", ahead, account)
    for table, column in (("movement", "posted_at"), ("request", "decided_at")):
        await owner.execute(
            f"update ledger.{table} set {column} = {column} + $1 where group_id = $2", ahead, first.group_id
        )
    beside = [group((source, creator, 1)), operating(Recovery(creator, source, "test"))]
    outcomes = await ledger.post([group((source, creator, 5)), *beside[:others]], on=connection)
    assert [outcome.posted_at for outcome in outcomes if isinstance(outcome, Posted)] == [
        first.posted_at + ahead
    ] * (1 + others)
    lines = await ledger.statement(creator, on=connection)
    assert [line.posted_at for line in lines] == sorted(line.posted_at for line in lines)


async def test_effective_time_is_the_callers(connection: asyncpg.Connection) -> None:
    clearing, creator = await opened(connection, new_clearing(), pending())
    moment = datetime(2020, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC)
    await ledger.post([replace(group((clearing, creator, 5)), effective_at=moment)], on=connection)
    await post_one(connection, (clearing, creator, 5))
    first, second = await ledger.statement(creator, on=connection)
    assert first.effective_at == moment
    assert first.posted_at > moment
    assert second.effective_at == second.posted_at
