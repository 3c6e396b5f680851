"""Holds, with everything at once."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest

import ledger
from core.clock import now
from ledger import Capture, Group, Hold, Increment, Movement, Operation, Outcome, Posted, Refusal, Refused, Release
from tests.ledger.ledger_helpers import (
    available,
    codes,
    do,
    funded,
    held_in,
    is_new,
    operating,
    post_apart,
    posted,
    posted_balances,
    until_waiting,
)


@pytest.fixture
def dsn(shared_dsn: str) -> str:
    return shared_dsn


async def all_at_once(pool: asyncpg.Pool, *operations: Operation) -> list[Outcome]:
    """Post each in a group of its own, on a connection of its own, all at the same time."""
    outcomes = await asyncio.gather(*(post_apart(pool, operating(operation)) for operation in operations))
    return [outcome for (outcome,) in outcomes]


async def test_twenty_captures_at_once_never_exceed_the_hold(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    _, ana, ben = await funded(connection, 100, 0)
    hold = uuid4()
    await posted(connection, Hold(hold, ana, ben, 10, "test"))
    outcomes = await all_at_once(pool, *[Capture(hold, 1, "test")] * 20)
    assert sorted(codes(outcomes), key=str) == [None] * 10 + [Refusal.HOLD_ENDED] * 10
    assert (await available(connection, ana), await held_in(connection, ben)) == ((90, 0, 90), 0)
    state = (await ledger.holds([hold], on=connection))[hold]
    assert (state.captured, state.released, state.ending) == (10, 0, "captured")


async def test_captures_and_releases_at_once_share_the_hold(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    _, ana, ben = await funded(connection, 100, 0)
    hold = uuid4()
    await posted(connection, Hold(hold, ana, ben, 10, "test"))
    outcomes = await all_at_once(pool, *[Capture(hold, 1, "test"), Release(hold, 1)] * 10)
    assert sorted(codes(outcomes), key=str) == [None] * 10 + [Refusal.HOLD_ENDED] * 10
    state = (await ledger.holds([hold], on=connection))[hold]
    assert state.captured == sum(map(is_new, outcomes[::2]))
    assert state.released == sum(map(is_new, outcomes[1::2]))
    assert (await available(connection, ana), await held_in(connection, ben)) == (
        (100 - state.captured, 0, 100 - state.captured), 0,
    )  # fmt: skip


async def test_holds_and_increments_at_once_never_set_aside_what_is_not_there(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    _, ana, ben = await funded(connection, 100, 0)
    hold = uuid4()
    await posted(connection, Hold(hold, ana, ben, 10, "test"))
    wanted = [Hold(uuid4(), ana, ben, 10, "test"), Increment(hold, 10), Movement(ana, ben, 10, "test")] * 7
    outcomes = await all_at_once(
        pool, *(Hold(uuid4(), ana, ben, 10, "test") if isinstance(one, Hold) else one for one in wanted)
    )
    short = Refusal.INSUFFICIENT_FUNDS
    assert sorted(codes(outcomes), key=str) == [None] * 9 + [short] * 12
    assert (await available(connection, ana))[2] == 0


@pytest.mark.parametrize("commits", [True, False])
async def test_name_in_flight_is_waited_for(
    connection: asyncpg.Connection, owner: asyncpg.Connection, pool: asyncpg.Pool, commits: bool
) -> None:
    """The two have no account and no key in common, so only the name can decide; neighbours are unharmed."""
    _, ana, ben, cleo, dan = await funded(connection, 100, 0, 100, 0)
    name = uuid4()
    transaction = connection.transaction()
    await transaction.start()
    await posted(connection, Hold(name, ana, ben, 10, "test"))
    beside, second = (
        operating(Hold(uuid4(), cleo, dan, 5, "test")), operating(Hold(name, cleo, dan, 20, "test")),
    )  # fmt: skip
    task = asyncio.create_task(post_apart(pool, beside, second, operating(Movement(cleo, dan, 1, "test"))))
    await until_waiting(owner)
    await (transaction.commit() if commits else transaction.rollback())
    outcomes = await task
    assert codes(outcomes) == [None, Refusal.HOLD_EXISTS if commits else None, None]
    assert await available(connection, ana) == ((100, 10, 90) if commits else (100, 0, 100))
    assert await available(connection, cleo) == ((99, 5, 94) if commits else (99, 25, 74))
    assert await ledger.post([second], on=connection) == (
        [Refused(Refusal.HOLD_EXISTS)] if commits else [Posted(
            outcomes[1].group_id, outcomes[1].posted_at, replayed=True, movements=(),  # type: ignore[union-attr]
        )]
    )  # fmt: skip


@pytest.mark.parametrize("commits", [True, False])
async def test_repeat_of_a_hold_in_flight_is_waited_for(
    connection: asyncpg.Connection, owner: asyncpg.Connection, pool: asyncpg.Pool, commits: bool
) -> None:
    """The same key and the same name: a repeat, and no hold of somebody else's."""
    _, ana, ben = await funded(connection, 100, 0)
    one = operating(Hold(uuid4(), ana, ben, 10, "test"))
    transaction = connection.transaction()
    await transaction.start()
    (first,) = await ledger.post([one], on=connection)
    task = asyncio.create_task(post_apart(pool, one))
    await until_waiting(owner)
    await (transaction.commit() if commits else transaction.rollback())
    (second,) = await task
    assert isinstance(first, Posted)
    if commits:
        assert second == replace(first, replayed=True)
    else:
        assert is_new(second)
    assert await available(connection, ana) == (100, 10, 90)


