"""What a mutated ledger gets wrong only at the same time as another: each is played in one fixed order, with nobody's
luck in it. One connection has done something and not committed; the other has to wait for it, and then to find it.
"""

import asyncio
from dataclasses import replace
from functools import partial
from typing import Final
from uuid import uuid4

import asyncpg

import ledger
from ledger import AccountKind, Capture, Increment, Posted, Release, Reversal, chart
from tests.ledger.mutants_site import WAYS, Books, Scenario, Site, batched, compare, group, hold, pay

_TAKE_KEY = """
insert into ledger.request (tenant, key, body_hash, group_id, outcome, movements, decided_at)
values ($1, $2, decode(repeat('00', 32), 'hex'), gen_random_uuid(), 'posted', 1, clock_timestamp())
"""


async def one_after_the_other(site: Site) -> None:
    """Two postings to one account: the second waits, finds what the first left, and is later."""
    for way in WAYS:
        books = await site.books()
        audit, clearing, connected, a, b, *_ = books
        first, second = site.connections
        async with first.transaction():
            await audit.post(group(pay(a, b, 60)))
            batch = batched(way, group(pay(a, b, 10)), pay(clearing, connected, 1))
            predictions = audit.predict(*batch, by=1)
            task = site.beside(audit.call(*batch, by=1))
            assert await site.waits(task, second)
            before = await site.clock()
        outcomes = audit.check(predictions, await task)
        assert all(isinstance(one, Posted) and one.posted_at > before for one in outcomes)
        await compare(books)


async def one_key_twice(site: Site) -> None:
    """The second posting of a key waits for the first and is answered with it, or refused for its other body."""
    for way in WAYS:
        for change in ("none", "body", "body and accounts") if way == "alone" else ("none", "body and accounts"):
            books = await site.books()
            audit, clearing, _, a, b, c, _ = books
            first, second = site.connections
            one = group(pay(clearing, a, 5))
            other = {"none": pay(clearing, a, 5), "body": pay(clearing, a, 6), "body and accounts": pay(b, c, 5)}[
                change
            ]
            async with first.transaction():
                await audit.post(one)
                batch = batched(way, group(other, key=one.key), pay(b, c, 1))
                predictions = audit.predict(*batch, by=1)
                task = site.beside(audit.call(*batch, by=1))
                assert await site.waits(task, second)
            audit.check(predictions, await task)
            await compare(books)


async def order_of_locks(site: Site) -> None:
    """What fewer postings touch is locked first; among those, what was opened first."""
    for way in WAYS:
        audit, clearing, _, a, b, *_ = await site.books()
        rows = audit.oracle.books.accounts[clearing].rows
        for debit, credit, taken, locked in ((clearing, a, rows, a), (b, a, (b,), a)):
            batch = batched(way, group(pay(debit, credit, 1)), pay(debit, credit, 1))
            async with site.owner.transaction():
                await site.owner.execute("select from ledger.account where id = any ($1) for update", list(taken))
                task = site.beside(audit.call(*batch, by=1))
                assert await site.waits(task, site.connections[1])
                assert await site.is_locked(locked)
            await task


async def order_of_keys(site: Site) -> None:
    """Two batches with the same keys and no account in common wait for each other in one order."""
    for way in WAYS[1:]:
        _, clearing, _, a, b, c, _ = await site.books()
        tenant = str(uuid4())
        batch = [group(pay(clearing, a, 1), key=key) for key in ("z", "m", "b")]
        if way == "each":
            batch.append(group(hold(b, c, 1), key="y"))
        transaction = site.owner.transaction()
        await transaction.start()
        await site.owner.execute(_TAKE_KEY, tenant, "m")
        task = site.beside(ledger.post(batch, on=site.connections[1], tenant=tenant))
        assert await site.waits(task, site.connections[1])
        assert await _is_taken(site, tenant, "b")
        assert not await _is_taken(site, tenant, "z")
        await transaction.rollback()
        await task


async def _is_taken(site: Site, tenant: str, key: str) -> bool:
    transaction = site.second_owner.transaction()
    await transaction.start()
    try:
        await site.second_owner.execute("set local lock_timeout = '20ms'")
        await site.second_owner.execute(_TAKE_KEY, tenant, key)
    except asyncpg.LockNotAvailableError:
        return True
    finally:
        await transaction.rollback()
    return False


