"""What settlement is told: facts of a provider, and what came of asking it."""

from dataclasses import dataclass
from uuid import UUID

from core.refunds import RefundStatus
from providers.payments.base import DisputeFact, Fact, RefundFact


@dataclass(frozen=True, slots=True)
class Decided:
    """A refund of ours that ended without its provider: FAILED because it was refused, with the provider's word
    for why, or CANCELED because the provider never got it. Settled like a fact; what it set aside is given back.
    """

    payment: UUID
    refund: UUID
    status: RefundStatus
    failure_code: str | None = None


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A refund of ours of which nobody knows whether its provider got it: it is looked up."""

    payment: UUID
    refund: UUID


ReturnFact = RefundFact | DisputeFact | Decided | Unanswered
Told = Fact | Decided | Unanswered
