"""The one statement that changes stock levels: with their movements and reservations, or not at all."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from core.catalogue import StockMovementKind
from models.database import Connection, fetch_one

# The levels are locked by whoever calls. The update carries its condition all the same: whoever forgot the lock
# finds fewer rows changed than were planned, and nothing is written.
_WRITE: Final = """
    with moved as (
        select * from unnest($1::uuid[], $2::text[], $3::int[], $4::int[], $5::uuid[], $6::text[])
            with ordinality as m (level_id, kind, on_hand, reserved, line_id, note, place)
    ),
    sums as (
        select level_id, sum(on_hand)::int as on_hand, sum(reserved)::int as reserved from moved group by level_id
    ),
    kept as (
        insert into stock_reservations (id, line_id, level_id, quantity, state, expires_at, created_at, updated_at)
        select k.*, $17, $17
        from unnest($7::uuid[], $8::uuid[], $9::uuid[], $10::int[], $11::text[], $12::timestamptz[]) as k
    ),
    turned as (
        update stock_reservations r
        set state = t.state, expires_at = t.expires_at, returned = r.returned + t.returned, updated_at = $17
        from unnest($13::uuid[], $14::text[], $15::timestamptz[], $16::int[], $18::text[])
            as t (id, state, expires_at, returned, was)
        where r.id = t.id and r.state = t.was
        returning r.id
    ),
    changed as (
        update stock_levels s set on_hand = s.on_hand + c.on_hand, reserved = s.reserved + c.reserved,
            low_since = case when s.on_hand + c.on_hand - s.reserved - c.reserved <= s.low_at
                then coalesce(s.low_since, $17) end,
            low_told_at = case when s.on_hand + c.on_hand - s.reserved - c.reserved <= s.low_at
                then s.low_told_at end,
            updated_at = $17
        from sums c where s.id = c.level_id and s.reserved + c.reserved between 0 and s.on_hand + c.on_hand
        returning s.id
    ),
    written as (
        insert into stock_movements (level_id, kind, on_hand, reserved, line_id, note, at)
        select level_id, kind, on_hand, reserved, line_id, note, $17 from moved order by place
    )
    select (select count(*) from changed) as levels, (select count(*) from turned) as reservations
"""


@dataclass(frozen=True, slots=True)
class Movement:
    """By how much a level changes, and why."""

    level_id: UUID
    kind: StockMovementKind
    on_hand: int = 0
    reserved: int = 0
    line_id: UUID | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """A reservation that is made: HELD until ``expires_at``, or TAKEN at once."""

    id: UUID
    line_id: UUID
    level_id: UUID
    quantity: int
    state: str
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Turned:
    """What becomes of a reservation that is in the state ``was``; ``returned`` are put back of it now."""

    id: UUID
    was: str
    state: str
    expires_at: datetime | None = None
    returned: int = 0


@dataclass(slots=True)
class Change:
    """Everything that is written at once."""

    movements: list[Movement] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    turned: list[Turned] = field(default_factory=list)


async def write(change: Change, *, on: Connection, at: datetime) -> None:
    """Write a change of levels that the caller has locked, in one statement; nothing where nothing changes.

    Raises ``RuntimeError`` when a level or a reservation is not as it was planned with: the transaction is over.
    """
    if not (change.movements or change.kept or change.turned):
        return
    movements, kept, turned = change.movements, change.kept, change.turned
    found = await fetch_one(
        on,
        _WRITE,
        [movement.level_id for movement in movements],
        [movement.kind.value for movement in movements],
        [movement.on_hand for movement in movements],
        [movement.reserved for movement in movements],
        [movement.line_id for movement in movements],
        [movement.note for movement in movements],
        [reservation.id for reservation in kept],
        [reservation.line_id for reservation in kept],
        [reservation.level_id for reservation in kept],
        [reservation.quantity for reservation in kept],
        [reservation.state for reservation in kept],
        [reservation.expires_at for reservation in kept],
        [reservation.id for reservation in turned],
        [reservation.state for reservation in turned],
        [reservation.expires_at for reservation in turned],
        [reservation.returned for reservation in turned],
        at,
        [reservation.was for reservation in turned],
    )
    _ensure_all("stock levels", found["levels"], {movement.level_id for movement in movements})
    _ensure_all("stock reservations", found["reservations"], {reservation.id for reservation in turned})


def _ensure_all(what: str, changed: int, planned: Sequence[UUID] | set[UUID]) -> None:
    if changed != len(planned):
        raise RuntimeError(f"{len(planned)} {what} were to change and {changed} did: they were not locked.")
