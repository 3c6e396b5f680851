"""Payments at Stripe: payment intents that are created, confirmed, captured and cancelled."""

from typing import Any, Final

from providers.payments.base import (
    CancelPayment,
    Capabilities,
    CapturePayment,
    ConfirmPayment,
    CreatePayment,
    PaymentFact,
    ProviderAction,
    ProviderError,
    ProviderErrorCode,
    ProviderState,
    Subject,
    unsupported,
)
from providers.payments.stripe import amounts, references
from providers.payments.stripe.client import Answer, Client
from providers.payments.stripe.errors import NO_MORE_TOLD, readable
from providers.payments.stripe.objects import fields
from providers.payments.stripe.objects.payments import payment_fact

_EXPAND: Final = ["latest_charge"]
# What could not be cancelled while it was processed can be once that came to nothing.
_CONFLICT: Final = frozenset({ProviderErrorCode.STATE_CONFLICT})


class Payments:
    """The part of the provider that takes payments. ``return_url`` is where payers go who were told none."""

    client: Client
    capabilities: Capabilities
    return_url: str

    async def create_payment(self, command: CreatePayment) -> PaymentFact:
        """Make a payment, once per reference; a repeat answers what the first one did.

        Errors: UNSUPPORTED (currency or amount), MISCONFIGURED (the reference was used for something else),
        UNAVAILABLE.
        """
        smallest, largest = self.capabilities.currencies.get(command.currency, (0, -1))
        if largest < smallest:
            raise unsupported("currency")
        if not smallest <= command.amount <= largest:
            raise unsupported("amount")
        params = {
            "amount": amounts.to_stripe(command.amount, command.currency),
            "currency": command.currency.lower(),
            "capture_method": "manual" if command.manual_capture else "automatic_async",
            "automatic_payment_methods": {"enabled": True},
            "transfer_group": f"payment_{command.reference}",
            "metadata": {references.PAYMENT: str(command.reference)},
        }
        if command.description:
            params["description"] = command.description
        call = self.client.stripe.v1.payment_intents.create_async
        return _fact(await self.client.ask(call, params=params, key=f"payment:{command.reference}"))

    async def confirm_payment(self, command: ConfirmPayment) -> PaymentFact:
        """Charge a payment with a method or a confirmation token of the payer's client, or with a saved method.

        A decline can be followed by another method under another key. Errors: METHOD_INVALID (none, or one that
        cannot be charged), the decline codes, AUTHENTICATION_REQUIRED (off session; the payment stays open),
        STATE_CONFLICT (with the fact), NOT_FOUND, MISCONFIGURED (the key was used for something else),
        UNAVAILABLE.
        """
        intent = references.known(Subject.PAYMENT, command.provider_reference)
        params: dict[str, Any] = {
            "return_url": command.return_url or self.return_url,
            "expand": _EXPAND,
        }
        if command.off_session:
            params["off_session"] = True
        saved = references.split(command.method, "cus_", "pm_") if command.saved else None
        if command.saved and saved is None:
            raise _no_method()
        if saved is not None:
            params["payment_method"] = saved[1]
            await self._give_customer(intent, saved[0], f"{command.idempotency_key}:customer")
        elif references.has_form(command.method, "ctoken_"):
            params["confirmation_token"] = command.method
        elif references.has_form(command.method, "pm_"):
            params["payment_method"] = command.method
        else:
            raise _no_method()
        call = self.client.stripe.v1.payment_intents.confirm_async
        try:
            return _fact(await self.client.ask(call, intent, params=params, key=command.idempotency_key))
        except ProviderError as error:
            refusal = error
        if refusal.action is ProviderAction.FIX_CONFIG and await self._is_spent(refusal, saved):
            refusal = _no_method()
        raise refusal

    async def _give_customer(self, intent: str, customer: str, key: str) -> None:
        """Make a payment a customer's: what is kept for a customer charges nothing else.

        It cannot become another's afterwards; that the payer can help by another method only.
        """
        call = self.client.stripe.v1.payment_intents.update_async
        try:
            await self.client.ask(call, intent, params={"customer": customer}, key=key)
        except ProviderError as error:
            refusal = error
        else:
            return
        raise _no_method() if refusal.action is ProviderAction.FIX_CONFIG and _is_vague(refusal) else refusal

    async def _is_spent(self, refusal: ProviderError, saved: tuple[str, str] | None) -> bool:
        """Return whether a request was wrong because of a method that was detached, or used before.

        Of that Stripe says nothing but a sentence. A saved method can be asked for.
        """
        if saved is None:
            return _is_vague(refusal)
        customer, method = saved
        return not await self._is_attached(customer, method)

    async def _is_attached(self, customer: str, method: str) -> bool:
        answer = await self.client.ask(self.client.stripe.v1.payment_methods.retrieve_async, method)
        with readable(writes=False):
            return fields.identity_or_none(answer.body, "customer") == customer

    async def capture(self, command: CapturePayment) -> PaymentFact:
        """Capture an authorised payment once, in full or in part; the rest is let go.

        Errors: UNSUPPORTED (a capture that is not final), AMOUNT_INVALID (none or more than authorised), EXPIRED
        (the authorisation lapsed; with the fact), STATE_CONFLICT (not authorised; with the fact), NOT_FOUND,
        MISCONFIGURED (the key was used for something else), UNAVAILABLE.
        """
        if not command.final:
            raise unsupported("multiple_captures")
        intent = references.known(Subject.PAYMENT, command.provider_reference)
        if command.amount <= 0:
            raise amounts.not_positive()
        if command.amount > max((largest for _, largest in self.capabilities.currencies.values()), default=0):
            raise amounts.too_large()
        params = {"amount_to_capture": await self.in_units_of(intent, command.amount), "expand": _EXPAND}
        call = self.client.stripe.v1.payment_intents.capture_async
        return _fact(await self.client.ask(call, intent, params=params, key=command.idempotency_key))

    async def cancel(self, command: CancelPayment) -> PaymentFact:
        """Cancel a payment that nothing was captured of. Cancelling a cancelled one changes nothing.

        Errors: STATE_CONFLICT (succeeded or processing; with the fact), NOT_FOUND, MISCONFIGURED (the key was used
        for something else), UNAVAILABLE.
        """
        intent = references.known(Subject.PAYMENT, command.provider_reference)
        call = self.client.stripe.v1.payment_intents.cancel_async
        try:
            answer = await self.client.ask(
                call, intent, params={"expand": _EXPAND}, key=command.idempotency_key, cured=_CONFLICT
            )
        except ProviderError as error:
            refusal = error
        else:
            return _fact(answer)
        left = refusal.fact
        if isinstance(left, PaymentFact) and left.state is ProviderState.CANCELED and not refusal.ambiguous:
            return left
        raise refusal

    async def in_units_of(self, intent: str, amount: int) -> int:
        """Return an amount as Stripe writes it in the currency of an intent, which is asked for where it matters.

        Raises ProviderError: AMOUNT_INVALID, UNSUPPORTED, and those of the request.
        """
        if not any(amounts.is_particular(code) for code in self.capabilities.currencies):
            return amount
        answer = await self.client.ask(self.client.stripe.v1.payment_intents.retrieve_async, intent)
        with readable(writes=False):
            currency = fields.currency(answer.body)
        return amounts.to_stripe(amount, currency)


def _fact(answer: Answer) -> PaymentFact:
    with readable(writes=True):
        fact = payment_fact(answer.body, answer.at)
    if fact is None:
        raise references.not_found("payment")
    return fact


def _is_vague(refusal: ProviderError) -> bool:
    """Return whether Stripe gave no code for a refusal, nor named a parameter but perhaps the customer."""
    return refusal.provider_code in {NO_MORE_TOLD, f"{NO_MORE_TOLD}:customer"}


def _no_method() -> ProviderError:
    return ProviderError(
        ProviderErrorCode.METHOD_INVALID, ProviderAction.OTHER_METHOD, provider_code="no_such_method"
    )
