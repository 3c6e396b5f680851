"""The bus: hands what the relay publishes to whoever listens in this process or another.

Delivery is at least once and says nothing of the past. A subscriber therefore knows its channel's cursors,
drops what it has seen and reads what it missed from the database; ``services.feeds`` does that.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final, Protocol, Self
from uuid import UUID

QUEUE_MESSAGES: Final = 1_000
"""How many messages wait for a subscriber before it is cut off."""


@dataclass(frozen=True, slots=True)
class StatusEvent:
    """A change of a payment's or an order's status; ``subject`` is which.

    ``sequence`` counts the subject's events from 1. ``creator_id`` is whom a payment pays, None where there may be
    several. ``creator_offset`` is the event's place in that creator's activity, from 1; None in the subject's own
    channel.
    """

    subject: UUID
    sequence: int
    status: str
    reason: str | None
    at: datetime
    creator_id: UUID | None = None
    creator_offset: int | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """An event on one channel. ``cursor`` is dense per channel: each is its predecessor's plus one."""

    channel: str
    cursor: int
    event: StatusEvent


class Marker(Enum):
    """What a subscription may tell instead of a message."""

    RESYNC = "RESYNC"


RESYNC: Final = Marker.RESYNC
"""Messages may have been lost: read the database after the last cursor that was seen."""


class Lagged(Exception):  # ruff: ignore[error-suffix-on-exception-name] - the subscriber's state, not an accident
    """A subscriber was too slow and was cut off; it resumes after ``cursor``, None before its first."""

    def __init__(self, cursor: int | None = None) -> None:
        super().__init__("The subscriber did not keep up and was cut off; it may resume after its last cursor.")
        self.cursor = cursor


class Bus(Protocol):
    """What carries messages from the relay to subscribers."""

    async def publish(self, messages: Sequence[Message]) -> None:
        """Hand messages over, in order per channel. On any error some may have arrived: publish all again."""

    def attach(self, channel: str) -> "Subscription":
        """Listen to a channel from now on; close the subscription when done."""


def payment_channel(payment_id: UUID) -> str:
    """Return the channel of a payment's status."""
    return f"payment:{payment_id}"


def order_channel(order_id: UUID) -> str:
    """Return the channel of an order's status."""
    return f"order:{order_id}"


def creator_channel(creator_id: UUID) -> str:
    """Return the channel of a creator's activity."""
    return f"creator:{creator_id}"


class Subscription:
    """One listener's bounded queue of a channel's messages. A context manager; for one reader at a time."""

    def __init__(self, bus: "LocalBus", channel: str, limit: int) -> None:
        self.channel = channel
        self._bus = bus
        self._limit = limit
        self._queue: deque[Message | Marker] = deque()
        self._filled = asyncio.Event()
        self._lagged = False
        self._closed = False

    async def get(self) -> Message | Marker:
        """Wait for the next message, or for ``RESYNC``.

        Raises:
            Lagged: more messages came than the queue holds; it has been detached.
            RuntimeError: it was closed.
        """
        while True:
            if self._lagged:
                raise Lagged
            if self._closed:
                raise RuntimeError("the subscription is closed")
            if self._queue:
                return self._queue.popleft()
            self._filled.clear()
            await self._filled.wait()

    def close(self) -> None:
        """Stop listening; a second time is allowed."""
        self._closed = True
        self._detach()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def put(self, message: Message) -> None:
        """Queue a message; for the bus. A full queue cuts the subscriber off, never the publisher."""
        if len(self._queue) >= self._limit:
            self._lagged = True
            self._detach()
        else:
            self._queue.append(message)
            self._filled.set()

    def resync(self) -> None:
        """Tell that messages may have been lost; for the bus. What still waits is in the database as well."""
        self._queue.clear()
        self._queue.append(RESYNC)
        self._filled.set()

    def _detach(self) -> None:
        self._bus.detach(self)
        self._queue.clear()
        self._filled.set()


class LocalBus:
    """The bus within one process: all there is without Redis, and the last step with it."""

    def __init__(self, *, queue_messages: int = QUEUE_MESSAGES) -> None:
        self._queue_messages = queue_messages
        self._subscriptions: dict[str, set[Subscription]] = {}

    async def publish(self, messages: Sequence[Message]) -> None:
        """Hand messages to the subscriptions of their channels; never waits and never fails."""
        for message in messages:
            self.deliver(message)

    def attach(self, channel: str) -> Subscription:
        """Listen to a channel from now on."""
        subscription = Subscription(self, channel, self._queue_messages)
        self._subscriptions.setdefault(channel, set()).add(subscription)
        return subscription

    def detach(self, subscription: Subscription) -> None:
        """Forget a subscription; one that is forgotten already is left alone."""
        listeners = self._subscriptions.get(subscription.channel, set())
        listeners.discard(subscription)
        if not listeners:
            self._subscriptions.pop(subscription.channel, None)

    def listens(self, channel: str) -> bool:
        """Whether anybody is attached to a channel."""
        return channel in self._subscriptions

    def deliver(self, message: Message) -> None:
        """Hand one message to the subscriptions of its channel."""
        for subscription in tuple(self._subscriptions.get(message.channel, ())):
            subscription.put(message)

    def resync(self) -> None:
        """Make every subscriber read the database: the bus may have lost messages."""
        for listeners in self._subscriptions.values():
            for subscription in listeners:
                subscription.resync()