async def test_twenty_posts_of_one_hold_are_one(connection: asyncpg.Connection, pool: asyncpg.Pool) -> None:
    _, ana, ben = await funded(connection, 100, 0)
    hold = uuid4()
    for one in (operating(Hold(hold, ana, ben, 10, "test")), operating(Capture(hold, 4, "test"))):
        outcomes = [outcome for (outcome,) in await asyncio.gather(*(post_apart(pool, one) for _ in range(20)))]
        assert codes(outcomes) == [None] * 20
        assert sum(map(is_new, outcomes)) == 1
    assert await available(connection, ana) == (96, 6, 90)


@pytest.mark.parametrize("commits", [True, False])
async def test_capture_behind_a_name_in_flight_goes_between_the_right_accounts(
    connection: asyncpg.Connection, owner: asyncpg.Connection, pool: asyncpg.Pool, commits: bool
) -> None:
    """Its batch would have placed a hold of that name, and finds another one there."""
    _, ana, ben, cleo, dan = await funded(connection, 100, 0, 100, 0)
    await posted(connection, Hold(uuid4(), cleo, dan, 50, "test"))
    name = uuid4()
    transaction = connection.transaction()
    await transaction.start()
    await posted(connection, Hold(name, ana, ben, 10, "test"))
    asked = operating(Hold(name, cleo, dan, 20, "test")), operating(Capture(name, 4, "test"))
    task = asyncio.create_task(post_apart(pool, *asked))
    await until_waiting(owner)
    await (transaction.commit() if commits else transaction.rollback())
    assert codes(await task) == [Refusal.HOLD_EXISTS if commits else None, None]
    assert await available(connection, ana) == ((96, 6, 90) if commits else (100, 0, 100))
    assert await available(connection, cleo) == ((100, 50, 50) if commits else (96, 66, 30))
    assert await posted_balances(connection, ben, dan) == ([4, 0] if commits else [0, 4])


async def test_twenty_holds_of_one_name_are_one(connection: asyncpg.Connection, pool: asyncpg.Pool) -> None:
    _, *wallets = await funded(connection, *[50] * 20)
    name = uuid4()
    pairs = zip(wallets[::2], wallets[1::2], strict=True)
    outcomes = await all_at_once(pool, *(Hold(name, *pair, 10, "test") for pair in pairs))
    assert sorted(codes(outcomes), key=str) == [None] + [Refusal.HOLD_EXISTS] * 9
    found = await ledger.balances(wallets, on=connection)
    assert sum(balance.held for balance in found.values()) == 10


