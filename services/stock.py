"""Stock levels: how many of a variant are where, changed by the creator, read, and told of when they get low.

What orders do to them stands in ``stock_reservations``. Whoever changes a level here holds the lock of the
variant's product, as for any change of a variant; then the level's.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import structlog

from core.catalogue import StockMovementKind
from core.clock import now
from core.errors import ErrorCode, Refused
from core.ids import uuid7
from models.database import Connection
from services.engine import Engine
from services.paging import Page, PageQuery, fetch_page
from services.stock_locations import main_location
from services.stock_writes import Change, Movement, write

__all__ = ["main_location"]

MAXIMUM_STOCK: Final = 1_000_000_000
_TELL_BATCH: Final = 100

_ENSURE_LEVEL: Final = """
    insert into stock_levels (id, variant_id, location_id, on_hand, updated_at) values ($1, $2, $3, 0, $4)
    on conflict (variant_id, location_id) do nothing
"""
_LOCK_LEVELS: Final = """
    select id, location_id, on_hand, reserved, low_at from stock_levels
    where variant_id = $1 and location_id = any($2::uuid[])
    order by variant_id, location_id for no key update
"""
_LEVELS: Final = """
    select s.*, s.on_hand - s.reserved as available, l.creator_id, c.user_id as creator_user_id
    from stock_levels s
    join stock_locations l on l.id = s.location_id
    join creators c on c.id = l.creator_id
"""
_LEVEL: Final = f"{_LEVELS} where s.variant_id = $1 and s.location_id = $2"
_OF_VARIANTS: Final = f"{_LEVELS} where s.variant_id = any($1::uuid[]) order by l.position, l.id"
_OF_CREATOR: Final = f"{_LEVELS} where l.creator_id = $1"
_OWNERS: Final = """
    select v.id, c.user_id from product_variants v
    join products p on p.id = v.product_id join creators c on c.id = p.creator_id
    where v.id = any($1::uuid[])
"""
# Movements have numbers, and a page wants a UUID to tell rows apart that are alike in its order: none are.
_MOVEMENTS: Final = """
    select m.level_id as id, m.id as number, m.kind, m.on_hand, m.reserved, m.line_id, m.note, m.at
    from stock_movements m where m.level_id = $1
"""
_TELL_LOW: Final = """
    with due as (
        select s.id, p.creator_id
        from stock_levels s
        join stock_locations l on l.id = s.location_id
        join product_variants v on v.id = s.variant_id
        join products p on p.id = v.product_id
        where s.low_since is not null and s.low_told_at is null and l.state = 'active'
        order by s.variant_id, s.location_id limit $2 for no key update of s skip locked
    )
    update stock_levels s set low_told_at = $1 from due where s.id = due.id
    returning s.variant_id, s.location_id, due.creator_id, s.on_hand - s.reserved as available, s.low_at
"""

log = structlog.get_logger(__name__)


async def receive(
    variant_id: UUID,
    location_id: UUID,
    quantity: int,
    *,
    on: Connection,
    at: datetime,
    note: str | None = None,
) -> None:
    """Add what came in, at least 1, to a level. The caller holds the product's lock. Errors: INPUT_INVALID."""
    level = await locked_level(variant_id, location_id, on=on, at=at)
    await change_level(variant_id, level, quantity, StockMovementKind.RECEIVED, note, on=on, at=at)


async def set_available(
    variant_id: UUID, location_id: UUID, available: int, *, on: Connection, at: datetime
) -> None:
    """Make so many sellable at one location, what is reserved there beside; the caller holds the product's lock.

    Errors: INPUT_INVALID.
    """
    level = await locked_level(variant_id, location_id, on=on, at=at)
    by = available + level["reserved"] - level["on_hand"]
    await change_level(variant_id, level, by, StockMovementKind.ADJUSTED, None, on=on, at=at)


