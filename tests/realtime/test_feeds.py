"""Feeds: what a subscriber sees, whatever the bus does."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from types import SimpleNamespace
from uuid import UUID

import pytest

from core.clock import now
from core.ids import uuid7
from services import feeds
from services.bus import Lagged, LocalBus, Message, StatusEvent, creator_channel, payment_channel
from services.feeds import CURSOR_UNKNOWN, Change, FeedItem, Reset, Snapshot, creator_feed, payment_feed
from services.relay import Relay
from tests.realtime.realtime_helpers import CREATOR, PATIENCE_SECONDS, Payments


async def take(feed: AsyncGenerator[FeedItem, None], count: int) -> list[FeedItem]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return [await anext(feed) for _ in range(count)]


async def cursors(feed: AsyncGenerator[FeedItem, None], count: int) -> list[int]:
    items = await take(feed, count)
    assert all(isinstance(item, Change) for item in items)
    return [item.cursor for item in items]


async def stays_silent(feed: AsyncGenerator[FeedItem, None]) -> bool:
    """Whether nothing comes for a while. Ends the feed."""
    with suppress(TimeoutError):
        async with asyncio.timeout(0.1):
            await anext(feed)
            return False
    return True


def told(payment_id: UUID, sequence: int) -> Message:
    event = StatusEvent(payment_id, sequence, "PENDING", None, now(), CREATOR)
    return Message(payment_channel(payment_id), sequence, event)


@pytest.fixture
async def payment_id(payments: Payments) -> UUID:
    """A payment with five events that nobody has published."""
    payment_id = await payments.create(CREATOR)
    for status in ("CREATED", "PENDING", "FAILED", "PENDING", "SUCCEEDED"):
        await payments.change(payment_id, status)
    return payment_id


async def wait_for_offset(engine: SimpleNamespace, offset: int) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            async with aclosing(creator_feed(engine, CREATOR, None)) as feed:
                if (await anext(feed)).cursor >= offset:
                    return
            await asyncio.sleep(0.01)


async def test_a_payments_snapshot_shows_its_last_event(engine: SimpleNamespace, payment_id: UUID) -> None:
    async with aclosing(payment_feed(engine, payment_id, None)) as feed:
        (snapshot,) = await take(feed, 1)
    assert isinstance(snapshot, Snapshot)
    assert snapshot.cursor == 5
    (event,) = snapshot.recent
    assert (event.subject, event.creator_id, event.sequence) == (payment_id, CREATOR, 5)
    assert (event.status, event.creator_offset) == ("SUCCEEDED", None)
    assert type(event.subject) is UUID


async def test_feeds_without_events_stand_at_zero(engine: SimpleNamespace) -> None:
    for feed in (payment_feed(engine, uuid7(), None), creator_feed(engine, uuid7(), None)):
        assert await take(feed, 1) == [Snapshot(0)]
        await feed.aclose()


async def test_a_payment_resumes_at_every_cursor(
    engine: SimpleNamespace, payment_id: UUID, payments: Payments, relay: Relay
) -> None:
    for after in range(6):
        async with aclosing(payment_feed(engine, payment_id, after)) as feed:
            assert await cursors(feed, 5 - after) == list(range(after + 1, 6))
            assert await stays_silent(feed)
    async with aclosing(payment_feed(engine, payment_id, 3)) as feed:
        await payments.change(payment_id)
        assert await cursors(feed, 3) == [4, 5, 6]


async def test_a_creator_resumes_at_every_cursor(
    engine: SimpleNamespace,
    payment_id: UUID,
    payments: Payments,
    relay: Relay,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feeds, "_PAGE_EVENTS", 2)
    await wait_for_offset(engine, 5)
    for after in range(6):
        async with aclosing(creator_feed(engine, CREATOR, after)) as feed:
            assert await cursors(feed, 5 - after) == list(range(after + 1, 6))
            assert await stays_silent(feed)
    async with aclosing(creator_feed(engine, CREATOR, 1)) as feed:
        await payments.change(payment_id, in_activity=False)
        await payments.change(payment_id)
        items = await take(feed, 5)
        assert [item.cursor for item in items] == [2, 3, 4, 5, 6]
        assert [item.event.creator_offset for item in items] == [2, 3, 4, 5, 6]
        assert [item.event.sequence for item in items] == [2, 3, 4, 5, 7]


async def test_a_creators_snapshot_shows_the_newest_events(
    engine: SimpleNamespace, payment_id: UUID, relay: Relay
) -> None:
    await wait_for_offset(engine, 5)
    async with aclosing(creator_feed(engine, CREATOR, None, recent_events=3)) as feed:
        (snapshot,) = await take(feed, 1)
        assert snapshot.cursor == 5
        assert [event.creator_offset for event in snapshot.recent] == [5, 4, 3]
        assert await stays_silent(feed)


@pytest.mark.parametrize("after", [-1, 6, 2**40])
async def test_an_impossible_cursor_is_reset_and_then_followed(
    engine: SimpleNamespace, payment_id: UUID, payments: Payments, relay: Relay, after: int
) -> None:
    async with aclosing(payment_feed(engine, payment_id, after)) as feed:
        reset, snapshot = await take(feed, 2)
        assert reset == Reset(CURSOR_UNKNOWN)
        assert snapshot.cursor == 5
        await payments.change(payment_id)
        assert await cursors(feed, 1) == [6]
    async with aclosing(creator_feed(engine, uuid7(), after)) as feed:
        assert await take(feed, 2) == [Reset(CURSOR_UNKNOWN), Snapshot(0)]


async def test_what_the_bus_repeats_is_dropped(engine: SimpleNamespace, bus: LocalBus, payment_id: UUID) -> None:
    async with aclosing(payment_feed(engine, payment_id, 4)) as feed:
        assert await cursors(feed, 1) == [5]
        await bus.publish([told(payment_id, sequence) for sequence in (3, 5, 4, 6, 6, 5, 7, 6)])
        assert await cursors(feed, 2) == [6, 7]
        assert await stays_silent(feed)


async def test_what_the_bus_lost_is_read_from_the_database(
    engine: SimpleNamespace, bus: LocalBus, payment_id: UUID, payments: Payments
) -> None:
    async with aclosing(payment_feed(engine, payment_id, None)) as feed:
        await take(feed, 1)
        for _ in range(4):
            await payments.change(payment_id)
        await bus.publish([told(payment_id, 8)])
        assert await cursors(feed, 4) == [6, 7, 8, 9]
        await bus.publish([told(payment_id, 9)])
        assert await stays_silent(feed)


async def test_a_resync_reads_the_database(
    engine: SimpleNamespace, bus: LocalBus, payment_id: UUID, payments: Payments
) -> None:
    async with aclosing(payment_feed(engine, payment_id, None)) as feed:
        await take(feed, 1)
        bus.resync()
        await payments.change(payment_id)
        assert await cursors(feed, 1) == [6]
        bus.resync()
        assert await stays_silent(feed)


async def test_an_event_that_is_nowhere_ends_the_feed_loudly(
    engine: SimpleNamespace, bus: LocalBus, payment_id: UUID
) -> None:
    async with aclosing(payment_feed(engine, payment_id, None)) as feed:
        await take(feed, 1)
        await bus.publish([told(payment_id, 9)])
        with pytest.raises(RuntimeError, match="told of 9"):
            await take(feed, 1)


async def test_a_slow_reader_learns_from_where_to_resume(
    database: object, payment_id: UUID, payments: Payments
) -> None:
    bus = LocalBus(queue_messages=2)
    engine = SimpleNamespace(database=database, bus=bus)
    async with aclosing(payment_feed(engine, payment_id, None)) as feed:
        await take(feed, 1)
        sequences = [await payments.change(payment_id) for _ in range(4)]
        await bus.publish([told(payment_id, sequences[0])])
        assert await cursors(feed, 1) == [6]
        await bus.publish([told(payment_id, sequence) for sequence in sequences[1:]])
        with pytest.raises(Lagged) as lagged:
            await take(feed, 1)
    assert lagged.value.cursor == 6
    async with aclosing(payment_feed(engine, payment_id, lagged.value.cursor)) as feed:
        assert await cursors(feed, 3) == [7, 8, 9]


async def test_what_happens_while_the_snapshot_is_read_is_not_missed(
    engine: SimpleNamespace, bus: LocalBus, payment_id: UUID, payments: Payments
) -> None:
    feed = payment_feed(engine, payment_id, None)
    first = asyncio.ensure_future(anext(feed))
    await asyncio.sleep(0)
    assert bus.listens(payment_channel(payment_id))
    sequence = await payments.change(payment_id)
    await bus.publish([told(payment_id, sequence)])
    snapshot = await first
    if snapshot.cursor < sequence:
        assert await cursors(feed, 1) == [sequence]
    await feed.aclose()


@pytest.mark.parametrize("cancel", [True, False])
async def test_leaving_closes_the_subscription(
    engine: SimpleNamespace, bus: LocalBus, payment_id: UUID, *, cancel: bool
) -> None:
    feed = payment_feed(engine, payment_id, None)
    await take(feed, 1)
    assert bus.listens(payment_channel(payment_id))
    if cancel:
        waiting = asyncio.ensure_future(anext(feed))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    else:
        await feed.aclose()
    assert not bus.listens(payment_channel(payment_id))


async def test_creator_channel_is_left_too(engine: SimpleNamespace, bus: LocalBus) -> None:
    async with aclosing(creator_feed(engine, CREATOR, None)) as feed:
        await take(feed, 1)
        assert bus.listens(creator_channel(CREATOR))
    assert not bus.listens(creator_channel(CREATOR))
