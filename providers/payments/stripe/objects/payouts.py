"""Transfers to connected accounts, and payouts from there to banks, as facts."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from providers.payments.base import PayoutFact, PayoutState, TransferFact
from providers.payments.stripe import amounts, references
from providers.payments.stripe.objects import fields
from providers.payments.stripe.objects.fields import Source

_STATES: Final[Mapping[str, PayoutState]] = {
    "pending": PayoutState.PENDING,
    "in_transit": PayoutState.IN_TRANSIT,
    "paid": PayoutState.PAID,
    "canceled": PayoutState.CANCELED,
    "failed": PayoutState.FAILED,
}
_ENDED_BADLY: Final = frozenset((PayoutState.CANCELED, PayoutState.FAILED))


def transfer_fact(transfer: Source, at: datetime) -> TransferFact | None:  # ruff: ignore[unused-function-argument] - as its like
    """Return what a transfer says; None when it is of no payout of ours.

    A transfer keeps its own times, so that ``at`` is not needed of it. One that was taken back in parts is taken
    back once all of it is, by the last of them.
    """
    reference = references.ours(transfer, references.TRANSFER)
    if reference is None:
        return None
    currency = fields.currency(transfer)
    reversal = _reversal(transfer)
    made_at = fields.time(transfer, "created")
    return TransferFact(
        reference=reference,
        provider_reference=fields.text(transfer, "id"),
        account=fields.identity(transfer, "destination"),
        at=made_at if reversal is None else fields.time(reversal, "created"),
        amount=amounts.from_stripe(fields.positive(transfer, "amount"), currency),
        currency=currency,
        balance_transaction=fields.identity(transfer, "balance_transaction"),
        reversal_transaction=None if reversal is None else fields.identity(reversal, "balance_transaction"),
    )


def payout_fact(payout: Source, account: str, at: datetime) -> PayoutFact | None:
    """Return what a payout of a connected account says, ``at`` a moment; None when it is none that we made."""
    reference = references.ours(payout, references.PAYOUT)
    if reference is None or payout.get("automatic") is True:
        return None
    state = _STATES[fields.text(payout, "status")]
    currency = fields.currency(payout)
    return PayoutFact(
        reference=reference,
        provider_reference=references.join(account, fields.text(payout, "id")),
        account=account,
        state=state,
        at=_time(payout, state, at),
        amount=amounts.from_stripe(fields.positive(payout, "amount"), currency),
        currency=currency,
        arrives_at=fields.time_or_none(payout, "arrival_date"),
        failure_code=fields.text_or_none(payout, "failure_code") if state in _ENDED_BADLY else None,
    )


def _reversal(transfer: Source) -> Source | None:
    if transfer.get("reversed") is not True:
        return None
    made = fields.items(fields.inner(transfer, "reversals"))
    return max(made, key=lambda reversal: fields.time(reversal, "created"))


def _time(payout: Source, state: PayoutState, at: datetime) -> datetime:
    created = fields.time(payout, "created")
    if state in _ENDED_BADLY:
        line = fields.inner_or_none(payout, "failure_balance_transaction")
        return at if line is None else fields.time(line, "created")
    if state is PayoutState.PAID:
        # Stripe takes it for paid on the day it is to arrive, and keeps no time of that.
        return min(at, max(created, fields.time_or_none(payout, "arrival_date") or at))
    return created
