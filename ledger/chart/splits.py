"""Splits: how a payment divides into net, fee and tax, and how what goes back divides."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

_HALF: Final = Fraction(1, 2)


@dataclass(frozen=True, slots=True)
class Split:
    """The parts of a payment, or of what goes back of it, in the asset's smallest unit."""

    net: int
    fee: int
    tax: int

    @property
    def gross(self) -> int:
        """What the payer paid, or gets back."""
        return self.net + self.fee + self.tax


_NOTHING: Final = Split(0, 0, 0)


def refund_split(payment: Split, amount: int, returned: Split = _NOTHING) -> Split:
    """Return how ``amount`` of a payment goes back, after what has gone back before.

    ``returned`` is the sum of the splits of earlier refunds and disputes that still stand. Everything is in the
    asset's smallest unit. Once all has gone back, each part has gone back exactly. Errors: as :func:`give_back`.
    """
    net, fee, tax = give_back(
        (payment.net, payment.fee, payment.tax), amount, (returned.net, returned.fee, returned.tax)
    )
    return Split(net, fee, tax)


def give_back(parts: Sequence[int], amount: int, returned: Sequence[int] | None = None) -> list[int]:
    """Return what ``amount`` takes out of each part, after what was ``returned`` of each before.

    It is divided as if given back unit by unit, each unit to the part that is furthest behind its share
    (Sainte-Laguë's method; of equal ones to the later part, so that a fee behind a creator's net goes first).
    So the outcome is the same in one refund or in many, no part is ever asked for more than it has left or for
    less than nothing, and three parts are never a whole unit away from their exact shares. The largest-remainder
    rule does not do for this: under it a part can become smaller as the total grows (the Alabama paradox), and
    the next refund would have to pay in.

    Everything is in the smallest unit. Errors: ValueError when more goes back than is left, or when what was
    returned cannot be.
    """
    before = [0] * len(parts) if returned is None else list(returned)
    if len(before) != len(parts) or not all(0 <= back <= part for back, part in zip(before, parts, strict=True)):
        raise ValueError("Of each part at least nothing and at most all of it has been returned.")
    if not 0 <= amount <= sum(parts) - sum(before):
        raise ValueError(f"Of what was paid {sum(parts) - sum(before)} is left to give back, not {amount}.")
    target = sum(before) + amount
    level = _level(parts, before, target)
    after = [max(back, math.ceil(level * part - _HALF)) for part, back in zip(parts, before, strict=True)]
    # Rounding put that at most half a unit per part away from the target.
    while sum(after) < target:
        index = max(range(len(parts)), key=lambda i: (Fraction(parts[i], 2 * after[i] + 1), i))
        after[index] += 1
    while sum(after) > target:
        given = [i for i, back in enumerate(before) if after[i] > back]
        index = min(given, key=lambda i: (Fraction(parts[i], 2 * after[i] - 1), i))
        after[index] -= 1
    return [now - back for now, back in zip(after, before, strict=True)]


def _level(parts: Sequence[int], before: Sequence[int], target: int) -> Fraction:
    """Return the fraction that every part will have got back, except those that had got more before."""
    level_parts = set(range(len(parts)))
    while True:
        whole = sum(parts[i] for i in level_parts)
        if whole == 0:
            return Fraction(0)
        rest = target - sum(back for i, back in enumerate(before) if i not in level_parts)
        level = Fraction(rest, whole)
        beyond = {i for i in level_parts if before[i] > level * parts[i]}
        if not beyond:
            return level
        level_parts -= beyond
