"""The bus between processes: one Redis stream for all channels.

Redis is a way, not a place: every event stays in PostgreSQL. Whenever messages may have been lost on the
way, subscribers are told to read there.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self
from uuid import UUID

import orjson
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.exceptions import ResponseError

from services.bus import LocalBus, Message, StatusEvent, Subscription

_ENTRY_MESSAGES: Final = 50
"""How many messages share an entry at most: an entry costs both ends ten times what a message in it does."""
_STREAM_ENTRIES: Final = 20_000
"""How much of the past the stream keeps, about: what a process may miss while it reconnects."""
_PAGE_ENTRIES: Final = 20
"""How much is read and handed out at once: no more messages than a subscriber's queue holds."""
_BLOCK_SECONDS: Final = 5
_ANSWER_SECONDS: Final = 10
_BACKOFF: Final = ExponentialWithJitterBackoff(base=0.05, cap=5)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, order=True)
class _EntryId:
    """The id of an entry of a stream: milliseconds and a counter, growing from each entry to the next."""

    milliseconds: int = 0
    counter: int = 0

    @classmethod
    def parse(cls, text: bytes) -> Self:
        milliseconds, _, counter = text.partition(b"-")
        return cls(int(milliseconds), int(counter))

    def __str__(self) -> str:
        return f"{self.milliseconds}-{self.counter}"


class RedisBus:
    """A bus for any number of processes that share the Redis at ``url``, apart from other namespaces.

    A process holds one connection to read for all its subscribers. While Redis is away, ``publish`` raises,
    subscriptions stay attached and hear nothing, and the bus goes on reconnecting.
    """

    def __init__(self, url: str, *, namespace: str = "main") -> None:
        self._url = url
        self._stream = f"comptoir:{namespace}:events"
        self._local = LocalBus()
        # Whoever publishes knows best when to try again.
        self._publisher: Redis = Redis.from_url(url, retry=Retry(NoBackoff(), 0), legacy_responses=False)
        self._reader: asyncio.Task[None] | None = None
        self._tried = asyncio.Event()
        self._connected = False
        self._server: str | None = None
        self._last = _EntryId()

    async def start(self) -> None:
        """Begin to read the stream at its present end; attach after this.

        Without Redis it returns all the same, not ``healthy``: the subscribers read the database until then.
        """
        self._reader = asyncio.create_task(self._read_forever(), name="redis-bus")
        await self._tried.wait()

    async def close(self) -> None:
        """Stop reading and close both connections."""
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait([self._reader])
        self._connected = False
        await self._publisher.aclose()

    @property
    def healthy(self) -> bool:
        """Whether the stream is being read."""
        return self._connected and self._reader is not None and not self._reader.done()

    async def publish(self, messages: Sequence[Message]) -> None:
        """Append messages to the stream.

        Raises:
            redis.exceptions.RedisError: any of them may or may not have been appended: publish all again.
        """
        async with self._publisher.pipeline(transaction=False) as pipeline:
            for start in range(0, len(messages), _ENTRY_MESSAGES):
                entry = messages[start : start + _ENTRY_MESSAGES]
                body = orjson.dumps([(message.channel, message.cursor, message.event) for message in entry])
                pipeline.xadd(self._stream, {"messages": body}, maxlen=_STREAM_ENTRIES, approximate=True)
            await pipeline.execute()

    def attach(self, channel: str) -> Subscription:
        """Listen to a channel from now on."""
        return self._local.attach(channel)

    async def _read_forever(self) -> None:
        failures = 0
        while True:
            try:
                await self._follow()
            except Exception:  # ruff: ignore[blind-except] - whatever it was, the reader must not end
                _log.exception("The stream of events cannot be read; trying again.")
                failures = 0 if self._connected else failures + 1
                self._connected = False
                self._tried.set()
                await asyncio.sleep(_BACKOFF.compute(failures))

    async def _follow(self) -> None:
        """Connect, and read on until something fails."""
        # A blocking read is quiet for as long as nothing happens: it has a deadline of its own.
        reader: Redis = Redis.from_url(
            self._url,
            socket_timeout=None,
            retry=Retry(NoBackoff(), 0),
            legacy_responses=False,
            single_connection_client=True,
        )
        async with aclosing(reader):
            await self._check(reader)
            self._connected = True
            self._tried.set()
            while True:
                await self._read(reader)

    async def _read(self, reader: Redis) -> None:
        """Read a page and hand it out."""
        async with asyncio.timeout(_BLOCK_SECONDS + _ANSWER_SECONDS):
            answer: Any = await reader.xread(
                {self._stream: str(self._last)}, count=_PAGE_ENTRIES, block=_BLOCK_SECONDS * 1_000
            )
        entries: Sequence[tuple[bytes, Mapping[bytes, bytes]]] = answer.get(self._stream.encode(), ())
        if not 0 < len(entries) < _PAGE_ENTRIES:
            # Far behind, the stream may have been trimmed in front of us. Nothing new for a while: another
            # stream may have taken its place, whose ids are lower.
            await self._check(reader)
        for entry_id, fields in entries:
            self._deliver(fields)
            self._last = _EntryId.parse(entry_id)

    def _deliver(self, fields: Mapping[bytes, bytes]) -> None:
        try:
            for channel, cursor, event in orjson.loads(fields[b"messages"]):
                if self._local.listens(channel):
                    self._local.deliver(Message(channel, cursor, _event(event)))
        except (KeyError, TypeError, ValueError):
            # Written by another version, perhaps. Whoever it was for finds it in the database.
            _log.exception("An entry of the stream of events cannot be understood.")
            self._local.resync()

    async def _check(self, reader: Redis) -> None:
        """Resync everybody unless the stream certainly still holds all that comes after the last entry read."""
        async with asyncio.timeout(_ANSWER_SECONDS):
            # A server that started again may have lost the newest entries: with them, nothing is certain.
            server = (await reader.info("server"))["run_id"]
            first, last = await self._bounds(reader)
        trimmed = last > self._last and (first is None or first > self._last)
        if server != self._server or last < self._last or trimmed:
            self._server, self._last = server, last
            self._local.resync()

    async def _bounds(self, reader: Redis) -> tuple[_EntryId | None, _EntryId]:
        """Return the ids of the stream's first entry and of the last one ever added."""
        try:
            state = await reader.xinfo_stream(self._stream)
        except ResponseError as error:
            if "no such key" not in str(error):
                raise
            return None, _EntryId()
        first = state["first-entry"]
        return _EntryId.parse(first[0]) if first else None, _EntryId.parse(state["last-generated-id"])


def _event(fields: Mapping[str, Any]) -> StatusEvent:
    return StatusEvent(
        subject=UUID(fields["subject"]),
        sequence=fields["sequence"],
        status=fields["status"],
        reason=fields["reason"],
        at=datetime.fromisoformat(fields["at"]),
        creator_id=UUID(fields["creator_id"]) if fields["creator_id"] else None,
        creator_offset=fields["creator_offset"],
    )
