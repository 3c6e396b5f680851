"""Orders as they are changed: locked, read with their parts and lines, moved by events, written in one statement.

Whoever changes an order goes through here, so that only ``core.orders.follow`` moves a status and every event
has its number.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from core.catalogue import LicencePolicy
from core.orders import OrderEventKind, OrderStatus, follow
from models.database import Connection, jsonb
from services.order_events import TELL, Told, told_of

# Whoever settles holds the payments' locks, so what stands with them is as it is now.
_LOCK_OF_PAYMENTS: Final = """
    select o.*, p.status as payment_status, p.reason as payment_reason, p.succeeded_at as payment_succeeded_at,
        p.captured as payment_captured
    from orders o join payments p on p.id = o.payment_id
    where o.payment_id = any($1::uuid[]) order by o.id for no key update of o
"""
_LOCK: Final = """
    select o.*, p.status as payment_status, p.reason as payment_reason, p.succeeded_at as payment_succeeded_at,
        p.captured as payment_captured
    from orders o left join payments p on p.id = o.payment_id
    where o.id = any($1::uuid[]) order by o.id for no key update of o
"""
_READ_PARTS: Final = "select * from order_parts where order_id = any($1::uuid[]) order by order_id, id"
_READ_LINES: Final = """
    select l.*, v.licence_policy from order_lines l join product_variants v on v.id = l.variant_id
    where l.order_id = any($1::uuid[]) order by l.order_id, l.position, l.id
"""
_WRITE: Final = f"""
    with {TELL},
    changed as (
        select * from jsonb_to_recordset($3::jsonb) as c (id uuid, status text, reason text, sequence int,
            paid_at timestamptz, canceled_at timestamptz, place int)
    ),
    line as (
        update order_lines l set fulfilled = c.fulfilled, canceled = c.canceled, returned = c.returned,
            refunded = c.refunded, refunded_amount = c.refunded_amount, refunded_tax = c.refunded_tax
        from jsonb_to_recordset($4::jsonb) as c (id uuid, fulfilled int, canceled int, returned int, refunded int,
            refunded_amount numeric, refunded_tax numeric)
        where l.id = c.id
    ),
    part as (
        update order_parts a set shipping_refunded_amount = c.amount, shipping_refunded_tax = c.tax
        from jsonb_to_recordset($5::jsonb) as c (id uuid, amount numeric, tax numeric)
        where a.id = c.id
    ),
    fulfilment as (
        insert into fulfilments (id, part_id, carrier, tracking_number, tracking_url, automatic, created_at,
            updated_at)
        select id, part_id, carrier, tracking_number, tracking_url, automatic, $2, $2
        from jsonb_to_recordset($6::jsonb) as f (id uuid, part_id uuid, carrier text, tracking_number text,
            tracking_url text, automatic boolean)
    ),
    fulfilled as (
        insert into fulfilment_lines (id, fulfilment_id, line_id, quantity)
        select gen_random_uuid(), f.id, q.key::uuid, q.value::int
        from jsonb_to_recordset($6::jsonb) as f (id uuid, quantities jsonb), jsonb_each_text(f.quantities) q
    ),
    item as (
        insert into order_refund_items (id, refund_id, order_id, line_id, part_id, quantity, amount, tax)
        select gen_random_uuid(), refund_id, order_id, line_id, part_id, quantity, amount, tax
        from jsonb_to_recordset($7::jsonb) as i (refund_id uuid, order_id uuid, line_id uuid, part_id uuid,
            quantity int, amount numeric, tax numeric)
    ),
    undone as (
        update order_refund_items i set undone_at = u.undone_at
        from jsonb_to_recordset($8::jsonb) as u (id uuid, undone_at timestamptz)
        where i.id = u.id
    ),
    counter as (
        update order_counter set last_number = last_number + $9::bigint where id = 1 and $9::bigint > 0
        returning last_number - $9::bigint as before
    )
    update orders o set status = c.status, reason = c.reason, sequence = c.sequence, paid_at = c.paid_at,
        canceled_at = c.canceled_at, updated_at = $2,
        number = coalesce(o.number, (select before from counter) + c.place)
    from changed c where o.id = c.id
