"""Saved payment methods at Stripe: kept for a customer, and named with that customer."""

from contextlib import suppress
from typing import Final

from providers.payments.base import (
    DetachMethod,
    MethodSnapshot,
    ProviderAction,
    ProviderError,
    ProviderErrorCode,
    SaveMethod,
)
from providers.payments.stripe import references
from providers.payments.stripe.client import Answer, Client
from providers.payments.stripe.errors import readable
from providers.payments.stripe.objects import fields
from providers.payments.stripe.objects.fields import Source

_CARD: Final = "card"


class Methods:
    """The part of the provider that keeps payment methods."""

    client: Client

    async def save_method(self, command: SaveMethod) -> MethodSnapshot:
        """Keep a method of the payer's client for a customer; only cards are kept.

        Who has no customer yet is made one, once: everything a payer keeps is kept for one customer, since what is
        tried with one customer's card can no more be paid with another's. Errors: METHOD_INVALID (no
        such method, or no card), the decline codes, MISCONFIGURED (the key was used for something else),
        UNAVAILABLE.
        """
        if not references.has_form(command.method, "pm_"):
            raise _not_kept("no_such_method")
        customer = await self._customer(command)
        answer = await self._attached(command, customer)
        with readable(writes=True):
            kept = fields.text(answer.body, "id")
            if fields.text(answer.body, "type") == _CARD:
                return _snapshot(answer.body, customer)
        await self._detach(kept, f"{command.idempotency_key}:detach")
        raise _not_kept("not_a_card")

    async def _attached(self, command: SaveMethod, customer: str) -> Answer:
        """Attach a method, unless it is attached already: of that Stripe tells no more than that it cannot be.

        An error of Stripe's is kept with its key and told again for a day, whatever became of the request.
        """
        try:
            return await self.client.ask(
                self.client.stripe.v1.payment_methods.attach_async,
                command.method,
                params={"customer": customer},
                key=command.idempotency_key,
            )
        except ProviderError as error:
            refusal = error
        failed = refusal.ambiguous and refusal.request_id is not None
        if failed or refusal.provider_code == "payment_method_unexpected_state":
            retrieve = self.client.stripe.v1.payment_methods.retrieve_async
            with suppress(ProviderError):
                answer = await self.client.ask(retrieve, command.method)
                if answer.body.get("customer") == customer:
                    return answer
        raise refusal

    async def _customer(self, command: SaveMethod) -> str:
        if command.customer_reference is not None and references.has_form(command.customer_reference, "cus_"):
            return command.customer_reference
        answer = await self.client.ask(
            self.client.stripe.v1.customers.create_async,
            params={"metadata": {references.CUSTOMER: str(command.customer)}},
            key=f"customer:{command.customer}",
        )
        with readable(writes=True):
            return fields.text(answer.body, "id")

    async def detach_method(self, command: DetachMethod) -> None:
        """Forget a saved method. Forgetting it again changes nothing.

        Errors: NOT_FOUND, MISCONFIGURED (the key was used for something else), UNAVAILABLE.
        """
        _, method = references.known_method(command.provider_reference)
        await self._detach(method, command.idempotency_key)

    async def _detach(self, method: str, key: str) -> None:
        try:
            await self.client.ask(self.client.stripe.v1.payment_methods.detach_async, method, key=key)
        except ProviderError as error:
            refusal = error
        else:
            return
        if refusal.provider_code == "resource_missing":
            raise references.not_found("method")
        # Of one that is attached to nobody Stripe says no more than that the request is wrong.
        unclear = refusal.code is ProviderErrorCode.METHOD_INVALID or refusal.action is ProviderAction.FIX_CONFIG
        if unclear and await self._is_loose(method):
            return
        raise refusal

    async def _is_loose(self, method: str) -> bool:
        answer = await self.client.ask(self.client.stripe.v1.payment_methods.retrieve_async, method)
        return answer.body.get("customer") is None


def _snapshot(method: Source, customer: str) -> MethodSnapshot:
    card = fields.inner(method, _CARD)
    return MethodSnapshot(
        provider_reference=references.join(customer, fields.text(method, "id")),
        customer_reference=customer,
        kind=_CARD,
        brand=fields.text(card, "brand"),
        last_four=fields.text(card, "last4"),
        expires_month=fields.amount(card, "exp_month"),
        expires_year=fields.amount(card, "exp_year"),
    )


def _not_kept(provider_code: str) -> ProviderError:
    return ProviderError(
        ProviderErrorCode.METHOD_INVALID, ProviderAction.OTHER_METHOD, provider_code=provider_code
    )
