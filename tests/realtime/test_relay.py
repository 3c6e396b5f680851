"""The relay: nothing is lost, whatever writers do and whenever it dies."""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from uuid import UUID

import asyncpg
import pytest

from core.ids import uuid7
from models.database import Connection
from services import relay as relay_module
from services.bus import Bus, LocalBus, Message
from services.feeds import Change, FeedItem, Snapshot, creator_feed, payment_feed
from services.relay import Relay
from tests.realtime.realtime_helpers import CREATOR, PATIENCE_SECONDS, Payments, until

MakeRelay = Callable[[Bus], Relay]
Step = Callable[[], Awaitable[None]]


@dataclass
class Seen:
    """What a subscriber of a feed was given since its snapshot."""

    snapshot: Snapshot | None = None
    changes: list[Change] = field(default_factory=list)

    @property
    def cursors(self) -> list[int]:
        return [change.cursor for change in self.changes]

    @property
    def sequences(self) -> list[int]:
        return [change.event.sequence for change in self.changes]


@asynccontextmanager
async def watching(*feeds: AsyncGenerator[FeedItem, None]) -> AsyncGenerator[list[Seen], None]:
    """Follow feeds in the background, from their snapshots on."""

    async def follow(feed: AsyncGenerator[FeedItem, None], seen: Seen) -> None:
        async with aclosing(feed):
            async for item in feed:
                if isinstance(item, Change):
                    seen.changes.append(item)
                else:
                    seen.snapshot = item

    watched = [Seen() for _ in feeds]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(follow(feed, seen)) for feed, seen in zip(feeds, watched, strict=True)]
        try:
            await until(lambda: all(seen.snapshot for seen in watched))
            yield watched
        finally:
            for task in tasks:
                task.cancel()


@asynccontextmanager
async def open_transaction(dsn: str) -> AsyncGenerator[Connection, None]:
    """Somebody's transaction that has written, and neither commits nor rolls back meanwhile."""
    connection = await asyncpg.connect(dsn)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("select pg_current_xact_id()")
    try:
        yield connection
    finally:
        await transaction.rollback()
        await connection.close()


async def positions(payments: Payments) -> list[int]:
    rows = await payments.database.reader.fetch("select position from outbox_events order by position")
    return [row["position"] for row in rows]


async def published(payments: Payments) -> tuple[int, int]:
    return tuple(await payments.database.reader.fetchrow("select assigned, published from relay_position"))


