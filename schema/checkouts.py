"""Checkout: a cart becomes an order."""

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import strawberry

from schema.base import edge
from schema.errors import Payload
from schema.money import MoneyInput
from schema.payments import Payment

if TYPE_CHECKING:
    from schema.orders import Order


@strawberry.input(description="Order what is in a cart.")
class CheckoutCompleteInput:
    idempotency_key: str = strawberry.field(
        description="Sent again with the same key it happens once. Without signing in: a random UUID."
    )
    cart_id: strawberry.ID = strawberry.field(description="Which cart.")
    expected_total: MoneyInput = strawberry.field(
        description="The total the buyer was shown. If it costs anything else nothing is ordered."
    )


@strawberry.type(description="The order, and the payment to confirm.")
class CheckoutCompletePayload(Payload):
    order_key: strawberry.Private[UUID | None] = None
    order: Annotated["Order", strawberry.lazy("schema.orders")] | None = edge(
        "orders",
        key=lambda payload: payload.order_key,
        description="The order. What it needs is reserved until its payment is cancelled or takes too long.",
    )
    payment: Payment | None = strawberry.field(
        default=None, description="Its payment; confirm it next. Null for an order that costs nothing: it is paid."
    )
    payment_token: str | None = strawberry.field(
        default=None,
        description="For guests only: the bearer token that reads, confirms and watches this payment, and "
        "nothing else.",
    )
