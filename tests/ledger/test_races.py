import asyncio
import random
from datetime import timedelta
from itertools import starmap
from uuid import uuid4

import asyncpg
import pytest

import ledger
from core.clock import now
from ledger import (
    Capture,
    Group,
    Hold,
    Increment,
    Movement,
    Operation,
    Outcome,
    Posted,
    Recovery,
    Refusal,
    Refused,
    Release,
    Reversal,
)
from tests.ledger.ledger_helpers import (
    codes,
    group,
    is_new,
    new_clearing,
    new_till,
    opened,
    operating,
    owed,
    pending,
    post_apart,
    post_one,
    posted_balances,
    written,
)


@pytest.fixture
def dsn(shared_dsn: str) -> str:
    return shared_dsn


async def waits(task: asyncio.Task[list[Outcome]]) -> bool:
    done, _ = await asyncio.wait([task], timeout=0.2)
    return not done


async def test_twenty_posts_of_one_key_are_one_group(connection: asyncpg.Connection, pool: asyncpg.Pool) -> None:
    clearing, creator = await opened(connection, new_clearing(), pending())
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
    before, key = await written(connection), str(uuid4())
    accounts = await opened(connection, *(pending() for _ in range(20)))
    clearings = await opened(connection, *(new_clearing() for _ in range(20)))
    posts = [
        post_apart(pool, group((clearing, account, 5), key=key), group((clearing, account, 7)))
        for clearing, account in zip(clearings, accounts, strict=True)
    ]
    outcomes = await asyncio.gather(*posts)
    assert sorted(codes([pair[0] for pair in outcomes]), key=str) == [None] + [Refusal.KEY_REUSED] * 19
    assert codes([pair[1] for pair in outcomes]) == [None] * 20
    assert await written(connection, before) == (21, 21)


@pytest.mark.parametrize("same_body", [True, False])
@pytest.mark.parametrize("commits", [True, False])
@pytest.mark.parametrize("company", ["nobody", "movements", "others"])
async def test_key_in_flight_is_waited_for(
    connection: asyncpg.Connection, pool: asyncpg.Pool, same_body: bool, commits: bool, company: str
) -> None:
    """The second comes alone, with a movement or with another operation, so on each of the ways there are."""
    clearing, other_clearing, creator, other = await opened(
        connection, new_clearing(), new_till(), pending(), pending()
    )
    first = group((clearing, creator, 5))
    second = first if same_body else group((other_clearing, other, 5), key=first.key)
    transaction = connection.transaction()
    await transaction.start()
    (original,) = await ledger.post([first], on=connection)
    beside = {
        "nobody": [],
        "movements": [group((other_clearing, other, 1))],
        "others": [operating(Recovery(other, other_clearing, "test"))],
    }
    task = asyncio.create_task(post_apart(pool, second, *beside[company]))
    assert await waits(task)
    await (transaction.commit() if commits else transaction.rollback())
    outcome, *neighbours = await task
    assert all(map(is_new, neighbours))
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
    clearing, creator, fees = await opened(connection, new_clearing(), pending(), new_till())
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
    clearing, fees, *creators = await opened(
        connection, new_clearing(), new_till(), *(pending() for _ in range(12))
    )
    given = await ledger.post([group((clearing, creator, 300)) for creator in creators], on=connection)
    funding = {outcome.group_id for outcome in given if isinstance(outcome, Posted)}
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
    stored = await connection.fetch(
        "select group_id from ledger.request where outcome = 'posted' and group_id in"
        " (select group_id from ledger.movement where debit = any ($1) or credit = any ($1))",
        [row["id"] for row in await connection.fetch(
            "select id from ledger.account where id = any ($1) or stripe_of = any ($1)", [clearing, fees, *creators]
        )],
    )  # fmt: skip
    assert new_groups == {row["group_id"] for row in stored} - funding
    # The fixture verifies the books.


