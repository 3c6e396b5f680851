from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from uuid import uuid4

import asyncpg
import pytest

import ledger
from ledger import Group, Movement, Posted, Refusal, Refused
from ledger.posting import body_hash
from tests.ledger.ledger_helpers import (
    CLEARING,
    FEES,
    TAX,
    codes,
    group,
    is_new,
    opened,
    pending,
    post_one,
    posted_balances,
    written,
)


async def test_group_moves_every_leg(connection: asyncpg.Connection) -> None:
    clearing, creator, fees, tax = await opened(connection, CLEARING, pending(), FEES, TAX)
    outcome = await post_one(connection, (clearing, creator, 850), (clearing, fees, 100), (clearing, tax, 50))
    assert is_new(outcome)
    assert await posted_balances(connection, clearing, creator, fees, tax) == [-1000, 850, 100, 50]
    assert (await ledger.balances([clearing], on=connection))[clearing].version == 3


async def test_empty_batch_is_nothing(connection: asyncpg.Connection) -> None:
    assert await ledger.post([], on=connection) == []


async def test_overdraft_is_refused_and_neighbours_are_unharmed(connection: asyncpg.Connection) -> None:
    clearing, rich, poor, fees = await opened(connection, CLEARING, pending(), pending(), FEES)
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
    assert await posted_balances(connection, clearing, rich, poor, fees) == [-130, 10, 0, 120]
    assert await written(connection) == (4, 5)


async def test_first_come_first_served_within_a_batch(connection: asyncpg.Connection) -> None:
    clearing, creator, fees = await opened(connection, CLEARING, pending(), FEES)
    await post_one(connection, (clearing, creator, 100))
    wanted = [150, 40, 70, 60, 1]
    outcomes = await ledger.post([group((creator, fees, amount)) for amount in wanted], on=connection)
    short = Refusal.INSUFFICIENT_FUNDS
    assert codes(outcomes) == [short, None, short, None, short]
    assert [outcome.missing for outcome in outcomes if isinstance(outcome, Refused)] == [50, 10, 1]


async def test_hundreds_of_failing_groups_leave_the_rest_alone(connection: asyncpg.Connection) -> None:
    clearing, fees, *creators = await opened(connection, CLEARING, FEES, *(pending() for _ in range(20)))
    await ledger.post([group((clearing, creator, 10)) for creator in creators], on=connection)
    batch = [group((creators[n % 20], fees, 1)) for n in range(500)]
    outcomes = await ledger.post(batch, on=connection)
    assert codes(outcomes) == [None] * 200 + [Refusal.INSUFFICIENT_FUNDS] * 300
    assert await posted_balances(connection, fees, *creators) == [200] + [0] * 20


async def test_dip_within_a_group_is_an_overdraft(connection: asyncpg.Connection) -> None:
    clearing, creator, fees = await opened(connection, CLEARING, pending(), FEES)
    outcome = await post_one(connection, (creator, fees, 10), (clearing, creator, 10))
    assert outcome == Refused(Refusal.INSUFFICIENT_FUNDS, account=creator, missing=10)


async def test_credit_limit_is_the_floor(connection: asyncpg.Connection, owner: asyncpg.Connection) -> None:
    creator, fees = await opened(connection, pending(), FEES)
    await owner.execute("update ledger.account set credit_limit = 50 where id = $1", creator)
    assert await post_one(connection, (creator, fees, 51)) == Refused(
        Refusal.INSUFFICIENT_FUNDS, account=creator, missing=1
    )
    assert is_new(await post_one(connection, (creator, fees, 50)))


async def test_repeat_returns_the_first_outcome(connection: asyncpg.Connection) -> None:
    clearing, creator, fees = await opened(connection, CLEARING, pending(), FEES)
    good, bad = group((clearing, creator, 5)), group((creator, fees, 7))
    first = await ledger.post([good, bad], on=connection)
    await post_one(connection, (clearing, creator, 1000))  # the money that was missing
    assert isinstance(first[0], Posted)
    assert isinstance(first[1], Refused)
    assert first[1].missing == 2
    again = await ledger.post([bad, good], on=connection)
    assert again == [replace(first[1], replayed=True), replace(first[0], replayed=True)]
    assert await posted_balances(connection, creator) == [1005]


