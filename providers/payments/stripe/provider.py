"""Stripe behind the contract that every payment provider is reached by."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from providers.payments.base import Capabilities, Capability, Event, Fact, LookUp, Subject
from providers.payments.stripe import amounts, translation, webhooks
from providers.payments.stripe.accounts import Accounts
from providers.payments.stripe.client import Client
from providers.payments.stripe.disputes import Disputes
from providers.payments.stripe.feeds import Feeds
from providers.payments.stripe.lookups import LookUps
from providers.payments.stripe.methods import Methods
from providers.payments.stripe.payments import Payments
from providers.payments.stripe.payouts import Payouts
from providers.payments.stripe.refunds import Refunds

FEATURES: Final = frozenset(
    {
        Capability.THREE_D_SECURE,
        Capability.MANUAL_CAPTURE,
        Capability.PARTIAL_CAPTURE,
        Capability.REFUND,
        Capability.PARTIAL_REFUND,
        Capability.PAYOUTS,
        Capability.INSTANT_PAYOUTS,
        Capability.SAVED_METHODS,
        Capability.OFF_SESSION,
        Capability.DISPUTES,
        Capability.EVENT_REPLAY,
        Capability.BALANCE_FEED,
    }
)
REPLAYED: Final = frozenset(
    {
        Subject.PAYMENT,
        Subject.REFUND,
        Subject.DISPUTE,
        Subject.TRANSFER,
        Subject.ACCOUNT,
        Subject.BALANCE_ENTRY,
    }
)
"""Payouts are not told again: their events belong to the connected accounts, and they are looked up."""

_KEY: Final = re.compile(r"(sk|rk)_(test|live)_[A-Za-z0-9_]+", re.ASCII)


class StripeProvider(Payments, Methods, Refunds, Disputes, Accounts, Payouts, LookUps, Feeds):
    """Stripe, for one secret or restricted key; made inside the event loop that it is used in.

    Webhooks are verified against all of ``webhook_secrets`` (``whsec_…``), one for each endpoint and for the time
    of its rotation two. ``return_url`` is where a payer goes after a 3-D Secure page who was given no other
    address. ``currencies`` maps the codes that may be charged to how many decimals each has with us; those that
    Stripe counts otherwise are not offered. ``timeout`` is for each thing asked. ``api_url`` is for a stand-in, of
    all of Stripe's addresses. Raises ValueError, which repeats no secret, for a key or secret that cannot be one.
    """

    name = "stripe"

    def __init__(
        self,
        api_key: str,
        *,
        webhook_secrets: Sequence[str],
        return_url: str,
        currencies: Mapping[str, int],
        timeout: timedelta,
        api_url: str | None = None,
    ) -> None:
        form = _KEY.fullmatch(api_key)
        if form is None:
            raise ValueError("A key of Stripe's is sk_test_…, sk_live_…, rk_test_… or rk_live_….")
        self.live = form.group(2) == "live"
        self.capabilities = Capabilities(
            currencies=amounts.limits(currencies), features=FEATURES, replayed=REPLAYED
        )
        self.client = Client(api_key, timeout=timeout, api_url=api_url)
        self.return_url = return_url
        self._secrets = webhooks.signing_secrets(webhook_secrets)

    async def close(self) -> None:
        """Close the connections to Stripe."""
        await self.client.close()

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Event:
        """Return the event of a webhook that one of our secrets signed. Raises only WebhookRejected."""
        return webhooks.verify(self._secrets, headers, body, now, live=self.live)

    def decode(self, raw: bytes) -> Event:
        """Return the event that stored bytes tell of. Raises only WebhookRejected."""
        return webhooks.decode(raw, live=self.live)

    def translate(self, event: Event) -> Sequence[Fact | LookUp]:
        """Return what an event states or asks to look up. Raises only WebhookRejected: a known type, malformed."""
        return translation.translate(event)
