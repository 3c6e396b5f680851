"""Transfers to connected accounts, and payouts from there to banks, at the sandbox."""

from typing import Final

import orjson

from core.ids import uuid7
from providers.payments.base import (
    Payout,
    PayoutFact,
    ReverseTransfer,
    Transfer,
    TransferFact,
    unsupported,
)
from providers.payments.sandbox import store
from providers.payments.sandbox.cards import PAYOUT_AMOUNTS
from providers.payments.sandbox.desk import Desk, known_form
from providers.payments.sandbox.translation import payout_fact, transfer_fact

_TRANSFER: Final = """
select * from sandbox.transfer_to_account($1::text, $2::text, $3::uuid, $4::text, $5::bigint, $6::text)
"""
_REVERSE: Final = "select * from sandbox.reverse_transfer($1::text, $2::text)"
_PAY_OUT: Final = """
select * from sandbox.pay_out(
    $1::text, $2::text, $3::uuid, $4::text, $5::bigint, $6::text, $7::jsonb, $8::interval)
"""
_BY_AMOUNT: Final = orjson.dumps({str(amount): scenario for amount, scenario in PAYOUT_AMOUNTS.items()}).decode()

_LARGEST_AMOUNT: Final = 2**63 - 1


class Payouts(Desk):
    """The part of the provider that passes money on."""

    async def transfer(self, command: Transfer) -> TransferFact:
        """Move money from our balance to an account, once per key and once per reference.

        Errors: AMOUNT_INVALID, ACCOUNT_NOT_READY (with the account's fact), BALANCE_INSUFFICIENT, NOT_FOUND,
        MISCONFIGURED (the key or the reference was used for something else), UNAVAILABLE.
        """
        reference = known_form(command.account, "sba_", "account_not_found")
        source = await store.ask_object(
            self._pool,
            _TRANSFER,
            command.idempotency_key,
            f"sbt_{uuid7().hex}",
            command.reference,
            reference,
            _bounded(command.amount),
            command.currency,
        )
        return transfer_fact(source)

    async def reverse_transfer(self, command: ReverseTransfer) -> TransferFact:
        """Take all of a transfer back.

        Errors: STATE_CONFLICT (it was taken back before; with the fact), BALANCE_INSUFFICIENT (the account no
        longer holds it; with the fact), NOT_FOUND, MISCONFIGURED (the key was used for something else),
        UNAVAILABLE.
        """
        reference = known_form(command.provider_reference, "sbt_", "transfer_not_found")
        return transfer_fact(await store.ask_object(self._pool, _REVERSE, command.idempotency_key, reference))

    async def payout(self, command: Payout) -> PayoutFact:
        """Send money from an account to its bank, once per key and once per reference.

        Errors: UNSUPPORTED (an instant payout), AMOUNT_INVALID, ACCOUNT_NOT_READY (with the account's fact),
        BALANCE_INSUFFICIENT (of the account), NOT_FOUND, MISCONFIGURED (the key or the reference was used for
        something else), UNAVAILABLE.
        """
        if command.instant:
            raise unsupported("instant_payout")
        reference = known_form(command.account, "sba_", "account_not_found")
        source = await store.ask_object(
            self._pool,
            _PAY_OUT,
            command.idempotency_key,
            f"sbp_{uuid7().hex}",
            command.reference,
            reference,
            _bounded(command.amount),
            command.currency,
            _BY_AMOUNT,
            self._processing_time,
        )
        return payout_fact(source)


def _bounded(amount: int) -> int:
    """Keep what is no amount at all within what PostgreSQL can refuse."""
    return min(max(amount, 0), _LARGEST_AMOUNT)