async def test_key_with_another_body_is_refused(connection: asyncpg.Connection) -> None:
    clearing, creator, fees = await opened(connection, CLEARING, pending(), FEES)
    first = group((clearing, creator, 5), key="one")
    await ledger.post([first], on=connection)
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    (leg,) = first.movements
    others = [
        replace(first, movements=(replace(leg, amount=6),)),
        replace(first, movements=(replace(leg, credit=fees),)),
        replace(first, movements=(replace(leg, kind="else"),)),
        replace(first, movements=(replace(leg, reference=uuid4()),)),
        replace(first, movements=(leg, leg)),
        replace(first, effective_at=moment),
    ]
    outcomes = await ledger.post([*others, first], on=connection)
    assert outcomes[:-1] == [Refused(Refusal.KEY_REUSED)] * len(others)
    assert isinstance(outcomes[-1], Posted)
    assert outcomes[-1].replayed
    assert await written(connection) == (1, 1)


async def test_key_twice_in_one_batch(connection: asyncpg.Connection) -> None:
    clearing, creator, fees = await opened(connection, CLEARING, pending(), FEES)
    malformed = group((clearing, clearing, 5), key="one")
    first = group((clearing, creator, 5), key="one")
    other = group((clearing, creator, 6), key="one")
    short = group((creator, fees, 50), key="two")
    outcomes = await ledger.post([malformed, first, other, short, first, malformed, short], on=connection)
    posted = outcomes[1]
    assert isinstance(posted, Posted)
    assert is_new(posted)
    refused = Refused(Refusal.INSUFFICIENT_FUNDS, account=creator, missing=45)
    assert outcomes == [
        Refused(Refusal.SAME_ACCOUNT, account=clearing),
        posted,
        Refused(Refusal.KEY_REUSED),
        refused,
        replace(posted, replayed=True),
        Refused(Refusal.KEY_REUSED),
        replace(refused, replayed=True),
    ]
    assert await written(connection) == (1, 2)


async def test_keys_of_tenants_are_apart(connection: asyncpg.Connection) -> None:
    clearing, creator = await opened(connection, CLEARING, pending())
    for tenant, amount in (("one", 5), ("two", 6)):
        (outcome,) = await ledger.post([group((clearing, creator, amount), key="k")], on=connection, tenant=tenant)
        assert is_new(outcome)


def test_body_hash_is_of_the_meaning() -> None:
    noon = datetime(2026, 1, 2, 12, tzinfo=UTC)
    body = Group("k", (Movement(1, 2, 10**37, "tip"),), noon)
    same_elsewhere = replace(body, key="other", effective_at=noon.astimezone(timezone(timedelta(hours=2))))
    assert body_hash(body) == body_hash(same_elsewhere)
    # Stored for ever: this value can never change.
    assert body_hash(body).hex() == "c0726d8932cb84bd70e8f5f31db25f4c32effe7431caac410a1467f7cebfe020"