async def test_capture_waits_for_a_capture_that_is_under_way(
    connection: asyncpg.Connection, owner: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    _, ana, ben = await funded(connection, 100, 0)
    hold = uuid4()
    await posted(connection, Hold(hold, ana, ben, 10, "test"))
    async with connection.transaction():
        await posted(connection, Capture(hold, 7, "test"))
        task = asyncio.create_task(
            post_apart(pool, operating(Capture(hold, 4, "test")), operating(Release(hold, 3)))
        )
        await until_waiting(owner)
    captured, released = await task
    assert captured == Refused(Refusal.HOLD_EXCEEDED, ana, 1)
    assert is_new(released)
    assert await available(connection, ana) == (93, 0, 93)


async def test_hold_captured_while_it_expires_ends_once(
    connection: asyncpg.Connection, owner: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    """The capture came in time and commits late: the sweeper waits for it, and finds nothing left to end."""
    _, ana, ben = await funded(connection, 100, 0)
    hold, expires = uuid4(), now() + timedelta(seconds=1)
    await posted(connection, Hold(hold, ana, ben, 10, "test", expires_at=expires))
    async with connection.transaction():
        await posted(connection, Capture(hold, None, "test"))
        await asyncio.sleep((expires - now()).total_seconds() + 0.01)
        sweep = asyncio.create_task(ledger.expire_holds(on=other))
        await until_waiting(owner)
    assert await sweep == 0
    state = (await ledger.holds([hold], on=connection))[hold]
    assert (state.captured, state.released, state.ending) == (10, 0, "captured")
    assert (await available(connection, ana), await held_in(connection, ben)) == ((90, 0, 90), 0)


async def test_sweeper_waits_for_the_accounts_before_it_touches_a_hold(
    connection: asyncpg.Connection, owner: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    """In the order in which everybody locks: otherwise it and whoever has the accounts would wait for each other."""
    _, ana, ben = await funded(connection, 100, 0)
    hold = uuid4()
    await posted(connection, Hold(hold, ana, ben, 10, "test", expires_at=now() + timedelta(days=1)))
    await owner.execute("update ledger.hold set expires_at = clock_timestamp() where id = $1", hold)
    async with connection.transaction():
        await posted(connection, Movement(ana, ben, 1, "test"))
        sweep = asyncio.create_task(ledger.expire_holds(on=other))
        await until_waiting(owner)
        await posted(connection, Release(hold, 4))
    assert await sweep == 1
    state = (await ledger.holds([hold], on=connection))[hold]
    assert (state.captured, state.released, state.ending) == (0, 10, "expired")
    assert (await available(connection, ana), await held_in(connection, ben)) == ((99, 0, 99), 0)


async def test_capture_that_waited_until_the_hold_expired_is_refused(
    connection: asyncpg.Connection, owner: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    """The time that counts is the one after the locks."""
    _, ana, ben = await funded(connection, 100, 0)
    hold, expires = uuid4(), now() + timedelta(seconds=1)
    await posted(connection, Hold(hold, ana, ben, 10, "test", expires_at=expires))
    async with connection.transaction():
        await posted(connection, Movement(ana, ben, 1, "test"))
        task = asyncio.create_task(post_apart(pool, operating(Capture(hold, 1, "test"))))
        await until_waiting(owner)
        await asyncio.sleep((expires - now()).total_seconds() + 0.01)
    assert await task == [Refused(Refusal.HOLD_EXPIRED, ana)]
    assert await ledger.expire_holds(on=connection) == 1


async def test_sweepers_and_captures_at_once_end_each_hold_once(
    connection: asyncpg.Connection, owner: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    _, ana, ben, cleo = await funded(connection, 1000, 1000, 0)
    names = [uuid4() for _ in range(40)]
    later = now() + timedelta(days=1)
    await ledger.post(
        [
            operating(Hold(name, (ana, ben)[number % 2], (cleo, ana)[number % 2], 10, "test", expires_at=later))
            for number, name in enumerate(names)
        ],
        on=connection,
    )

    soon = now() + timedelta(seconds=0.3)
    await owner.execute("update ledger.hold set expires_at = $1 where id = any ($2)", soon, names)

    async def capture(part: list[Group]) -> list[Outcome]:
        outcomes = []
        for group in part:
            outcomes += await post_apart(pool, group)
        return outcomes

    async def sweep() -> int:
        ended = 0
        async with pool.acquire() as mine:
            while now() < soon + timedelta(seconds=0.3):
                ended += await ledger.expire_holds(on=mine, limit=7)
        return ended

    captures = [[operating(Capture(name, 1, "test")) for name in names[n::4] for _ in range(12)] for n in range(4)]
    *parts, one, two, three = await asyncio.gather(*map(capture, captures), sweep(), sweep(), sweep())
    outcomes = [outcome for part in parts for outcome in part]
    assert {None} <= set(codes(outcomes)) <= {None, Refusal.HOLD_ENDED, Refusal.HOLD_EXPIRED}
    states = (await ledger.holds(names, on=connection)).values()
    assert {state.open for state in states} == {0}
    assert sum(state.captured for state in states) == sum(map(is_new, outcomes))
    assert sum(state.ending == "expired" for state in states) == one + two + three
    assert sum(state.released for state in states) == 400 - sum(map(is_new, outcomes))
    assert sum(await posted_balances(connection, ana, ben, cleo)) == 2000
    assert [(await available(connection, account))[1] for account in (ana, ben)] == [0, 0]
    late = await do(connection, Capture(names[0], 1, "test"))
    assert late == Refused(Refusal.HOLD_ENDED, ana)
