"""What a provider let go of a charge that was captured in part, where its books have a line for that."""

from uuid import UUID

from ledger import Draft, chart
from providers.payments.base import BalanceEntry, BalanceKind
from services.fold.contradictions import Contradiction
from services.fold.own_money import ensure_adds_up
from services.fold.payments import Known


def is_let_go(entry: BalanceEntry) -> bool:
    """Whether a line is what was let go of a payment of ours."""
    return entry.kind is BalanceKind.CAPTURE_REVERSED and entry.reference is not None


def let_go(known: Known, entry: BalanceEntry, *, provider: str, payment: UUID) -> Draft:
    """Return what such a line of a payment posts; where the provider converted it, that waits in suspense.

    Raises ``Contradiction`` for amounts that cannot be true of it, and of a payment that was not only reserved.
    """
    ensure_adds_up(entry)
    converted = entry.currency != known.currency
    if not known.manual_capture or entry.amount >= 0 or (not converted and -entry.amount >= known.gross):
        raise Contradiction(f"The provider's line {entry.id} lets go of {-entry.amount} of a payment.")
    if converted:
        return chart.foreign_settlement(
            provider=provider,
            balance_transaction=entry.id,
            asset=entry.currency,
            gross=entry.amount,
            provider_fee=entry.fee,
            reference=payment,
            effective_at=entry.at,
        )
    return chart.capture_reversed(
        provider=provider,
        balance_transaction=entry.id,
        asset=entry.currency,
        amount=-entry.amount,
        provider_fee=entry.fee,
        reference=payment,
        effective_at=entry.at,
    )
