"""Scenarios of posting that a mutated ledger has to fail. Each has fresh accounts, and the oracle says what is right."""

from datetime import timedelta
from decimal import Decimal
from typing import Final
from uuid import uuid4

import asyncpg

import ledger
from ledger import (
    AccountKind,
    Capture,
    Group,
    Hold,
    Increment,
    Movement,
    Posted,
    Recovery,
    Refusal,
    Refused,
    Release,
    Reversal,
    Status,
    chart,
    posting,
)
from tests.ledger.mutants_site import WAYS, Scenario, Site, batched, compare, group, hold, pay
from tests.ledger.oracle_audit import LONG_AGO
from tests.ledger.oracle_books import LARGEST


async def movements_alone(site: Site) -> None:
    """Sound and unsound plain groups, in one way of posting them."""
    await _movements(site, "alone")


async def movements_in_a_batch(site: Site) -> None:
    await _movements(site, "in a batch")


async def movements_each(site: Site) -> None:
    await _movements(site, "each")


async def _movements(site: Site, way: str) -> None:
    books = await site.books()
    audit, clearing, connected, a, b, c, owed = books
    (foreign,) = await audit.open(chart.creator(AccountKind.PENDING, "JPY", uuid4()))
    (closed,) = await audit.open(chart.creator(AccountKind.PAYOUT, "USD", uuid4()))
    rich, poor = await audit.open(*(chart.creator(AccountKind.OWED, "USD", uuid4()) for _ in range(2)))
    await audit.close(closed)
    await audit.set_credit_limit(c, 30)
    await audit.do(hold(b, a, 60))
    await audit.do(pay(poor, rich, LARGEST))
    for plain in (
        group(pay(a, b, 100)),
        group(pay(a, b, 1)),  # there is nothing left
        group(pay(b, c, 140)),
        group(pay(b, c, 1)),  # what is left is held
        group(pay(c, a, 270)),  # as far as the limit
        group(pay(c, a, 1)),
        group(pay(owed, a, 5)),  # nobody guards a debt
        group(pay(clearing, c, 50), pay(c, a, 10), pay(a, clearing, 20)),
        group(pay(clearing, a, 5), pay(a, b, 10**20)),
        group(pay(clearing, 2**62, 1)),
        group(pay(2**62, clearing, 1)),
        group(pay(a, foreign, 1)),
        group(pay(foreign, a, 1)),
        group(pay(a, audit.oracle.books.accounts[clearing].rows[5], 1)),
        group(pay(a, a, 1)),
        group(pay(closed, owed, 1)),
        group(pay(clearing, closed, 1)),
        group(pay(clearing, rich, 1)),
        group(pay(poor, owed, 1)),
        Group(str(uuid4()), (Movement(clearing, connected, 7, "Gebühr", uuid4()),), LONG_AGO),
    ):
        await audit.post(*batched(way, plain, pay(owed, connected, 3)), by=0)
    await audit.post(*batched(way, group(pay(connected, clearing, 2)), pay(connected, clearing, 3)), by=1)
    await compare(books)


async def several_groups(site: Site) -> None:
    """What one group leaves, the next one finds, set-based and otherwise."""
    for neighbour in (pay, hold):
        books = await site.books()
        audit, clearing, connected, a, b, c, _ = books
        await audit.post(
            group(pay(a, b, 100)),
            group(pay(b, c, 200), pay(c, a, 300)),
            group(neighbour(a, b, 50)),
            group(pay(clearing, connected, 1), pay(connected, a, 1), pay(a, clearing, 2)),
            Group(str(uuid4()), (Movement(b, a, 10, "Gebühr", uuid4()), Movement(a, b, 60, "sale")), LONG_AGO),
        )
        await compare(books)


async def keys(site: Site) -> None:
    """What a key stands for, in each way of posting."""
    for way in WAYS:
        books, other = await site.books(), await site.books()
        audit, clearing, _, a, b, *_ = books
        groups = [group(pay(clearing, a, 5)), group(pay(a, b, 10**9)), Group("late", (pay(a, b, 1),), LONG_AGO)]
        for one in groups:
            await audit.post(*batched(way, one, pay(clearing, b, 1)))
        await audit.do(pay(clearing, a, 10**9))
        for one in groups:
            await audit.post(*batched(way, one, pay(clearing, b, 1)))
            await audit.post(*batched(way, Group(one.key, (pay(clearing, a, 6),)), pay(clearing, b, 1)))
        await audit.post(*batched(way, Group("late", (pay(a, b, 1),)), pay(clearing, b, 1)))
        # Another tenant's key of the same name is another key.
        _, theirs, _, c, *_ = other
        await other.audit.post(*batched(way, Group(groups[0].key, (pay(theirs, c, 8),)), pay(theirs, c, 1)))
        await compare(books, other)


