"""The refunds and disputes of a payment: what is known of each, what it took, and how far that is posted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from core.ids import uuid7
from ledger import AccountKind
from ledger.chart import Split
from providers.payments.base import DisputeFact, RefundFact
from services.fold.disputes import DisputeKnown, fold_dispute
from services.fold.refunds import RefundKnown, fold_refund
from services.fold.told import Decided, ReturnFact, Unanswered


@dataclass(frozen=True, slots=True)
class TakenPart:
    """What leaves one creator's part of a payment, by the part's id. Minor units.

    ``from_reserve`` of the net come out of what is kept in reserve of this earning.
    """

    id: UUID
    split: Split
    from_reserve: int = 0


@dataclass(frozen=True, slots=True)
class Taken:
    """How what leaves a payment divides over its parts, and where their net is taken from."""

    parts: tuple[TakenPart, ...]
    taken_from: AccountKind

    @property
    def split(self) -> Split:
        """How all of it divides."""
        splits = [part.split for part in self.parts]
        return Split(
            sum(split.net for split in splits),
            sum(split.fee for split in splits),
            sum(split.tax for split in splits),
        )

    @property
    def from_reserve(self) -> int:
        """How much of all of its net comes out of reserves, in minor units."""
        return sum(part.from_reserve for part in self.parts)


@dataclass(frozen=True, slots=True)
class RefundEntry:
    """A refund with what it set aside, and how far that was posted."""

    id: UUID
    known: RefundKnown
    taken: Taken | None = None
    accepted_at: datetime | None = None
    returned_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DisputeEntry:
    """A dispute with what it took, and how far that was posted. ``written_off`` minor units the platform bore."""

    id: UUID
    known: DisputeKnown
    taken: Taken | None = None
    taken_at: datetime | None = None
    returned_at: datetime | None = None
    written_off: int = 0


def take(
    refunds: list[RefundEntry],
    disputes: list[DisputeEntry],
    facts: Sequence[ReturnFact],
    new_id: Callable[[], UUID] = uuid7,
) -> None:
    """Take facts into a payment's refunds and disputes; what was never told of before is added.

    Raises ``Contradiction``.
    """
    for fact in facts:
        match fact:
            case RefundFact():
                _take_refund(refunds, fact, new_id)
            case DisputeFact():
                _take_dispute(disputes, fact, new_id)
            case Decided() | Unanswered():
                _decide(refunds, fact)


def standing(refunds: Sequence[RefundEntry], disputes: Sequence[DisputeEntry]) -> tuple[int, int, str | None]:
    """Return what was refunded, what is on its way back, and where the disputes stand: OPEN, LOST or None.

    A payment that was lost is LOST whatever else is open.
    """
    refunded = sum(entry.known.amount for entry in refunds if entry.known.status == "SUCCEEDED")
    pending = sum(entry.known.amount for entry in refunds if entry.known.stands) - refunded
    states = {entry.known.status for entry in disputes}
    if "LOST" in states:
        return refunded, pending, "LOST"
    return refunded, pending, "OPEN" if any(entry.known.is_open for entry in disputes) else None


def _take_refund(refunds: list[RefundEntry], fact: RefundFact, new_id: Callable[[], UUID]) -> None:
    for number, entry in enumerate(refunds):
        ours = fact.reference is not None and entry.id == fact.reference
        if ours or entry.known.provider_reference == fact.provider_reference:
            refunds[number] = replace(entry, known=fold_refund(entry.known, fact))
            return
    # Made at the provider itself, or told of before our own row could be read: either way its id is known here
    # from now on.
    known = fold_refund(RefundKnown(fact.amount, fact.currency), fact)
    refunds.append(RefundEntry(fact.reference or new_id(), known))


def _decide(refunds: list[RefundEntry], told: Decided | Unanswered) -> None:
    for number, entry in enumerate(refunds):
        # What the provider says of it counts for more than what it did not say to us.
        if entry.id == told.refund and entry.known.state is None:
            if isinstance(told, Unanswered):
                known = replace(entry.known, reconciling=True)
            else:
                known = replace(
                    entry.known, decided=told.status, failure_code=told.failure_code, reconciling=False
                )
            refunds[number] = replace(entry, known=known)


def _take_dispute(disputes: list[DisputeEntry], fact: DisputeFact, new_id: Callable[[], UUID]) -> None:
    for number, entry in enumerate(disputes):
        if entry.known.provider_reference == fact.provider_reference:
            disputes[number] = replace(entry, known=fold_dispute(entry.known, fact))
            return
    disputes.append(DisputeEntry(new_id(), DisputeKnown.first(fact)))
