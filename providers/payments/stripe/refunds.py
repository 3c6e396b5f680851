"""Refunds at Stripe."""

from collections.abc import Mapping
from typing import Any, Final

from providers.payments.base import (
    Capabilities,
    ProviderError,
    ProviderErrorCode,
    ProviderState,
    Refund,
    RefundFact,
    RefundReason,
    Subject,
)
from providers.payments.stripe import amounts, reading, references
from providers.payments.stripe.client import Answer, Client
from providers.payments.stripe.errors import readable
from providers.payments.stripe.objects import fields
from providers.payments.stripe.objects.payments import payment_fact
from providers.payments.stripe.objects.refunds import refund_fact
from providers.payments.stripe.refusals import is_unclear, told_with

# A reason of ours that Stripe has no word for is not told.
_REASONS: Final[Mapping[RefundReason, str]] = {
    RefundReason.DUPLICATE: "duplicate",
    RefundReason.FRAUDULENT: "fraudulent",
    RefundReason.REQUESTED_BY_CUSTOMER: "requested_by_customer",
}
_LARGEST_AMOUNT: Final = 2**63 - 1
# What Stripe may call a refund of more than is left, or of what was not captured: it has no code for all of it.
_UNCLEAR: Final = frozenset(
    (ProviderErrorCode.MISCONFIGURED, ProviderErrorCode.STATE_CONFLICT, ProviderErrorCode.AMOUNT_INVALID)
)


class Refunds:
    """The part of the provider that gives money back."""

    client: Client
    capabilities: Capabilities

    async def refund(self, command: Refund) -> RefundFact:
        """Give back a part or all of a captured payment, once per reference.

        The answer is the refund as it was accepted; what becomes of it is told later. Errors: AMOUNT_INVALID
        (none, or more than is left of what was captured), STATE_CONFLICT (not captured, or disputed; with the
        payment's fact), BALANCE_INSUFFICIENT, NOT_FOUND, MISCONFIGURED (the reference was used for something
        else), UNAVAILABLE.
        """
        if not 0 < command.amount <= _LARGEST_AMOUNT:
            raise amounts.not_positive()
        intent = references.known(Subject.PAYMENT, command.provider_reference)
        told = await self.client.ask(self.client.stripe.v1.payment_intents.retrieve_async, intent)
        payment = references.ours(told.body, references.PAYMENT)
        if payment is None:
            raise references.not_found("payment")
        with readable(writes=False):
            currency = fields.currency(told.body)
        params: dict[str, Any] = {
            "payment_intent": intent,
            "amount": amounts.to_stripe(command.amount, currency),
            "metadata": {references.REFUND: str(command.reference), references.PAYMENT: str(payment)},
            "expand": list(reading.LINES_OF_A_REFUND),
        }
        if command.reason in _REASONS:
            params["reason"] = _REASONS[command.reason]
        try:
            answer = await self.client.ask(
                self.client.stripe.v1.refunds.create_async, params=params, key=f"refund:{command.reference}"
            )
        except ProviderError as error:
            raise await self._refund_refused(error, intent, command.amount) from None
        with readable(writes=True):
            return refund_fact(answer.body, answer.at, payment)

    async def _refund_refused(self, error: ProviderError, intent: str, amount: int) -> ProviderError:
        """Return the refusal in the contract's words, judged by the payment as it is now."""
        if not is_unclear(error, _UNCLEAR):
            return error
        try:
            answer = await reading.payment(self.client, intent)
            return _judged(error, answer, amount)
        except ProviderError:
            return error


def _judged(error: ProviderError, answer: Answer, amount: int) -> ProviderError:
    with readable(writes=False):
        fact = payment_fact(answer.body, answer.at)
        charge = fields.inner_or_none(answer.body, "latest_charge") or {}
        if fact is None:
            return error
        # What a capture in part let go of counts as refunded, of the whole that was reserved.
        left = fields.whole(charge, "amount") - fields.whole(charge, "amount_refunded") if charge else 0
        refundable = min(fact.captured, amounts.from_stripe(left, fact.currency))
    if fact.state is not ProviderState.SUCCEEDED or (amount <= refundable and charge.get("disputed")):
        return told_with(error, ProviderErrorCode.STATE_CONFLICT, fact)
    if amount > refundable:
        return told_with(error, ProviderErrorCode.AMOUNT_INVALID, None)
    return error
