"""What becomes of orders, told: every event is kept with its order and leaves through the outbox."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson

from core.orders import OrderEventKind, OrderStatus
from models.database import Connection

TELL: Final = """
    told as (
        select * from jsonb_to_recordset($1::jsonb) as t (order_id uuid, sequence int, kind text, status text,
            reason text, data jsonb)
        order by order_id, sequence
    ),
    event as (
        insert into order_events (order_id, sequence, kind, status, reason, data, at)
        select order_id, sequence, kind, status, reason, data, $2::timestamptz from told
    ),
    leaving as (
        insert into outbox_events (order_id, sequence, status, reason, at, in_activity)
        select order_id, sequence, status, reason, $2::timestamptz, false from told
    )
"""
"""Three steps of a statement. Parameters: $1 events jsonb of :func:`told_of`, $2 when they happened."""

_TELL: Final = f"with {TELL} select count(*) from told"  # ruff: ignore[hardcoded-sql-expression] - made of constants


@dataclass(frozen=True, slots=True)
class Told:
    """An event of an order that is locked, or new. ``status`` is what it led to, ``sequence`` counts from 1.

    ``data`` says of what it speaks, for machines: JSON of ids, quantities and minor units.
    """

    order_id: UUID
    kind: OrderEventKind
    status: OrderStatus
    sequence: int
    reason: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


async def tell(events: Sequence[Told], *, on: Connection, at: datetime) -> None:
    """Keep events and have them leave, in one statement. Their orders' ``sequence`` is the caller's to write."""
    if events:
        await on.execute(_TELL, told_of(events), at)


def told_of(events: Sequence[Told]) -> str:
    """Return events as the parameter that ``TELL`` takes."""
    return orjson.dumps(events, default=str).decode()
