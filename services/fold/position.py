"""Where a captured payment's money stands, creator by creator, and what refunds and disputes set aside of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import starmap
from uuid import UUID

from ledger import AccountKind
from ledger.chart import Split, give_back
from services.fold.entries import Taken, TakenPart

_NOTHING = Split(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Part:
    """One creator's part of a payment, as refunds and disputes find it. Minor units.

    ``id`` is the share's, or the payment's own where all of it is one creator's. ``captured`` is how what was
    captured divides (None until it is known to be), ``returned`` what refunds and disputes that stand have set
    aside of it, ``reserve`` what is still kept in reserve of its earning.
    """

    id: UUID
    creator_id: UUID
    captured: Split | None
    returned: Split = _NOTHING
    reserve: int = 0

    @property
    def left(self) -> Split:
        """What has not been set aside yet."""
        return _NOTHING if self.captured is None else minus(self.captured, self.returned)


@dataclass(frozen=True, slots=True)
class Of:
    """How much goes back of one creator's part, in minor units; ``tax`` of the ``amount`` is tax."""

    creator_id: UUID
    amount: int
    tax: int


@dataclass(frozen=True, slots=True)
class Position:
    """A payment's money: one part where it is one creator's, one for each share where there are several.

    All parts mature together, and so do their reserves.
    """

    payment: UUID
    provider: str
    asset: str
    parts: tuple[Part, ...]
    matured: bool = False
    reserve_released: bool = False

    @property
    def is_captured(self) -> bool:
        """Whether it is known how what was captured divides."""
        return all(part.captured is not None for part in self.parts)

    @property
    def returned(self) -> Split:
        """What is set aside of all parts together."""
        return _sum(part.returned for part in self.parts)

    @property
    def reserve(self) -> int:
        """What is kept in reserve of all parts together, in minor units."""
        return sum(part.reserve for part in self.parts)

    @property
    def left(self) -> int:
        """What has not been set aside yet, in minor units."""
        return sum(part.left.gross for part in self.parts)


def captured_splits(parts: Sequence[Split], captured: int) -> list[Split]:
    """Return how what was captured divides: in full as it was fixed, in part by the same shares.

    ``captured`` is in minor units, and at most all there is. Errors: as :func:`ledger.chart.give_back`.
    """
    if captured == sum(part.gross for part in parts):
        return list(parts)
    return _splits(give_back(_flat(parts), captured))


def set_aside(position: Position, amount: int, of: Sequence[Of] | None = None) -> tuple[Position, Taken]:
    """Set aside what goes back of a captured payment, in minor units; what is left of it is the most that can be.

    ``of`` says out of whose parts, and how much of that is tax: what is left of net and fee divides the rest. What
    it does not say, or what is not there any more, is taken out of everything in proportion.
    """
    if not position.is_captured:
        raise ValueError("Nothing can be set aside of a payment that was not captured.")
    amount = min(amount, position.left)
    splits = _named(position.parts, of or (), amount)
    rest = amount - sum(split.gross for split in splits)
    if rest:
        before = [_plus(part.returned, split) for part, split in zip(position.parts, splits, strict=True)]
        whole = [part.captured or _NOTHING for part in position.parts]
        more = _splits(give_back(_flat(whole), rest, _flat(before)))
        splits = list(starmap(_plus, zip(splits, more, strict=True)))
    parts, taken = [], []
    for part, split in zip(position.parts, splits, strict=True):
        from_reserve = min(split.net, part.reserve)
        parts.append(replace(part, returned=_plus(part.returned, split), reserve=part.reserve - from_reserve))
        # A share that nothing was taken from has no row; what a payment of one creator gave stands with it.
        if split.gross or part.id == position.payment:
            taken.append(TakenPart(part.id, split, from_reserve))
    place = AccountKind.AVAILABLE if position.matured else AccountKind.PENDING
    return replace(position, parts=tuple(parts)), Taken(tuple(taken), place)


def _named(parts: Sequence[Part], of: Sequence[Of], amount: int) -> list[Split]:
    """Return what goes back of the parts that are named, as far as it is there, and at most ``amount`` of all."""
    splits = [_NOTHING] * len(parts)
    numbers = {part.creator_id: number for number, part in enumerate(parts)}
    for asked in of:
        number = numbers.get(asked.creator_id)
        if number is None:
            continue
        captured = parts[number].captured or _NOTHING
        before = _plus(parts[number].returned, splits[number])
        left = minus(captured, before)
        gross = min(asked.amount, left.gross, amount)
        # Where net and fee have less left than the rest comes to, tax bears that: it has it.
        tax = max(min(asked.tax, left.tax, gross), gross - left.net - left.fee)
        net, fee = give_back((captured.net, captured.fee), gross - tax, (before.net, before.fee))
        splits[number] = _plus(splits[number], Split(net, fee, tax))
        amount -= gross
    return splits


def _flat(splits: Sequence[Split]) -> list[int]:
    return [amount for split in splits for amount in (split.net, split.fee, split.tax)]


def _splits(amounts: Sequence[int]) -> list[Split]:
    return [Split(*amounts[start : start + 3]) for start in range(0, len(amounts), 3)]


def _sum(splits: Iterable[Split]) -> Split:
    total = _NOTHING
    for split in splits:
        total = _plus(total, split)
    return total


def _plus(one: Split, other: Split) -> Split:
    return Split(one.net + other.net, one.fee + other.fee, one.tax + other.tax)


def minus(one: Split, other: Split) -> Split:
    """Return what is left of one split without another."""
    return Split(one.net - other.net, one.fee - other.fee, one.tax - other.tax)
