"""Orders: reading, cancelling and watching one's own."""

from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any
from uuid import UUID

import strawberry

from core import ids
from core.cursors import decode_cursor, encode_cursor
from core.errors import not_found
from core.ids import Noun
from core.scopes import Scope
from resolvers import shown_orders as shown
from resolvers.context import Info
from resolvers.fields import Id, id_of, mutation, query, stream, subscription, top_level
from resolvers.order_loaders import may_see_order, may_see_sale
from resolvers.pages import connection, page_query, status_conditions, time_conditions, tree
from schema.connections import Connection, PageArguments
from schema.errors import user_error
from schema.orders import (
    Order,
    OrderCancelInput,
    OrderCancelPayload,
    OrderLine,
    OrderLineQuantityInput,
    OrderStatusUpdate,
    OrderWhere,
)
from schema.payments import UpdateKind
from schema.sorts import OrderSort
from schema.users import User
from services import feeds, orders
from services.order_locks import Some
from services.paging import NEWEST, OLDEST, Condition


@strawberry.type
class OrderQuery:
    @query(
        description="An order by its id, for who bought it: signed in, with its cart's token or with its "
        "payment's; null for anybody else.",
        scope=Scope.ACCOUNT_READ,
        guests=True,
    )
    async def order(self, info: Info, id: Id) -> Order | None:  # ruff: ignore[builtin-argument-shadowing] - the contract's name
        return await find_order(info, id_of(Noun.ORDER, id, "id"))


@strawberry.type
class OrderMutation:
    @mutation(
        description="Cancel an order of yours that is not paid. What it kept is there for others again.",
        scope=Scope.PURCHASES_WRITE,
        payload=OrderCancelPayload,
        guests=True,
    )
    async def order_cancel(self, info: Info, input: OrderCancelInput) -> OrderCancelPayload:  # ruff: ignore[builtin-argument-shadowing]
        engine = info.context.engine
        command = orders.Cancel(id_of(Noun.ORDER, input.order_id, "orderId"), input.idempotency_key)
        answer = await orders.cancel(engine, info.context.viewer, command)
        info.context.replayed = answer.replayed
        errors = [] if answer.refusal is None else [user_error(answer.refusal)]
        return OrderCancelPayload(order=shown.order(engine, answer.row), errors=errors)


@strawberry.type
class OrderSubscription:
    @subscription(
        description="An order's status: a snapshot first, then all that becomes of it, in order and none missing. "
        "With `after`, only what came later. For who bought it.",
        scope=Scope.ACCOUNT_READ,
        guests=True,
    )
    async def order_status(
        self,
        info: Info,
        order_id: Annotated[strawberry.ID, strawberry.argument(description="Which order.")],
        after: Annotated[
            str | None, strawberry.argument(description="The cursor of the last message you have.")
        ] = None,
    ) -> AsyncIterator[OrderStatusUpdate]:
        key = ids.decode(Noun.ORDER, order_id)
        if key is None or await find_order(info, key) is None:
            raise top_level(not_found("order", "orderId"))
        place = None if after is None else decode_cursor(key, after)
        feed = feeds.order_feed(info.context.engine, key, -1 if after is not None and place is None else place)

        async def show(item: feeds.FeedItem) -> OrderStatusUpdate:
            # Somebody may have lost the right to see it since the last event: asked again each time.
            order = await find_order(info, key)
            if order is None:
                raise top_level(not_found("order", "orderId"))
            info.context.forget()
            return await _update(info, key, item, order)

        async for update in stream(feed, key, show):
            yield update


async def find_order(info: Info, key: UUID) -> Order | None:
    """Return an order that is the viewer's to see, or None."""
    row = await orders.read(info.context.engine, key)
    if row is None or not may_see_order(info.context.viewer, row):
        return None
    return shown.order(info.context.engine, row)


async def find_line(info: Info, key: UUID) -> OrderLine | None:
    """Return a line of an order that is the viewer's to see, or None."""
    rows = await orders.lines_by_id(info.context.engine, [key])
    return shown.line(rows[0]) if rows and may_see_sale(info.context.viewer, rows[0]) else None


async def user_orders(
    user: User, info: Info, page: PageArguments, where: OrderWhere | None, sort: OrderSort
) -> Connection[Order] | None:
    """Return a page of one's own orders."""
    viewer = info.context.viewer
    if viewer.user_id != user.key or not viewer.may(Scope.ACCOUNT_READ):
        return None
    order = NEWEST if sort is OrderSort.NEWEST else OLDEST
    engine = info.context.engine
    found = await orders.of_buyer(engine, user.key, page_query(page, where=tree(where, conditions), order=order))
    return connection(found, lambda row: shown.order(engine, row))


def conditions(where: Any) -> Sequence[Condition]:
    """Return what one level of a filter of orders or sales asks for."""
    return [*status_conditions("status", where.status), *time_conditions("created_at", where.created_at)]


def some(lines: list[OrderLineQuantityInput] | None) -> list[Some] | None:
    """Return which lines are meant, and how many of each. Errors: NOT_FOUND."""
    if lines is None:
        return None
    return [
        Some(id_of(Noun.ORDER_LINE, line.line_id, "lines", str(place), "lineId"), line.quantity)
        for place, line in enumerate(lines)
    ]


async def _update(info: Info, key: UUID, item: feeds.FeedItem, order: Order) -> OrderStatusUpdate:
    if isinstance(item, feeds.Reset):
        return OrderStatusUpdate(kind=UpdateKind.RESET, cursor=encode_cursor(key, 0), event=None, order=order)
    cursor = encode_cursor(key, item.cursor)
    if isinstance(item, feeds.Snapshot):
        return OrderStatusUpdate(kind=UpdateKind.SNAPSHOT, cursor=cursor, event=None, order=order)
    row = await orders.event(info.context.engine, key, item.event.sequence)
    return OrderStatusUpdate(kind=UpdateKind.EVENT, cursor=cursor, event=shown.event(row), order=order)
