"""Disputes as facts."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from providers.payments.base import BalanceMove, DisputeFact, DisputeState
from providers.payments.stripe import amounts
from providers.payments.stripe.objects import fields
from providers.payments.stripe.objects.fields import Source

_STATES: Final[Mapping[str, DisputeState]] = {
    "warning_needs_response": DisputeState.NEEDS_RESPONSE,
    "needs_response": DisputeState.NEEDS_RESPONSE,
    "warning_under_review": DisputeState.UNDER_REVIEW,
    "under_review": DisputeState.UNDER_REVIEW,
    # An inquiry that came to nothing.
    "warning_closed": DisputeState.WON,
    # It is lost until the appeal is won.
    "appeal_needs_response": DisputeState.LOST,
    "appeal_under_review": DisputeState.LOST,
    "lost": DisputeState.LOST,
    "won": DisputeState.WON,
}


def dispute_fact(dispute: Source, at: datetime, payment: UUID) -> DisputeFact:
    """Return what a dispute says; ``payment`` is our payment's id, and ``at`` when it was so."""
    currency = fields.currency(dispute)
    lines = sorted(fields.items(dispute, "balance_transactions"), key=lambda line: fields.time(line, "created"))
    withdrawal = next((line for line in lines if fields.whole(line, "amount") < 0), None)
    reinstatement = next((line for line in lines if fields.whole(line, "amount") > 0), None)
    state = _state(dispute, withdrawal, reinstatement)
    return DisputeFact(
        payment=payment,
        provider_reference=fields.text(dispute, "id"),
        state=state,
        at=_time(dispute, state, reinstatement, at),
        amount=amounts.from_stripe(fields.positive(dispute, "amount"), currency),
        currency=currency,
        reason=fields.text(dispute, "reason"),
        respond_by=fields.time_or_none(fields.inner(dispute, "evidence_details"), "due_by"),
        withdrawal=None if withdrawal is None else _move(withdrawal, currency, sign=-1),
        reinstatement=None if reinstatement is None else _move(reinstatement, currency, sign=1),
    )


def _state(dispute: Source, withdrawal: Source | None, reinstatement: Source | None) -> DisputeState:
    status = fields.text(dispute, "status")
    if status == "prevented":
        # Settled before it became one: what was taken for it is gone, and otherwise nothing was.
        return DisputeState.LOST if withdrawal is not None and reinstatement is None else DisputeState.WON
    return _STATES[status]


def _time(dispute: Source, state: DisputeState, reinstatement: Source | None, at: datetime) -> datetime:
    if state is DisputeState.NEEDS_RESPONSE:
        return fields.time(dispute, "created")
    if state is DisputeState.WON and reinstatement is not None:
        return fields.time(reinstatement, "created")
    return at


def _move(line: Source, currency: str, *, sign: int) -> BalanceMove:
    """Return what a line moved: taken from us with a fee, or given back with what of the fee came back."""
    settled = fields.currency(line)
    return BalanceMove(
        balance_transaction=fields.text(line, "id"),
        amount=amounts.from_stripe(sign * fields.whole(line, "amount"), settled),
        fee=amounts.from_stripe(-sign * fields.whole(line, "fee"), settled),
        currency=None if settled == currency else settled,
    )
