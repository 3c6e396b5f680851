"""Stock that is kept for orders: held while one waits for its payment, taken when it is paid, released when not.

Everything here runs in the caller's transaction, which holds the lock of each order it speaks of (an order that is
being made is nobody's to wait for yet). Levels are locked by one statement, and written with their movements and
reservations by a second, for any number of lines.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from core.catalogue import StockMovementKind
from core.clock import now
from core.errors import ErrorCode, Refused
from core.ids import uuid7
from models.database import Connection
from services.engine import Engine
from services.stock_plan import Shelves
from services.stock_writes import Change, Kept, Movement, Turned, write

HELD: Final = "HELD"
TAKEN: Final = "TAKEN"
RELEASED: Final = "RELEASED"

EXPIRY_BATCH: Final = 100

_LEVEL: Final = """
    s.id, s.variant_id, s.location_id, s.on_hand, s.reserved, l.position, l.state = 'active' as location_active
"""
_LOCK_OF_VARIANTS: Final = f"""
    select {_LEVEL} from stock_levels s join stock_locations l on l.id = s.location_id
    where s.variant_id = any($1::uuid[])
    order by s.variant_id, s.location_id for no key update of s
"""  # ruff: ignore[hardcoded-sql-expression] - made of constants
# Reservations stand still while their order is locked: they may be read while the locks of levels are waited for.
# A level comes once for each reservation of these lines on it, or once without.
_LOCK_OF_LINES: Final = f"""
    select {_LEVEL}, r.id as reservation_id, r.line_id, r.quantity, r.returned, r.state, r.expires_at,
        n.quantity as wanted, v.stock_tracked
    from stock_levels s
    join stock_locations l on l.id = s.location_id
    join product_variants v on v.id = s.variant_id
    left join (stock_reservations r join order_lines n on n.id = r.line_id)
        on r.level_id = s.id and r.line_id = any($1::uuid[])
    where s.variant_id in (select variant_id from order_lines where id = any($1::uuid[]))
    order by s.variant_id, s.location_id, r.id for no key update of s
"""  # ruff: ignore[hardcoded-sql-expression] - made of constants
# Looked for alone: this is what runs every second, and its plan has nothing to go wrong with.
_DUE: Final = """
    select line_id from stock_reservations where state = 'HELD' and expires_at <= $1 order by expires_at limit $2
"""
# A payment that is authorized keeps what it pays for, however long it takes until it is captured or let go, also
# while that is under way and it is called PROCESSING or RECONCILING.
_LOCK_DUE: Final = """
    select o.id, p.succeeded_at is not null or coalesce(p.status, '') = 'AUTHORIZED'
        or coalesce(p.authorized, 0) > 0 as kept
    from orders o left join payments p on p.id = o.payment_id
    where o.id = any(array(select order_id from order_lines where id = any($1::uuid[])))
    order by o.id for no key update of o skip locked
"""
_LINES: Final = "select id, order_id from order_lines where order_id = any($1::uuid[])"


@dataclass(frozen=True, slots=True)
class Wanted:
    """So many of a variant, for an order's line."""

    line_id: UUID
    variant_id: UUID
    quantity: int


@dataclass(slots=True)
class _Line:
    """How many of a variant a line needs, and its reservations by their state: rows of ``_LOCK_OF_LINES``."""

    variant_id: UUID
    quantity: int
    tracked: bool
    held: list[Any] = field(default_factory=list)
    taken: list[Any] = field(default_factory=list)

    @property
    def is_released(self) -> bool:
        return not self.held and not self.taken


async def reserve(wanted: Sequence[Wanted], *, expires_at: datetime | None, on: Connection, at: datetime) -> None:
    """Hold stock for lines, of variants whose stock is tracked: all of it, or none.

    Errors: OUT_OF_STOCK with ``available`` and ``variant`` (UUID) of the first, by variant, that has not enough.
    """
    if not wanted:
        return
    rows = await on.fetch(_LOCK_OF_VARIANTS, list({line.variant_id for line in wanted}))
    change = Change()
    _hold(change, wanted, Shelves.of(rows), expires_at, ErrorCode.OUT_OF_STOCK)
    await write(change, on=on, at=at)


