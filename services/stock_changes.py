"""What creators do about their stock: set how many there are, adjust that, move some elsewhere.

Each locks the product first, as for any change of a variant, and then the levels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from core.catalogue import LicencePolicy, StockMovementKind
from core.clock import now
from core.errors import not_found
from core.viewer import Viewer
from models.database import Connection, Transaction
from services import stock
from services.engine import Engine
from services.requests import Request, once
from services.stock_writes import Change, Movement, write
from services.variant_rows import LOCK_OWN_VARIANT

_MAXIMUM_NOTE_LENGTH: Final = 500

_LOCATIONS: Final = """
    select id, state from stock_locations where id = any($1::uuid[]) and creator_id = $2
"""
_TRACK: Final = """
    update product_variants set stock_tracked = true, updated_at = $2 where id = $1 and not stock_tracked
"""
_SET_LOW_AT: Final = """
    update stock_levels set low_at = $2, updated_at = $3,
        low_since = case when on_hand - reserved <= $2 then coalesce(low_since, $3) end,
        low_told_at = case when on_hand - reserved <= $2 then low_told_at end
    where id = $1
"""


@dataclass(frozen=True, slots=True)
class SetStock:
    """Say how many of a variant a location has: from then on no more of it are sold than there are.

    ``low_at`` is from how few on it is low; ``never_low`` takes that away. ``None`` leaves as it is.
    """

    variant_id: UUID
    location_id: UUID
    on_hand: int | None
    low_at: int | None
    key: str
    never_low: bool = False


@dataclass(frozen=True, slots=True)
class AdjustStock:
    """Say that there are so many more, or fewer, of a variant at a location."""

    variant_id: UUID
    location_id: UUID
    by: int
    note: str | None
    key: str


@dataclass(frozen=True, slots=True)
class MoveStock:
    """Take some of a variant from one location to another. What is reserved stays where it is."""

    variant_id: UUID
    from_location_id: UUID
    to_location_id: UUID
    quantity: int
    note: str | None
    key: str


async def set_stock(engine: Engine, viewer: Viewer, command: SetStock) -> tuple[Any, bool]:
    """Set a level of the viewer's; return its row as it is now, and whether this is a repeat.

    Errors: NOT_FOUND (variant, location), INPUT_INVALID, OUT_OF_STOCK (fewer than are reserved),
    IDEMPOTENCY_KEY_REUSED.
    """
    body = {
        "variant": command.variant_id,
        "location": command.location_id,
        "on_hand": command.on_hand,
        "low_at": command.low_at,
        "never_low": command.never_low,
    }
    request = Request.of(viewer, "stockSet", command.key, body)
    _check_number(command.on_hand, "onHand")
    _check_number(command.low_at, "lowAt")
    if command.never_low and command.low_at is not None:
        raise stock.invalid("Send either lowAt or neverLow.", "lowAt")

    async def act(transaction: Transaction) -> dict[str, UUID]:
        connection, at = transaction.connection, now()
        variant = await _lock_own(connection, viewer, command.variant_id, counted=command.on_hand is not None)
        await _ensure_places(connection, variant, {"locationId": command.location_id})
        level = await stock.locked_level(command.variant_id, command.location_id, on=connection, at=at)
        if command.on_hand is not None:
            by = command.on_hand - level["on_hand"]
            kind = StockMovementKind.ADJUSTED
            await stock.change_level(command.variant_id, level, by, kind, None, "onHand", on=connection, at=at)
            await connection.execute(_TRACK, command.variant_id, at)
        if command.low_at is not None or command.never_low:
            await connection.execute(_SET_LOW_AT, level["id"], command.low_at, at)
        return {}

    outcome = await once(engine, request, act)
    return await stock.level_at(engine, command.variant_id, command.location_id), outcome.replayed


async def adjust(engine: Engine, viewer: Viewer, command: AdjustStock) -> tuple[Any, bool]:
    """Change a level of the viewer's by so many; return its row as it is now, and whether this is a repeat.

    Errors: NOT_FOUND (variant, location), INPUT_INVALID, OUT_OF_STOCK (fewer than are reserved),
    IDEMPOTENCY_KEY_REUSED.
    """
    body = {
        "variant": command.variant_id,
        "location": command.location_id,
        "by": command.by,
        "note": command.note,
    }
    request = Request.of(viewer, "stockAdjust", command.key, body)
    _check_note(command.note)
    if command.by == 0 or abs(command.by) > stock.MAXIMUM_STOCK:
        raise stock.invalid(f"Send a number from 1 to {stock.MAXIMUM_STOCK}, or its negative.", "by")

    async def act(transaction: Transaction) -> dict[str, UUID]:
        connection, at = transaction.connection, now()
        variant = await _lock_own(connection, viewer, command.variant_id, counted=True)
        await _ensure_places(connection, variant, {"locationId": command.location_id})
        level = await stock.locked_level(command.variant_id, command.location_id, on=connection, at=at)
        kind = StockMovementKind.ADJUSTED
        await stock.change_level(
            command.variant_id, level, command.by, kind, command.note, "by", on=connection, at=at
        )
        await connection.execute(_TRACK, command.variant_id, at)
        return {}

    outcome = await once(engine, request, act)
    return await stock.level_at(engine, command.variant_id, command.location_id), outcome.replayed


async def move(engine: Engine, viewer: Viewer, command: MoveStock) -> tuple[Any, Any, bool]:
    """Move stock of the viewer's; return the rows of both levels as they are now, and whether this is a repeat.

    Errors: NOT_FOUND (variant, locations), INPUT_INVALID, OUT_OF_STOCK (fewer are there that are not reserved),
    IDEMPOTENCY_KEY_REUSED.
    """
    places = {"fromLocationId": command.from_location_id, "toLocationId": command.to_location_id}
    body = {"variant": command.variant_id, **places, "quantity": command.quantity, "note": command.note}
    request = Request.of(viewer, "stockMove", command.key, body)
    _check_note(command.note)
    if not 1 <= command.quantity <= stock.MAXIMUM_STOCK:
        raise stock.invalid(f"A quantity is a number from 1 to {stock.MAXIMUM_STOCK}.", "quantity")
    if command.from_location_id == command.to_location_id:
        raise stock.invalid("Choose another location than the one it comes from.", "toLocationId")

    async def act(transaction: Transaction) -> dict[str, UUID]:
        connection, at = transaction.connection, now()
        variant = await _lock_own(connection, viewer, command.variant_id, counted=False)
        await _ensure_places(connection, variant, places, may_be_archived="fromLocationId")
        levels = await stock.locked_levels(command.variant_id, list(places.values()), on=connection, at=at)
        source, target = levels[command.from_location_id], levels[command.to_location_id]
        if source["on_hand"] - source["reserved"] < command.quantity:
            raise stock.reserved(command.variant_id, source, "quantity")
        stock.check_sum(target["on_hand"] + command.quantity, "quantity")
        kind, note = StockMovementKind.MOVED, command.note
        change = Change(
            [
                Movement(source["id"], kind, on_hand=-command.quantity, note=note),
                Movement(target["id"], kind, on_hand=command.quantity, note=note),
            ]
        )
        await write(change, on=connection, at=at)
        return {}

    outcome = await once(engine, request, act)
    source = await stock.level_at(engine, command.variant_id, command.from_location_id)
    return source, await stock.level_at(engine, command.variant_id, command.to_location_id), outcome.replayed


async def _lock_own(connection: Connection, viewer: Viewer, variant_id: UUID, *, counted: bool) -> Any:
    """Lock the product of a variant of the viewer's. Errors: NOT_FOUND; INPUT_INVALID if its stock is keys."""
    variant = await connection.fetchrow(LOCK_OWN_VARIANT, variant_id, viewer.user_id)
    if variant is None:
        raise not_found("variant", "variantId")
    if counted and variant["licence_policy"] == LicencePolicy.POOL:
        raise stock.invalid("There are as many of it as it has licence keys: upload keys instead.", "variantId")
    return variant


async def _ensure_places(
    connection: Connection, variant: Any, places: Mapping[str, UUID], *, may_be_archived: str | None = None
) -> None:
    """Errors: NOT_FOUND for a location of somebody else's, INPUT_INVALID for an archived one."""
    rows = await connection.fetch(_LOCATIONS, list(places.values()), variant["creator_id"])
    states = {row["id"]: row["state"] for row in rows}
    for name, location_id in places.items():
        if location_id not in states:
            raise not_found("stock location", name)
        if states[location_id] != "active" and name != may_be_archived:
            raise stock.invalid("This location is archived. Choose another.", name)


def _check_number(number: int | None, name: str) -> None:
    if number is not None and not 0 <= number <= stock.MAXIMUM_STOCK:
        raise stock.invalid(f"Send a number from 0 to {stock.MAXIMUM_STOCK}.", name)


def _check_note(note: str | None) -> None:
    if note is not None and len(note) > _MAXIMUM_NOTE_LENGTH:
        raise stock.invalid(f"A note has at most {_MAXIMUM_NOTE_LENGTH} characters.", "note")
