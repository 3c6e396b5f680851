"""Orders as somebody works on them: found, judged by who is asking, locked after their payment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from core.errors import ErrorCode, Refused, not_found
from core.orders import UNPAID, OrderStatus
from core.scopes import Scope
from core.viewer import Viewer
from models.database import Connection
from services import order_state
from services.order_state import Line, Order, Part

_FIND_SALE: Final = """
    select a.order_id, o.payment_id, c.user_id as creator_user_id
    from order_parts a join orders o on o.id = a.order_id join creators c on c.id = a.creator_id
    where a.id = $1
"""
_FIND_ORDER: Final = "select id as order_id, payment_id, buyer_id, cart_id from orders where id = $1"
_LOCK_PAYMENT: Final = "select * from payments where id = $1 for no key update"


@dataclass(frozen=True, slots=True)
class Some:
    """So many of a line."""

    line_id: UUID
    quantity: int


@dataclass(frozen=True, slots=True)
class Sale:
    """A creator's part of a locked order, with its payment's row; None where it cost nothing."""

    order: Order
    part: Part
    payment: Any


def is_buyer(viewer: Viewer, row: Any) -> bool:
    """Return whether an order is the viewer's own: they bought it, or hold its cart's or its payment's token."""
    if viewer.payment_id is not None:
        return bool(viewer.payment_id == row["payment_id"])
    if viewer.cart_id is not None:
        return bool(viewer.cart_id == row["cart_id"])
    return viewer.user_id is not None and row["buyer_id"] == viewer.user_id


def is_seller(viewer: Viewer, row: Any) -> bool:
    """Return whether a viewer acts for the creator of a sale, whose user is ``creator_user_id``, or for all."""
    if viewer.user_id is None:
        return False
    return row["creator_user_id"] == viewer.user_id or viewer.may(Scope.FINANCE_WRITE)


async def lock_sale(viewer: Viewer, part_id: UUID, *path: str, on: Connection) -> Sale:
    """Lock a sale for its creator, or for an operator. Errors: NOT_FOUND, ORDER_NOT_PAID."""
    row = await on.fetchrow(_FIND_SALE, part_id)
    if row is None or not is_seller(viewer, row):
        raise not_found("sale", *path)
    order, payment = await _lock(row, on)
    ensure_paid(order, *path)
    return Sale(order, next(part for part in order.parts if part.id == part_id), payment)


async def lock_bought(viewer: Viewer, order_id: UUID, *path: str, on: Connection) -> Order:
    """Lock an order for whoever bought it. Errors: NOT_FOUND."""
    row = await on.fetchrow(_FIND_ORDER, order_id)
    if row is None or not is_buyer(viewer, row):
        raise not_found("order", *path)
    order, _ = await _lock(row, on)
    return order


async def _lock(row: Any, on: Connection) -> tuple[Order, Any]:
    payment = None if row["payment_id"] is None else await on.fetchrow(_LOCK_PAYMENT, row["payment_id"])
    orders = await order_state.lock([row["order_id"]], on=on)
    return orders[0], payment


def ensure_paid(order: Order, *path: str) -> None:
    """Refuse what is only done with paid orders. Errors: ORDER_NOT_PAID."""
    if order.status in UNPAID:
        raise Refused(
            ErrorCode.ORDER_NOT_PAID,
            "The order is not paid. Wait until it is."
            if order.status is OrderStatus.PENDING
            else "The order was cancelled and is not paid.",
            path=path,
        )


def chosen(
    lines: Sequence[Line], wanted: Sequence[Some] | None, available: Mapping[UUID, int]
) -> list[tuple[Line, int]]:
    """Return which lines are meant, and how many of each; all that are available when none are named.

    Errors: NOT_FOUND (a line of something else), INPUT_INVALID (none of a line, or none at all),
    QUANTITY_TOO_LARGE with ``available``.
    """
    if wanted is None:
        found = [(line, available[line.id]) for line in lines if available[line.id] > 0]
        if not found:
            raise _too_large(0, "lines")
        return found
    if not wanted:
        raise Refused(
            ErrorCode.INPUT_INVALID, "Name at least one line, or leave lines out for all of them.", path=("lines",)
        )
    quantities: dict[UUID, int] = {}
    known = {line.id: line for line in lines}
    for place, some in enumerate(wanted):
        if some.line_id not in known:
            raise not_found("order line", "lines", str(place), "lineId")
        if some.quantity < 1:
            raise Refused(
                ErrorCode.INPUT_INVALID,
                "Send a quantity of 1 or more, or leave the line out.",
                path=("lines", str(place), "quantity"),
            )
        quantities[some.line_id] = quantities.get(some.line_id, 0) + some.quantity
        if quantities[some.line_id] > available[some.line_id]:
            raise _too_large(available[some.line_id], "lines", str(place), "quantity")
    return [(known[line_id], quantity) for line_id, quantity in quantities.items()]


def _too_large(available: int, *path: str) -> Refused:
    return Refused(
        ErrorCode.QUANTITY_TOO_LARGE,
        f"That is more than there is of this line: {available}. Send at most so many."
        if available
        else "There is nothing left of this that it could be done with.",
        path=path,
        data={"available": available},
    )