async def test_everything_at_once_neither_fails_nor_deadlocks(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    """Every operation on the same few accounts, while holds run out, limits change and the past is read."""
    clearing, debt, *people = await opened(connection, new_clearing(), owed(), *(pending() for _ in range(6)))
    await ledger.post([group((clearing, person, 2000)) for person in people], on=connection)
    lines = await ledger.statement(clearing, on=connection)
    originals = [line.movement_id for line in lines]
    holds = [uuid4() for _ in range(60)]

    def operation(dice: random.Random) -> Operation:
        debit, credit = dice.sample([clearing, debt, *people], 2)
        name, amount = dice.choice(holds), dice.randint(1, 40)
        soon = now() + timedelta(seconds=dice.random())
        return dice.choice(
            [
                Movement(debit, credit, amount, "test"),
                Movement(dice.choice(people), clearing, 10 * amount, "test", shortfall=debt),
                Recovery(dice.choice(people), debt, "test"),
                Hold(name, debit, credit, 3 * amount, "test", expires_at=dice.choice([None, soon])),
                # A hundred times as much is more than any hold has.
                Capture(name, dice.choice([None, amount, 100 * amount]), "test", final=dice.random() < 0.3),
                Increment(name, amount),
                Release(name, dice.choice([None, amount])),
                Reversal(dice.choice(originals), amount, "test"),
            ]
        )

    async def post(seed: int) -> list[Outcome]:
        dice, outcomes = random.Random(seed), []
        for _ in range(15):
            groups = [
                operating(*(operation(dice) for _ in range(dice.randint(1, 3))))
                for _ in range(dice.randint(1, 12))
            ]
            outcomes += await post_apart(pool, *groups)
        return outcomes

    async def look_after() -> None:
        async with pool.acquire() as mine:
            for turn in range(30):
                await ledger.expire_holds(on=mine, limit=5)
                await ledger.set_credit_limit(people[turn % 6], 10**6 + turn, on=mine)
                for account in (clearing, people[turn % 6]):
                    await ledger.history(account, at=now(), on=mine)
                await ledger.settled_until(clearing, on=mine)

    *parts, _, _ = await asyncio.gather(*(post(seed) for seed in range(6)), look_after(), look_after())
    found = {code for part in parts for code in codes(part)}
    assert found >= {None, Refusal.HOLD_ENDED, Refusal.HOLD_EXISTS, Refusal.UNKNOWN_HOLD, Refusal.HOLD_EXCEEDED}
    # The fixture verifies the books.


async def test_opposite_transfers_do_not_deadlock(connection: asyncpg.Connection, pool: asyncpg.Pool) -> None:
    one, two = await opened(connection, new_clearing(), new_till())

    async def worker(debit: int, credit: int) -> None:
        for _ in range(20):
            await post_apart(pool, group((debit, credit, 1)))

    await asyncio.gather(*starmap(worker, [(one, two), (two, one)] * 4))
    assert await posted_balances(connection, one, two) == [0, 0]


async def test_same_keys_in_opposite_order_do_not_deadlock(
    connection: asyncpg.Connection, owner: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    """The batches share keys and no accounts, so the keys are all they can wait for."""
    accounts = await opened(connection, *(new_clearing() for _ in range(8)))
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
    clearing, creator = await opened(connection, new_clearing(), pending())
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
            "select * from ledger.open_accounts($1, $2, $3, $4, $5, $6, $7, $8)",
            ["platform:fees:KWD"], ["KWD"], [None], [None], ["fees"], [False], [10], [True],
        )  # fmt: skip
        task = asyncio.create_task(owner.execute("update ledger.asset set scale = 2 where code = 'KWD'"))
        done, _ = await asyncio.wait([task], timeout=0.2)
        assert not done
    with pytest.raises(asyncpg.RestrictViolationError, match="KWD"):
        await task


async def test_books_are_read_whole_while_they_are_written(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    clearing, creator, fees = await opened(connection, new_clearing(), pending(), new_till())

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