async def one_hold_twice(site: Site) -> None:
    """Of two uses of one hold or movement, the second finds what the first has left."""
    for make in (
        lambda name: (Capture(name, 30, "capture"), Capture(name, None, "capture")),
        lambda name: (Release(name, 30), Release(name)),
        lambda name: (Increment(name, 50), Capture(name, 61, "capture")),
        lambda name: (Capture(name, None, "capture"), Increment(name, 1)),
    ):
        books = await site.books()
        audit, _, _, a, b, *_ = books
        placed = hold(a, b, 60)
        await audit.do(placed)
        await _two(site, books, *make(placed.id))
    books = await site.books()
    sale = await books.audit.do(pay(books.a, books.b, 60))
    assert isinstance(sale, Posted)
    (movement,) = sale.movements
    await _two(site, books, Reversal(movement.id, 40, "reversal"), Reversal(movement.id, None, "reversal"))


async def _two(site: Site, books: Books, one: ledger.Operation, other: ledger.Operation) -> None:
    async with site.connections[0].transaction():
        await books.audit.post(group(one))
        later = group(other)
        predictions = books.audit.predict(later, by=1)
        task = site.beside(books.audit.call(later, by=1))
        assert await site.waits(task, site.connections[1])
    books.audit.check(predictions, await task)
    await compare(books)


async def one_name_for_two_holds(site: Site) -> None:
    """Of two holds of one name the second is refused, unless it is the first, asked for twice."""
    books = await site.books()
    audit, clearing, connected, a, b, c, _ = books
    first, second, third = hold(a, b, 5), hold(a, b, 6), hold(a, b, 7)
    another = replace(first, debit=clearing, credit=connected)
    elsewhere = replace(third, debit=clearing, credit=connected)
    for one, batch in (
        (group(first), [group(another), group(pay(clearing, connected, 1))]),
        (again := group(second), [again]),
        (group(third), [group(elsewhere), group(Capture(third.id, 4, "capture")), group(pay(a, c, 1))]),
    ):
        async with site.connections[0].transaction():
            await audit.post(one)
            predictions = audit.predict(*batch, by=1)
            task = site.beside(audit.call(*batch, by=1))
            assert await site.waits(task, site.connections[1])
        audit.check(predictions, await task)
    await compare(books)


async def sweep_waits(site: Site) -> None:
    """The sweeper waits for whoever uses a hold and ends what is left of it; its locks are in the order of posting."""
    books = await site.books()
    audit, clearing, _, a, b, *_ = books
    first, second = hold(b, a, 50), hold(clearing, b, 40)
    await audit.do(first, second)
    for one in (first, second):
        await audit.let_time_pass(one.id)
    async with site.connections[0].transaction():
        await audit.do(Release(first.id, 20))
        await audit.do(Release(second.id))
        expected = audit.oracle.books.end_what_is_over()
        task = site.beside(ledger.expire_holds(on=site.connections[1]))
        assert await site.waits(task, site.connections[1])
    assert await task == expected == 1
    await compare(books)
    third = hold(clearing, a, 30)
    await audit.do(third)
    await audit.let_time_pass(third.id)
    async with site.owner.transaction():
        await site.owner.execute("select from ledger.account where id = $1 for update", clearing)
        task = site.beside(ledger.expire_holds(on=site.connections[1]))
        assert await site.waits(task, site.connections[1])
        assert await site.is_locked(a)
    assert await task == audit.oracle.books.end_what_is_over()
    await compare(books)


async def changes_wait(site: Site) -> None:
    """An account is closed, or its limit lowered, beside what is being posted to it, not before it."""
    books = await site.books()
    audit, clearing, connected, a, b, _, owed = books
    second = site.connections[1]
    await audit.set_credit_limit(a, 50)
    for payment, change, error in (
        (pay(clearing, owed, 1), partial(ledger.close_account, owed), ledger.AccountNotEmptyError),
        (pay(clearing, connected, 1), partial(ledger.close_account, connected), ledger.AccountNotEmptyError),
        (pay(a, b, 130), partial(ledger.set_credit_limit, a, 29), ledger.CreditLimitInUseError),
    ):
        async with site.connections[0].transaction():
            await audit.do(payment)
            task = site.beside(change(on=second))
            assert await site.waits(task, second)
        try:
            await task
        except error:
            continue
        raise AssertionError("changed")
    async with site.owner.transaction():
        await site.owner.execute(
            "select from ledger.account where stripe_of = $1 and stripe = 15 for update", clearing
        )
        task = site.beside(ledger.close_account(clearing, on=second))
        assert await site.waits(task, second)
        assert await site.is_locked(clearing)
    await asyncio.wait([task])
    await compare(books)


