"""The inbox in the hands of an operator: how events stand, trying them again, and fetching what never came."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from core.clock import now
from models.database import fetch_one
from providers.payments.base import Capability, Event
from services.engine import Engine

STATES: Final = ("PENDING", "DONE", "DEAD", "QUARANTINED")
_BATCH: Final = 500

_LIST: Final = """
    select id, provider, event_id, type, state, attempts, due_at, received_at, processed_at, error, trace_id
    from inbox_events where $2::text is null or state = $2
    order by id desc limit $1
"""
_SHOW: Final = """
    select id, provider, event_id, type, state, attempts, due_at, received_at, processed_at, error, trace_id, body
    from inbox_events where id = $1 or (provider = $2 and event_id = $3)
    order by id limit 1
"""
_RETRY: Final = """
    update inbox_events
    set state = 'PENDING', due_at = $4, attempts = case state when 'PENDING' then attempts else 0 end
    where (id = any($1::bigint[]) or (provider = $2 and event_id = any($3::text[]))) and state <> 'DONE'
    returning id, event_id
"""
_RETRY_DEAD: Final = """
    update inbox_events set state = 'PENDING', due_at = $1, attempts = 0 where state = 'DEAD' returning id
"""
_RETRY_QUARANTINED: Final = """
    update inbox_events set state = 'PENDING', due_at = $1, attempts = 0 where state = 'QUARANTINED' returning id
"""
_KEEP: Final = """
    with kept as (
        insert into inbox_events (provider, event_id, type, body, state, attempts, due_at, received_at)
        select $1, id, type, body, 'PENDING', 0, $5, $5
        from unnest($2::text[], $3::text[], $4::bytea[]) as e (id, type, body)
        order by id
        on conflict (provider, event_id) do nothing
        returning 1
    )
    select count(*) as kept from kept
"""


class ReplayUnsupported(Exception):  # ruff: ignore[error-suffix-on-exception-name] - an answer to an operator
    """The provider does not tell its events a second time."""


@dataclass(frozen=True, slots=True)
class InboxEntry:
    """An event of the inbox. ``body`` is what was signed, byte by byte; None where it was not asked for."""

    id: int
    provider: str
    event_id: str
    type: str
    state: str
    attempts: int
    due_at: datetime
    received_at: datetime
    processed_at: datetime | None
    error: str | None
    trace_id: str | None
    body: bytes | None = field(default=None, repr=False)


async def entries(engine: Engine, state: str | None = None, limit: int = 50) -> list[InboxEntry]:
    """Return the events that came last, of one state or of all."""
    rows = await engine.database.reader.fetch(_LIST, limit, state)
    return [InboxEntry(**row) for row in rows]


async def entry(engine: Engine, name: str) -> InboxEntry | None:
    """Return an event with its body, by its number in the inbox or by its id at the provider."""
    row = await engine.database.reader.fetchrow(_SHOW, _number(name), engine.provider.name, name)
    return None if row is None else InboxEntry(**row)


async def retry(engine: Engine, names: Sequence[str]) -> frozenset[str]:
    """Have events settled now, wherever they stand; return the names of those that were taken.

    One that was given up has all its attempts again; of a quarantined one today's settings say anew whether it is
    for us. Not taken: what is settled already, and what nobody knows.
    """
    numbers = [number for name in names if (number := _number(name)) is not None]
    rows: list[Any] = await engine.database.writer.fetch(_RETRY, numbers, engine.provider.name, list(names), now())
    engine.inbox_wake()
    taken = {str(row["id"]) for row in rows} | {row["event_id"] for row in rows}
    return frozenset(names) & taken


async def retry_dead(engine: Engine) -> int:
    """Have every dead event settled now, with all its attempts again; return how many there were."""
    return await _retry_all(engine, _RETRY_DEAD)


async def retry_quarantined(engine: Engine) -> int:
    """Have every quarantined event judged anew, and settled if it is for us; return how many there were."""
    return await _retry_all(engine, _RETRY_QUARANTINED)


async def _retry_all(engine: Engine, statement: str) -> int:
    rows = await engine.database.writer.fetch(statement, now())
    engine.inbox_wake()
    return len(rows)


async def replay(engine: Engine, since: datetime) -> int:
    """Fetch the provider's events since a moment and keep those that never came; return how many those were.

    Raises ``ReplayUnsupported`` and ``ProviderError``. What was kept until then stays kept.
    """
    if Capability.EVENT_REPLAY not in engine.provider.capabilities.features:
        raise ReplayUnsupported(f"The provider {engine.provider.name} does not tell its events a second time.")
    kept = 0
    batch: list[Event] = []
    async for event in engine.provider.events(since):
        batch.append(event)
        if len(batch) == _BATCH:
            kept += await _keep(engine, batch)
            batch = []
    if batch:
        kept += await _keep(engine, batch)
    engine.inbox_wake()
    return kept


async def _keep(engine: Engine, events: Sequence[Event]) -> int:
    row = await fetch_one(
        engine.database.writer,
        _KEEP,
        engine.provider.name,
        [event.id for event in events],
        [event.type for event in events],
        [event.raw for event in events],
        now(),
    )
    kept: int = row["kept"]
    return kept


def _number(name: str) -> int | None:
    """Return a name as a number of the inbox, if it can be one."""
    longest = 18
    return int(name) if name.isascii() and name.isdecimal() and len(name) <= longest else None
