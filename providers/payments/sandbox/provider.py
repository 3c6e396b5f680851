"""The sandbox behind the contract that every payment provider is reached by."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import asyncpg

from core.batcher import Batcher
from providers.payments.base import Capabilities, Capability, Event, Fact, Subject
from providers.payments.sandbox import translation, webhooks
from providers.payments.sandbox.accounts import Accounts
from providers.payments.sandbox.control import SandboxControl
from providers.payments.sandbox.disputes import Disputes
from providers.payments.sandbox.feeds import Feeds
from providers.payments.sandbox.methods import Methods
from providers.payments.sandbox.payments import Payments
from providers.payments.sandbox.payouts import Payouts
from providers.payments.sandbox.refunds import Refunds

SMALLEST_CHARGE: Final = 1
LARGEST_CHARGE: Final = 99_999_999

FEATURES: Final = frozenset(
    {
        Capability.THREE_D_SECURE,
        Capability.MANUAL_CAPTURE,
        Capability.PARTIAL_CAPTURE,
        Capability.REFUND,
        Capability.PARTIAL_REFUND,
        Capability.PAYOUTS,
        Capability.SAVED_METHODS,
        Capability.OFF_SESSION,
        Capability.DISPUTES,
        Capability.EVENT_REPLAY,
        Capability.BALANCE_FEED,
    }
)

REPLAYED: Final = frozenset(Subject) - {Subject.BALANCE_ENTRY}
"""It has events of every kind of object; a line of its books is none."""


class SandboxProvider(Payments, Methods, Refunds, Disputes, Accounts, Payouts, Feeds):
    """A deterministic payment provider with its state in PostgreSQL, in the schema ``sandbox``.

    Each command is one round trip on ``pool``. Webhooks are signed with the first of ``webhook_secrets``
    (``whsec_…``) and verified against all, so that a new one can be put before an old one. ``public_url`` is
    where payers and creators reach the pages of ``routes``. ``currencies`` are the codes that may be charged.
    What takes time by itself (processing, a refund that is pending, each step of a payout or a dispute) takes
    ``processing_time`` by the sandbox's own clock. Raises ValueError for malformed secrets.
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
            features=FEATURES,
            replayed=REPLAYED,
        )
        self._pool = pool
        self._creating = Batcher(self._create_all)
        self._keys = webhooks.signing_keys(webhook_secrets)
        self._public_url = public_url.rstrip("/")
        self._processing_time = processing_time

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Event:
        """Return the event of a webhook that one of our secrets signed. Raises only WebhookRejected."""
        return webhooks.verify(self._keys, headers, body, now)

    def decode(self, raw: bytes) -> Event:
        """Return the event that stored bytes tell of; none is foreign. Raises only WebhookRejected."""
        return webhooks.decode(raw)

    def translate(self, event: Event) -> Sequence[Fact]:
        """Return the facts an event states. Raises only WebhookRejected: a known type, malformed."""
        return translation.translate(event)

    def control(self) -> SandboxControl:
        """Return the sandbox's other end."""
        return SandboxControl(self._pool, processing_time=self._processing_time)
