"""The bus between processes, against a real Redis."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from types import SimpleNamespace

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from core.clock import now
from core.ids import uuid7
from services import bus_redis
from services.bus import RESYNC, Marker, Message, StatusEvent, Subscription
from services.bus_redis import RedisBus
from services.feeds import creator_feed, payment_feed
from services.relay import Relay
from tests.realtime.realtime_helpers import CREATOR, PATIENCE_SECONDS, Payments, until
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.redis


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A private Redis, for tests that stop it."""
    if shutil.which("redis-server") is None:
        pytest.skip("there is no redis-server on the PATH")
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    """The address of a Redis: the given one, or a private one."""
    return os.environ.get("REDIS_URL") or request.getfixturevalue("server").url


@pytest.fixture
async def make_bus(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[[str], RedisBus]]:
    """Makes buses that are closed at the end and share a namespace nobody else has."""
    monkeypatch.setattr(bus_redis, "_BLOCK_SECONDS", 1)
    buses = []
    namespace = f"test-{uuid7()}"

    def make(url: str) -> RedisBus:
        buses.append(RedisBus(url, namespace=namespace))
        return buses[-1]

    yield make
    for bus in buses:
        await bus.close()


async def started(bus: RedisBus) -> RedisBus:
    await bus.start()
    await until(lambda: bus.healthy)
    return bus