async def test_nothing_is_lost_among_many_writers(
    engine: SimpleNamespace, payments: Payments, relay: Relay
) -> None:
    creators = [uuid7() for _ in range(5)]
    owned = {await payments.create(creator): creator for creator in creators for _ in range(4)}
    committed: dict[UUID, list[int]] = defaultdict(list)
    told: dict[UUID, set[tuple[UUID, int]]] = defaultdict(set)

    async def write(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(15):
            chosen = sorted(chance.sample(list(owned), chance.choice((1, 1, 2))))
            in_activity = chance.random() < 0.7
            sequences: dict[UUID, int] = {}
            rolls_back = chance.random() < 0.25
            async with payments.database.writer.acquire() as connection:
                transaction = connection.transaction()
                await transaction.start()
                if chance.random() < 0.5:
                    # A transaction's id may be older than what it writes.
                    await connection.execute("select pg_current_xact_id()")
                    await asyncio.sleep(chance.random() * 0.01)
                for payment_id in chosen:
                    sequences[payment_id] = await payments.append(connection, payment_id, in_activity=in_activity)
                await asyncio.sleep(chance.random() ** 4 * 0.05)
                await (transaction.rollback() if rolls_back else transaction.commit())
            if not rolls_back:
                for payment_id, sequence in sequences.items():
                    committed[payment_id].append(sequence)
                    if in_activity:
                        told[owned[payment_id]].add((payment_id, sequence))
                relay.wake()

    feeds = [creator_feed(engine, creator, None) for creator in creators]
    feeds += [payment_feed(engine, payment_id, None) for payment_id in owned]
    async with watching(*feeds) as seen:
        await asyncio.gather(*(write(seed) for seed in range(16)))
        by_creator = dict(zip(creators, seen, strict=False))
        by_payment = dict(zip(owned, seen[len(creators) :], strict=True))
        await until(
            lambda: (
                all(len(by_creator[creator].changes) >= len(told[creator]) for creator in creators)
                and all(len(by_payment[payment].changes) >= len(committed[payment]) for payment in owned)
            )
        )
    for creator in creators:
        events = [change.event for change in by_creator[creator].changes]
        assert by_creator[creator].cursors == list(range(1, len(told[creator]) + 1))
        assert {(event.subject, event.sequence) for event in events} == told[creator]
        latest: dict[UUID, int] = defaultdict(int)
        for event in events:
            assert event.sequence > latest[event.subject]
            latest[event.subject] = event.sequence
    for payment_id in owned:
        assert by_payment[payment_id].cursors == sorted(committed[payment_id])
    total = sum(map(len, committed.values()))
    assert total > 200
    await until(lambda: relay.oldest_waiting_seconds == 0)
    assert await positions(payments) == list(range(1, total + 1))
    assert await published(payments) == (total, total)


async def test_an_open_transaction_delays_the_creator_but_not_the_payment(
    engine: SimpleNamespace, dsn: str, payments: Payments, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "_BATCH_ROWS", 3)
    payment_id = await payments.create(CREATOR)
    feeds = payment_feed(engine, payment_id, None), creator_feed(engine, CREATOR, None)
    async with watching(*feeds) as (payment, creator):
        async with open_transaction(dsn):
            for _ in range(10):
                await payments.change(payment_id)
            await until(lambda: len(payment.changes) == 10)
            await asyncio.sleep(0.1)
            assert creator.changes == []
            assert 0.1 < relay.oldest_waiting_seconds < PATIENCE_SECONDS
            assert relay.healthy
        await until(lambda: len(creator.changes) == 10)
        await until(lambda: relay.oldest_waiting_seconds == 0)
        assert payment.cursors == creator.cursors == creator.sequences == list(range(1, 11))


async def test_memory_of_early_rows_is_bounded_and_nothing_is_lost_beyond(
    engine: SimpleNamespace, dsn: str, payments: Payments, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "_BATCH_ROWS", 2)
    monkeypatch.setattr(relay_module, "_EARLY_ROWS", 4)
    payment_id = await payments.create(CREATOR)
    feeds = payment_feed(engine, payment_id, None), creator_feed(engine, CREATOR, None)
    async with watching(*feeds) as (payment, creator):
        async with open_transaction(dsn):
            for _ in range(10):
                await payments.change(payment_id)
            await asyncio.sleep(0.1)
            assert 4 <= len(payment.changes) < 6
        await until(lambda: len(payment.changes) == len(creator.changes) == 10)


async def test_a_payments_events_keep_their_order_when_the_later_writer_is_the_older_transaction(
    engine: SimpleNamespace, dsn: str, payments: Payments, relay: Relay
) -> None:
    payment_id = await payments.create(CREATOR)
    async with watching(creator_feed(engine, CREATOR, None)) as (creator,):
        async with open_transaction(dsn) as older:
            async with open_transaction(dsn):
                await payments.change(payment_id)
                # Only the older one commits: the horizon now lies between the two writers.
                await payments.append(older, payment_id)
                await older.execute("commit; begin")
                await asyncio.sleep(0.1)
                assert creator.changes == []
            await until(lambda: len(creator.changes) == 2)
        assert creator.sequences == [1, 2]


class Scripted(LocalBus):
    """A bus on which something happens around its calls: ``before`` or ``after`` the call of that number."""

    def __init__(self, *, before: dict[int, Step] | None = None, after: dict[int, Step] | None = None) -> None:
        super().__init__()
        self._before, self._after, self.calls = before or {}, after or {}, 0

    async def publish(self, messages: Sequence[Message]) -> None:
        self.calls += 1
        call = self.calls
        if call in self._before:
            await self._before[call]()
        await super().publish(messages)
        if call in self._after:
            await self._after[call]()


# The first call hands rows to payments, the second to creators; between them rows get their places.
MOMENTS = [("before", 1), ("after", 1), ("before", 2), ("after", 2)]


@pytest.mark.parametrize(("when", "call"), MOMENTS)
async def test_a_relay_that_dies_at_any_step_is_continued_by_the_next(
    database: object, payments: Payments, make_relay: MakeRelay, when: str, call: int
) -> None:
    died = asyncio.Event()

    async def hang() -> None:
        died.set()
        await asyncio.Event().wait()

    bus = Scripted(**{when: {call: hang}})
    engine = SimpleNamespace(database=database, bus=bus)
    payment_id = await payments.create(CREATOR)
    feeds = payment_feed(engine, payment_id, None), creator_feed(engine, CREATOR, None)
    async with watching(*feeds) as (payment, creator):
        first = make_relay(bus)
        first.start()
        for _ in range(5):
            await payments.change(payment_id)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await died.wait()
        await first.close()
        assert not first.leading
        second = make_relay(bus)
        assert await second.try_lead()
        second.start()
        await until(lambda: len(payment.changes) >= 5 and len(creator.changes) >= 5)
        await payments.change(payment_id)
        await until(lambda: len(payment.changes) >= 6 and len(creator.changes) >= 6)
        await asyncio.sleep(0.05)
    assert payment.cursors == creator.cursors == list(range(1, 7))
    assert await published(payments) == (6, 6)


@pytest.mark.parametrize(("when", "call"), MOMENTS)
async def test_a_bus_that_fails_is_tried_again_and_nothing_is_skipped(
    database: object, payments: Payments, make_relay: MakeRelay, when: str, call: int
) -> None:
    async def fail() -> None:
        raise asyncio.QueueFull

    bus = Scripted(**{when: dict.fromkeys((call, call + 1), fail)})
    engine = SimpleNamespace(database=database, bus=bus)
    payment_id = await payments.create(CREATOR)
    feeds = payment_feed(engine, payment_id, None), creator_feed(engine, CREATOR, None)
    async with watching(*feeds) as (payment, creator):
        relay = make_relay(bus)
        relay.start()
        await payments.change(payment_id)
        await until(lambda: not relay.healthy and relay.leading)
        assert relay.oldest_waiting_seconds > 0
        await payments.change(payment_id)
        await until(lambda: len(payment.changes) == len(creator.changes) == 2)
        await until(lambda: relay.healthy)
    assert payment.cursors == creator.cursors == [1, 2]
    assert await published(payments) == (2, 2)


async def test_a_lost_connection_is_a_lost_lead_that_is_taken_again(
    engine: SimpleNamespace, dsn: str, payments: Payments, relay: Relay
) -> None:
    payment_id = await payments.create(CREATOR)
    owner = await asyncpg.connect(dsn)
    async with watching(creator_feed(engine, CREATOR, None)) as (creator,):
        for expected in range(1, 4):
            await until(lambda: relay.leading)
            ended = await owner.fetchval(
                "select count(pg_terminate_backend(pid)) from pg_stat_activity"
                " where application_name = 'comptoir-relay' and datname = current_database()"
            )
            assert ended == 1
            await payments.change(payment_id)
            await until(lambda: len(creator.changes) == expected)  # ruff: ignore[function-uses-loop-variable]
        await until(lambda: relay.healthy)
    await owner.close()
    assert creator.cursors == [1, 2, 3]


async def test_of_two_relays_one_leads_and_the_other_takes_over(
    engine: SimpleNamespace,
    bus: LocalBus,
    payments: Payments,
    make_relay: MakeRelay,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relay_module, "_STANDBY_SECONDS", 0.05)
    payment_id = await payments.create(CREATOR)
    first, second = make_relay(bus), make_relay(bus)
    assert await first.try_lead()
    assert await first.try_lead()
    assert not await second.try_lead()
    first.start()
    second.start()
    async with watching(creator_feed(engine, CREATOR, None)) as (creator,):
        await payments.change(payment_id)
        await until(lambda: len(creator.changes) == 1)
        assert first.leading
        assert not second.leading
        assert second.healthy
        await first.close()
        assert not first.healthy
        await payments.change(payment_id)
        await until(lambda: len(creator.changes) == 2)
        assert second.leading
    assert creator.cursors == [1, 2]


async def test_a_relay_that_stands_by_again_forgets_what_it_waited_for(
    dsn: str,
    bus: LocalBus,
    payments: Payments,
    make_relay: MakeRelay,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relay_module, "_STANDBY_SECONDS", 0.02)
    monkeypatch.setattr(relay_module, "_BACKOFF_SECONDS", 1)
    payment_id = await payments.create(CREATOR)
    first, second = make_relay(bus), make_relay(bus)
    assert await first.try_lead()
    first.start()
    second.start()
    async with open_transaction(dsn) as connection:
        await payments.change(payment_id)
        await until(lambda: first.oldest_waiting_seconds > 0)
        await connection.execute("select pg_terminate_backend($1)", first._connection.get_server_pid())
        await until(lambda: second.leading and first.healthy and not first.leading)
        assert first.oldest_waiting_seconds == 0
        await until(lambda: second.oldest_waiting_seconds > 0)


async def test_polling_costs_one_statement_and_a_batch_at_most_four(
    engine: SimpleNamespace, payments: Payments, relay: Relay
) -> None:
    payment_id = await payments.create(CREATOR)
    # The first batch of a connection also asks for the types of its parameters.
    await payments.change(payment_id)
    await until(lambda: relay.leading)
    await asyncio.sleep(0.1)
    polls, batch = [], []
    log = polls.append
    relay._connection.add_query_logger(lambda record: log(record.query))
    await asyncio.sleep(0.2)
    assert set(polls) == {relay_module._WAITING}
    assert len(polls) <= 10
    async with watching(creator_feed(engine, CREATOR, None)) as (creator,):
        log = batch.append
        async with payments.database.transaction() as transaction:
            for _ in range(50):
                await payments.append(transaction.connection, payment_id)
        await until(lambda: len(creator.changes) == 50)
        await asyncio.sleep(0.02)
    assert len([query for query in batch if query != relay_module._WAITING]) <= 3


async def test_wake_ends_the_rest(
    engine: SimpleNamespace, payments: Payments, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "_IDLE_SECONDS", 60)
    payment_id = await payments.create(CREATOR)
    await until(lambda: relay.leading)
    await asyncio.sleep(0.1)
    async with watching(payment_feed(engine, payment_id, None)) as (payment,):
        await payments.change(payment_id)
        relay.wake()
        await until(lambda: len(payment.changes) == 1)


async def test_without_a_database_it_is_unhealthy_and_goes_on_trying(
    bus: LocalBus, caplog: pytest.LogCaptureFixture
) -> None:
    relay = Relay("postgresql://nobody@127.0.0.1:1/nowhere", bus)
    with pytest.raises(OSError, match="1"):
        await relay.try_lead()
    relay.start()
    await until(lambda: len(caplog.records) >= 2)
    assert not relay.healthy
    assert not relay.leading
    await relay.close()
