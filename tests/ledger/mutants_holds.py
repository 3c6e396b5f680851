"""Scenarios of holds and reversals that a mutated ledger has to fail."""

from dataclasses import replace
from typing import Final
from uuid import uuid4

import ledger
from ledger import (
    Capture,
    Hold,
    Increment,
    Movement,
    Posted,
    Recovery,
    Release,
    Reversal,
)
from tests.ledger.mutants_site import Scenario, Site, compare, group, hold, pay
from tests.ledger.oracle_audit import LONG_AGO
from tests.ledger.oracle_books import LARGEST


async def holds(site: Site) -> None:
    books = await site.books()
    audit, clearing, connected, a, b, c, _ = books
    first, second, third = hold(a, b, 70), hold(a, c, 30), hold(clearing, connected, 10**20)
    for operation in (
        first,
        second,
        third,
        first,
        hold(a, b, 1),  # all of it is held
        Increment(first.id, 1),
        Hold(uuid4(), b, c, 5, "late", None, LONG_AGO),
        pay(a, b, 1),
        Capture(first.id, 20, "capture", uuid4()),
        Capture(first.id, 51, "capture"),
        Release(first.id, 51),
        Release(first.id, 10),
        Increment(first.id, 10),
        Capture(first.id, 15, "capture", None, True),
        Capture(first.id, None, "capture"),
        Increment(first.id, 1),
        Release(first.id),
        Release(second.id),
        Capture(second.id, None, "capture"),
        Capture(third.id, 10**20 - 1, "capture"),
        Capture(third.id, 1, "capture", None, True),
        Capture(uuid4(), 1, "capture"),
        Hold(uuid4(), a, b, LARGEST, "hold"),
        Hold(uuid4(), clearing, b, LARGEST, "hold"),
    ):
        await audit.do(operation, by=1)
    fourth, fifth = hold(b, c, 30), hold(c, b, 30)
    await audit.do(fourth, fifth)
    await audit.close(b)  # which both refuse: something is held
    await audit.post(
        group(Capture(fourth.id, 10, "capture"), Capture(fifth.id, 10, "capture"), Increment(fifth.id, 3)),
        group(Capture(fourth.id, None, "capture"), Release(fifth.id)),
        group(Capture(fourth.id, None, "capture")),
    )
    await compare(books)


async def expiry(site: Site) -> None:
    books = await site.books()
    audit, clearing, _, a, b, c, _ = books
    several = [hold(a, b, 10), hold(a, c, 20), hold(b, a, 30), hold(clearing, a, 40), hold(a, b, 5)]
    await audit.do(*several)
    await audit.do(Capture(several[0].id, 4, "capture"))
    for over in several[:4]:
        await audit.let_time_pass(over.id)
    for over in several[:3]:
        await audit.do(Capture(over.id, 1, "capture"))
        await audit.do(Increment(over.id, 1))
    await audit.do(Release(several[1].id, 5))
    await audit.do(Release(several[2].id))
    await audit.compare()
    await audit.expire()
    await audit.do(Capture(several[0].id, 1, "capture"))
    await audit.do(Capture(several[4].id, 1, "capture"))
    await audit.expire()
    await compare(books)


async def reversals(site: Site) -> None:
    books = await site.books()
    audit, clearing, _, a, b, *_ = books
    sale = await audit.do(pay(clearing, a, 60), pay(a, b, 20), by=1)
    assert isinstance(sale, Posted)
    whole, part = (movement.id for movement in sale.movements)
    outcome = await audit.do(Reversal(part, 5, "reversal"))
    assert isinstance(outcome, Posted)
    (back,) = (movement.id for movement in outcome.movements)
    for operations in (
        (Reversal(part, 16, "reversal"),),
        (Reversal(part, 6, "reversal"), Reversal(part, 10, "reversal")),
        (Reversal(part, 6, "reversal"), Reversal(part, None, "reversal")),
        (Reversal(part, None, "reversal"),),
        (Reversal(back, 2, "reversal"), Reversal(back, None, "reversal")),
        (Reversal(back, 1, "reversal"),),
        (pay(a, b, 130), Reversal(whole, None, "reversal")),
        (Reversal(whole, None, "reversal", uuid4()),),
        (Reversal(uuid4(), None, "reversal"),),
    ):
        await audit.do(*operations)
    again = await ledger.reversal("again", sale.group_id, on=site.owner)
    assert again is not None
    await audit.post(again)
    await compare(books)


async def names_of_holds(site: Site) -> None:
    """A hold can be used by the batch that places it; two of one name are one, wherever the other would have lain."""
    books = await site.books()
    audit, clearing, _, a, b, c, owed = books
    for first, second, use in (
        (hold(a, b, 10), hold(a, b, 10), Capture),
        (hold(a, b, 10**9), hold(c, clearing, 10), Capture),
        (hold(a, b, 10**9), hold(c, clearing, 10), Increment),
        (hold(b, c, 20), hold(clearing, a, 30), Release),
        (hold(b, c, 10**9), hold(a, owed, 10**9), Release),
    ):
        again = replace(second, id=first.id)
        using = {
            Capture: Capture(first.id, 5, "capture"), Increment: Increment(first.id, 5), Release: Release(first.id),
        }[use]  # fmt: skip
        early = group(using)
        await audit.post(early, group(first), group(again), early, group(using, again), group(pay(b, c, 1)))
    alone = hold(a, b, 7)
    await audit.post(
        group(alone, Capture(alone.id, 2, "capture"), Increment(alone.id, 1), Capture(alone.id, None, "rest"))
    )
    await audit.post(group(hold(a, b, 3), Release(alone.id)), group(Release(uuid4())))
    await compare(books)


async def undoing(site: Site) -> None:
    """A group that fails with its last operation has done nothing, and the next one finds all as it was."""
    books = await site.books(funds=1000)
    audit, clearing, _, a, b, c, owed = books
    sale = await audit.do(pay(clearing, a, 60))
    assert isinstance(sale, Posted)
    (movement,) = sale.movements
    first, second, third = hold(a, b, 70), hold(b, c, 30), hold(c, a, 20)
    await audit.do(first, second)
    await audit.do(Capture(first.id, 10, "capture"), Release(second.id, 5))
    much = (
        pay(clearing, b, 7),
        Movement(a, clearing, 5000, "refund", None, owed),
        pay(clearing, a, 900),
        third,
        Capture(first.id, 11, "capture"),
        Increment(second.id, 12),
        Release(second.id, 3),
        Capture(second.id, 4, "capture", None, True),
        Reversal(movement.id, 50, "reversal"),
        Recovery(b, owed, "recovery"),
        pay(c, a, 10**9),
    )
    later = (third, Increment(first.id, 1), Capture(first.id, None, "capture"), Capture(second.id, 25, "capture"))
    await audit.post(group(*much), group(*later), group(Reversal(movement.id, 60, "reversal")), group(*much))
    await audit.post(group(*much[:-1], pay(2**62, a, 1)), group(pay(a, b, 1)))
    await compare(books)


HOLDS: Final[tuple[Scenario, ...]] = (holds, names_of_holds, expiry, reversals, undoing)
