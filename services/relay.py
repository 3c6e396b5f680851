"""The relay: gives outbox rows their place in the feeds and hands them to the bus, at least once.

One relay at a time leads, by an advisory lock held on the connection that all its statements run on: whoever
lost the lock cannot write. What a crash interrupts is found in the database by the next one.

The own channel of a payment or an order gets a row as soon as it is visible, since its sequence is dense by
itself. A place in a creator's activity waits for the horizon: until no transaction is open that could have written
before it.
"""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final
from uuid import UUID

import asyncpg

from models.database import APP_ROLE, DATABASE_ERRORS, Connection
from services.bus import Bus, Message, StatusEvent, creator_channel, order_channel, payment_channel

_LOCK_KEY: Final = 0x636F_6D70_746F_6972
_BATCH_ROWS: Final = 1_000
_EARLY_ROWS: Final = 50_000
"""How many rows handed over before the horizon are remembered; beyond, all wait for the horizon."""
_BUSY_SECONDS: Final = 0.002
_IDLE_SECONDS: Final = 0.025
_STANDBY_SECONDS: Final = 1.0
_BACKOFF_SECONDS: Final = 0.05
_BACKOFF_MAX_SECONDS: Final = 5.0
_STATEMENT_SECONDS: Final = 10.0
_PUBLISH_SECONDS: Final = 10.0
_SILENT_SECONDS: Final = 15.0

