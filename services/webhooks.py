"""The inbox: webhooks are stored as they came, answered, and settled from there in batches.

The row is the queue: it is claimed, settled and marked done in one transaction, so a worker that dies leaves it
as it was.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg
import orjson
import structlog

from core.clock import now
from models.database import Transaction
from providers.payments.base import Event, Fact, WebhookRejected
from services.engine import Engine
from services.settlement import post, settle_batch

BATCH: Final = 500
_ATTEMPTS: Final = 20
_LONGEST_DELAY: Final = timedelta(minutes=30)

_RECEIVE: Final = """
    insert into inbox_events (provider, event_id, type, body, state, attempts, due_at, received_at)
    select $1, id, type, body, 'PENDING', 0, at, at
    from unnest($2::text[], $3::text[], $4::bytea[], $5::timestamptz[]) as e (id, type, body, at)
    order by id
    on conflict (provider, event_id) do nothing
"""
_CLAIM: Final = """
    select id, event_id, type, body, attempts from inbox_events
    where state = 'PENDING' and due_at <= $1 and provider = $2
    order by due_at, id limit $3 for update skip locked
"""
_CLAIM_ONE: Final = """
    select id, event_id, type, body, attempts from inbox_events
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


async def receive(engine: Engine, headers: Mapping[str, str], body: bytes) -> None:
    """Verify a webhook and store it; when this returns, it is safe to answer 200.

    A repeat changes nothing. Raises ``WebhookRejected``, and asyncpg's or OS errors when the database is away:
    then the provider has to send it again.
    """
    at = now()
    event = engine.provider.verify(headers, body, at)
    await engine.batched(_store).submit((event, body, at))
    engine.inbox_wake()


async def _store(engine: Engine, received: Sequence[tuple[Event, bytes, datetime]]) -> list[None]:
    await engine.database.writer.execute(
        _RECEIVE,
        engine.provider.name,
        [event.id for event, _, _ in received],
        [event.type for event, _, _ in received],
        [body for _, body, _ in received],
        [at for _, _, at in received],
    )
    return [None] * len(received)


async def process(engine: Engine, limit: int = BATCH) -> int:
    """Settle up to ``limit`` due events; return how many were taken from the queue.

    If the batch fails as a whole each of its events is settled alone, so that one poisonous event never holds
    up the others: it comes back later, and in the end waits for a person (``DEAD``).
    """
    rows: list[Any] = []
    doubtful: list[int] = []
    try:
        async with engine.database.transaction() as transaction:
            rows = await transaction.connection.fetch(_CLAIM, now(), engine.provider.name, limit)
            if rows:
                doubtful = await _settle_rows(engine, transaction, rows)
    except Exception as error:
        if not rows or isinstance(error, _AWAY):
            raise
        log.warning("inbox batch failed, settling one by one", events=len(rows), error=_kind(error))
        doubtful = [row["id"] for row in rows]
    for event_id in doubtful:
        await _process_one(engine, event_id)
    if rows:
        engine.relay_wake()
    return len(rows)


async def _process_one(engine: Engine, event_id: int) -> None:
    failed: Exception | None = None
    rows: list[Any] = []
    try:
        async with engine.database.transaction() as transaction:
            rows = await transaction.connection.fetch(_CLAIM_ONE, event_id)
            if rows:
                await _settle_rows(engine, transaction, rows)
    except Exception as error:
        if isinstance(error, _AWAY):
            raise
        failed = error
    if failed is not None:
        # In a commit of its own: the count of attempts must outlive what failed.
        async with engine.database.transaction() as transaction:
            await _put_off(transaction, [(row, _kind(failed), False) for row in rows])


async def _settle_rows(engine: Engine, transaction: Transaction, rows: Sequence[Any]) -> list[int]:
    """Settle events; return those of which only settling each alone can tell what is wrong with them."""
    facts: list[Fact] = []
    said: list[tuple[Any, Sequence[Fact]]] = []
    put_off: list[tuple[Any, str, bool]] = []
    for row in rows:
        try:
            stated = engine.provider.translate(_event(row))
        except WebhookRejected as error:
            put_off.append((row, f"untranslatable: {error}", True))
            continue
        said.append((row, stated))
        facts.extend(stated)
    settled = await settle_batch(transaction, facts)
    done: list[int] = []
    doubtful: list[int] = []
    for row, stated in said:
        references = {fact.reference for fact in stated}
        contradiction = next(
            (settled.contradictions[key] for key in references if key in settled.contradictions), None
        )
        if contradiction is not None and len(rows) > 1:
            # Of several events of one payment perhaps only one is wrong.
            doubtful.append(row["id"])
        elif contradiction is not None:
            put_off.append((row, contradiction, True))
        elif references & settled.unknown:
            put_off.append((row, "no such payment yet", False))
        else:
            done.append(row["id"])
    if put_off:
        await _put_off(transaction, put_off)
    await transaction.connection.execute(_DONE, done, now())
    await post(engine, transaction.connection, settled.drafts)
    return doubtful


async def _put_off(transaction: Transaction, rows: Sequence[tuple[Any, str, bool]]) -> None:
    """Note a failed attempt: back later, with growing delays, or ``DEAD`` when it is hopeless."""
    columns: list[list[Any]] = [[], [], [], [], []]
    for row, error, hopeless in rows:
        attempts = row["attempts"] + 1
        dead = hopeless or attempts >= _ATTEMPTS
        delay = min(timedelta(seconds=0.5) * 2 ** min(attempts, 16), _LONGEST_DELAY)
        for column, value in zip(
            columns, (row["id"], attempts, now() + delay, error, "DEAD" if dead else "PENDING"), strict=True
        ):
            column.append(value)
        log.warning("webhook not settled", event_id=row["event_id"], attempts=attempts, dead=dead, error=error)
    await transaction.connection.execute(_PUT_OFF, *columns)


def _event(row: Any) -> Event:
    try:
        body = orjson.loads(row["body"])
    except orjson.JSONDecodeError as error:
        raise WebhookRejected("not JSON") from error
    return Event(row["event_id"], row["type"], body)


def _kind(error: Exception) -> str:
    """Name an error without its text, which may hold what somebody sent."""
    return type(error).__name__
