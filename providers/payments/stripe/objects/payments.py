"""Payment intents and their charges as facts."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from providers.payments.base import ChargeFact, PaymentFact, ProviderState
from providers.payments.stripe import amounts, references
from providers.payments.stripe.declines import decline_of
from providers.payments.stripe.objects import fields
from providers.payments.stripe.objects.fields import Source

_STATES: Final[Mapping[str, ProviderState]] = {
    "requires_payment_method": ProviderState.REQUIRES_METHOD,
    "requires_confirmation": ProviderState.REQUIRES_METHOD,
    "requires_action": ProviderState.REQUIRES_ACTION,
    "processing": ProviderState.PROCESSING,
    "requires_capture": ProviderState.AUTHORIZED,
    "succeeded": ProviderState.SUCCEEDED,
    "canceled": ProviderState.CANCELED,
}


def payment_fact(intent: Source, at: datetime) -> PaymentFact | None:
    """Return what an intent says of a payment of ours; None when it is of no payment of ours.

    ``at`` is when it was so. ``capture_before`` is told only with ``latest_charge`` expanded.
    """
    reference = references.ours(intent, references.PAYMENT)
    if reference is None:
        return None
    state = _STATES[fields.text(intent, "status")]
    currency = fields.currency(intent)
    amount = amounts.from_stripe(fields.positive(intent, "amount"), currency)
    captured = amounts.from_stripe(fields.amount(intent, "amount_received"), currency)
    if captured > amount:
        raise ValueError("amount_received")
    return PaymentFact(
        reference=reference,
        provider_reference=fields.text(intent, "id"),
        state=state,
        at=at,
        amount=amount,
        currency=currency,
        authorized=_authorized(intent, state, amount, currency),
        captured=captured,
        # Of an attempt that others followed it is not told: the intent keeps the last error for good.
        decline_code=_decline_code(intent) if state is ProviderState.REQUIRES_METHOD else None,
        action_url=_action_url(intent) if state is ProviderState.REQUIRES_ACTION else None,
        capture_before=_capture_before(intent) if state is ProviderState.AUTHORIZED else None,
    )


def charge_fact(charge: Source, reference: UUID) -> ChargeFact | None:
    """Return what Stripe took in and kept of a payment; None unless ``balance_transaction`` is told, expanded.

    ``reference`` is our payment's id.
    """
    line = fields.inner_or_none(charge, "balance_transaction")
    if line is None:
        return None
    currency = fields.currency(line)
    return ChargeFact(
        reference=reference,
        balance_transaction=fields.text(line, "id"),
        at=fields.time(line, "created"),
        gross=amounts.from_stripe(fields.amount(line, "amount"), currency),
        fee=amounts.from_stripe(fields.amount(line, "fee"), currency),
        currency=currency,
        available_on=fields.time(line, "available_on"),
    )


def _authorized(intent: Source, state: ProviderState, amount: int, currency: str) -> int:
    if state is ProviderState.AUTHORIZED:
        return amounts.from_stripe(fields.amount(intent, "amount_capturable"), currency)
    # Once it is captured nothing is capturable any more; what was reserved is what it was for.
    if state is ProviderState.SUCCEEDED and intent.get("capture_method") == "manual":
        return amount
    return 0


def _decline_code(intent: Source) -> str | None:
    error = fields.inner_or_none(intent, "last_payment_error")
    return None if error is None else decline_of(error).code.value


def _action_url(intent: Source) -> str | None:
    action = fields.inner_or_none(intent, "next_action")
    redirect = None if action is None else fields.inner_or_none(action, "redirect_to_url")
    return None if redirect is None else fields.text_or_none(redirect, "url")


def _capture_before(intent: Source) -> datetime | None:
    source: Source | None = intent
    for name in ("latest_charge", "payment_method_details", "card"):
        source = None if source is None else fields.inner_or_none(source, name)
    return None if source is None else fields.time_or_none(source, "capture_before")