async def take(line_ids: Sequence[UUID], *, on: Connection, at: datetime) -> Mapping[UUID, int]:
    """Sell what is held for lines, which are paid; return how many of each there are not any more.

    What was released in the meantime is taken anew where there is enough of all of a line, and is lost otherwise.
    Lines without reservations are of variants whose stock was not tracked. Repeats change nothing.
    """
    lines, rows = await _lock(line_ids, on=on)
    shelves = Shelves.of(rows)
    change, lost = Change(), dict[UUID, int]()
    for line_id, line in lines.items():
        for row in line.held:
            change.turned.append(Turned(row["reservation_id"], HELD, TAKEN))
            quantity = row["quantity"]
            change.movements.append(
                Movement(row["id"], StockMovementKind.SOLD, on_hand=-quantity, reserved=-quantity, line_id=line_id)
            )
        if line.is_released and line.tracked:
            shares = shelves.take(line.variant_id, line.quantity)
            if shares is None:
                lost[line_id] = line.quantity
            for share in shares or ():
                change.kept.append(Kept(uuid7(), line_id, share.level_id, share.quantity, TAKEN))
                change.movements.append(
                    Movement(share.level_id, StockMovementKind.SOLD, on_hand=-share.quantity, line_id=line_id)
                )
    await write(change, on=on, at=at)
    return lost


async def release(line_ids: Sequence[UUID], *, on: Connection, at: datetime) -> None:
    """Give back what is held for lines. Repeats change nothing, and neither does it change what was sold."""
    lines, _ = await _lock(line_ids, on=on)
    change = Change()
    _let_go(change, _held_of(lines, lines), StockMovementKind.RELEASED)
    await write(change, on=on, at=at)


async def give_back(quantities: Mapping[UUID, int], *, on: Connection, at: datetime) -> None:
    """Put so many of lines that were sold back where they were taken from, and no more than were taken from there.

    Not idempotent: the caller knows what came back when. Of lines without stock of theirs nothing comes back.
    """
    lines, _ = await _lock(list(quantities), on=on)
    change = Change()
    for line_id, line in lines.items():
        left = quantities[line_id]
        for row in line.taken:
            back = min(left, row["quantity"] - row["returned"])
            if back > 0:
                change.turned.append(Turned(row["reservation_id"], TAKEN, TAKEN, returned=back))
                change.movements.append(
                    Movement(row["id"], StockMovementKind.RETURNED, on_hand=back, line_id=line_id)
                )
                left -= back
    await write(change, on=on, at=at)


async def hold_again(
    line_ids: Sequence[UUID], *, expires_at: datetime | None, on: Connection, at: datetime
) -> None:
    """Hold lines until another moment: what is still held, and anew what was released; all of it, or none.

    Errors: RESERVATION_EXPIRED with ``available`` and ``variant`` (UUID) of the first, by variant, of which there
    is not enough any more.
    """
    lines, rows = await _lock(line_ids, on=on)
    change = Change()
    for line in lines.values():
        for row in line.held:
            change.turned.append(Turned(row["reservation_id"], HELD, HELD, expires_at))
    wanted = [
        Wanted(line_id, line.variant_id, line.quantity)
        for line_id, line in lines.items()
        if line.is_released and line.tracked
    ]
    _hold(change, wanted, Shelves.of(rows), expires_at, ErrorCode.RESERVATION_EXPIRED)
    await write(change, on=on, at=at)


