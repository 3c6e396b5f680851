"""The inbox: webhooks are stored as they came, answered, and settled from there in batches.

The row is the queue: it is claimed, settled and marked done in one transaction, so a worker that dies leaves it
as it was. ``services/inbox.py`` is for the people who look after it.
"""

import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg
import orjson
import structlog

from core.clock import now, wall
from models.database import Transaction
from providers.payments.base import Event, Fact, WebhookRejected
from services import measures
from services.engine import Engine
from services.posting import post
from services.settlement import settle_batch, subject_of

BATCH: Final = 500
_ATTEMPTS: Final = 20
_FIRST_DELAY: Final = timedelta(seconds=0.5)
_LONGEST_DELAY: Final = timedelta(minutes=30)

_RECEIVE: Final = """
    insert into inbox_events (provider, event_id, type, body, state, attempts, due_at, received_at, trace_id)
    select $1, id, type, body, 'PENDING', 0, at, at, trace_id
    from unnest($2::text[], $3::text[], $4::bytea[], $5::timestamptz[], $6::text[])
        as e (id, type, body, at, trace_id)
    order by id
    on conflict (provider, event_id) do nothing
"""
_CLAIM: Final = """
    select id, event_id, type, body, attempts, received_at, trace_id from inbox_events
    where state = 'PENDING' and due_at <= $1 and provider = $2
    order by due_at, id limit $3 for update skip locked
"""
_CLAIM_ONE: Final = """
    select id, event_id, type, body, attempts, received_at, trace_id from inbox_events
    where id = $1 and state = 'PENDING' for update skip locked
"""
_DONE: Final = """
    update inbox_events set state = 'DONE', processed_at = $2, error = null where id = any($1::bigint[])
"""
_PUT_OFF: Final = """
    update inbox_events i set attempts = p.attempts, due_at = p.due_at, error = p.error, state = p.state
    from unnest($1::bigint[], $2::int[], $3::timestamptz[], $4::text[], $5::text[])
        as p (id, attempts, due_at, error, state)
    where i.id = p.id and i.state = 'PENDING'
"""

# The server is away: that is no event's fault, and no event could be put off.
_AWAY: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InternalClientError,
    OSError,
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Received:
    event: Event
    body: bytes
    at: datetime
    trace_id: str | None


@dataclass(frozen=True, slots=True)
class _Settling(Transaction):
    """The transaction that settles a batch. ``put_off`` are those it did not settle: whether each is dead."""

    put_off: dict[int, bool] = field(default_factory=dict)

    def measure(self, rows: Sequence[Any], doubtful: Sequence[int]) -> None:
        """Count what became of a batch, once that has been committed."""
        at = now()
        for row in rows:
            if row["id"] in self.put_off:
                measures.EVENTS_SETTLED.labels("dead" if self.put_off[row["id"]] else "put_off").inc()
            elif row["id"] not in doubtful:
                measures.EVENTS_SETTLED.labels("done").inc()
                measures.SETTLE_LAG_SECONDS.observe((at - row["received_at"]).total_seconds())


async def receive(engine: Engine, headers: Mapping[str, str], body: bytes, trace_id: str | None = None) -> None:
    """Verify a webhook and store it; when this returns, it is safe to answer 200.

    A repeat changes nothing. Raises ``WebhookRejected``, and asyncpg's or OS errors when the database is away:
    then the provider has to send it again.
    """
    # A signature is as old as the wall clock says, wherever business time may be.
    event = engine.provider.verify(headers, body, wall())
    await engine.batched(_store).submit(_Received(event, body, now(), trace_id))
    engine.inbox_wake()


async def _store(engine: Engine, received: Sequence[_Received]) -> list[None]:
    await engine.database.writer.execute(
        _RECEIVE,
        engine.provider.name,
        [one.event.id for one in received],
        [one.event.type for one in received],
        [one.body for one in received],
        [one.at for one in received],
        [one.trace_id for one in received],
    )
    return [None] * len(received)


@asynccontextmanager
async def _settling(engine: Engine) -> AsyncIterator[_Settling]:
    async with engine.database.transaction() as transaction:
        yield _Settling(transaction.connection)