async def twice_in_a_batch(site: Site) -> None:
    for neighbour in (pay, hold):
        books = await site.books()
        audit, clearing, _, a, b, *_ = books
        for first in (group(pay(clearing, a, 5)), group(pay(a, b, 10**9)), group(pay(a, 2**62, 1))):
            others = (group(neighbour(clearing, b, 1)), Group(first.key, (pay(clearing, a, 6),)))
            await audit.post(others[0], first, first, others[1], first)
        await compare(books)


async def shortfalls(site: Site) -> None:
    books = await site.books()
    audit, clearing, connected, a, b, c, owed = books
    (foreign,) = await audit.open(chart.creator(AccountKind.OWED, "JPY", uuid4()))
    helped = [
        Group("split", (Movement(a, clearing, 130, "refund", None, owed), pay(clearing, a, 9))),
        Group("enough", (Movement(b, clearing, 90, "refund", None, owed),)),
        Group(
            "nothing", (Movement(a, b, 9, "refund", uuid4(), owed), Movement(a, clearing, 4, "refund", None, owed))
        ),
        Group("endless", (Movement(connected, clearing, 400, "refund", None, owed),)),
        Group("then not", (Movement(c, clearing, 130, "refund", None, owed), pay(b, a, 10**6))),
        Group("itself", (Movement(a, b, 1, "refund", None, a),)),
        Group("nobody", (Movement(a, b, 1, "refund", None, 2**62),)),
        Group("not with what is guarded", (Movement(b, clearing, 10**6, "refund", None, c),)),
        Group("a foreigner", (Movement(a, b, 1, "refund", None, foreign),)),
    ]
    await audit.post(*helped)
    await audit.post(*helped, by=1)
    (closed,) = await audit.open(chart.creator(AccountKind.PAYOUT, "USD", uuid4()))
    await audit.close(closed)
    await audit.do(Movement(closed, clearing, 5, "refund", None, owed))
    await audit.do(Movement(c, closed, 5, "refund", None, owed))
    await compare(books)


async def recoveries(site: Site) -> None:
    books = await site.books()
    audit, clearing, _, a, b, c, owed = books
    await audit.do(Recovery(a, owed, "recovery"))  # of no debt
    await audit.do(pay(owed, clearing, 150))
    await audit.do(hold(a, b, 40))
    await audit.do(Recovery(a, owed, "recovery"), Recovery(a, owed, "recovery"))
    await audit.do(pay(clearing, a, 20), Recovery(a, owed, "recovery"), Recovery(b, owed, "recovery"))
    await audit.do(Recovery(c, owed, "recovery"))
    await audit.set_credit_limit(c, 50)
    await audit.do(pay(owed, clearing, 700), Recovery(c, owed, "recovery"))
    await audit.do(Recovery(clearing, owed, "recovery"))
    await compare(books)


