"""What is known of a payment itself: where it stands at its provider, and the status that amounts to."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from core.payments import PaymentStatus
from providers.payments.base import PaymentFact, ProviderState
from services.fold.contradictions import Contradiction

_ABSORBING: Final = (ProviderState.SUCCEEDED, ProviderState.CANCELED)

# Of two states told for one instant the one further on is kept, so that their order does not matter; the
# caller is told of the tie and asks the provider.
_PROGRESS: Final = {state: rank for rank, state in enumerate(ProviderState)}

_STATUS: Final = {
    ProviderState.REQUIRES_METHOD: PaymentStatus.PENDING,
    ProviderState.REQUIRES_ACTION: PaymentStatus.REQUIRES_ACTION,
    ProviderState.PROCESSING: PaymentStatus.PROCESSING,
    ProviderState.AUTHORIZED: PaymentStatus.AUTHORIZED,
    ProviderState.SUCCEEDED: PaymentStatus.SUCCEEDED,
    ProviderState.CANCELED: PaymentStatus.CANCELED,
}


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a payment. Amounts in minor units; ``gross`` and ``currency`` never change.

    ``refunded`` has gone back and ``dispute`` is where its disputes stand, as its refunds and disputes tell.
    """

    gross: int
    currency: str
    provider_reference: str | None = None
    state: ProviderState | None = None
    at: datetime | None = None
    authorized: int = 0
    captured: int = 0
    decline_code: str | None = None
    action_url: str | None = None
    reconciling: bool = False
    manual_capture: bool = False
    capture_before: datetime | None = None
    refunded: int = 0
    dispute: str | None = None

    @classmethod
    def of(cls, row: Any) -> "Known":
        """Read a row of the payments table."""
        return cls(
            gross=int(row["gross"]),
            currency=row["currency"],
            provider_reference=row["provider_reference"],
            state=ProviderState(row["provider_state"]) if row["provider_state"] else None,
            at=row["provider_state_at"],
            authorized=int(row["authorized"]),
            captured=int(row["captured"]),
            decline_code=row["decline_code"],
            action_url=row["action_url"],
            reconciling=row["reconciling"],
            manual_capture=row["manual_capture"],
            capture_before=row["capture_before"],
            refunded=int(row["refunded"]),
            dispute=row["dispute"],
        )

    @property
    def status(self) -> PaymentStatus:
        """The status these facts amount to."""
        own = self.own_status
        if own is not PaymentStatus.SUCCEEDED:
            return own
        if self.dispute is not None:
            return PaymentStatus.CHARGED_BACK if self.dispute == "LOST" else PaymentStatus.DISPUTED
        if self.refunded:
            whole = self.refunded >= self.captured
            return PaymentStatus.REFUNDED if whole else PaymentStatus.PARTIALLY_REFUNDED
        return own

    @property
    def own_status(self) -> PaymentStatus:
        """The status without what became of the money after it was captured."""
        if self.reconciling and self.state not in _ABSORBING:
            return PaymentStatus.RECONCILING
        if self.state is None:
            return PaymentStatus.CREATED
        if self.state is ProviderState.REQUIRES_METHOD and self.decline_code:
            return PaymentStatus.FAILED
        return _STATUS[self.state]

    @property
    def reason(self) -> str | None:
        """The machine-readable reason for the status, where there is one."""
        ended_badly = {PaymentStatus.FAILED, PaymentStatus.CANCELED}
        return self.decline_code if self.status in ended_badly else None


def fold(known: Known, fact: PaymentFact) -> tuple[Known, bool]:
    """Return what is known once a fact is taken in, and whether it ties with another told for that instant.

    Raises ``Contradiction``.
    """
    if fact.amount != known.gross or fact.currency != known.currency:
        raise Contradiction("The provider speaks of another amount or currency than the payment's.")
    if known.provider_reference not in {None, fact.provider_reference}:
        raise Contradiction("The provider speaks of another of its objects than the payment's.")
    if fact.state is ProviderState.SUCCEEDED and not _is_captured(known, fact):
        raise Contradiction("The provider calls a payment succeeded that it has not captured in full.")
    if not 0 <= fact.captured <= known.gross or not 0 <= fact.authorized <= known.gross:
        raise Contradiction("The provider speaks of more than the payment's amount.")
    tie = known.state is not None and known.at == fact.at and _told(known) != _told(fact)
    merged = replace(
        known,
        provider_reference=fact.provider_reference,
        authorized=max(known.authorized, fact.authorized),
        captured=max(known.captured, fact.captured),
        capture_before=_latest(known.capture_before, fact.capture_before),
    )
    if not _supersedes(known, fact):
        return merged, tie and known.state not in _ABSORBING
    taken = replace(
        merged,
        state=fact.state,
        at=fact.at,
        decline_code=fact.decline_code,
        action_url=fact.action_url,
    )
    return taken, tie and fact.state not in _ABSORBING


def _latest(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((moment for moment in (one, other) if moment is not None), default=None)


def _is_captured(known: Known, fact: PaymentFact) -> bool:
    """Whether a success is one: of what was only reserved at first, a part may do."""
    return fact.captured == known.gross or (known.manual_capture and fact.captured > 0)


def _supersedes(known: Known, fact: PaymentFact) -> bool:
    """Whether a fact's state takes the place of the known one: the end absorbs, otherwise the newer wins."""
    if known.state is None or known.at is None:
        return True
    ends = (known.state in _ABSORBING, fact.state in _ABSORBING)
    if ends == (True, True) and known.state is fact.state:
        # Told of twice, it happened when it was first told to have happened.
        return fact.at < known.at
    if ends == (True, True):
        return fact.state is ProviderState.SUCCEEDED
    if any(ends):
        return ends[1]
    return (fact.at, *_told(fact)) > (known.at, *_told(known))


def _told(what: Known | PaymentFact) -> tuple[int, str, str]:
    """What is told of a moment, in an order: the state, then the reason for it, then where the payer goes."""
    rank = -1 if what.state is None else _PROGRESS[what.state]
    return rank, what.decline_code or "", what.action_url or ""