async def readers_of_the_past_wait(site: Site) -> None:
    """A balance at a moment never changes afterwards, so whoever may still post before that moment is waited for."""
    books = await site.books()
    audit, clearing, connected, a, *_ = books
    second = site.connections[1]
    for account in (a, clearing):
        transaction = second.transaction()
        await transaction.start()
        async with site.connections[0].transaction():
            await audit.do(pay(clearing, connected, 1), pay(connected, a, 1))
            moment = await site.clock()
            task = site.beside(ledger.history(account, on=second, at=moment))
            assert await site.waits(task, second)
        past = await task
        assert not await site.is_locked(account)
        await transaction.commit()
        assert past is not None
        assert past.posted == audit.oracle.balance(account).posted
    async with site.connections[0].transaction():
        outcome = await audit.do(pay(clearing, a, 1))
        task = site.beside(ledger.settled_until(clearing, on=second))
        assert await site.waits(task, second)
    assert isinstance(outcome, Posted)
    settled = await task
    assert settled is not None
    assert settled > outcome.posted_at
    await compare(books)


async def one_account_opened_twice(site: Site) -> None:
    """Who opens what another one is opening waits, and gets the same; and all open in one order."""
    second = site.connections[1]
    striped = chart.with_provider(AccountKind.CLEARING, "USD", str(uuid4()))
    plain = chart.creator(AccountKind.PENDING, "USD", uuid4())
    async with site.owner.transaction():
        before = await _open(site.owner, striped, plain)
        task = site.beside(ledger.ensure([plain, striped], on=second))
        assert await site.waits(task, second)
    assert await task == dict(zip((striped, plain), before, strict=True))
    first, middle, last = (chart.with_provider(AccountKind.CLEARING, "USD", f"{n}{uuid4()}") for n in range(3))
    async with site.owner.transaction():
        await _open(site.owner, middle)
        task = site.beside(ledger.ensure([last, middle, first], on=second))
        assert await site.waits(task, second)
        async with site.second_owner.transaction():
            await site.second_owner.execute("set local lock_timeout = '50ms'")
            await _open(site.second_owner, last)
    await task


async def _open(connection: asyncpg.Connection, *specs: ledger.AccountSpec) -> list[int]:
    rows = await connection.fetch(
        "select id from ledger.open_accounts($1, $2, $3, $4, $5, $6, $7, $8)",
        *([getattr(spec, name) for spec in specs]
          for name in ("code", "asset", "owner", "provider", "kind", "guarded", "lock_rank", "striped")),
    )  # fmt: skip
    return [row["id"] for row in rows]


async def assets(site: Site) -> None:
    """One asset is declared after the other, and none loses its meaning while an account in it is being opened."""
    first, second = site.connections
    async with first.transaction():
        one = await ledger.declare_asset("ONE", 2, "token", on=first)
        task = site.beside(ledger.declare_asset("TWO", 3, "token", on=second))
        assert await site.waits(task, second)
    assert (await task).id == one.id + 1
    async with site.owner.transaction():
        await _open(site.owner, chart.creator(AccountKind.PENDING, "ONE", uuid4()))
        task = site.beside(site.second_owner.execute("update ledger.asset set scale = 3 where code = 'ONE'"))
        await asyncio.sleep(0)
        while not task.done() and not await site.owner.fetchval(
            "select cardinality(pg_blocking_pids($1)) > 0", site.second_owner.get_server_pid()
        ):
            await asyncio.sleep(0.001)
        assert not task.done()
    try:
        await task
    except asyncpg.RestrictViolationError:
        return
    raise AssertionError("the scale of an asset in use has changed")


RACES: Final[tuple[Scenario, ...]] = (
    one_after_the_other, one_key_twice, order_of_locks, order_of_keys, one_hold_twice, one_name_for_two_holds,
    sweep_waits, changes_wait, readers_of_the_past_wait, one_account_opened_twice, assets,
)  # fmt: skip
