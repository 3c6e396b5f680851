"""What is read of Stripe as a whole: its events again, its books, and what it holds for us.

Stripe tells all of them newest first and we tell them oldest first, so that what was told since the moment asked
for is held in memory at once: ask for no more than was missed.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from core import clock
from providers.payments.base import BalanceEntry, Capabilities, Event, WebhookRejected
from providers.payments.stripe import amounts, reading
from providers.payments.stripe.client import Client
from providers.payments.stripe.endpoints import EVENTS, Role
from providers.payments.stripe.errors import readable, unknown_outcome
from providers.payments.stripe.objects import fields
from providers.payments.stripe.objects.fields import Source
from providers.payments.stripe.webhooks import asked_for

KEPT: Final = timedelta(days=30)
"""How long Stripe keeps its events."""

_MOST_TYPES: Final = 20  # that a list of events can be asked for at once


class Feeds:
    """The part of the provider that is read as a whole."""

    client: Client
    capabilities: Capabilities
    decode: Callable[[bytes], Event]

    async def events(self, since: datetime) -> AsyncIterator[Event]:
        """Yield the events since a moment, oldest first, as far back as Stripe keeps them.

        Those of the platform and of Accounts v2, of the types that are translated. The payouts of connected
        accounts are told to those accounts, and are not among them. An event is dated before it can be read: ask
        again from a little earlier. Errors: UNAVAILABLE.

        Snapshots are told in the account's default version of the API. Where that is not ours they translate to
        what has to be looked up.
        """
        since = max(since, clock.wall() - KEPT)
        told = [*await self._snapshots(since), *await self._thin(since)]
        for event in sorted(told, key=lambda event: event.at or since):
            yield event

    async def _snapshots(self, since: datetime) -> list[Event]:
        """Return the events of version 1, those of each type oldest first."""
        types, found = EVENTS[Role.PLATFORM], []
        call = self.client.stripe.v1.events.list_async
        # All types of an object are asked for together: of one second, they are told in the order they came in.
        for start in range(0, len(types), _MOST_TYPES):
            asked = list(types[start : start + _MOST_TYPES])
            params = {"types": asked, "created": {"gte": int(since.timestamp())}}
            found += [each async for each, _ in reading.every(self.client, call, params)][::-1]
        return self._decoded(found, since)

    async def _thin(self, since: datetime) -> list[Event]:
        """Return the events of Accounts v2, oldest first."""
        moment = since.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        params = {"types": list(EVENTS[Role.ACCOUNTS]), "created": {"gte": moment}}
        found = [
            each async for each, _ in reading.every_v2(self.client, self.client.stripe.v2.core.events, params)
        ]
        return self._decoded(found[::-1], since)

    def _decoded(self, told: Sequence[Source], since: datetime) -> list[Event]:
        """Return events as webhooks would have brought them, or marked as of another version, bytes included."""
        try:
            events = [self.decode(asked_for(each)) for each in told]
        except (WebhookRejected, TypeError) as error:
            raise unknown_outcome("unreadable_event", writes=False) from error
        # Version 1 is asked by whole seconds.
        return [event for event in events if event.at is not None and event.at >= since]

    async def balance_entries(self, since: datetime) -> AsyncIterator[BalanceEntry]:
        """Yield the lines of Stripe's books since a moment, oldest first. As ``events``, and of all of time."""
        params = {"created": {"gte": int(since.timestamp())}, "expand": ["data.source"]}
        call = self.client.stripe.v1.balance_transactions.list_async
        known: dict[str, Source] = {}
        entries = [
            await reading.completed(self.client, line, known)
            async for line, _ in reading.every(self.client, call, params)
        ]
        for entry in reversed(entries):
            if entry.at >= since:
                yield entry

    async def balances(self) -> Mapping[str, int]:
        """Return what Stripe holds for us, by currency: pending and available together. Errors: UNAVAILABLE."""
        answer = await self.client.ask(self.client.stripe.v1.balance.retrieve_async)
        sums: Counter[str] = Counter()
        with readable(writes=False):
            for name in ("available", "pending"):
                for part in fields.items(answer.body, name):
                    currency = fields.currency(part)
                    sums[currency] += amounts.from_stripe(fields.whole(part, "amount"), currency)
        return dict(sums)
