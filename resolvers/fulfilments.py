"""Fulfilments: saying what was sent, and how it can be followed."""

from uuid import UUID

import strawberry

from core.ids import Noun
from core.scopes import Scope
from resolvers import shown_orders as shown
from resolvers.context import Info
from resolvers.fields import id_of, mutation
from resolvers.order_loaders import may_see_sale
from resolvers.orders import some
from resolvers.sales import sale_as_it_is
from schema.fulfilments import (
    Fulfilment,
    FulfilmentCreateInput,
    FulfilmentCreatePayload,
    FulfilmentUpdateInput,
    FulfilmentUpdatePayload,
)
from services import fulfilments
from services.fulfilments import Tracking


@strawberry.type
class FulfilmentMutation:
    @mutation(
        description="Say that something of a sale of yours was sent. Operators may for any.",
        scope=Scope.SALES_WRITE,
        payload=FulfilmentCreatePayload,
        operators=True,
    )
    async def fulfilment_create(self, info: Info, input: FulfilmentCreateInput) -> FulfilmentCreatePayload:  # ruff: ignore[builtin-argument-shadowing]
        command = fulfilments.Create(
            sale_id=id_of(Noun.SALE, input.sale_id, "saleId"),
            lines=some(input.lines),
            tracking=Tracking(input.carrier, input.tracking_number, input.tracking_url),
            key=input.idempotency_key,
        )
        done = await fulfilments.create(info.context.engine, info.context.viewer, command)
        info.context.replayed = done.replayed
        rows = await fulfilments.by_id(info.context.engine, [done.fulfilment_id])
        return FulfilmentCreatePayload(
            fulfilment=shown.fulfilment(rows[0]), sale=await sale_as_it_is(info, done.sale_id)
        )

    @mutation(
        description="Say how a parcel of yours can be followed. Operators may for any.",
        scope=Scope.SALES_WRITE,
        payload=FulfilmentUpdatePayload,
        operators=True,
    )
    async def fulfilment_update(self, info: Info, input: FulfilmentUpdateInput) -> FulfilmentUpdatePayload:  # ruff: ignore[builtin-argument-shadowing]
        command = fulfilments.Update(
            fulfilment_id=id_of(Noun.FULFILMENT, input.fulfilment_id, "fulfilmentId"),
            tracking=Tracking(input.carrier, input.tracking_number, input.tracking_url),
            key=input.idempotency_key,
        )
        done = await fulfilments.update(info.context.engine, info.context.viewer, command)
        info.context.replayed = done.replayed
        rows = await fulfilments.by_id(info.context.engine, [done.fulfilment_id])
        return FulfilmentUpdatePayload(fulfilment=shown.fulfilment(rows[0]))


async def find_fulfilment(info: Info, key: UUID) -> Fulfilment | None:
    """Return a fulfilment that is the viewer's to see, or None."""
    rows = await fulfilments.by_id(info.context.engine, [key])
    return shown.fulfilment(rows[0]) if rows and may_see_sale(info.context.viewer, rows[0]) else None
