"""Refunds at the sandbox."""

from typing import Final

import orjson

from core.ids import uuid7
from providers.payments.base import Refund, RefundFact
from providers.payments.sandbox import store
from providers.payments.sandbox.cards import REFUND_AMOUNTS
from providers.payments.sandbox.desk import Desk, known_form
from providers.payments.sandbox.translation import refund_fact

REFUND: Final = """
select * from sandbox.refund_payment(
    $1::text, $2::text, $3::text, $4::uuid, $5::bigint, $6::text, $7::jsonb, $8::interval)
"""
BY_AMOUNT: Final = orjson.dumps({str(amount): scenario for amount, scenario in REFUND_AMOUNTS.items()}).decode()

_LARGEST_AMOUNT: Final = 2**63 - 1


class Refunds(Desk):
    """The part of the provider that gives money back."""

    async def refund(self, command: Refund) -> RefundFact:
        """Give back a part or all of a captured payment, once per key and once per reference.

        The answer is the refund as it was accepted; what becomes of it is told later. Errors: AMOUNT_INVALID
        (none, or more than is left of what was captured), STATE_CONFLICT (not captured, or disputed; with the
        payment's fact), NOT_FOUND, MISCONFIGURED (the key or the reference was used for something else),
        UNAVAILABLE.
        """
        reference = known_form(command.provider_reference, "sbx_", "payment_not_found")
        return refund_fact(
            await store.ask_object(
                self._pool,
                REFUND,
                command.idempotency_key,
                f"sbr_{uuid7().hex}",
                reference,
                command.reference,
                min(max(command.amount, 0), _LARGEST_AMOUNT),
                command.reason.value,
                BY_AMOUNT,
                self._processing_time,
            )
        )