async def expire(engine: Engine) -> bool:
    """Release what was held for long enough; return whether there may be more.

    What an authorized or captured payment is for is held without end from then on. Orders that somebody works on
    are left to the next time: no payment is waited for.
    """
    at = now()
    due = [row["line_id"] for row in await engine.database.writer.fetch(_DUE, at, EXPIRY_BATCH)]
    if not due:
        return False
    async with engine.database.transaction() as transaction:
        connection = transaction.connection
        orders = await connection.fetch(_LOCK_DUE, due)
        if not orders:
            return False
        kept = {row["id"] for row in orders if row["kept"]}
        lines = await connection.fetch(_LINES, [row["id"] for row in orders])
        keep = [row["id"] for row in lines if row["order_id"] in kept]
        let_go = [row["id"] for row in lines if row["order_id"] not in kept]
        await _expire(let_go, keep, on=connection, at=at)
    return True


async def _expire(let_go: Sequence[UUID], keep: Sequence[UUID], *, on: Connection, at: datetime) -> None:
    lines, _ = await _lock([*let_go, *keep], on=on)
    change = Change()
    for row in _held_of(lines, keep):
        change.turned.append(Turned(row["reservation_id"], HELD, HELD, None))
    # One that was held anew after it was found due, and before its order was locked, is not due any more.
    due = [row for row in _held_of(lines, let_go) if row["expires_at"] is not None and row["expires_at"] <= at]
    _let_go(change, due, StockMovementKind.EXPIRED)
    await write(change, on=on, at=at)


async def _lock(line_ids: Sequence[UUID], *, on: Connection) -> tuple[Mapping[UUID, _Line], Sequence[Any]]:
    """Lock all levels of lines' variants; return the lines that have reservations, by id, and the rows."""
    rows = await on.fetch(_LOCK_OF_LINES, line_ids) if line_ids else []
    lines: dict[UUID, _Line] = {}
    for row in rows:
        if row["line_id"] is None:
            continue
        line = lines.get(row["line_id"])
        if line is None:
            line = lines[row["line_id"]] = _Line(row["variant_id"], row["wanted"], row["stock_tracked"])
        if row["state"] == HELD:
            line.held.append(row)
        elif row["state"] == TAKEN:
            line.taken.append(row)
    return dict(sorted(lines.items())), rows


def _held_of(lines: Mapping[UUID, _Line], line_ids: Iterable[UUID]) -> list[Any]:
    return [row for line_id in line_ids if line_id in lines for row in lines[line_id].held]


def _let_go(change: Change, held: Iterable[Any], kind: StockMovementKind) -> None:
    for row in held:
        change.turned.append(Turned(row["reservation_id"], HELD, RELEASED, row["expires_at"]))
        change.movements.append(Movement(row["id"], kind, reserved=-row["quantity"], line_id=row["line_id"]))


def _hold(
    change: Change, wanted: Sequence[Wanted], shelves: Shelves, expires_at: datetime | None, code: ErrorCode
) -> None:
    """Plan holding lines. Errors: ``code`` for the first, by variant, that there is not enough for."""
    available = {line.variant_id: shelves.available(line.variant_id) for line in wanted}
    for line in sorted(wanted, key=lambda line: (line.variant_id, line.line_id)):
        shares = shelves.take(line.variant_id, line.quantity)
        if shares is None:
            raise _too_few(code, line.variant_id, available[line.variant_id])
        for share in shares:
            change.kept.append(Kept(uuid7(), line.line_id, share.level_id, share.quantity, HELD, expires_at))
            change.movements.append(
                Movement(share.level_id, StockMovementKind.RESERVED, reserved=share.quantity, line_id=line.line_id)
            )


def _too_few(code: ErrorCode, variant_id: UUID, available: int) -> Refused:
    if code is ErrorCode.RESERVATION_EXPIRED:
        message = "It was not kept any longer, and meanwhile somebody else bought it. Look at the cart again."
    elif available:
        message = f"Only {available} of this are left. Order fewer."
    else:
        message = "This is sold out. One comes back if another buyer's payment is cancelled."
    return Refused(code, message, data={"available": available, "variant": str(variant_id)})
