"""A payment is a fold of facts: providers tell them late, twice and in any order, and the end is the same.

Pure: no clock, no database.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from core.payments import PaymentStatus
from providers.payments.base import PaymentFact, ProviderState

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


class Contradiction(Exception):  # ruff: ignore[error-suffix-on-exception-name] - not a fault of the program but of what it was told
    """A fact that cannot be true of the payment it names: another amount, currency or provider object."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a payment. Amounts in minor units; ``gross`` and ``currency`` never change."""

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
        )

    @property
    def status(self) -> PaymentStatus:
        """The status these facts amount to."""
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
        return self.decline_code if self.status is PaymentStatus.FAILED else None


def fold(known: Known, fact: PaymentFact) -> tuple[Known, bool]:
    """Return what is known once a fact is taken in, and whether it ties with another told for that instant.

    Raises ``Contradiction``.
    """
    if fact.amount != known.gross or fact.currency != known.currency:
        raise Contradiction("The provider speaks of another amount or currency than the payment's.")
    if known.provider_reference not in {None, fact.provider_reference}:
        raise Contradiction("The provider speaks of another of its objects than the payment's.")
    if fact.state is ProviderState.SUCCEEDED and fact.captured != known.gross:
        raise Contradiction("The provider calls a payment succeeded that it has not captured in full.")
    if not 0 <= fact.captured <= known.gross or not 0 <= fact.authorized <= known.gross:
        raise Contradiction("The provider speaks of more than the payment's amount.")
    tie = known.state is not None and known.at == fact.at and _told(known) != _told(fact)
    merged = replace(
        known,
        provider_reference=fact.provider_reference,
        authorized=max(known.authorized, fact.authorized),
        captured=max(known.captured, fact.captured),
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
