"""The batch functions behind the edges of orders and sales."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from core.scopes import Scope
from core.viewer import Viewer
from resolvers import shown_orders as shown
from resolvers.keyed import grouped
from services import fulfilments as fulfilment_service
from services import order_returns as return_service
from services import orders as order_service
from services.access import may_open
from services.engine import Engine


def may_see_order(viewer: Viewer, row: Any) -> bool:
    """Return whether an order may be read: by who bought it, with the scope or with a token."""
    return may_open(viewer, row)


def may_see_sale(viewer: Viewer, row: Any) -> bool:
    """Return whether a sale, or what belongs to it, may be read: by either side of it, or by finance."""
    return may_sell(viewer, row) or may_see_order(viewer, row)


def may_sell(viewer: Viewer, row: Any) -> bool:
    """Return whether a sale may be read as a sale: by its creator with the scope, or by finance."""
    own = viewer.user_id is not None and viewer.user_id == row["creator_user_id"]
    return (own and viewer.may(Scope.SALES_READ)) or viewer.may(Scope.FINANCE_READ)


async def orders(engine: Engine, viewer: Viewer, keys: Sequence[UUID]) -> list[Any]:
    """Orders, for those who bought them."""
    rows = await order_service.by_id(engine, keys)
    found = {row["id"]: shown.order(engine, row) for row in rows if may_see_order(viewer, row)}
    return [found.get(key) for key in keys]


async def order_of_payment(engine: Engine, viewer: Viewer, keys: Sequence[UUID]) -> list[Any]:
    """The orders that payments are for, for those who bought them."""
    rows = await order_service.by_payment(engine, keys)
    found = {row["payment_id"]: shown.order(engine, row) for row in rows if may_see_order(viewer, row)}
    return [found.get(key) for key in keys]


async def own_sale_of_payment(engine: Engine, viewer: Viewer, keys: Sequence[UUID]) -> list[Any]:
    """The viewer's own sales that payments are for."""
    rows = await order_service.sales_by_payment(engine, keys)
    own = [row for row in rows if row["creator_user_id"] == viewer.user_id and may_sell(viewer, row)]
    found = {row["payment_id"]: shown.sale(row) for row in own}
    return [found.get(key) for key in keys]


async def order_lines(engine: Engine, viewer: Viewer, keys: Sequence[UUID]) -> list[Any]:
    """Lines, for either side of their sales."""
    rows = await order_service.lines_by_id(engine, keys)
    found = {row["id"]: shown.line(row) for row in rows if may_see_sale(viewer, row)}
    return [found.get(key) for key in keys]


async def lines_of_order(engine: Engine, _: Viewer, keys: Sequence[UUID]) -> list[Any]:
    """The lines of orders; reached from orders one may see."""
    return grouped(keys, await order_service.lines_of(engine, keys), shown.line, "order_id")


async def lines_of_sale(engine: Engine, _: Viewer, keys: Sequence[UUID]) -> list[Any]:
    """The lines of sales; reached from sales one may see."""
    return grouped(keys, await order_service.lines_of_sales(engine, keys), shown.line, "part_id")


async def sales_of_order(engine: Engine, _: Viewer, keys: Sequence[UUID]) -> list[Any]:
    """The sales that orders consist of; reached from orders one may see."""
    return grouped(keys, await order_service.sales_of(engine, keys), shown.sale, "order_id")


async def discounts_of_order(engine: Engine, _: Viewer, keys: Sequence[UUID]) -> list[Any]:
    """The discounts of orders; reached from orders one may see."""
    return grouped(keys, await order_service.discounts_of(engine, keys), shown.discount, "order_id")


async def events_of_order(engine: Engine, _: Viewer, keys: Sequence[UUID]) -> list[Any]:
    """The events of orders; reached from orders one may see."""
    return grouped(keys, await order_service.events_of(engine, keys), shown.event, "order_id")


async def fulfilments_of_sale(engine: Engine, _: Viewer, keys: Sequence[UUID]) -> list[Any]:
    """What of sales was sent; reached from sales one may see."""
    return grouped(keys, await fulfilment_service.of_parts(engine, keys), shown.fulfilment, "part_id")


async def returns_of_sale(engine: Engine, _: Viewer, keys: Sequence[UUID]) -> list[Any]:
    """What of sales comes back; reached from sales one may see."""
    return grouped(keys, await return_service.of_parts(engine, keys), shown.order_return, "part_id")
