"""Feeds: a snapshot, then every later event, in order, none missing and none twice.

The bus is attached to before the database is read, so that nothing falls between them. What the bus repeats
is dropped; what it lost is read from the database. Whoever reconnects with the last cursor it was given goes
on right after it.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final, Protocol
from uuid import UUID

import asyncpg

from models.database import Database
from services.bus import (
    Bus,
    Lagged,
    Marker,
    StatusEvent,
    Subscription,
    creator_channel,
    order_channel,
    payment_channel,
)

RECENT_EVENTS: Final = 20
"""How many events a creator's snapshot shows unless told otherwise."""

CURSOR_UNKNOWN: Final = "CURSOR_UNKNOWN"
"""A reset's reason: this feed never gave that cursor out."""

_PAGE_EVENTS: Final = 500

_PAYMENT_LAST: Final = """
    select e.payment_id as subject, e.sequence, e.status, e.reason, e.at, p.creator_id,
        null::bigint as creator_offset
    from payment_events e join payments p on p.id = e.payment_id
    where e.payment_id = $1
    order by e.sequence desc
    limit 1
"""

_PAYMENT_NEWER: Final = """
    select e.payment_id as subject, e.sequence, e.status, e.reason, e.at, p.creator_id,
        null::bigint as creator_offset
    from payment_events e join payments p on p.id = e.payment_id
    where e.payment_id = $1 and e.sequence > $2
    order by e.sequence
    limit $3
"""

_ORDER_LAST: Final = """
    select order_id as subject, sequence, status, reason, at, null::uuid as creator_id,
        null::bigint as creator_offset
    from order_events
    where order_id = $1
    order by sequence desc
    limit 1
"""

_ORDER_NEWER: Final = """
    select order_id as subject, sequence, status, reason, at, null::uuid as creator_id,
        null::bigint as creator_offset
    from order_events
    where order_id = $1 and sequence > $2
    order by sequence
    limit $3
"""

_CREATOR_LAST: Final = """
    with feed as (
        select coalesce((select last_offset from creator_feeds where creator_id = $1), 0) as last_offset
    )
    select feed.last_offset, recent.*
    from feed left join lateral (
        select payment_id as subject, sequence, status, reason, at, creator_id, creator_offset
        from outbox_events
        where creator_id = $1 and creator_offset <= feed.last_offset
        order by creator_offset desc
        limit $2
    ) recent on true
    order by recent.creator_offset desc
"""
"""The cursor and the events before it, as of one moment."""

_CREATOR_NEWER: Final = """
    select payment_id as subject, sequence, status, reason, at, creator_id, creator_offset
    from outbox_events
    where creator_id = $1 and creator_offset > $2
    order by creator_offset
    limit $3
"""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Where the feed stands: every event up to ``cursor`` has happened, 0 before the first.

    ``recent`` holds the newest of them, newest first: a payment's or an order's last, a creator's last few.
    """

    cursor: int
    recent: tuple[StatusEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """The event after the one before: ``cursor`` grows by one each time."""

    cursor: int
    event: StatusEvent


@dataclass(frozen=True, slots=True)
class Reset:
    """The given cursor cannot be continued, for a machine-readable ``reason``; a snapshot follows."""

    reason: str


FeedItem = Snapshot | Change | Reset


class FeedEngine(Protocol):
    """What a feed reads from."""

    @property
    def database(self) -> Database: ...

    @property
    def bus(self) -> Bus: ...


class _Source(Protocol):
    """One feed's channel and its past."""

    @property
    def channel(self) -> str: ...

    async def snapshot(self) -> Snapshot: ...

    async def newer(self, cursor: int) -> list[Change]:
        """Return the events after a cursor, at most a page of them."""


@dataclass(frozen=True, slots=True)
class _Own:
    """The own feed of a payment or an order: its events, whose sequence numbers are the cursors."""

    database: Database
    subject: UUID
    channel: str
    last: str
    later: str

    async def snapshot(self) -> Snapshot:
        row = await self.database.reader.fetchrow(self.last, self.subject)
        return Snapshot(row["sequence"], (_event(row),)) if row else Snapshot(0)

    async def newer(self, cursor: int) -> list[Change]:
        rows = await self.database.reader.fetch(self.later, self.subject, cursor, _PAGE_EVENTS)
        return [Change(row["sequence"], _event(row)) for row in rows]


