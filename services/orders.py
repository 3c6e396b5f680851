"""Orders: read by those they belong to, and cancelled by their buyer before they are paid."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from core.errors import ErrorCode, Refused, not_found
from core.orders import OrderStatus
from core.payments import PaymentStatus
from core.viewer import Viewer
from services import charging
from services.engine import Engine
from services.order_locks import is_buyer
from services.paging import Page, PageQuery, fetch_page

_READ: Final = """
    select o.*, coalesce(p.refunded, 0) as refunded, coalesce(p.captured, 0) as captured,
        p.status as payment_status
    from orders o left join payments p on p.id = o.payment_id
"""
_READ_BY_ID: Final = f"{_READ} where o.id = any($1::uuid[])"
_READ_BY_PAYMENT: Final = f"{_READ} where o.payment_id = any($1::uuid[])"
# Of what was given back of the whole payment, nobody can say of which sale it was.
_READ_SALES: Final = """
    select a.*, o.status, o.reason, o.currency, o.number, o.address, o.paid_at, o.updated_at, o.buyer_id,
        o.cart_id, o.payment_id, c.user_id as creator_user_id,
        a.shipping_refunded_amount + coalesce(
            (select sum(l.refunded_amount) from order_lines l where l.part_id = a.id), 0) as refunded
    from order_parts a join orders o on o.id = a.order_id join creators c on c.id = a.creator_id
"""
_READ_SALES_BY_ID: Final = f"{_READ_SALES} where a.id = any($1::uuid[])"
_READ_SALES_OF_ORDERS: Final = f"{_READ_SALES} where a.order_id = any($1::uuid[]) order by a.order_id, a.id"
_READ_SALES_BY_PAYMENT: Final = f"{_READ_SALES} where o.payment_id = any($1::uuid[])"
_READ_LINES_OF_ORDERS: Final = """
    select l.*, o.currency from order_lines l join orders o on o.id = l.order_id
    where l.order_id = any($1::uuid[]) order by l.order_id, l.position, l.id
"""
_READ_LINES_OF_SALES: Final = """
    select l.*, o.currency from order_lines l join orders o on o.id = l.order_id
    where l.part_id = any($1::uuid[]) order by l.part_id, l.position, l.id
"""
_READ_LINES_BY_ID: Final = """
    select l.*, o.currency, o.buyer_id, o.cart_id, o.payment_id, o.status, c.user_id as creator_user_id
    from order_lines l join orders o on o.id = l.order_id
    join order_parts a on a.id = l.part_id join creators c on c.id = a.creator_id
    where l.id = any($1::uuid[])
"""
_READ_DISCOUNTS: Final = """
    select d.*, o.currency from order_discounts d join orders o on o.id = d.order_id
    where d.order_id = any($1::uuid[]) order by d.order_id, d.id
"""
_READ_EVENTS: Final = "select * from order_events where order_id = any($1::uuid[]) order by order_id, sequence"
_READ_EVENT: Final = "select * from order_events where order_id = $1 and sequence = $2"
_CANCELABLE: Final = frozenset(
    {
        PaymentStatus.PENDING,
        PaymentStatus.FAILED,
        PaymentStatus.REQUIRES_ACTION,
        PaymentStatus.AUTHORIZED,
    }
)


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancel an order that is not paid."""

    order_id: UUID
    key: str


@dataclass(frozen=True, slots=True)
class Answer:
    """An order's row after an operation, and the refusal to show beside it, if any."""

    row: Any
    replayed: bool
    refusal: Refused | None = None


async def cancel(engine: Engine, viewer: Viewer, command: Cancel) -> Answer:
    """Cancel an order for whoever bought it, by cancelling its payment at the provider.

    What it kept is there for others once the provider has cancelled. Exactly once per ``command.key``.
    Errors: NOT_FOUND, PAYMENT_IN_PROGRESS, ORDER_NOT_CANCELABLE, PROVIDER_UNSUPPORTED, PROVIDER_UNAVAILABLE,
    IDEMPOTENCY_KEY_INVALID, IDEMPOTENCY_KEY_REUSED.
    """
    row = await read(engine, command.order_id)
    if row is None or not is_buyer(viewer, row):
        raise not_found("order", "orderId")
    if row["payment_id"] is None:
        raise _not_cancelable("This order costs nothing and was done at once. Ask its seller.")
    # Whoever holds the cart's token may do with the order's payment what its own token allows.
    payer = viewer if viewer.is_signed_in else Viewer(payment_id=row["payment_id"])
    try:
        answer = await charging.cancel(engine, payer, charging.Cancel(row["payment_id"], command.key))
    except Refused as refused:
        raise _of_order(refused) from None
    refusal = None if answer.refusal is None else _of_order(answer.refusal)
    return Answer(await read(engine, command.order_id), answer.replayed, refusal)