async def test_malformed_groups_decide_nothing(connection: asyncpg.Connection) -> None:
    clearing, creator, euros, fees = await opened(connection, CLEARING, pending(), pending(asset="EUR"), FEES)
    good = group((clearing, creator, 5))
    batch = [
        group(),
        group((creator, fees, 50), (clearing, clearing, 5)),
        group((clearing, 999_999, 5)),
        group((2**63, creator, 5)),
        group((-1, creator, 5)),
        group((clearing, euros, 5)),
        good,
        Group("", good.movements),
        Group("k" * 256, good.movements),
        Group("a\0b", good.movements),
        Group("\ud800", good.movements),
        Group("naive", good.movements, datetime(2026, 1, 1)),  # ruff: ignore[call-datetime-without-tzinfo]
        Group("kind", (replace(good.movements[0], kind=""),)),
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
    assert await written(connection) == (1, 1)


async def test_refused_key_of_malformed_group_is_free(connection: asyncpg.Connection) -> None:
    clearing, creator = await opened(connection, CLEARING, pending())
    await post_one(connection, (clearing, creator, 0), key="k")
    assert is_new(await post_one(connection, (clearing, creator, 1), key="k"))


async def test_closed_account_is_refused_and_stays_refused(
    connection: asyncpg.Connection, owner: asyncpg.Connection
) -> None:
    clearing, creator = await opened(connection, CLEARING, pending())
    await owner.execute("update ledger.account set state = 'closed' where id = $1", creator)
    refused = Refused(Refusal.ACCOUNT_CLOSED, account=creator)
    assert await post_one(connection, (clearing, creator, 5), key="k") == refused
    await owner.execute("update ledger.account set state = 'open' where id = $1", creator)
    assert await post_one(connection, (clearing, creator, 5), key="k") == replace(refused, replayed=True)
    assert is_new(await post_one(connection, (clearing, creator, 5)))
    with pytest.raises(asyncpg.CheckViolationError, match="closed_account_is_empty"):
        await owner.execute("update ledger.account set state = 'closed' where id = $1", creator)


async def test_several_assets_in_one_batch(connection: asyncpg.Connection) -> None:
    yen_clearing = replace(CLEARING, asset="JPY")
    clearing, creator, yen, creator_yen = await opened(
        connection, CLEARING, pending(), yen_clearing, pending(asset="JPY")
    )
    outcomes = await ledger.post(
        [group((clearing, creator, 5), (yen, creator_yen, 7)), group((clearing, creator_yen, 5))], on=connection
    )
    assert codes(outcomes) == [None, Refusal.ASSET_MISMATCH]
    assert await posted_balances(connection, creator, creator_yen) == [5, 7]


async def test_money_and_answer_roll_back_together(connection: asyncpg.Connection) -> None:
    clearing, creator = await opened(connection, CLEARING, pending())
    transaction = connection.transaction()
    await transaction.start()
    assert is_new(await post_one(connection, (clearing, creator, 5), key="k"))
    await transaction.rollback()
    assert await written(connection) == (0, 0)
    assert is_new(await post_one(connection, (clearing, creator, 5), key="k"))


async def test_lost_connection_leaves_nothing_and_the_key_free(
    connection: asyncpg.Connection, owner: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    clearing, creator = await opened(connection, CLEARING, pending())
    batch = [group((clearing, creator, 5)) for _ in range(50)]
    async with pool.acquire() as doomed:
        await doomed.execute("begin")
        await ledger.post(batch, on=doomed)
        await owner.fetchval("select pg_terminate_backend($1, 5000)", doomed.get_server_pid())
    assert await written(connection) == (0, 0)
    assert all(map(is_new, await ledger.post(batch, on=connection)))


@pytest.mark.parametrize("isolation", ["repeatable_read", "serializable"])
async def test_other_isolation_is_refused(connection: asyncpg.Connection, isolation: str) -> None:
    clearing, creator = await opened(connection, CLEARING, pending())
    with pytest.raises(asyncpg.ActiveSQLTransactionError, match="READ COMMITTED"):
        async with connection.transaction(isolation=isolation):
            await post_one(connection, (clearing, creator, 5))


async def test_posting_never_goes_back_in_time(connection: asyncpg.Connection, owner: asyncpg.Connection) -> None:
    clearing, creator = await opened(connection, CLEARING, pending())
    first = await post_one(connection, (clearing, creator, 5))
    # As after a clock that was set back: everything so far lies in the future.
    await owner.execute("set session_replication_role = replica")
    await owner.execute("update ledger.account set posted_at = posted_at + interval '1 hour'")
    await owner.execute("update ledger.movement set posted_at = posted_at + interval '1 hour'")
    await owner.execute("update ledger.request set decided_at = decided_at + interval '1 hour'")
    second = await post_one(connection, (clearing, creator, 5))
    assert isinstance(first, Posted)
    assert isinstance(second, Posted)
    assert second.posted_at == first.posted_at + timedelta(hours=1)


async def test_effective_time_is_the_callers(connection: asyncpg.Connection) -> None:
    clearing, creator = await opened(connection, CLEARING, pending())
    moment = datetime(2020, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC)
    await ledger.post([replace(group((clearing, creator, 5)), effective_at=moment)], on=connection)
    await post_one(connection, (clearing, creator, 5))
    first, second = await ledger.statement(creator, on=connection)
    assert first.effective_at == moment
    assert first.posted_at > moment
    assert second.effective_at == second.posted_at