async def publish(bus: RedisBus, *messages: Message) -> None:
    """Publish as the relay does: again and again until it is taken."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                return await bus.publish(messages)
            except (RedisError, OSError):
                await asyncio.sleep(0.01)


async def get(subscription: Subscription) -> Message | Marker:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await subscription.get()


def message(cursor: int, channel: str = "payment:one") -> Message:
    event = StatusEvent(uuid7(), cursor, "FAILED", "CARD_EXPIRED", now(), CREATOR, cursor)
    return Message(channel, cursor, event)


async def test_messages_cross_processes_whole_and_in_order(url: str, make_bus: Callable[[str], RedisBus]) -> None:
    publisher = make_bus(url)
    readers = [await started(make_bus(url)) for _ in range(2)]
    sent = [message(cursor) for cursor in range(1, 1_201)]
    with readers[0].attach("payment:one") as first, readers[1].attach("payment:one") as second:
        await publish(publisher, *sent[:600], message(1, "payment:other"))
        assert [await get(first) for _ in range(600)] == sent[:600]
        assert [await get(second) for _ in range(600)] == sent[:600]
        await publish(publisher, *sent[600:])
        assert [await get(first) for _ in range(600)] == sent[600:]


async def test_a_bus_begins_at_the_streams_end(url: str, make_bus: Callable[[str], RedisBus]) -> None:
    publisher = make_bus(url)
    await publish(publisher, message(1))
    bus = await started(make_bus(url))
    with bus.attach("payment:one") as subscription:
        await publish(publisher, message(2))
        assert (await get(subscription)).cursor == 2


async def test_nothing_is_lost_between_start_and_the_first_read(
    url: str, make_bus: Callable[[str], RedisBus]
) -> None:
    publisher = make_bus(url)
    await publish(publisher, message(1))
    for cursor in range(2, 12):
        bus = make_bus(url)
        await bus.start()
        with bus.attach("payment:one") as subscription:
            await publish(publisher, message(cursor))
            assert (await get(subscription)).cursor == cursor


async def test_a_cut_connection_goes_on_where_it_was(url: str, make_bus: Callable[[str], RedisBus]) -> None:
    bus, publisher = await started(make_bus(url)), make_bus(url)
    async with aclosing(Redis.from_url(url)) as admin:
        with bus.attach("payment:one") as subscription:
            await publish(publisher, message(1))
            assert (await get(subscription)).cursor == 1
            await admin.client_kill_filter(_type="normal", skipme=True)
            await publish(publisher, message(2), message(3))
            assert [(await get(subscription)).cursor for _ in range(2)] == [2, 3]
    await until(lambda: bus.healthy)


async def test_a_trimmed_stream_resyncs(url: str, make_bus: Callable[[str], RedisBus]) -> None:
    bus, publisher = await started(make_bus(url)), make_bus(url)
    async with aclosing(Redis.from_url(url)) as admin:
        with bus.attach("payment:one") as subscription:
            await publish(publisher, message(1))
            assert (await get(subscription)).cursor == 1
            # Trimmed in the same breath, so that the reader has no chance to see what is gone.
            async with admin.pipeline(transaction=True) as pipeline:
                pipeline.client_kill_filter(_type="normal", skipme=True)
                pipeline.xadd(bus._stream, {"messages": b'[["payment:one", 2, {}]]'})
                pipeline.xtrim(bus._stream, maxlen=0, approximate=False)
                await pipeline.execute()
            assert await get(subscription) is RESYNC
            await publish(publisher, message(3))
            assert (await get(subscription)).cursor == 3


async def test_an_entry_nobody_understands_resyncs(url: str, make_bus: Callable[[str], RedisBus]) -> None:
    bus, publisher = await started(make_bus(url)), make_bus(url)
    async with aclosing(Redis.from_url(url)) as admin:
        with bus.attach("payment:one") as subscription:
            await admin.xadd(bus._stream, {"messages": b'[["payment:one", 2, {}]]'})
            assert await get(subscription) is RESYNC
            await publish(publisher, message(2))
            assert (await get(subscription)).cursor == 2


async def test_a_stream_that_began_anew_with_lower_ids_resyncs(
    url: str, make_bus: Callable[[str], RedisBus]
) -> None:
    bus, publisher = await started(make_bus(url)), make_bus(url)
    async with aclosing(Redis.from_url(url)) as admin:
        with bus.attach("payment:one") as subscription:
            await publish(publisher, message(1))
            assert (await get(subscription)).cursor == 1
            await admin.delete(bus._stream)
            await admin.xadd(bus._stream, {"messages": b'[["payment:one", 2, {}]]'}, id="5-0")
            assert await get(subscription) is RESYNC


async def test_a_restarted_server_resyncs_and_serves_on(
    server: RedisServer, make_bus: Callable[[str], RedisBus]
) -> None:
    bus, publisher = await started(make_bus(server.url)), make_bus(server.url)
    with bus.attach("payment:one") as subscription:
        await publish(publisher, message(1))
        assert (await get(subscription)).cursor == 1
        server.kill()
        await until(lambda: not bus.healthy)
        with pytest.raises((RedisError, OSError)):
            await publisher.publish([message(2)])
        server.start()
        await publish(publisher, message(2))
        assert await get(subscription) is RESYNC
        await until(lambda: bus.healthy)
        await publish(publisher, message(3))
        while (received := await get(subscription)).cursor != 3:
            assert received.cursor == 2


async def test_a_bus_starts_without_redis_and_resyncs_when_it_comes(
    server: RedisServer, make_bus: Callable[[str], RedisBus]
) -> None:
    server.kill()
    bus = make_bus(server.url)
    await bus.start()
    assert not bus.healthy
    with bus.attach("payment:one") as subscription:
        server.start()
        assert await get(subscription) is RESYNC
        await until(lambda: bus.healthy)


async def test_a_server_that_hangs_is_given_up(
    server: RedisServer, make_bus: Callable[[str], RedisBus], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus_redis, "_ANSWER_SECONDS", 0.2)
    bus, publisher = await started(make_bus(server.url)), make_bus(server.url)
    with bus.attach("payment:one") as subscription:
        await publish(publisher, message(1))
        assert (await get(subscription)).cursor == 1
        server.signal(signal.SIGSTOP)
        await until(lambda: not bus.healthy)
        server.signal(signal.SIGCONT)
        await publish(publisher, message(2))
        assert (await get(subscription)).cursor == 2


async def test_feeds_survive_the_loss_of_redis(
    server: RedisServer,
    make_bus: Callable[[str], RedisBus],
    database: object,
    payments: Payments,
    make_relay: Callable[[RedisBus], Relay],
) -> None:
    bus = await started(make_bus(server.url))
    engine = SimpleNamespace(database=database, bus=bus)
    payment_id = await payments.create(CREATOR)
    relay = make_relay(bus)
    relay.start()
    async with (
        aclosing(payment_feed(engine, payment_id, None)) as payment,
        aclosing(creator_feed(engine, CREATOR, None)) as creator,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        assert [(await anext(feed)).cursor for feed in (payment, creator)] == [0, 0]
        for sequence in range(1, 4):
            await payments.change(payment_id)
            assert [(await anext(feed)).cursor for feed in (payment, creator)] == [sequence, sequence]
        server.kill()
        await payments.change(payment_id)
        await until(lambda: not relay.healthy and not bus.healthy)
        server.start()
        await payments.change(payment_id)
        for sequence in (4, 5):
            assert [(await anext(feed)).cursor for feed in (payment, creator)] == [sequence, sequence]
        await until(lambda: relay.healthy and bus.healthy)
