"""What was told: the provider's events, the inbox they arrive in, and the outbox that tells others."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Final

from providers.payments.base import Event
from services.reconciliation.codes import DifferenceCode
from services.reconciliation.differences import About, AboutKind, Difference, StoreEvent
from services.reconciliation.frame import Frame, Snapshot

EVENTS_KEPT: Final = timedelta(days=30)
"""Providers replay the events of a month, and the inbox keeps no less."""

_BATCH: Final = 500
_KNOWN: Final = "select event_id from inbox_events where provider = $1 and event_id = any($2::text[])"
# Nothing is lost of a foreign event that has come in a form of ours as well, under its own name.
_INBOX: Final = """
    select event_id, type, state, attempts, received_at, error from inbox_events e
    where (
            state in ('DEAD', 'QUARANTINED') and received_at >= $1
            or state = 'PENDING' and received_at between $1 and $2
        ) and not (
            state = 'QUARANTINED' and exists (
                select from inbox_events own
                where own.provider = e.provider and own.event_id = split_part(e.event_id, ' ', 1)
                    and own.state = 'DONE'
            )
        )
    order by received_at, id
"""
_OUTBOX: Final = """
    select count(*) as number, min(at) as oldest from outbox_events
    where at between $1 and $2
        and (position is null or position > (select published from relay_position where id = 1))
"""


async def find_missed(frame: Frame) -> AsyncIterator[Difference]:
    """Read the provider's events and yield those that never arrived. Raises ``ProviderError``."""
    batch: list[Event] = []
    async for event in frame.engine.provider.events(max(frame.since, frame.at - EVENTS_KEPT)):
        if event.at is not None and event.at > frame.judged_until:
            continue
        batch.append(event)
        if len(batch) == _BATCH:
            for difference in await _missed(frame, batch):
                yield difference
            batch = []
    for difference in await _missed(frame, batch):
        yield difference


async def _missed(frame: Frame, batch: Sequence[Event]) -> list[Difference]:
    rows = await frame.engine.database.reader.fetch(_KNOWN, frame.provider, [event.id for event in batch])
    known = {row["event_id"] for row in rows}
    return [
        Difference(
            DifferenceCode.EVENT_MISSED,
            About(AboutKind.EVENT, event.id),
            f"The provider told {event.type}{f' at {event.at:%Y-%m-%d %H:%M} UTC' if event.at else ''}, and it "
            "never arrived.",
            # Without the bytes as they were sent there is nothing to store.
            remedies=(StoreEvent(event),) if event.raw else (),
        )
        for event in batch
        if event.id not in known
    ]


async def find_unsettled(snapshot: Snapshot) -> AsyncIterator[Difference]:
    """Yield the events that were given up or set aside, and those that have waited for too long."""
    overdue = snapshot.at - snapshot.limits.event
    async for row in snapshot.rows(_INBOX, snapshot.since, overdue):
        since = f"{row['type']}, received at {row['received_at']:%Y-%m-%d %H:%M} UTC"
        because = f" The last attempt said: {row['error']}." if row["error"] else ""
        if row["state"] == "DEAD":
            code, told = DifferenceCode.EVENT_DEAD, f"was given up after {row['attempts']} attempts"
        elif row["state"] == "QUARANTINED":
            code, told = DifferenceCode.EVENT_QUARANTINED, "was set aside as not for this deployment"
        else:
            code, told = DifferenceCode.EVENT_PENDING, f"is still not settled, after {row['attempts']} attempts"
        yield Difference(code, About(AboutKind.EVENT, row["event_id"]), f"{since}, {told}.{because}")


async def find_untold(snapshot: Snapshot) -> AsyncIterator[Difference]:
    """Yield one difference for all that has waited in the outbox for too long."""
    overdue = snapshot.at - snapshot.limits.outbox
    async for row in snapshot.rows(_OUTBOX, snapshot.since, overdue):
        if row["number"]:
            yield Difference(
                DifferenceCode.OUTBOX_NOT_RELAYED,
                About(AboutKind.OUTBOX, "outbox_events"),
                f"{row['number']} changes of status were not handed on, the oldest of "
                f"{row['oldest']:%Y-%m-%d %H:%M} UTC.",
            )