async def past_the_checks(site: Site) -> None:
    """The functions refuse by themselves what Python does not even send them."""
    books = await site.books()
    audit, clearing, _, a, b, c, _ = books
    placed = hold(c, b, 50)
    outcome = await audit.do(pay(clearing, a, 90))
    await audit.do(placed)
    assert isinstance(outcome, Posted)
    connection, tenant = site.connections[0], str(uuid4())
    for way in WAYS:
        for debit, amount, kind, code in (
            (clearing, "0", "sale", "amount_not_positive"),
            (clearing, "-1", "sale", "amount_not_positive"),
            (clearing, "-0.5", "sale", "amount_not_positive"),
            (clearing, "1.5", "sale", "amount_not_whole"),
            (clearing, "NaN", "sale", "amount_too_large"),
            (clearing, "Infinity", "sale", "amount_too_large"),
            (clearing, "1e38", "sale", "amount_too_large"),
            (None, "1", "sale", "malformed"),
            (clearing, "1", None, "malformed"),
        ):
            wrong = Movement(debit, a, Decimal(amount), kind)
            batch = batched(way, group(wrong), pay(clearing, b, 1))
            refused, *neighbours = await posting._send(batch, connection, tenant)
            assert refused == Refused(Refusal(code)), (way, debit, amount, kind)
            assert all(isinstance(one, Posted) for one in neighbours)
    rich, poor = await audit.open(*(chart.creator(AccountKind.OWED, "USD", uuid4()) for _ in range(2)))
    await audit.do(pay(poor, rich, LARGEST))
    for way in WAYS:
        batch = batched(way, group(pay(rich, poor, LARGEST + 1)), pay(clearing, b, 1))
        assert (await posting._send(batch, connection, tenant))[0] == Refused(Refusal.AMOUNT_TOO_LARGE)
    movement = outcome.movements[0].id
    for operation, code in (
        (Hold(uuid4(), clearing, a, Decimal("1.5"), "hold"), "amount_not_whole"),
        (Increment(placed.id, Decimal(-1)), "amount_not_positive"),
        (Capture(placed.id, Decimal("0.1"), "capture"), "amount_not_whole"),
        (Release(placed.id, Decimal("NaN")), "amount_too_large"),
        (Reversal(movement, Decimal("0.5"), "reversal"), "amount_not_whole"),
        (Reversal(movement, 1, None), "malformed"),
        (Capture(placed.id, 1, None), "malformed"),
        (Release(None), "malformed"),
        (Recovery(clearing, None, "recovery"), "malformed"),
    ):
        assert await posting._send([group(operation)], connection, tenant) == [Refused(Refusal(code))], operation
    empty, sound = await posting._send([group(), group(pay(clearing, b, 1))], connection, tenant)
    assert empty == Refused(Refusal.NO_MOVEMENTS)
    assert isinstance(sound, Posted)
    found = await ledger.balances([a, c], on=connection)
    assert [(found[one].posted, found[one].held) for one in (a, c)] == [(190, 0), (100, 50)]
    assert [one.status for one in await ledger.verify(site.owner) if one.number in {4, 10}] == [Status.OK] * 2


async def time(site: Site) -> None:
    """The moment is that of the posting, in a transaction that began long before, and never goes back.

    An account that has moved an hour ahead of the clock is none that verify likes, so this comes last.
    """
    for way in WAYS:
        books = await site.books()
        audit, clearing, _, a, b, *_ = books
        connection = site.connections[0]
        async with connection.transaction():
            await connection.execute("select pg_sleep(0.001)")
            before = await site.clock()
            (outcome, *_) = await audit.post(*batched(way, group(pay(clearing, a, 5)), pay(clearing, b, 1)))
        assert isinstance(outcome, Posted)
        assert before < outcome.posted_at < await site.clock()
        ahead = outcome.posted_at + timedelta(hours=1)
        await site.owner.execute("update ledger.account set posted_at = $1 where id = $2", ahead, a)
        (outcome, *_) = await audit.post(*batched(way, group(pay(clearing, a, 5)), pay(clearing, b, 1)))
        assert isinstance(outcome, Posted)
        assert outcome.posted_at == ahead
        (outcome, *_) = await audit.post(*batched(way, group(pay(a, b, 5)), pay(a, b, 1)))
        await audit.compare()
        async with connection.transaction(isolation="repeatable_read"):
            try:
                await connection.fetchval("select 1")
                await ledger.post(batched(way, group(pay(clearing, a, 5)), pay(clearing, b, 1)), on=connection)
            except asyncpg.PostgresError:
                continue
        raise AssertionError("posted in a snapshot of the past")
    await _times_of_a_hold(site)


async def _times_of_a_hold(site: Site) -> None:
    """What happens to a hold is no earlier than what happened to it before, though the clock was set back."""
    books = await site.books()
    audit, _, _, a, b, *_ = books
    before = await site.owner.fetchval("select posted_at from ledger.account where id = $1", a)
    await site.owner.execute(
        "update ledger.account set posted_at = posted_at + interval '1 hour' where id = $1", a
    )
    placed = [hold(a, b, 10), hold(a, b, 10)]
    await audit.do(*placed)
    await site.owner.execute("update ledger.account set posted_at = $1 where id = $2", before, a)
    await audit.do(Increment(placed[0].id, 2))
    for one in placed:
        await audit.let_time_pass(one.id)
    await audit.expire()
    for one in placed:
        times = await site.owner.fetchval(
            "select array_agg(at order by number) from ledger.hold_entry where hold_id = $1", one.id
        )
        assert times == sorted(times)
        assert times[0] > before + timedelta(minutes=59)


POSTINGS: Final[tuple[Scenario, ...]] = (
    movements_alone,
    movements_in_a_batch,
    movements_each,
    several_groups,
    keys,
    twice_in_a_batch,
    shortfalls,
    recoveries,
    past_the_checks,
    time,
)
