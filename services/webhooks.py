"""The inbox: webhooks are stored as they came, answered, and settled from there in batches.

The row is the queue: it is claimed, settled and marked done in one transaction, so a worker that dies leaves it
as it was. What tells too little is claimed for a while, looked up at the provider, and settled in a second one.
``services/inbox.py`` is for the people who look after it.
"""

import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final

import asyncpg
import structlog

from core.clock import now, wall
from models.database import Transaction
from providers.payments.base import Event, Fact, LookUp
from services import look_ups, measures
from services.engine import Engine
from services.inbox_events import Failure, Said, Verdict, kind, read
from services.look_ups import Answer, Answers, Waiting
from services.posting import post
from services.settlement import settle_batch, subject_of

BATCH: Final = 500
_ATTEMPTS: Final = 20
# As many as a provider that is away may cost: it is asked again every few minutes, and others are left.
_ATTEMPTS_AWAY: Final = 9
# Looked up and settled together: none waits for long for the others.
_TOGETHER: Final = 64
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
_CLAIM_LOOKED_UP: Final = """
    select id, event_id, type, body, attempts, received_at, trace_id from inbox_events
    where id = any($1::bigint[]) and state = 'PENDING' order by id for update skip locked
"""
_LEASE: Final = "update inbox_events set due_at = $2 where id = any($1::bigint[])"
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
class Taken:
    """How many events were taken from the queue, and those of them that are to be looked up."""

    number: int
    waiting: Waiting | None


@dataclass(frozen=True, slots=True)
class _Settling(Transaction):
    """The transaction that settles a batch, given the ``answers`` to what its events tell too little of.

    ``failed`` are the events it did not settle, and how that is counted; ``waiting`` those to be looked up.
    """

    answers: Answers
    failed: dict[int, str] = field(default_factory=dict)
    waiting: list[Waiting] = field(default_factory=list)

    def measure(self, rows: Sequence[Any], doubtful: Sequence[int]) -> None:
        """Count what became of a batch, once that has been committed."""
        at = now()
        left = {*doubtful, *(event_id for one in self.waiting for event_id in one.events)}
        for row in rows:
            if row["id"] in self.failed:
                measures.EVENTS_SETTLED.labels(self.failed[row["id"]]).inc()
            elif row["id"] not in left:
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
        [_name(one.event) for one in received],
        [one.event.type for one in received],
        [one.body for one in received],
        [one.at for one in received],
        [one.trace_id for one in received],
    )
    return [None] * len(received)


def _name(event: Event) -> str:
    """Return what an event is kept as. What is foreign does not stand in the way of the same event that is not."""
    return event.id if event.foreign is None else f"{event.id} {event.foreign}"


@asynccontextmanager
async def _settling(engine: Engine, answers: Answers) -> AsyncIterator[_Settling]:
    async with engine.database.transaction() as transaction:
        yield _Settling(transaction.connection, answers)


async def process(engine: Engine, limit: int = BATCH) -> int:
    """Settle up to ``limit`` due events, those that have to be looked up too; return how many were taken."""
    taken = await take(engine, limit)
    if taken.waiting is not None:
        await look_up(engine, taken.waiting)
    return taken.number


async def take(engine: Engine, limit: int = BATCH) -> Taken:
    """Settle up to ``limit`` due events but for those that tell too little: they are claimed for ``look_up``."""
    return await _settle_claimed(engine, {}, _CLAIM, now(), engine.provider.name, limit)


async def look_up(engine: Engine, waiting: Waiting) -> None:
    """Ask the provider for what events tell too little of, each object once, and settle them with what it says.

    What there is no time for before the claim ends is left, and so comes back then.
    """
    answers: dict[LookUp, Answer] = {}
    left = iter(waiting.events.items())
    while together := dict(islice(left, _TOGETHER)):
        wanted = dict.fromkeys(one for wanted in together.values() for one in wanted if one not in answers)
        answers.update(await look_ups.ask(engine, wanted, waiting.until))
        answered = [event_id for event_id, wanted in together.items() if wanted <= answers.keys()]
        if answered:
            await _settle_claimed(engine, answers, _CLAIM_LOOKED_UP, answered)


async def _settle_claimed(engine: Engine, answers: Answers, claim: str, *arguments: object) -> Taken:
    """Claim events with a statement and settle them in one transaction.

    If the batch fails as a whole each of its events is settled alone, so that one poisonous event never holds
    up the others: it comes back later, and in the end waits for a person (``DEAD``).
    """
    rows: list[Any] = []
    doubtful: list[int] = []
    waiting: list[Waiting] = []
    try:
        async with _settling(engine, answers) as settling:
            rows = await settling.connection.fetch(claim, *arguments)
            if rows:
                doubtful = await _settle_rows(engine, settling, rows)
        settling.measure(rows, doubtful)
    except Exception as error:
        if not rows or isinstance(error, _AWAY):
            raise
        log.warning("inbox batch failed, settling one by one", events=len(rows), error=kind(error))
        doubtful = [row["id"] for row in rows]
    else:
        waiting += settling.waiting
    traces = {row["id"]: row["trace_id"] for row in rows}
    for event_id in doubtful:
        with structlog.contextvars.bound_contextvars(trace_id=traces[event_id]):
            waiting += await _settle_one(engine, answers, event_id)
    if rows:
        engine.relay_wake()
    return Taken(len(rows), look_ups.together(waiting))