_SETTINGS: Final = {
    "application_name": "comptoir-relay",
    "timezone": "UTC",
    # Planned while the outbox was empty, a kept plan would read all of it ever after.
    "plan_cache_mode": "force_custom_plan",
    # Few rows wait among all that ever were. The index of waiting rows has them in order, stops after a
    # batch, and forgets the entries of rows that wait no more, which other scans visit until the next vacuum.
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_sort": "off",
    "jit": "off",
    # A relay that hangs, or whose machine is gone, gives its lock back.
    "idle_session_timeout": "30s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}

_TRY_LOCK: Final = "select pg_try_advisory_lock($1)"

_WAITING: Final = """
    select * from (
        select id, payment_id, order_id, sequence, status, reason, at, creator_id, in_activity,
            bool_and(transaction_id < pg_snapshot_xmin(pg_current_snapshot()))
                over (order by id rows unbounded preceding) as settled
        from outbox_events
        where position is null
    ) waiting
    where settled or id <> all ($1::bigint[])
    order by id
    limit $2
"""
"""Rows to do something about: settled ones, and those not handed over yet. NULL for $1: settled ones only.

A row counts as settled only if all before it are. The horizon alone would let the second event of a payment
pass the first, when the second one's transaction is the older.
"""

_ASSIGN: Final = """
    with reached as (
        update relay_position set assigned = assigned + cardinality($1::bigint[]) where id = 1
        returning assigned - cardinality($1::bigint[]) as before
    ),
    feeds as (
        insert into creator_feeds (creator_id, last_offset)
        select creator_id, count(*) from unnest($2::uuid[]) as added (creator_id)
        where creator_id is not null
        group by creator_id
        on conflict (creator_id) do update set last_offset = creator_feeds.last_offset + excluded.last_offset
        returning creator_id, last_offset
    )
    update outbox_events o
    set position = reached.before + settled.place, creator_offset = feeds.last_offset - settled.later
    from reached,
        unnest($1::bigint[], $2::uuid[], $3::int[]) with ordinality as settled (id, creator_id, later, place)
        left join feeds on feeds.creator_id = settled.creator_id
    where o.id = settled.id and o.position is null
    returning o.id, o.position, o.creator_offset
"""
"""Parameters, one element per row in order: its id; its creator, NULL outside the activity; how many of that
creator's rows come later in this batch."""

_UNPUBLISHED: Final = """
    select payment_id, order_id, sequence, status, reason, at, creator_id, position, creator_offset
    from outbox_events
    where position > (select published from relay_position where id = 1)
    order by position
    limit $1
"""

_PUBLISHED: Final = "update relay_position set published = $1 where id = 1"

_log = logging.getLogger(__name__)


class _BusRefused(Exception):  # ruff: ignore[error-suffix-on-exception-name] - reads as what happened
    """The bus did not take a batch; all of it is published again."""


class Relay:
    """The outbox's way out. Run one in every web process; it stands by while another one leads.

    ``dsn`` is PostgreSQL's address: the relay has a connection of its own, as ``role``.
    """

    def __init__(self, dsn: str, bus: Bus, *, role: str | None = APP_ROLE) -> None:
        self._dsn = dsn
        self._bus = bus
        self._role = role
        self._connection: Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self._leading = False
        self._woken = asyncio.Event()
        # Waiting rows already handed to their own channel, oldest first, with the moment of it.
        self._early: dict[int, float] = {}
        self._failures = 0
        self._failing_since: float | None = None
        self._heard_at = time.monotonic()

    @property
    def leading(self) -> bool:
        """Whether this relay holds the lock."""
        return self._leading and self._connection is not None and not self._connection.is_closed()

    @property
    def healthy(self) -> bool:
        """Whether it runs, has heard from the database lately and, if it leads, the bus takes its messages."""
        runs = self._task is not None and not self._task.done()
        return runs and self._failing_since is None and time.monotonic() - self._heard_at < _SILENT_SECONDS

    @property
    def oldest_waiting_seconds(self) -> float:
        """For how long the oldest row has been kept from its feed, by an open transaction or a bus that fails.

        Zero while another relay leads: that one knows.
        """
        since = [moment for moment in (next(iter(self._early.values()), None), self._failing_since) if moment]
        return time.monotonic() - min(since) if since else 0.0

    async def try_lead(self) -> bool:
        """Take the lead unless another relay of this database has it; say whether this one leads.

        Raises:
            OSError, asyncpg.PostgresError: the database cannot be reached.
        """
        if not self.leading:
            # Another relay may lead until this one does: what it leaves is handed over again.
            self._early.clear()
            if self._connection is None or self._connection.is_closed():
                self._connection = await self._connect()
            self._leading = await self._connection.fetchval(_TRY_LOCK, _LOCK_KEY)
            if self._leading:
                _log.info("This relay leads.")
        self._heard_at = time.monotonic()
        return self._leading

    def start(self) -> None:
        """Begin to work in the background, leading or standing by."""
        self._task = asyncio.create_task(self._run(), name="relay")

    async def close(self) -> None:
        """Stop and give the lead away. What waits is left to the next relay."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._let_go()

    def wake(self) -> None:
        """Look now: a transaction of this process has committed an event."""
        self._woken.set()

    async def _run(self) -> None:
        while True:
            try:
                if await self.try_lead():
                    await self._lead()
                self._recovered()
                await asyncio.sleep(_STANDBY_SECONDS)
            except _BusRefused:
                _log.exception("The bus takes no messages; the relay keeps the lead and tries again.")
                await asyncio.sleep(self._failed())
            except DATABASE_ERRORS as error:
                _log.warning("The relay waits for the database (%s).", type(error).__name__)
                await self._let_go()
                await asyncio.sleep(self._failed())
            except Exception:  # ruff: ignore[blind-except] - whatever it was, the relay must not end
                _log.exception("The relay failed; it gives the lead away and starts again.")
                await self._let_go()
                await asyncio.sleep(self._failed())

    async def _lead(self) -> None:
        """Work until something fails."""
        connection = self._connection
        if connection is None:
            raise RuntimeError("the relay leads without a connection")
        await self._publish_again(connection)
        delay_seconds = _IDLE_SECONDS
        while True:
            found = await self._take(connection)
            self._recovered()
            if found < _BATCH_ROWS:
                delay_seconds = _BUSY_SECONDS if found else min(delay_seconds * 2, _IDLE_SECONDS)
                await self._rest(delay_seconds)

    async def _publish_again(self, connection: Connection) -> None:
        """Publish whatever has its place and was perhaps not taken by the bus."""
        while rows := await connection.fetch(_UNPUBLISHED, _BATCH_ROWS):
            self._heard_at = time.monotonic()
            await self._publish(
                message
                for row in rows
                for message in (_to_subject(row), _to_creator(row, row["creator_offset"]))
                if message is not None
            )
            await connection.execute(_PUBLISHED, rows[-1]["position"])

    async def _take(self, connection: Connection) -> int:
        """Hand new rows to their own channels and settled ones to their creators; return how many there were."""
        early = list(self._early) if len(self._early) < _EARLY_ROWS else None
        rows = await connection.fetch(_WAITING, early, _BATCH_ROWS)
        self._heard_at = time.monotonic()
        if rows:
            new = [row for row in rows if row["id"] not in self._early]
            await self._publish(map(_to_subject, new))
            self._early.update(dict.fromkeys((row["id"] for row in new), time.monotonic()))
            if settled := [row for row in rows if row["settled"]]:
                await self._settle(connection, settled)
        return len(rows)

    async def _settle(self, connection: Connection, rows: Sequence[asyncpg.Record]) -> None:
        """Give rows their places, for good, and hand them to their creators' channels."""
        creators = [row["creator_id"] if row["in_activity"] else None for row in rows]
        left = Counter(creators)
        later = []
        for creator_id in creators:
            left[creator_id] -= 1
            later.append(left[creator_id])
        places = await connection.fetch(_ASSIGN, [row["id"] for row in rows], creators, later)
        if len(places) != len(rows):
            raise RuntimeError(f"{len(places)} of {len(rows)} rows were given a place: who else gives them?")
        offsets: dict[int, int | None] = {place["id"]: place["creator_offset"] for place in places}
        for row_id in offsets:
            del self._early[row_id]
        messages = (_to_creator(row, offsets[row["id"]]) for row in rows)
        await self._publish(message for message in messages if message is not None)
        await connection.execute(_PUBLISHED, max(place["position"] for place in places))

    async def _publish(self, messages: Iterable[Message]) -> None:
        batch = list(messages)
        if not batch:
            return
        try:
            async with asyncio.timeout(_PUBLISH_SECONDS):
                await self._bus.publish(batch)
        except Exception as error:
            raise _BusRefused(f"{len(batch)} messages wait") from error

    async def _rest(self, seconds: float) -> None:
        """Sleep until woken, at most so long."""
        timer = asyncio.get_running_loop().call_later(seconds, self._woken.set)
        try:
            await self._woken.wait()
        finally:
            timer.cancel()
            self._woken.clear()

    def _recovered(self) -> None:
        self._failures = 0
        self._failing_since = None

    def _failed(self) -> float:
        """Take note of a failure; return for how many seconds to wait."""
        self._failing_since = self._failing_since or time.monotonic()
        ceiling = min(_BACKOFF_MAX_SECONDS, _BACKOFF_SECONDS * 2 ** min(self._failures, 16))
        self._failures += 1
        return random.uniform(ceiling / 2, ceiling)

    async def _connect(self) -> Connection:
        settings = _SETTINGS if self._role is None else {**_SETTINGS, "role": self._role}
        return await asyncpg.connect(
            self._dsn,
            timeout=_STATEMENT_SECONDS,
            command_timeout=_STATEMENT_SECONDS,
            server_settings=settings,
        )

    async def _let_go(self) -> None:
        """Close the connection, and with it give the lock back."""
        connection, self._connection, self._leading = self._connection, None, False
        if connection is not None:
            try:
                await connection.close(timeout=_STANDBY_SECONDS)
            except DATABASE_ERRORS:
                connection.terminate()  # it was gone already
            except Exception:  # ruff: ignore[blind-except] - of a connection that is thrown away
                _log.exception("The relay's connection did not close well; it is cut.")
                connection.terminate()


def _event(row: asyncpg.Record, creator_offset: int | None) -> StatusEvent:
    # asyncpg's own kind of UUID is one that not everything takes for one.
    creator_id = row["creator_id"]
    return StatusEvent(
        subject=UUID(int=(row["payment_id"] or row["order_id"]).int),
        sequence=row["sequence"],
        status=row["status"],
        reason=row["reason"],
        at=row["at"],
        creator_id=None if creator_id is None else UUID(int=creator_id.int),
        creator_offset=creator_offset,
    )


def _to_subject(row: asyncpg.Record) -> Message:
    event = _event(row, None)
    channel = order_channel if row["payment_id"] is None else payment_channel
    return Message(channel(event.subject), event.sequence, event)


def _to_creator(row: asyncpg.Record, creator_offset: int | None) -> Message | None:
    """Return nothing for what doesn't belong in the creator's activity."""
    if creator_offset is None:
        return None
    event = _event(row, creator_offset)
    return Message(creator_channel(UUID(int=row["creator_id"].int)), creator_offset, event)
