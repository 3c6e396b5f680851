"""Returns of goods: asked for by the buyer, received or declined by the creator."""

from collections.abc import Sequence
from uuid import UUID

import strawberry

from core.ids import Noun
from core.scopes import Scope
from resolvers import shown_orders as shown
from resolvers.context import Info
from resolvers.fields import id_of, mutation
from resolvers.order_loaders import may_see_sale
from resolvers.orders import some
from resolvers.sales import refund_as_it_is
from schema.order_returns import (
    OrderReturn,
    OrderReturnCancelInput,
    OrderReturnCancelPayload,
    OrderReturnDeclineInput,
    OrderReturnDeclinePayload,
    OrderReturnReceiveInput,
    OrderReturnReceivePayload,
    OrderReturnRequestInput,
    OrderReturnRequestPayload,
)
from services import order_returns


@strawberry.type
class OrderReturnMutation:
    @mutation(
        description="Ask to send back what was shipped to you: one return for each creator.",
        scope=Scope.PURCHASES_WRITE,
        payload=OrderReturnRequestPayload,
        guests=True,
    )
    async def order_return_request(self, info: Info, input: OrderReturnRequestInput) -> OrderReturnRequestPayload:  # ruff: ignore[builtin-argument-shadowing]
        command = order_returns.Ask(
            order_id=id_of(Noun.ORDER, input.order_id, "orderId"),
            lines=some(input.lines),
            reason=input.reason,
            key=input.idempotency_key,
        )
        done = await order_returns.ask(info.context.engine, info.context.viewer, command)
        info.context.replayed = done.replayed
        return OrderReturnRequestPayload(order_returns=await _as_they_are(info, done.return_ids))

    @mutation(
        description="Say that goods came back to you; what was paid for them goes back. Operators may for any.",
        scope=Scope.SALES_WRITE,
        payload=OrderReturnReceivePayload,
        operators=True,
    )
    async def order_return_receive(self, info: Info, input: OrderReturnReceiveInput) -> OrderReturnReceivePayload:  # ruff: ignore[builtin-argument-shadowing]
        command = order_returns.Receive(
            return_id=id_of(Noun.ORDER_RETURN, input.return_id, "returnId"),
            restock=input.restock,
            refund=input.refund,
            key=input.idempotency_key,
        )
        done = await order_returns.receive(info.context.engine, info.context.viewer, command)
        info.context.replayed = done.replayed
        return OrderReturnReceivePayload(
            order_return=(await _as_they_are(info, done.return_ids))[0],
            refund=await refund_as_it_is(info, done.refund_id),
        )

    @mutation(
        description="Do not take goods back. Operators may for any.",
        scope=Scope.SALES_WRITE,
        payload=OrderReturnDeclinePayload,
        operators=True,
    )
    async def order_return_decline(self, info: Info, input: OrderReturnDeclineInput) -> OrderReturnDeclinePayload:  # ruff: ignore[builtin-argument-shadowing]
        key = id_of(Noun.ORDER_RETURN, input.return_id, "returnId")
        command = order_returns.End(key, input.idempotency_key)
        done = await order_returns.decline(info.context.engine, info.context.viewer, command)
        info.context.replayed = done.replayed
        return OrderReturnDeclinePayload(order_return=(await _as_they_are(info, done.return_ids))[0])

    @mutation(
        description="Keep goods that you asked to send back.",
        scope=Scope.PURCHASES_WRITE,
        payload=OrderReturnCancelPayload,
        guests=True,
    )
    async def order_return_cancel(self, info: Info, input: OrderReturnCancelInput) -> OrderReturnCancelPayload:  # ruff: ignore[builtin-argument-shadowing]
        key = id_of(Noun.ORDER_RETURN, input.return_id, "returnId")
        command = order_returns.End(key, input.idempotency_key)
        done = await order_returns.cancel(info.context.engine, info.context.viewer, command)
        info.context.replayed = done.replayed
        return OrderReturnCancelPayload(order_return=(await _as_they_are(info, done.return_ids))[0])


async def _as_they_are(info: Info, ids: Sequence[UUID]) -> list[OrderReturn]:
    rows = {row["id"]: row for row in await order_returns.by_id(info.context.engine, ids)}
    return [shown.order_return(rows[key]) for key in ids]


async def find_return(info: Info, key: UUID) -> OrderReturn | None:
    """Return goods on their way back that are the viewer's to see, or None."""
    rows = await order_returns.by_id(info.context.engine, [key])
    return shown.order_return(rows[0]) if rows and may_see_sale(info.context.viewer, rows[0]) else None
