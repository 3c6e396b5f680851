"""Purchases: products bought."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import strawberry

from schema.base import Node, edge
from schema.creators import Creator
from schema.enums import PaymentStatus
from schema.errors import Payload
from schema.money import Money, MoneyInput
from schema.payments import Payment
from schema.products import Product

if TYPE_CHECKING:
    from schema.orders import Order


@strawberry.type(description="One product bought at once, without a cart. Seen by its buyer and its seller.")
class Purchase(Node):
    key: strawberry.Private[UUID]
    creator_key: strawberry.Private[UUID]
    product_key: strawberry.Private[UUID]
    payment_key: strawberry.Private[UUID | None]
    buyer_key: strawberry.Private[UUID | None]
    title: str = strawberry.field(description="The product's name when it was bought.")
    amount: Money = strawberry.field(description="What the buyer pays.")
    net: Money = strawberry.field(description="What the creator gets of it.")
    status: PaymentStatus = strawberry.field(description="Where its payment stands; SUCCEEDED if it cost nothing.")
    created_at: datetime = strawberry.field(description="When it was bought.")
    creator: Creator = edge("creators", key=lambda purchase: purchase.creator_key, description="Who sold it.")
    product: Product = edge("products", key=lambda purchase: purchase.product_key, description="What was bought.")
    payment: Payment | None = edge(
        "payments", key=lambda purchase: purchase.payment_key, description="Its payment; null unless you pay it."
    )
    order: Annotated["Order", strawberry.lazy("schema.orders")] | None = edge(
        "orders", key=lambda purchase: purchase.key, description="The order it is. Shown to its buyer alone."
    )


@strawberry.input(description="Buy a product at its price.")
class PurchaseCreateInput:
    idempotency_key: str = strawberry.field(
        description="Sent again with the same key it is the same purchase. Without signing in: a random UUID."
    )
    product_id: strawberry.ID = strawberry.field(description="What to buy.")
    variant_id: strawberry.ID | None = strawberry.field(
        default=None, description="Which form of it; needed where there are several."
    )
    quantity: int = strawberry.field(default=1, description="How many, up to 1,000.")
    expected_price: MoneyInput | None = strawberry.field(
        default=None,
        description="What the buyer was shown for all of them. If it costs anything else nothing is bought. "
        "Without it, it is bought in the product's first currency, for whatever it costs.",
    )
    email: str | None = strawberry.field(
        default=None, description="Where to write to about it. Guests need one for what is limited for each buyer."
    )


@strawberry.type(description="The purchase, and the payment to confirm.")
class PurchaseCreatePayload(Payload):
    purchase: Purchase | None = strawberry.field(
        default=None,
        description="The purchase. What it needs is reserved until its payment is cancelled or takes too long.",
    )
    payment: Payment | None = strawberry.field(
        default=None, description="Its payment; confirm it next. Null if it costs nothing."
    )
    payment_token: str | None = strawberry.field(
        default=None,
        description="For guests only: the bearer token that reads, confirms and watches this payment, and "
        "nothing else.",
    )
