import asyncio
import random
from dataclasses import replace
from itertools import starmap
from uuid import uuid4

import asyncpg
import pytest

import ledger
from ledger import Group, Outcome, Posted, Refusal, Refused
from tests.ledger.ledger_helpers import (
    CLEARING,
    FEES,
    codes,
    group,
    is_new,
    opened,
    pending,
    post_one,
    posted_balances,
    written,
)


async def post_apart(pool: asyncpg.Pool, *groups: Group) -> list[Outcome]:
    async with pool.acquire() as connection:
        return await ledger.post(groups, on=connection)


async def waits(task: asyncio.Task[list[Outcome]]) -> bool:
    done, _ = await asyncio.wait([task], timeout=0.2)
    return not done


async def test_twenty_posts_of_one_key_are_one_group(connection: asyncpg.Connection, pool: asyncpg.Pool) -> None:
    clearing, creator = await opened(connection, CLEARING, pending())
    one = group((clearing, creator, 5))
    outcomes = [outcome for (outcome,) in await asyncio.gather(*(post_apart(pool, one) for _ in range(20)))]
    assert sum(map(is_new, outcomes)) == 1
    assert len({outcome.group_id for outcome in outcomes if isinstance(outcome, Posted)}) == 1
    assert codes(outcomes) == [None] * 20
    assert await posted_balances(connection, creator) == [5]