@dataclass(frozen=True, slots=True)
class _Creator:
    database: Database
    creator_id: UUID
    recent_events: int

    @property
    def channel(self) -> str:
        return creator_channel(self.creator_id)

    async def snapshot(self) -> Snapshot:
        rows = await self.database.reader.fetch(_CREATOR_LAST, self.creator_id, self.recent_events)
        recent = tuple(_event(row) for row in rows if row["creator_offset"] is not None)
        return Snapshot(rows[0]["last_offset"], recent)

    async def newer(self, cursor: int) -> list[Change]:
        rows = await self.database.reader.fetch(_CREATOR_NEWER, self.creator_id, cursor, _PAGE_EVENTS)
        return [Change(row["creator_offset"], _event(row)) for row in rows]


def payment_feed(engine: FeedEngine, payment_id: UUID, after: int | None) -> AsyncGenerator[FeedItem, None]:
    """Follow a payment's status; cursors are its events' sequence numbers.

    Without ``after`` the first item is a snapshot; with it, the events after that cursor come at once, or a
    ``Reset`` and a snapshot where no such cursor was given out. Endless: leave it with ``aclose``, or by
    cancelling whoever waits for its next item.

    Raises:
        Lagged: its reader was too slow; ``cursor`` says from where to resume.
        asyncpg.PostgresError, OSError: the database failed; resume after the last cursor.
    """
    channel = payment_channel(payment_id)
    return _follow(engine.bus, _Own(engine.database, payment_id, channel, _PAYMENT_LAST, _PAYMENT_NEWER), after)


def order_feed(engine: FeedEngine, order_id: UUID, after: int | None) -> AsyncGenerator[FeedItem, None]:
    """Follow an order's status; cursors are its events' sequence numbers. As ``payment_feed``."""
    channel = order_channel(order_id)
    return _follow(engine.bus, _Own(engine.database, order_id, channel, _ORDER_LAST, _ORDER_NEWER), after)


def creator_feed(
    engine: FeedEngine, creator_id: UUID, after: int | None, *, recent_events: int = RECENT_EVENTS
) -> AsyncGenerator[FeedItem, None]:
    """Follow a creator's activity; cursors are the offsets given by the relay.

    As ``payment_feed``; its snapshots show the ``recent_events`` newest events.
    """
    return _follow(engine.bus, _Creator(engine.database, creator_id, recent_events), after)


async def _follow(bus: Bus, source: _Source, after: int | None) -> AsyncGenerator[FeedItem, None]:
    subscription = bus.attach(source.channel)
    feed = _items(subscription, source, after)
    try:
        async for item in feed:
            yield item
    finally:
        subscription.close()
        await feed.aclose()


async def _items(subscription: Subscription, source: _Source, after: int | None) -> AsyncGenerator[FeedItem, None]:
    snapshot = await source.snapshot()
    if after is not None and _can_continue(after, snapshot):
        cursor = after
    else:
        if after is not None:
            yield Reset(CURSOR_UNKNOWN)
        yield snapshot
        cursor = snapshot.cursor
    known = snapshot.cursor
    behind = cursor < known
    while True:
        while behind:
            page = await source.newer(cursor)
            for change in page:
                if change.cursor != cursor + 1:
                    raise RuntimeError(f"{source.channel} has a hole after {cursor}")
                cursor = change.cursor
                yield change
            behind = len(page) == _PAGE_EVENTS
        if cursor < known:
            raise RuntimeError(f"{source.channel} was told of {known} and ends at {cursor}")
        try:
            message = await subscription.get()
        except Lagged as lagged:
            raise Lagged(cursor) from lagged
        if isinstance(message, Marker):
            behind = True
        elif message.cursor == cursor + 1:
            cursor = message.cursor
            yield Change(cursor, message.event)
        elif message.cursor > cursor:
            known, behind = message.cursor, True


def _can_continue(after: int, snapshot: Snapshot) -> bool:
    """Whether all events after a cursor can be replayed. Where old ones are deleted, the oldest decides too."""
    return 0 <= after <= snapshot.cursor


def _event(row: asyncpg.Record) -> StatusEvent:
    return StatusEvent(
        subject=UUID(int=row["subject"].int),
        sequence=row["sequence"],
        status=row["status"],
        reason=row["reason"],
        at=row["at"],
        creator_id=None if row["creator_id"] is None else UUID(int=row["creator_id"].int),
        creator_offset=row["creator_offset"],
    )
