"""The bus within one process."""

import asyncio
from uuid import UUID

import pytest

from core.clock import now
from services.bus import RESYNC, Lagged, LocalBus, Message, StatusEvent


def message(cursor: int, channel: str = "payment:one") -> Message:
    event = StatusEvent(UUID(int=1), cursor, "PENDING", None, now(), UUID(int=2))
    return Message(channel, cursor, event)


async def test_messages_reach_every_subscriber_of_their_channel_in_order() -> None:
    bus = LocalBus()
    with bus.attach("payment:one") as first, bus.attach("payment:one") as second, bus.attach("other") as other:
        await bus.publish([message(1), message(2), message(7, "other")])
        assert [(await first.get()).cursor, (await first.get()).cursor] == [1, 2]
        assert [(await second.get()).cursor, (await second.get()).cursor] == [1, 2]
        assert (await other.get()).cursor == 7


async def test_get_waits_for_the_next_message() -> None:
    bus = LocalBus()
    with bus.attach("payment:one") as subscription:
        waiting = asyncio.ensure_future(subscription.get())
        await asyncio.sleep(0)
        assert not waiting.done()
        await bus.publish([message(1)])
        assert (await waiting).cursor == 1


async def test_nothing_from_before_attaching_or_after_closing_arrives() -> None:
    bus = LocalBus()
    await bus.publish([message(1)])
    with bus.attach("payment:one") as subscription:
        await bus.publish([message(2)])
        assert (await subscription.get()).cursor == 2
    await bus.publish([message(3)])
    assert not bus.listens("payment:one")
    with pytest.raises(RuntimeError):
        await subscription.get()


async def test_closing_ends_the_wait_of_a_reader() -> None:
    bus = LocalBus()
    subscription = bus.attach("payment:one")
    waiting = asyncio.ensure_future(subscription.get())
    await asyncio.sleep(0)
    subscription.close()
    subscription.close()
    with pytest.raises(RuntimeError):
        await waiting


async def test_a_slow_subscriber_is_cut_off_and_nobody_else_notices() -> None:
    bus = LocalBus(queue_messages=3)
    slow, quick = bus.attach("payment:one"), bus.attach("payment:one")
    for cursor in range(1, 6):
        await bus.publish([message(cursor)])
        assert (await quick.get()).cursor == cursor
    for _ in range(2):
        with pytest.raises(Lagged) as lagged:
            await slow.get()
    assert lagged.value.cursor is None
    quick.close()
    assert not bus.listens("payment:one")


async def test_a_full_queue_still_holds_all_it_promised() -> None:
    bus = LocalBus(queue_messages=3)
    with bus.attach("payment:one") as subscription:
        await bus.publish([message(1), message(2), message(3)])
        assert [(await subscription.get()).cursor for _ in range(3)] == [1, 2, 3]


async def test_resync_takes_the_place_of_what_waits() -> None:
    bus = LocalBus(queue_messages=2)
    with bus.attach("payment:one") as subscription, bus.attach("other") as other:
        await bus.publish([message(1), message(2)])
        bus.resync()
        bus.resync()
        await bus.publish([message(3)])
        assert await subscription.get() is RESYNC
        assert (await subscription.get()).cursor == 3
        assert await other.get() is RESYNC
