"""Sends the sandbox's events to the webhook endpoint over HTTP, at least once and in no promised order."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import asyncpg
import httpx
from standardwebhooks import Webhook

from core.clock import wall
from providers.payments.sandbox.connections import ATTEMPT_SECONDS, CONCURRENCY
from providers.payments.sandbox.store import DATABASE_ERRORS
from providers.payments.sandbox.webhooks import sign, signing_keys

KEEP_TRYING: Final = timedelta(days=3)

# Enough claimed ahead that no sender waits for the database. The lease outlasts the worst case: every claimed
# event times out, four in a row (128 over 32 slots) of 10 s each.
_CLAIMED_AHEAD: Final = 4 * CONCURRENCY
_LEASE: Final = timedelta(seconds=60)

_FIRST_RETRY: Final = timedelta(seconds=1)
_LONGEST_RETRY: Final = timedelta(hours=1)

_BUSY_SECONDS: Final = 0.005
_IDLE_SECONDS: Final = 0.1
_OUTAGE_SECONDS: Final = 5.0
_DATABASE_SECONDS: Final = 10

_CLAIM: Final = "select id, body, attempts from sandbox.claim_events($1::integer, $2::interval)"
_RECORD: Final = """
select sandbox.record_attempts($1::text[], $2::boolean[], $3::interval[], $4::interval)
"""

_log: Final = logging.getLogger(__name__)


async def deliver(
    pool: "asyncpg.Pool[asyncpg.Record]",
    *,
    url: str,
    secrets: Sequence[str],
    client: httpx.AsyncClient,
    stop: asyncio.Event,
) -> None:
    """Send events to ``url`` until ``stop`` is set, and do what has become due by the sandbox's clock.

    Any number of workers may run this at once: each claims events of its own. A 2xx answer within 10 s
    delivers an event; after anything else it is tried again, later each time, for 3 days. No transaction is
    open during a request. An outage of the database is waited out. ``http_client`` makes a fit ``client``.
    Raises ValueError for malformed secrets, at once.
    """
    sender = _Sender(url, signing_keys(secrets)[0], client)
    pause = _BUSY_SECONDS
    try:
        while not stop.is_set():
            try:
                async with asyncio.timeout(_DATABASE_SECONDS):
                    busy = await _turn(pool, sender)
            except DATABASE_ERRORS as error:
                pause = min(max(pause * 2, _IDLE_SECONDS), _OUTAGE_SECONDS)
                _log.warning("Sandbox events wait for the database (%s).", type(error).__name__)
            else:
                pause = _BUSY_SECONDS if busy else min(pause * 2, _IDLE_SECONDS)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)
        await sender.finish()
        with contextlib.suppress(*DATABASE_ERRORS):  # not recorded is sent again: at least once
            async with asyncio.timeout(_DATABASE_SECONDS):
                await _record(pool, sender)
    finally:
        sender.cancel()


async def _turn(pool: "asyncpg.Pool[asyncpg.Record]", sender: "_Sender") -> bool:
    """Write down what was sent, claim and start what is next. Return whether there is work."""
    recorded = await _record(pool, sender)
    if room := _CLAIMED_AHEAD - len(sender.in_flight):
        for row in await pool.fetch(_CLAIM, room, _LEASE):
            sender.start(_Claimed(row["id"], row["body"], row["attempts"]))
    return recorded or bool(sender.in_flight)


async def _record(pool: "asyncpg.Pool[asyncpg.Record]", sender: "_Sender") -> bool:
    if not (attempts := tuple(sender.attempts)):
        return False
    await pool.execute(
        _RECORD,
        [attempt.event_id for attempt in attempts],
        [attempt.delivered for attempt in attempts],
        [attempt.retry_after for attempt in attempts],
        KEEP_TRYING,
    )
    del sender.attempts[: len(attempts)]  # only now: what an outage kept from being written is written later
    return True


@dataclass(frozen=True, slots=True)
class _Claimed:
    id: str
    body: str
    attempts: int


@dataclass(frozen=True, slots=True)
class _Attempt:
    event_id: str
    delivered: bool
    retry_after: timedelta


class _Sender:
    """Sends claimed events, ``CONCURRENCY`` at a time, and remembers what became of each."""

    def __init__(self, url: str, key: Webhook, client: httpx.AsyncClient) -> None:
        self.in_flight: set[asyncio.Task[None]] = set()
        self.attempts: list[_Attempt] = []
        self._url = url
        self._key = key
        self._client = client
        self._slots = asyncio.Semaphore(CONCURRENCY)

    def start(self, event: _Claimed) -> None:
        task = asyncio.create_task(self._attempt(event))
        self.in_flight.add(task)
        task.add_done_callback(self.in_flight.discard)

    async def finish(self) -> None:
        if self.in_flight:
            await asyncio.wait(self.in_flight, timeout=ATTEMPT_SECONDS)

    def cancel(self) -> None:
        for task in self.in_flight:
            task.cancel()

    async def _attempt(self, event: _Claimed) -> None:
        async with self._slots:
            try:
                delivered = await self._post(event)
            except Exception as error:  # ruff: ignore[blind-except] - whatever a client raises is a failed attempt
                _log.info("Sandbox event %s was not delivered (%s).", event.id, type(error).__name__)
                delivered = False
        self.attempts.append(_Attempt(event.id, delivered, retry_after(event.attempts)))

    async def _post(self, event: _Claimed) -> bool:
        headers = sign(self._key, event.id, event.body, wall())
        headers["content-type"] = "application/json"
        # The client's own timeouts are per read: a receiver that drips its answer would hold a slot for ever.
        async with asyncio.timeout(ATTEMPT_SECONDS):
            answer = await self._client.post(self._url, content=event.body.encode(), headers=headers)
        return answer.is_success


def retry_after(attempts: int) -> timedelta:
    """Return how long to wait after so many attempts: 1 s doubling up to an hour, half of it by chance."""
    longest: timedelta = min(_FIRST_RETRY * (1 << min(attempts - 1, 16)), _LONGEST_RETRY)
    return longest * random.uniform(0.5, 1.0)