"""  # ruff: ignore[hardcoded-sql-expression] - made of constants
"""Parameters: $1 and $2 of ``TELL``; $3 to $8 rows as jsonb; $9 how many orders are given a number."""

_KEEPS_REASON: Final = frozenset(
    {
        OrderEventKind.STOCK_LOST,
        OrderEventKind.REFUND_STARTED,
        OrderEventKind.PARTIALLY_FULFILLED,
        OrderEventKind.FULFILLED,
        OrderEventKind.TRACKING_CHANGED,
    }
)
"""After these events the order is still what it is for the reason it had."""


@dataclass(slots=True)
class Line:
    """A line of a locked order. Amounts in minor units."""

    row: Any
    fulfilled: int
    canceled: int
    returned: int
    refunded: int
    refunded_amount: int
    refunded_tax: int
    changed: bool = False

    @classmethod
    def of(cls, row: Any) -> "Line":
        """Return a line as its row has it."""
        return cls(
            row,
            row["fulfilled"],
            row["canceled"],
            row["returned"],
            row["refunded"],
            int(row["refunded_amount"]),
            int(row["refunded_tax"]),
        )

    @property
    def id(self) -> UUID:
        """Its id."""
        return UUID(int=self.row["id"].int)

    @property
    def quantity(self) -> int:
        """How many were sold."""
        return int(self.row["quantity"])

    @property
    def open(self) -> int:
        """How many were neither sent nor cancelled."""
        return self.quantity - self.fulfilled - self.canceled

    @property
    def restockable(self) -> bool:
        """Whether what comes back can be sold again: a key of a pool that somebody had cannot."""
        return bool(self.row["licence_policy"] != LicencePolicy.POOL)

    def price_of(self, quantity: int) -> tuple[int, int]:
        """Return what goes back for so many more of it, and the tax in that.

        What goes back for the first ``k`` of ``n`` is ``total * k // n`` altogether, so that it is never more
        than the total, and all of it for the last. The tax goes the same way, and never beyond what it is in.
        """
        total, tax, count = int(self.row["total"]), int(self.row["tax"]), self.refunded + quantity
        amount = max(0, total * count // self.quantity - self.refunded_amount)
        share = max(0, min(tax * count // self.quantity - self.refunded_tax, amount))
        untaxed_left = total - tax - (self.refunded_amount - self.refunded_tax)
        return amount, max(share, amount - untaxed_left)


@dataclass(slots=True)
class Part:
    """One creator's part of a locked order."""

    row: Any
    lines: list[Line] = field(default_factory=list)
    shipping_refunded_amount: int = 0
    shipping_refunded_tax: int = 0
    changed: bool = False

    @property
    def id(self) -> UUID:
        """Its id; also that of its share of the payment, where there is one."""
        return UUID(int=self.row["id"].int)

    @property
    def shipping_left(self) -> tuple[int, int]:
        """What of its shipping was not given back, and the tax in that."""
        return (
            int(self.row["shipping_total"]) - self.shipping_refunded_amount,
            int(self.row["shipping_tax"]) - self.shipping_refunded_tax,
        )


@dataclass(frozen=True, slots=True)
class Item:
    """What of a refund is for one line, or for the shipping of one part. Minor units."""

    refund_id: UUID
    order_id: UUID
    line_id: UUID | None
    part_id: UUID | None
    quantity: int
    amount: int
    tax: int


@dataclass(frozen=True, slots=True)
class NewFulfilment:
    """So many of some lines of a part that are sent together. ``quantities`` by line."""

    id: UUID
    part_id: UUID
    quantities: Mapping[str, int]
    automatic: bool = False
    carrier: str | None = None
    tracking_number: str | None = None
    tracking_url: str | None = None


@dataclass(slots=True)
class Order:
    """A locked order with what becomes of it. ``place`` is its place among those given a number together."""

    row: Any
    status: OrderStatus
    reason: str | None
    sequence: int
    paid_at: datetime | None
    canceled_at: datetime | None
    parts: list[Part] = field(default_factory=list)
    events: list[Told] = field(default_factory=list)
    fulfilments: list[NewFulfilment] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    undone: list[dict[str, Any]] = field(default_factory=list)
    place: int | None = None

    @property
    def id(self) -> UUID:
        """Its id."""
        return UUID(int=self.row["id"].int)

    @property
    def lines(self) -> list[Line]:
        """All its lines."""
        return [line for part in self.parts for line in part.lines]

    def tell(
        self, kind: OrderEventKind, *, reason: str | None = None, data: Mapping[str, Any] | None = None
    ) -> None:
        """Let an event happen to it. Raises ``ValueError`` for what cannot happen in its status."""
        self._tell(follow(self.status, kind), kind, reason, data)

    def tell_undone(self, kind: OrderEventKind, *, data: Mapping[str, Any] | None = None) -> None:
        """Undo what had ended it: it is again as far as its lines are."""
        status = follow(self.status, kind)
        self._tell(_as_far_as_its_lines(status, self.lines), kind, None, data)

    def tell_how_far(self, *, data: Mapping[str, Any] | None = None) -> None:
        """Tell how far it is fulfilled, if that has changed or ``data`` says what was sent."""
        if follow_how_far(self.status) is None:
            return
        reached = _as_far_as_its_lines(OrderStatus.PAID, self.lines)
        if reached is OrderStatus.FULFILLED and self.status is not OrderStatus.FULFILLED:
            self.tell(OrderEventKind.FULFILLED, data=data)
        elif reached is OrderStatus.PARTIALLY_FULFILLED and (data or self.status is not reached):
            self.tell(OrderEventKind.PARTIALLY_FULFILLED, data=data)

    def _tell(
        self, status: OrderStatus, kind: OrderEventKind, reason: str | None, data: Mapping[str, Any] | None
    ) -> None:
        self.status = status
        self.sequence += 1
        self.reason = reason or (self.reason if kind in _KEEPS_REASON else None)
        self.events.append(Told(self.id, kind, status, self.sequence, reason, data or {}))