async def _settle_one(engine: Engine, answers: Answers, event_id: int) -> list[Waiting]:
    failed: Exception | None = None
    rows: list[Any] = []
    try:
        async with _settling(engine, answers) as settling:
            rows = await settling.connection.fetch(_CLAIM_ONE, event_id)
            if rows:
                await _settle_rows(engine, settling, rows)
        settling.measure(rows, [])
    except Exception as error:
        if isinstance(error, _AWAY):
            raise
        failed = error
    if failed is None:
        return settling.waiting
    # In a commit of its own: the count of attempts must outlive what failed.
    async with _settling(engine, answers) as settling:
        await _put_off(settling, [(row, Failure(kind(failed), Verdict.LATER)) for row in rows])
    settling.measure(rows, [])
    return []


async def _settle_rows(engine: Engine, settling: _Settling, rows: Sequence[Any]) -> list[int]:
    """Settle events; return those of which only settling each alone can tell what is wrong with them."""
    said, put_off = await read(engine, settling.connection, rows)
    ready: list[tuple[Any, Sequence[Fact]]] = []
    facts: list[Fact] = []
    looked_up: dict[LookUp, tuple[Fact, ...]] = {}
    waiting: list[Said] = []
    for one in said:
        if not one.look_ups <= settling.answers.keys():
            waiting.append(one)
            continue
        told = look_ups.told(one.look_ups, settling.answers)
        if isinstance(told, Failure):
            put_off.append((one.row, told))
            continue
        looked_up.update(told)
        facts.extend(one.facts)
        ready.append((one.row, (*one.facts, *(fact for answer in told.values() for fact in answer))))
    if waiting:
        await _lease(engine, settling, waiting)
    facts.extend(fact for answer in looked_up.values() for fact in answer)
    settled = await settle_batch(settling, facts, provider=engine.provider.name)
    done: list[int] = []
    doubtful: list[int] = []
    for row, stated in ready:
        references = {subject for fact in stated if (subject := subject_of(fact)) is not None}
        contradiction = settled.contradiction_of(stated)
        if contradiction is not None and len(rows) > 1:
            # Of several events of one payment perhaps only one is wrong.
            doubtful.append(row["id"])
        elif contradiction is not None:
            later = references & settled.premature
            put_off.append((row, Failure(contradiction, Verdict.LATER if later else Verdict.DEAD)))
        elif references & settled.unknown:
            put_off.append((row, Failure("no such payment yet", Verdict.LATER)))
        else:
            done.append(row["id"])
    if put_off:
        await _put_off(settling, put_off)
    if done:
        await settling.connection.execute(_DONE, done, now())
    await post(engine, settling.connection, settled.drafts, settled.gave_back)
    return doubtful


async def _lease(engine: Engine, settling: _Settling, said: Sequence[Said]) -> None:
    """Claim events to be looked up for longer than that takes: if whoever does it dies, they come back."""
    events = {one.row["id"]: one.look_ups for one in said}
    until = look_ups.claim(engine, now(), len(frozenset().union(*events.values())))
    await settling.connection.execute(_LEASE, list(events), until)
    settling.waiting.append(Waiting(events, until))


async def _put_off(settling: _Settling, failures: Sequence[tuple[Any, Failure]]) -> None:
    """Note a failed attempt: back later, with growing delays, or as its verdict says."""
    columns: list[list[Any]] = [[], [], [], [], []]
    for row, failure in failures:
        attempts = row["attempts"] + 1
        state = "PENDING"
        if failure.verdict is Verdict.AWAY:
            attempts = max(row["attempts"], min(attempts, _ATTEMPTS_AWAY))
        elif failure.verdict is Verdict.QUARANTINED:
            state = "QUARANTINED"
        elif failure.verdict is Verdict.DEAD or attempts >= _ATTEMPTS:
            state = "DEAD"
        settling.failed[row["id"]] = "put_off" if state == "PENDING" else state.lower()
        values = (row["id"], attempts, now() + _delay(attempts), failure.error, state)
        for column, value in zip(columns, values, strict=True):
            column.append(value)
        said: dict[str, Any] = {"event_id": row["event_id"], "attempts": attempts, "error": failure.error}
        if state == "QUARANTINED":
            log.error("webhook quarantined: it is not for us", trace_id=row["trace_id"], **said)
        else:
            log.warning("webhook not settled", trace_id=row["trace_id"], dead=state == "DEAD", **said)
    await settling.connection.execute(_PUT_OFF, *columns)


def _delay(attempts: int) -> timedelta:
    """Return how long an event that failed so often waits: longer each time, and never all at once."""
    longest: timedelta = min(_FIRST_DELAY * 2 ** min(attempts, 16), _LONGEST_DELAY)
    return longest * random.uniform(0.5, 1)