async def process(engine: Engine, limit: int = BATCH) -> int:
    """Settle up to ``limit`` due events; return how many were taken from the queue.

    If the batch fails as a whole each of its events is settled alone, so that one poisonous event never holds
    up the others: it comes back later, and in the end waits for a person (``DEAD``).
    """
    rows: list[Any] = []
    doubtful: list[int] = []
    try:
        async with _settling(engine) as settling:
            rows = await settling.connection.fetch(_CLAIM, now(), engine.provider.name, limit)
            if rows:
                doubtful = await _settle_rows(engine, settling, rows)
        settling.measure(rows, doubtful)
    except Exception as error:
        if not rows or isinstance(error, _AWAY):
            raise
        log.warning("inbox batch failed, settling one by one", events=len(rows), error=_kind(error))
        doubtful = [row["id"] for row in rows]
    traces = {row["id"]: row["trace_id"] for row in rows}
    for event_id in doubtful:
        with structlog.contextvars.bound_contextvars(trace_id=traces[event_id]):
            await _process_one(engine, event_id)
    if rows:
        engine.relay_wake()
    return len(rows)


async def _process_one(engine: Engine, event_id: int) -> None:
    failed: Exception | None = None
    rows: list[Any] = []
    try:
        async with _settling(engine) as settling:
            rows = await settling.connection.fetch(_CLAIM_ONE, event_id)
            if rows:
                await _settle_rows(engine, settling, rows)
        settling.measure(rows, [])
    except Exception as error:
        if isinstance(error, _AWAY):
            raise
        failed = error
    if failed is not None:
        # In a commit of its own: the count of attempts must outlive what failed.
        async with _settling(engine) as settling:
            await _put_off(settling, [(row, _kind(failed), False) for row in rows])
        settling.measure(rows, [])


async def _settle_rows(engine: Engine, transaction: _Settling, rows: Sequence[Any]) -> list[int]:
    """Settle events; return those of which only settling each alone can tell what is wrong with them."""
    facts: list[Fact] = []
    said: list[tuple[Any, Sequence[Fact]]] = []
    put_off: list[tuple[Any, str, bool]] = []
    for row in rows:
        try:
            stated = _translated(engine, row)
        except WebhookRejected as error:
            put_off.append((row, f"untranslatable: {error}", True))
            continue
        said.append((row, stated))
        facts.extend(stated)
    settled = await settle_batch(transaction, facts)
    done: list[int] = []
    doubtful: list[int] = []
    for row, stated in said:
        references = {subject_of(fact) for fact in stated}
        contradiction = next(
            (settled.contradictions[key] for key in references if key in settled.contradictions), None
        )
        if contradiction is not None and len(rows) > 1:
            # Of several events of one payment perhaps only one is wrong.
            doubtful.append(row["id"])
        elif contradiction is not None:
            put_off.append((row, contradiction, not references & settled.premature))
        elif references & settled.unknown:
            put_off.append((row, "no such payment yet", False))
        else:
            done.append(row["id"])
    if put_off:
        await _put_off(transaction, put_off)
    await transaction.connection.execute(_DONE, done, now())
    await post(engine, transaction.connection, settled.drafts, settled.gave_back)
    return doubtful


async def _put_off(transaction: _Settling, rows: Sequence[tuple[Any, str, bool]]) -> None:
    """Note a failed attempt: back later, with growing delays, or ``DEAD`` when it is hopeless."""
    columns: list[list[Any]] = [[], [], [], [], []]
    for row, error, hopeless in rows:
        attempts = row["attempts"] + 1
        dead = hopeless or attempts >= _ATTEMPTS
        transaction.put_off[row["id"]] = dead
        for column, value in zip(
            columns,
            (row["id"], attempts, now() + _delay(attempts), error, "DEAD" if dead else "PENDING"),
            strict=True,
        ):
            column.append(value)
        log.warning(
            "webhook not settled",
            trace_id=row["trace_id"],
            event_id=row["event_id"],
            attempts=attempts,
            dead=dead,
            error=error,
        )
    await transaction.connection.execute(_PUT_OFF, *columns)


def _delay(attempts: int) -> timedelta:
    """Return how long an event that failed so often waits: longer each time, and never all at once."""
    longest: timedelta = min(_FIRST_DELAY * 2 ** min(attempts, 16), _LONGEST_DELAY)
    return longest * random.uniform(0.5, 1)


def _translated(engine: Engine, row: Any) -> Sequence[Fact]:
    """Return the facts an event states. Raises ``WebhookRejected`` for one that nobody can translate."""
    try:
        body = orjson.loads(row["body"])
    except orjson.JSONDecodeError:
        raise WebhookRejected("not JSON") from None
    try:
        return engine.provider.translate(Event(row["event_id"], row["type"], body, bytes(row["body"])))
    except WebhookRejected:
        raise
    except Exception as error:
        # An adapter's mistake: the same bytes will meet it again, until somebody has mended it.
        log.exception("webhook could not be translated", trace_id=row["trace_id"], event_id=row["event_id"])
        raise WebhookRejected(_kind(error)) from None


def _kind(error: Exception) -> str:
    """Name an error without its text, which may hold what somebody sent."""
    return type(error).__name__