def follow_how_far(status: OrderStatus) -> OrderStatus | None:
    """Return the status if an order in it can still be fulfilled any further, None otherwise."""
    return status if status in {OrderStatus.PAID, OrderStatus.PARTIALLY_FULFILLED} else None


def _as_far_as_its_lines(paid: OrderStatus, lines: Iterable[Line]) -> OrderStatus:
    """Return where a paid order is by what was sent of its lines, going there by the events that lead there."""
    held = list(lines)
    if not any(line.fulfilled for line in held):
        return paid
    done = not any(line.open for line in held)
    return follow(paid, OrderEventKind.FULFILLED if done else OrderEventKind.PARTIALLY_FULFILLED)


async def lock_of_payments(payment_ids: Sequence[UUID], *, on: Connection) -> list[Order]:
    """Lock the orders of payments whose locks the caller holds; payments of none are passed over."""
    return await _read(await on.fetch(_LOCK_OF_PAYMENTS, payment_ids), on)


async def lock(order_ids: Sequence[UUID], *, on: Connection) -> list[Order]:
    """Lock orders. Their payments, if any, are locked by the caller before."""
    return await _read(await on.fetch(_LOCK, order_ids), on)


async def _read(rows: Sequence[Any], on: Connection) -> list[Order]:
    if not rows:
        return []
    ids = [row["id"] for row in rows]
    orders = {
        row["id"]: Order(
            row, OrderStatus(row["status"]), row["reason"], row["sequence"], row["paid_at"], row["canceled_at"]
        )
        for row in rows
    }
    parts: dict[UUID, Part] = {}
    for row in await on.fetch(_READ_PARTS, ids):
        part = Part(row, [], int(row["shipping_refunded_amount"]), int(row["shipping_refunded_tax"]))
        parts[row["id"]] = part
        orders[row["order_id"]].parts.append(part)
    for row in await on.fetch(_READ_LINES, ids):
        parts[row["part_id"]].lines.append(Line.of(row))
    return list(orders.values())


async def write(orders: Sequence[Order], *, on: Connection, at: datetime) -> None:
    """Write what became of locked orders: quantities, fulfilments, refunded amounts, events. One statement.

    Orders with a ``place`` get their number by it, and the counter is locked from here to the commit.
    """
    if not orders:
        return
    await on.execute(
        _WRITE,
        told_of([event for order in orders for event in order.events]),
        at,
        _json(
            {
                "id": order.id,
                "status": order.status,
                "reason": order.reason,
                "sequence": order.sequence,
                "paid_at": order.paid_at,
                "canceled_at": order.canceled_at,
                "place": order.place,
            }
            for order in orders
        ),
        _json(
            {
                "id": line.id,
                "fulfilled": line.fulfilled,
                "canceled": line.canceled,
                "returned": line.returned,
                "refunded": line.refunded,
                "refunded_amount": line.refunded_amount,
                "refunded_tax": line.refunded_tax,
            }
            for order in orders
            for line in order.lines
            if line.changed
        ),
        _json(
            {"id": part.id, "amount": part.shipping_refunded_amount, "tax": part.shipping_refunded_tax}
            for order in orders
            for part in order.parts
            if part.changed
        ),
        _json(fulfilment for order in orders for fulfilment in order.fulfilments),
        _json(item for order in orders for item in order.items),
        _json(undone for order in orders for undone in order.undone),
        sum(order.place is not None for order in orders),
    )


def _json(rows: Iterable[Any]) -> str:
    return jsonb(list(rows))
