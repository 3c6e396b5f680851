"""What the races of many buyers have in common: how each of them ended."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from races.caller import Reply, expect
from races.guests import Guest, Order, Payment

SOLD_OUT: Final = frozenset({"OUT_OF_STOCK", "RESERVATION_EXPIRED"})


@dataclass(frozen=True, slots=True)
class Ended:
    """How one buyer ended: what they were told at once, and what became of their order, if they have one."""

    guest: Guest
    reply: Reply
    order: Order | None
    payment: Payment | None

    @property
    def is_paid(self) -> bool:
        return self.order is not None and self.order.is_paid

    @property
    def kept(self) -> int:
        """What was taken from the buyer and not given back."""
        return self.payment.kept if self.payment is not None else 0


async def ends(guests: Sequence[Guest], replies: Sequence[Reply]) -> list[Ended]:
    """Wait until every order has settled; return how each buyer ended. Raises ``RaceError``."""
    found = []
    for guest, reply in zip(guests, replies, strict=True):
        order, payment = await guest.settled() if guest.order_id else (None, None)
        found.append(Ended(guest, reply, order, payment))
    return found


def winners(ended: Sequence[Ended], count: int) -> list[Ended]:
    """Return those who paid: so many, and each of them exactly their total. Raises ``RaceError``."""
    paid = [one for one in ended if one.is_paid]
    expect(len(paid) == count, f"{len(paid)} orders are paid, not {count}: {_summary(ended)}")
    for one in paid:
        total = one.order.total if one.order is not None else 0
        expect(one.kept == total, f"{one.kept} was kept for an order of {total}")
    return paid


def losers(ended: Sequence[Ended], codes: frozenset[str], kind: str) -> list[Ended]:
    """Return those who did not pay: told so by a typed error of these codes, or given back everything.

    Raises ``RaceError`` for one who was told nothing, or whose money was kept.
    """
    lost = [one for one in ended if not one.is_paid]
    for one in lost:
        expect(one.kept == 0, f"{one.kept} was kept of somebody who got nothing")
        told = any(refusal.code in codes and refusal.kind == kind for refusal in one.reply.refusals)
        given_back = one.payment is not None and one.payment.captured > 0
        expect(told or given_back, f"somebody who got nothing was told {_told(one.reply)}")
    return lost


def counted(replies: Iterable[Reply]) -> str:
    """Return how often each answer was given, such as ``1 done, 49 OUT_OF_STOCK``."""
    counts = Counter(_told(reply) for reply in replies)
    return ", ".join(f"{count} {told}" for told, count in counts.most_common())


def _told(reply: Reply) -> str:
    return reply.refused or "done"


def _summary(ended: Sequence[Ended]) -> str:
    statuses = Counter(one.order.status if one.order is not None else "no order" for one in ended)
    return f"{dict(statuses)}, told: {counted(one.reply for one in ended)}"
