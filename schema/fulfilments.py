"""Fulfilments: what of a sale was sent, and how it can be followed."""

from datetime import datetime
from uuid import UUID

import strawberry

from schema.base import Node, edge
from schema.errors import Payload
from schema.orders import OrderLine, OrderLineQuantityInput
from schema.sales import Sale


@strawberry.type(description="So many of a line.")
class FulfilmentLine:
    line_key: strawberry.Private[UUID]
    quantity: int = strawberry.field(description="How many.")
    line: OrderLine | None = edge("order_lines", key=lambda each: each.line_key, description="Of which line.")


@strawberry.type(
    description="Something of a sale that was sent, or handed over. Seen by the creator who sent it, and by the "
    "buyer."
)
class Fulfilment(Node):
    key: strawberry.Private[UUID]
    carrier: str | None = strawberry.field(description="Who carries it.")
    tracking_number: str | None = strawberry.field(description="Its number there.")
    tracking_url: str | None = strawberry.field(description="Where it can be followed: https.")
    automatic: bool = strawberry.field(description="Whether it was handed over by itself, as downloads are.")
    lines: list[FulfilmentLine] = strawberry.field(description="What was in it.")
    created_at: datetime = strawberry.field(description="When it was sent.")
    updated_at: datetime = strawberry.field(description="When it last changed.")


@strawberry.input(description="Say that something of a sale of yours was sent.")
class FulfilmentCreateInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    sale_id: strawberry.ID = strawberry.field(description="Which sale.")
    lines: list[OrderLineQuantityInput] | None = strawberry.field(
        default=None, description="How many of which lines; everything that was not sent, if it is left out."
    )
    carrier: str | None = strawberry.field(default=None, description="Who carries it, up to 100 characters.")
    tracking_number: str | None = strawberry.field(
        default=None, description="Its number there, up to 100 characters."
    )
    tracking_url: str | None = strawberry.field(
        default=None, description="Where it can be followed: an address that begins with https://."
    )


@strawberry.input(description="Say how a parcel of yours can be followed. What is not given stays as it is.")
class FulfilmentUpdateInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    fulfilment_id: strawberry.ID = strawberry.field(description="Which fulfilment.")
    carrier: str | None = strawberry.field(default=None, description="Who carries it, up to 100 characters.")
    tracking_number: str | None = strawberry.field(
        default=None, description="Its number there, up to 100 characters."
    )
    tracking_url: str | None = strawberry.field(
        default=None, description="Where it can be followed: an address that begins with https://."
    )


@strawberry.type(description="What was sent, and the sale it is of.")
class FulfilmentCreatePayload(Payload):
    fulfilment: Fulfilment | None = strawberry.field(default=None, description="The fulfilment.")
    sale: Sale | None = strawberry.field(default=None, description="The sale as it is now.")


@strawberry.type(description="The fulfilment as it is now.")
class FulfilmentUpdatePayload(Payload):
    fulfilment: Fulfilment | None = strawberry.field(default=None, description="The fulfilment.")
