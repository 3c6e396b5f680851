"""Payments at the sandbox: created, confirmed, captured, cancelled, and the payer's own step in between."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg

from core.batcher import Batcher
from core.ids import uuid7
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
    unsupported,
)
from providers.payments.sandbox import store
from providers.payments.sandbox.cards import BEHAVIOURS, CARDS
from providers.payments.sandbox.desk import Desk, has_form, known_form

_CREATE: Final = """
select answer.*
  from unnest($1::text[], $2::text[], $3::uuid[], $4::bigint[], $5::text[], $6::text[], $7::boolean[])
       with ordinality
       as asked (key, id, reference, amount, currency, description, manual_capture, place),
       sandbox.create_payment(key, id, reference, amount, currency, description, manual_capture) as answer
 order by place
"""
_CONFIRM: Final = """
select * from sandbox.confirm_payment(
    $1::text, $2::text, $3::text, $4::text, $5::text, $6::text, $7::text, $8::interval, $9::jsonb, $10::boolean)
"""
_CAPTURE: Final = "select * from sandbox.capture_payment($1::text, $2::text, $3::bigint)"
_CANCEL: Final = "select * from sandbox.cancel_payment($1::text, $2::text)"
_AUTHENTICATE: Final = "select * from sandbox.authenticate_payment($1::text, $2::boolean)"
_READ: Final = """
select answer.* from sandbox.payment, sandbox.answer_of(payment, null) as answer where payment.id = $1::text
"""

_LARGEST_AMOUNT: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Authentication:
    """A payment as its 3-D Secure page shows it, and where that page sends the payer afterwards."""

    fact: PaymentFact
    return_url: str | None


class Payments(Desk):
    """The part of the provider that takes payments."""

    capabilities: Capabilities
    _creating: Batcher[CreatePayment, asyncpg.Record]

    async def create_payment(self, command: CreatePayment) -> PaymentFact:
        """Make a payment, once per key and once per reference; a repeat answers what the first one did.

        Errors: UNSUPPORTED (currency or amount), MISCONFIGURED (the key or the reference was used for
        something else), UNAVAILABLE.
        """
        smallest, largest = self.capabilities.currencies.get(command.currency, (0, -1))
        if largest < smallest:
            raise unsupported("currency")
        if not smallest <= command.amount <= largest:
            raise unsupported("amount")
        row = store.agreed(await self._creating.submit(command))
        if row["lost"]:
            raise store.answer_lost()
        return store.fact_of(row)

    async def _create_all(self, commands: Sequence[CreatePayment]) -> list[asyncpg.Record]:
        # By key, so that batches of two processes cannot wait for each other in a circle.
        order = sorted(range(len(commands)), key=lambda place: commands[place].idempotency_key)
        columns = zip(
            *(
                (
                    command.idempotency_key,
                    f"sbx_{uuid7().hex}",
                    command.reference,
                    command.amount,
                    command.currency,
                    command.description,
                    command.manual_capture,
                )
                for command in (commands[place] for place in order)
            ),
            strict=True,
        )
        rows = await store.ask_all(self._pool, _CREATE, *columns, changes=True)
        by_place = dict(zip(order, rows, strict=True))
        return [by_place[place] for place in range(len(commands))]

    async def confirm_payment(self, command: ConfirmPayment) -> PaymentFact:
        """Charge a payment with a card token or a saved method; see ``cards`` for what each token does.

        A decline can be followed by another method under another key. Errors: METHOD_INVALID (no such token,
        no such method any more), the decline codes, AUTHENTICATION_REQUIRED (off session; the payment stays
        open), STATE_CONFLICT (with the fact), NOT_FOUND, MISCONFIGURED (the key was used for something else),
        UNAVAILABLE.
        """
        reference = _payment(command.provider_reference)
        card = CARDS.get(command.method)
        if not has_form(command.method, "sbm_") if command.saved else card is None:
            raise ProviderError(
                ProviderErrorCode.METHOD_INVALID, ProviderAction.OTHER_METHOD, provider_code="no_such_token"
            )
        row = await self._row(
            _CONFIRM,
            command.idempotency_key,
            reference,
            command.method,
            command.return_url,
            f"{self._public_url}/sandbox/3ds/{reference}",
            None if card is None else card.state.value,
            None if card is None else card.decline_code,
            self._processing_time,
            BEHAVIOURS.get(command.method),
            command.off_session,
        )
        fact = store.fact_of(row)
        if row["lost"]:
            raise store.answer_lost()
        if row["problem"] == "DECLINED":
            raise _decline(fact, row["reason"])
        return fact

    async def capture(self, command: CapturePayment) -> PaymentFact:
        """Capture an authorised payment once, in full or in part; the rest is let go.

        Errors: UNSUPPORTED (a capture that is not final), AMOUNT_INVALID (none or more than authorised),
        EXPIRED (the authorisation lapsed; with the fact), STATE_CONFLICT (not authorised; with the fact),
        NOT_FOUND, MISCONFIGURED (the key was used for something else), UNAVAILABLE.
        """
        if not command.final:
            raise unsupported("multiple_captures")
        reference = _payment(command.provider_reference)
        amount = min(max(command.amount, 0), _LARGEST_AMOUNT)
        return self._told(await self._row(_CAPTURE, command.idempotency_key, reference, amount))

    async def cancel(self, command: CancelPayment) -> PaymentFact:
        """Cancel a payment that nothing was captured of. Cancelling a cancelled one changes nothing.

        Errors: STATE_CONFLICT (succeeded or processing; with the fact), NOT_FOUND, MISCONFIGURED (the key was
        used for something else), UNAVAILABLE.
        """
        reference = _payment(command.provider_reference)
        return self._told(await self._row(_CANCEL, command.idempotency_key, reference))

    # The payer's side, for the 3-D Secure page ------------------------------------------------------------

    async def authentication(self, provider_reference: str) -> Authentication:
        """Return what the 3-D Secure page of a payment shows. Errors: NOT_FOUND, UNAVAILABLE."""
        row = await store.ask(self._pool, _READ, _payment(provider_reference), changes=False)
        if row is None:
            raise store.not_found()
        return Authentication(store.fact_of(row), row["return_url"])

    async def authenticate(self, provider_reference: str, *, accepted: bool) -> Authentication:
        """Complete or refuse a payment's 3-D Secure step. The same answer again changes nothing.

        Errors: STATE_CONFLICT (nothing is waiting for this answer; with the fact), NOT_FOUND, UNAVAILABLE.
        """
        row = await self._row(_AUTHENTICATE, _payment(provider_reference), accepted)
        return Authentication(store.fact_of(row), row["return_url"])

    async def _row(self, statement: str, *arguments: object) -> asyncpg.Record:
        row = await store.ask(self._pool, statement, *arguments, changes=True)
        if row is None:
            raise AssertionError("A sandbox function answers with a row.")
        return row

    def _told(self, row: asyncpg.Record) -> PaymentFact:
        if row["lost"]:
            raise store.answer_lost()
        return store.fact_of(row)


def _payment(provider_reference: str) -> str:
    return known_form(provider_reference, "sbx_", "payment_not_found")


def _decline(fact: PaymentFact, reason: str | None) -> ProviderError:
    code = ProviderErrorCode(fact.decline_code or ProviderErrorCode.DECLINED)
    authenticate = code is ProviderErrorCode.AUTHENTICATION_REQUIRED
    action = ProviderAction.AUTHENTICATE if authenticate else ProviderAction.OTHER_METHOD
    return ProviderError(code, action, provider_code=reason, decline_code=code.value, fact=fact)
