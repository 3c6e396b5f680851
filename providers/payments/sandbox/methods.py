"""Saved payment methods at the sandbox: a token that is kept for a customer, and does what it did."""

from typing import Final

import orjson

from core.ids import uuid7
from providers.payments.base import (
    DetachMethod,
    MethodSnapshot,
    ProviderAction,
    ProviderError,
    ProviderErrorCode,
    SaveMethod,
)
from providers.payments.sandbox import store
from providers.payments.sandbox.cards import CARDS, behaviour, face
from providers.payments.sandbox.desk import Desk, known_form

_SAVE: Final = """
select * from sandbox.save_method(
    $1::text, $2::text, $3::uuid, $4::text, $5::jsonb, $6::text, $7::text, $8::integer, $9::integer)
"""
_DETACH: Final = "select * from sandbox.detach_method($1::text, $2::text)"


class Methods(Desk):
    """The part of the provider that keeps payment methods."""

    async def save_method(self, command: SaveMethod) -> MethodSnapshot:
        """Keep a token for a customer, who is the same whenever it is the same id of ours.

        Errors: METHOD_INVALID (no such token), MISCONFIGURED (the key was used for something else),
        UNAVAILABLE.
        """
        if command.method not in CARDS:
            raise ProviderError(
                ProviderErrorCode.METHOD_INVALID, ProviderAction.OTHER_METHOD, provider_code="no_such_token"
            )
        looks = face(command.method)
        source = await store.ask_object(
            self._pool,
            _SAVE,
            command.idempotency_key,
            f"sbm_{uuid7().hex}",
            command.customer,
            command.method,
            orjson.dumps(behaviour(command.method)).decode(),
            looks.brand,
            looks.last_four,
            looks.expires_month,
            looks.expires_year,
        )
        return MethodSnapshot(
            provider_reference=source["id"],
            customer_reference=source["customer"],
            kind=source["kind"],
            brand=source["brand"],
            last_four=source["last_four"],
            expires_month=source["expires_month"],
            expires_year=source["expires_year"],
        )

    async def detach_method(self, command: DetachMethod) -> None:
        """Forget a saved method. Forgetting it again changes nothing.

        Errors: NOT_FOUND, MISCONFIGURED (the key was used for something else), UNAVAILABLE.
        """
        reference = known_form(command.provider_reference, "sbm_", "method_not_found")
        await store.ask_object(self._pool, _DETACH, command.idempotency_key, reference)
