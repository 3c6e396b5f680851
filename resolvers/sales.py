"""Sales: reading one's own, and giving back what is not sent or not right."""

from typing import Any
from uuid import UUID

import strawberry

from core.ids import Noun
from core.scopes import Scope
from resolvers import shown as shown_refunds
from resolvers import shown_orders as shown
from resolvers.context import Info
from resolvers.fields import Id, id_of, mutation, query
from resolvers.order_loaders import may_see_sale, may_sell
from resolvers.orders import conditions, some
from resolvers.pages import connection, page_query, tree
from schema.connections import Connection, PageArguments
from schema.creators import Creator
from schema.refunds import Refund
from schema.sales import (
    Sale,
    SaleCancelInput,
    SaleCancelPayload,
    SaleRefundInput,
    SaleRefundPayload,
    SaleWhere,
)
from schema.sorts import SaleSort
from services import order_refunds, orders, refunds
from services.paging import NEWEST, OLDEST


@strawberry.type
class SaleQuery:
    @query(
        description="A creator's part of an order by its id, for that creator, or for the platform's finance "
        "staff; null for anybody else. Its buyer finds it in the order.",
        scope=Scope.SALES_READ,
    )
    async def sale(self, info: Info, id: Id) -> Sale | None:  # ruff: ignore[builtin-argument-shadowing] - the contract's name
        rows = await orders.sales_by_id(info.context.engine, [id_of(Noun.SALE, id, "id")])
        return shown.sale(rows[0]) if rows and may_sell(info.context.viewer, rows[0]) else None


@strawberry.type
class SaleMutation:
    @mutation(
        description="Cancel what was not sent of a sale of yours: it can be sold again, and what was paid for it "
        "goes back. Operators may cancel any.",
        scope=Scope.SALES_WRITE,
        payload=SaleCancelPayload,
        operators=True,
    )
    async def sale_cancel(self, info: Info, input: SaleCancelInput) -> SaleCancelPayload:  # ruff: ignore[builtin-argument-shadowing]
        command = order_refunds.Cancel(
            sale_id=id_of(Noun.SALE, input.sale_id, "saleId"),
            lines=some(input.lines),
            reason=input.reason,
            key=input.idempotency_key,
        )
        done = await order_refunds.cancel(info.context.engine, info.context.viewer, command)
        info.context.replayed = done.replayed
        return SaleCancelPayload(
            sale=await sale_as_it_is(info, done.sale_id), refund=await refund_as_it_is(info, done.refund_id)
        )

    @mutation(
        description="Give back lines of a sale of yours, or its shipping. What was not sent is cancelled with it. "
        "Operators may give back any.",
        scope=Scope.SALES_WRITE,
        payload=SaleRefundPayload,
        operators=True,
    )
    async def sale_refund(self, info: Info, input: SaleRefundInput) -> SaleRefundPayload:  # ruff: ignore[builtin-argument-shadowing]
        command = order_refunds.RefundLines(
            sale_id=id_of(Noun.SALE, input.sale_id, "saleId"),
            lines=some(input.lines),
            shipping=input.shipping,
            restock=input.restock,
            reason=input.reason,
            key=input.idempotency_key,
        )
        done = await order_refunds.refund(info.context.engine, info.context.viewer, command)
        info.context.replayed = done.replayed
        return SaleRefundPayload(
            sale=await sale_as_it_is(info, done.sale_id), refund=await refund_as_it_is(info, done.refund_id)
        )


async def find_sale(info: Info, key: UUID) -> Sale | None:
    """Return a sale that is the viewer's to see, or None."""
    rows = await orders.sales_by_id(info.context.engine, [key])
    return shown.sale(rows[0]) if rows and may_see_sale(info.context.viewer, rows[0]) else None


async def sale_as_it_is(info: Info, key: UUID) -> Sale:
    """Return a sale that the viewer has just worked on."""
    rows = await orders.sales_by_id(info.context.engine, [key])
    return shown.sale(rows[0])


async def refund_as_it_is(info: Info, key: UUID | None) -> Refund | None:
    """Return a refund that the viewer has just asked for, if there is one."""
    if key is None:
        return None
    row: Any = await refunds.read(info.context.engine, key)
    return shown_refunds.refund(row)


async def creator_sales(
    creator: Creator, info: Info, page: PageArguments, where: SaleWhere | None, sort: SaleSort
) -> Connection[Sale] | None:
    """Return a page of a creator's sales, to that creator and to finance."""
    viewer = info.context.viewer
    own = viewer.user_id == creator.user_key and viewer.may(Scope.SALES_READ)
    if not own and not viewer.may(Scope.FINANCE_READ):
        return None
    order = NEWEST if sort is SaleSort.NEWEST else OLDEST
    query = page_query(page, where=tree(where, conditions), order=order)
    return connection(await orders.sales_of_creator(info.context.engine, creator.key, query), shown.sale)
