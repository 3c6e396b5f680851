"""The sandbox behind the contract that every payment provider is reached by."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg

from core.batcher import Batcher
from core.ids import uuid7
from providers.payments.base import (
    CancelPayment,
    Capabilities,
    Capability,
    ConfirmPayment,
    CreatePayment,
    Event,
    Fact,
    PaymentFact,
    ProviderAction,
    ProviderError,
    ProviderErrorCode,
    unsupported,
)
from providers.payments.sandbox import store, webhooks
from providers.payments.sandbox.cards import CARDS, Card
from providers.payments.sandbox.undeclared import Undeclared

SMALLEST_CHARGE: Final = 1
LARGEST_CHARGE: Final = 99_999_999

_PROVIDER_REFERENCE: Final = re.compile(r"sbx_[0-9a-f]{32}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Authentication:
    """A payment as its 3-D Secure page shows it, and where that page sends the payer afterwards."""

    fact: PaymentFact
    return_url: str | None


class SandboxProvider(Undeclared):
    """A deterministic payment provider with its state in PostgreSQL, in the schema ``sandbox``.

    Each command is one round trip on ``pool``. Webhooks are signed with the first of ``webhook_secrets``
    (``whsec_…``) and verified against all, so that a new one can be put before an old one. ``public_url`` is
    where payers reach the pages of ``routes``. ``currencies`` are the codes that may be charged. A payment
    made with ``tok_processing`` succeeds after ``processing_time``. Raises ValueError for malformed secrets.
    """

    name = "sandbox"

    def __init__(
        self,
        pool: "asyncpg.Pool[asyncpg.Record]",
        *,
        webhook_secrets: Sequence[str],
        public_url: str,
        currencies: Sequence[str],
        processing_time: timedelta = timedelta(seconds=2),
    ) -> None:
        self.capabilities = Capabilities(
            currencies=dict.fromkeys(currencies, (SMALLEST_CHARGE, LARGEST_CHARGE)),
            features=frozenset({Capability.THREE_D_SECURE}),
        )
        self._pool = pool
        self._creating = Batcher(self._create_all)
        self._keys = webhooks.signing_keys(webhook_secrets)
        self._public_url = public_url.rstrip("/")
        self._processing_time = processing_time

    async def create_payment(self, command: CreatePayment) -> PaymentFact:
        """Make a payment, once per key and once per reference; a repeat answers what the first one did.

        Errors: UNSUPPORTED (currency, amount or manual capture), MISCONFIGURED (the key or the reference was
        used for something else), UNAVAILABLE.
        """
        smallest, largest = self.capabilities.currencies.get(command.currency, (0, -1))
        if largest < smallest:
            raise unsupported("currency")
        if not smallest <= command.amount <= largest:
            raise unsupported("amount")
        if command.manual_capture:
            raise unsupported("manual_capture")
        return store.fact_of(store.agreed(await self._creating.submit(command)))

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
                )
                for command in (commands[place] for place in order)
            ),
            strict=True,
        )
        rows = await store.ask_all(self._pool, store.CREATE, *columns, changes=True)
        by_place = dict(zip(order, rows, strict=True))
        return [by_place[place] for place in range(len(commands))]

    async def confirm_payment(self, command: ConfirmPayment) -> PaymentFact:
        """Charge a payment with a card token; see ``cards`` for what each token does.

        A decline can be followed by another method under another key. Errors: METHOD_INVALID (no such token),
        the decline codes, STATE_CONFLICT (with the fact), NOT_FOUND, MISCONFIGURED (the key was used for
        something else), UNAVAILABLE.
        """
        reference = _known_form(command.provider_reference)
        card = CARDS.get(command.method)
        if card is None:
            raise ProviderError(
                ProviderErrorCode.METHOD_INVALID, ProviderAction.OTHER_METHOD, provider_code="no_such_token"
            )
        row = await self._row(
            store.CONFIRM,
            command.idempotency_key,
            reference,
            command.method,
            command.return_url,
            f"{self._public_url}/sandbox/3ds/{reference}",
            card.state.value,
            card.decline_code,
            self._processing_time,
        )
        fact = store.fact_of(row)
        if row["problem"] == "DECLINED":
            raise _decline(card, fact)
        if card.answer_lost and not row["replayed"]:
            raise ProviderError(
                ProviderErrorCode.UNAVAILABLE,
                ProviderAction.SAME_KEY,
                ambiguous=True,
                provider_code="timeout",
            )
        return fact

    async def cancel(self, command: CancelPayment) -> PaymentFact:
        """Cancel a payment that has not been charged. Cancelling a cancelled one changes nothing.

        Errors: STATE_CONFLICT (succeeded or processing; with the fact), NOT_FOUND, MISCONFIGURED (the key was
        used for something else), UNAVAILABLE.
        """
        reference = _known_form(command.provider_reference)
        return await self._change(store.CANCEL, command.idempotency_key, reference)

    async def fetch(self, provider_reference: str) -> PaymentFact:
        """Return a payment as it is now. Errors: NOT_FOUND, UNAVAILABLE."""
        return (await self.authentication(provider_reference)).fact

    async def find(self, reference: UUID) -> PaymentFact | None:
        """Return the payment made for our id, or None when there is none. Errors: UNAVAILABLE."""
        row = await store.ask(self._pool, store.FIND, reference, changes=False)
        return None if row is None else store.fact_of(row)

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Event:
        """Return the event of a webhook that one of our secrets signed. Raises only WebhookRejected."""
        return webhooks.verify(self._keys, headers, body, now)

    def translate(self, event: Event) -> Sequence[Fact]:
        """Return the facts an event states. Raises only WebhookRejected: a known type, malformed."""
        return webhooks.translate(event)

    # The payer's side, for the 3-D Secure page ------------------------------------------------------------

    async def authentication(self, provider_reference: str) -> Authentication:
        """Return what the 3-D Secure page of a payment shows. Errors: NOT_FOUND, UNAVAILABLE."""
        reference = _known_form(provider_reference)
        row = await store.ask(self._pool, store.FETCH, reference, changes=False)
        if row is None:
            raise store.not_found()
        return Authentication(store.fact_of(row), row["return_url"])

    async def authenticate(self, provider_reference: str, *, accepted: bool) -> Authentication:
        """Complete or refuse a payment's 3-D Secure step. The same answer again changes nothing.

        Errors: STATE_CONFLICT (nothing is waiting for this answer; with the fact), NOT_FOUND, UNAVAILABLE.
        """
        row = await self._row(store.AUTHENTICATE, _known_form(provider_reference), accepted)
        return Authentication(store.fact_of(row), row["return_url"])

    async def _change(self, statement: str, *arguments: object) -> PaymentFact:
        return store.fact_of(await self._row(statement, *arguments))

    async def _row(self, statement: str, *arguments: object) -> asyncpg.Record:
        row = await store.ask(self._pool, statement, *arguments, changes=True)
        if row is None:
            raise AssertionError("A sandbox function answers with a row.")
        return row


def _known_form(provider_reference: str) -> str:
    """Return the id when it could be one of ours; what cannot be is not worth a round trip."""
    if not _PROVIDER_REFERENCE.fullmatch(provider_reference):
        raise store.not_found()
    return provider_reference


def _decline(card: Card, fact: PaymentFact) -> ProviderError:
    code = card.decline_code or ProviderErrorCode.DECLINED
    return ProviderError(
        code, ProviderAction.OTHER_METHOD, provider_code=card.reason, decline_code=code.value, fact=fact
    )