async def tell_low(engine: Engine) -> bool:
    """Tell of each level that became low, once until it rose again; return whether there may be more."""
    async with engine.database.transaction() as transaction:
        rows = await transaction.connection.fetch(_TELL_LOW, now(), _TELL_BATCH)
    for row in rows:
        log.info(
            "stock is low",
            creator=str(row["creator_id"]),
            variant=str(row["variant_id"]),
            location=str(row["location_id"]),
            available=row["available"],
            low_at=row["low_at"],
        )
    return len(rows) == _TELL_BATCH


async def level_at(engine: Engine, variant_id: UUID, location_id: UUID) -> Any:
    """Read the level of a variant at a location, or None."""
    return await engine.database.reader.fetchrow(_LEVEL, variant_id, location_id)


async def of_variants(engine: Engine, variant_ids: Sequence[UUID]) -> list[Any]:
    """Read the levels of variants, in the order of their locations. Says nothing about who may see them."""
    return await engine.database.reader.fetch(_OF_VARIANTS, variant_ids)


async def of_creator(engine: Engine, creator_id: UUID, query: PageQuery) -> Page:
    """Page through a creator's levels."""
    return await fetch_page(engine.database.reader, "stock levels", _OF_CREATOR, (creator_id,), query)


async def movements_of(engine: Engine, level_id: UUID, query: PageQuery) -> Page:
    """Page through what changed a level, by its number."""
    return await fetch_page(engine.database.reader, "stock movements", _MOVEMENTS, (level_id,), query)


async def owners_of(engine: Engine, variant_ids: Sequence[UUID]) -> Mapping[UUID, UUID]:
    """Return the users whose variants these are, by variant."""
    return {row["id"]: row["user_id"] for row in await engine.database.reader.fetch(_OWNERS, variant_ids)}


async def locked_levels(
    variant_id: UUID, location_ids: Sequence[UUID], *, on: Connection, at: datetime
) -> dict[UUID, Any]:
    """Lock levels, those that are not there yet made with nothing in them; return them by location."""
    for location_id in sorted(location_ids):
        await on.execute(_ENSURE_LEVEL, uuid7(), variant_id, location_id, at)
    return {row["location_id"]: row for row in await on.fetch(_LOCK_LEVELS, variant_id, location_ids)}


async def locked_level(variant_id: UUID, location_id: UUID, *, on: Connection, at: datetime) -> Any:
    """Lock a level, made with nothing in it if it is not there yet."""
    return (await locked_levels(variant_id, [location_id], on=on, at=at))[location_id]


async def change_level(
    variant_id: UUID,
    level: Any,
    by: int,
    kind: StockMovementKind,
    note: str | None,
    *path: str,
    on: Connection,
    at: datetime,
) -> None:
    """Change a locked level, of which the input field ``path`` speaks.

    Errors: OUT_OF_STOCK (fewer than are reserved), INPUT_INVALID (too many).
    """
    if by == 0:
        return
    check_sum(level["on_hand"] + by, *path)
    if level["on_hand"] + by < level["reserved"]:
        raise reserved(variant_id, level, *path)
    await write(Change([Movement(level["id"], kind, on_hand=by, note=note)]), on=on, at=at)


def reserved(variant_id: UUID, level: Any, *path: str) -> Refused:
    """Return the refusal of taking away what is reserved at a level."""
    available = level["on_hand"] - level["reserved"]
    return Refused(
        ErrorCode.OUT_OF_STOCK,
        f"There are {level['on_hand']} here, of which {level['reserved']} are reserved for orders: "
        f"no more than {available} can be taken away.",
        path=path,
        data={"available": available, "variant": str(variant_id)},
    )


def check_sum(on_hand: int, *path: str) -> None:
    """Errors: INPUT_INVALID (more than a location has)."""
    if on_hand > MAXIMUM_STOCK:
        raise invalid(f"A location has at most {MAXIMUM_STOCK} of a variant.", *path)


def invalid(message: str, *path: str) -> Refused:
    """Return the refusal of an input."""
    return Refused(ErrorCode.INPUT_INVALID, message, path=path)
