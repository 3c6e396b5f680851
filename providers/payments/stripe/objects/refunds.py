"""Refunds as facts."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from providers.payments.base import BalanceMove, RefundFact, RefundState
from providers.payments.stripe import amounts, references
from providers.payments.stripe.objects import fields
from providers.payments.stripe.objects.fields import Source

_STATES: Final[Mapping[str, RefundState]] = {
    "pending": RefundState.PENDING,
    "requires_action": RefundState.PENDING,
    "succeeded": RefundState.SUCCEEDED,
    "failed": RefundState.FAILED,
    "canceled": RefundState.CANCELED,
}
_LET_GO: Final = "partial_capture_reversal"
_ENDED_BADLY: Final = frozenset((RefundState.FAILED, RefundState.CANCELED))


def refund_fact(refund: Source, at: datetime, payment: UUID) -> RefundFact:
    """Return what a refund says; ``payment`` is our payment's id, and ``at`` when it was so.

    What it moved where Stripe converted it is told only with the balance transactions expanded.
    """
    state = _STATES[fields.text(refund, "status")]
    currency = fields.currency(refund)
    return RefundFact(
        payment=payment,
        reference=references.ours(refund, references.REFUND),
        provider_reference=fields.text(refund, "id"),
        state=state,
        at=_time(refund, state, at),
        amount=amounts.from_stripe(fields.positive(refund, "amount"), currency),
        currency=currency,
        failure_code=fields.text_or_none(refund, "failure_reason") if state in _ENDED_BADLY else None,
        balance_transaction=fields.identity_or_none(refund, "balance_transaction"),
        return_transaction=fields.identity_or_none(refund, "failure_balance_transaction"),
        converted=_converted(refund, "balance_transaction", currency, sign=-1),
        return_converted=_converted(refund, "failure_balance_transaction", currency, sign=1),
    )


def lets_go(refund: Source) -> bool:
    """Return whether a refund only let go of what was reserved and never captured: nobody's money went back.

    Stripe writes down as refunds what it lets go, too: of an authorisation that lapsed, and of the rest of one
    that was captured in part. Such a refund is none that we asked for; it has no line in the books, or one that
    says so, where that is expanded.
    """
    if references.ours(refund, references.REFUND) is not None:
        return False
    line = refund.get("balance_transaction")
    if isinstance(line, Mapping):
        return let_go_in_books(refund) is not None
    moved_nothing = line is None and refund.get("status") == "succeeded"
    return moved_nothing or refund.get("reason") == "expired_uncaptured_charge"


def let_go_in_books(refund: Source) -> Source | None:
    """Return the line of the books that says what a refund let go, where it has one and that is expanded."""
    line = fields.inner_or_none(refund, "balance_transaction")
    if line is None or references.ours(refund, references.REFUND) is not None:
        return None
    return line if line.get("reporting_category") == _LET_GO else None


def _time(refund: Source, state: RefundState, at: datetime) -> datetime:
    """Return when the money moved: as the refund was made; back again by a line of its own, where that is told."""
    if state not in _ENDED_BADLY:
        return fields.time(refund, "created")
    line = fields.inner_or_none(refund, "failure_balance_transaction")
    return at if line is None else fields.time(line, "created")


def _converted(refund: Source, name: str, currency: str, *, sign: int) -> BalanceMove | None:
    line = fields.inner_or_none(refund, name)
    if line is None or fields.currency(line) == currency:
        return None
    settled = fields.currency(line)
    return BalanceMove(
        balance_transaction=fields.text(line, "id"),
        amount=amounts.from_stripe(sign * fields.whole(line, "amount"), settled),
        fee=amounts.from_stripe(fields.whole(line, "fee"), settled),
        currency=settled,
    )