def _of_order(refused: Refused) -> Refused:
    if refused.code is ErrorCode.PAYMENT_NOT_CANCELABLE:
        return _not_cancelable("This order is paid, or was cancelled before. See its status.")
    return refused.at("orderId") if refused.path == ("paymentId",) else refused


def _not_cancelable(message: str) -> Refused:
    return Refused(ErrorCode.ORDER_NOT_CANCELABLE, message, path=("orderId",))


def is_cancelable(row: Any) -> bool:
    """Return whether the buyer of an order could cancel it as it stands."""
    return bool(
        row["status"] == OrderStatus.PENDING
        and row["payment_status"] is not None
        and PaymentStatus(row["payment_status"]) in _CANCELABLE
    )


async def read(engine: Engine, order_id: UUID) -> Any:
    """Return an order's row as it is now, or None. Says nothing about who may see it."""
    rows = await by_id(engine, [order_id])
    return rows[0] if rows else None


async def by_id(engine: Engine, ids: Sequence[UUID]) -> list[Any]:
    """Read orders with what was captured and refunded of their payments. Says nothing about who may see them."""
    return await engine.database.reader.fetch(_READ_BY_ID, ids)


async def by_payment(engine: Engine, payment_ids: Sequence[UUID]) -> list[Any]:
    """Read the orders that payments are for. Says nothing about who may see them."""
    return await engine.database.reader.fetch(_READ_BY_PAYMENT, payment_ids)


async def sales_by_payment(engine: Engine, payment_ids: Sequence[UUID]) -> list[Any]:
    """Read the sales that payments are for. Says nothing about who may see them."""
    return await engine.database.reader.fetch(_READ_SALES_BY_PAYMENT, payment_ids)


async def of_buyer(engine: Engine, user_id: UUID, query: PageQuery) -> Page:
    """Page through what a user ordered."""
    return await fetch_page(
        engine.database.reader, "orders of a buyer", f"{_READ} where o.buyer_id = $1", (user_id,), query
    )


async def sales_of_creator(engine: Engine, creator_id: UUID, query: PageQuery) -> Page:
    """Page through a creator's sales."""
    return await fetch_page(
        engine.database.reader,
        "sales of a creator",
        f"{_READ_SALES} where a.creator_id = $1",
        (creator_id,),
        query,
    )


async def sales_by_id(engine: Engine, ids: Sequence[UUID]) -> list[Any]:
    """Read sales, with their orders' buyers and their creators' users."""
    return await engine.database.reader.fetch(_READ_SALES_BY_ID, ids)


async def sales_of(engine: Engine, order_ids: Sequence[UUID]) -> list[Any]:
    """Read the sales that orders consist of."""
    return await engine.database.reader.fetch(_READ_SALES_OF_ORDERS, order_ids)


async def lines_of(engine: Engine, order_ids: Sequence[UUID]) -> list[Any]:
    """Read the lines of orders, each order's in order."""
    return await engine.database.reader.fetch(_READ_LINES_OF_ORDERS, order_ids)


async def lines_of_sales(engine: Engine, sale_ids: Sequence[UUID]) -> list[Any]:
    """Read the lines of sales, each sale's in order."""
    return await engine.database.reader.fetch(_READ_LINES_OF_SALES, sale_ids)


async def lines_by_id(engine: Engine, ids: Sequence[UUID]) -> list[Any]:
    """Read lines with who may see them."""
    return await engine.database.reader.fetch(_READ_LINES_BY_ID, ids)


async def discounts_of(engine: Engine, order_ids: Sequence[UUID]) -> list[Any]:
    """Read the discounts that orders were given."""
    return await engine.database.reader.fetch(_READ_DISCOUNTS, order_ids)


async def events_of(engine: Engine, order_ids: Sequence[UUID]) -> list[Any]:
    """Read the events of orders, each order's in order."""
    return await engine.database.reader.fetch(_READ_EVENTS, order_ids)


async def event(engine: Engine, order_id: UUID, sequence: int) -> Any:
    """Return one event of an order, or None."""
    return await engine.database.reader.fetchrow(_READ_EVENT, order_id, sequence)