async def test_twenty_bodies_under_one_key_are_one_group(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    """No two of them share an account, so only the key itself can decide."""
    accounts = await opened(connection, *(pending() for _ in range(20)))
    clearings = await opened(connection, *(replace(CLEARING, provider=f"p{n}") for n in range(20)))
    posts = [
        post_apart(pool, group((clearing, account, 5), key="k"), group((clearing, account, 7)))
        for clearing, account in zip(clearings, accounts, strict=True)
    ]
    outcomes = await asyncio.gather(*posts)
    assert sorted(codes([pair[0] for pair in outcomes]), key=str) == [None] + [Refusal.KEY_REUSED] * 19
    assert codes([pair[1] for pair in outcomes]) == [None] * 20
    assert await written(connection) == (21, 21)


@pytest.mark.parametrize("same_body", [True, False])
@pytest.mark.parametrize("commits", [True, False])
async def test_key_in_flight_is_waited_for(
    connection: asyncpg.Connection, pool: asyncpg.Pool, same_body: bool, commits: bool
) -> None:
    clearing, other_clearing, creator, other = await opened(connection, CLEARING, FEES, pending(), pending())
    first = group((clearing, creator, 5), key="k")
    second = first if same_body else group((other_clearing, other, 5), key="k")
    transaction = connection.transaction()
    await transaction.start()
    (original,) = await ledger.post([first], on=connection)
    task = asyncio.create_task(post_apart(pool, second, group((other_clearing, other, 1))))
    assert await waits(task)
    await (transaction.commit() if commits else transaction.rollback())
    outcome, neighbour = await task
    assert is_new(neighbour)
    if not commits:
        assert is_new(outcome)
    elif same_body:
        assert isinstance(outcome, Posted)
        assert isinstance(original, Posted)
        assert (outcome.group_id, outcome.replayed) == (original.group_id, True)
    else:
        assert outcome == Refused(Refusal.KEY_REUSED)


async def test_refusal_in_flight_is_waited_for(connection: asyncpg.Connection, pool: asyncpg.Pool) -> None:
    """The money arrives while the refusal is not yet committed: the key keeps its first answer."""
    clearing, creator, fees = await opened(connection, CLEARING, pending(), FEES)
    wanted = group((creator, fees, 5))
    transaction = connection.transaction()
    await transaction.start()
    (refused,) = await ledger.post([wanted], on=connection)
    task = asyncio.create_task(post_apart(pool, group((clearing, creator, 100)), wanted))
    assert await waits(task)
    await transaction.commit()
    (_, repeated) = await task
    assert isinstance(refused, Refused)
    assert repeated == Refused(refused.code, refused.account, refused.missing, replayed=True)


async def test_concurrent_batches_neither_overdraw_nor_deadlock(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    dice = random.Random(4711)
    clearing, fees, *creators = await opened(connection, CLEARING, FEES, *(pending() for _ in range(12)))
    await ledger.post([group((clearing, creator, 300)) for creator in creators], on=connection)
    shared_keys = [str(uuid4()) for _ in range(30)]

    def one() -> Group:
        legs = []
        for _ in range(dice.randint(1, 4)):
            debit, credit = dice.sample([clearing, fees, *creators], 2)
            legs.append((debit, credit, dice.randint(1, 120)))
        if dice.random() < 0.1:
            legs[-1] = (legs[-1][0], 999_999, 1)
        return group(*legs, key=dice.choice(shared_keys) if dice.random() < 0.2 else None)

    async def worker() -> list[Outcome]:
        outcomes = []
        for _ in range(12):
            outcomes += await post_apart(pool, *(one() for _ in range(dice.randint(1, 40))))
        return outcomes

    outcomes = [outcome for part in await asyncio.gather(*(worker() for _ in range(8))) for outcome in part]
    found = {outcome.code if isinstance(outcome, Refused) else None for outcome in outcomes}
    assert found == {None, Refusal.INSUFFICIENT_FUNDS, Refusal.UNKNOWN_ACCOUNT, Refusal.KEY_REUSED}
    new_groups = {outcome.group_id for outcome in outcomes if isinstance(outcome, Posted) and is_new(outcome)}
    stored = await connection.fetchval("select count(*) from ledger.request where outcome = 'posted'")
    assert len(new_groups) == stored - len(creators)
    # The fixture verifies the books.


async def test_opposite_transfers_do_not_deadlock(connection: asyncpg.Connection, pool: asyncpg.Pool) -> None:
    one, two = await opened(connection, CLEARING, FEES)

    async def worker(debit: int, credit: int) -> None:
        for _ in range(20):
            await post_apart(pool, group((debit, credit, 1)))

    await asyncio.gather(*starmap(worker, [(one, two), (two, one)] * 4))
    assert await posted_balances(connection, one, two) == [0, 0]


async def test_same_keys_in_opposite_order_do_not_deadlock(
    connection: asyncpg.Connection, owner: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    """The batches share keys and no accounts, so the keys are all they can wait for."""
    accounts = await opened(connection, *(replace(CLEARING, provider=f"p{n}") for n in range(8)))
    for _ in range(3):
        keys = [str(uuid4()) for _ in range(500)]
        async with owner.transaction():  # the start of the race
            await owner.execute("select from ledger.account for update")
            tasks = [
                asyncio.create_task(
                    post_apart(pool, *(group((debit, credit, 1), key=key) for key in keys[:: 1 if n % 2 else -1]))
                )
                for n, (debit, credit) in enumerate(zip(accounts[::2], accounts[1::2], strict=True))
            ]
            assert all([await waits(task) for task in tasks])
        outcomes = await asyncio.gather(*tasks)
        assert sorted(sum(map(is_new, batch)) for batch in outcomes) == [0, 0, 0, 500]


async def test_repeats_do_not_disturb_what_is_posted(connection: asyncpg.Connection, pool: asyncpg.Pool) -> None:
    clearing, creator = await opened(connection, CLEARING, pending())
    old = [group((clearing, creator, 1)) for _ in range(20)]
    await ledger.post(old, on=connection)

    async def repeat() -> None:
        for _ in range(100):
            assert not any(map(is_new, await post_apart(pool, *old)))

    async def post_new() -> None:
        for _ in range(50):
            assert all(map(is_new, await post_apart(pool, *(group((clearing, creator, 1)) for _ in range(3)))))

    await asyncio.gather(*(work() for work in (repeat, post_new) * 3))
    assert await posted_balances(connection, clearing, creator) == [-470, 470]


async def test_accounts_opened_by_twenty_at_once_are_one(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    specs = [pending() for _ in range(30)]

    async def ask(seed: int) -> dict[ledger.AccountSpec, int]:
        return await ledger.ensure(random.Random(seed).sample(specs, 30), on=pool)

    first, *others = await asyncio.gather(*(ask(seed) for seed in range(20)))
    assert len(set(first.values())) == 30
    assert all(other == first for other in others)


async def test_scale_cannot_change_while_an_account_is_being_opened(
    connection: asyncpg.Connection, owner: asyncpg.Connection
) -> None:
    async with connection.transaction():
        await connection.fetch(
            "select * from ledger.open_accounts($1, $2, $3, $4, $5, $6, $7)",
            ["platform:fees:KWD"], ["KWD"], [None], [None], ["fees"], [False], [10],
        )  # fmt: skip
        task = asyncio.create_task(owner.execute("update ledger.asset set scale = 2 where code = 'KWD'"))
        done, _ = await asyncio.wait([task], timeout=0.2)
        assert not done
    with pytest.raises(asyncpg.RestrictViolationError, match="KWD"):
        await task


async def test_books_are_read_whole_while_they_are_written(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    clearing, creator, fees = await opened(connection, CLEARING, pending(), FEES)

    async def write() -> None:
        for _ in range(30):
            await post_apart(pool, *(group((clearing, creator, 9), (clearing, fees, 1)) for _ in range(20)))

    writing = asyncio.create_task(write())
    seen = set()
    while not writing.done():
        found = await ledger.balances([clearing, creator, fees], on=connection)
        assert (found[creator].posted, found[fees].posted) == (
            -found[clearing].posted * 9 // 10, -found[clearing].posted // 10
        )  # fmt: skip
        seen.add(found[clearing].posted)
    await writing
    assert len(seen) > 2
    assert is_new(await post_one(connection, (clearing, creator, 1)))
