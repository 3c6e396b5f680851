"""Purchases: products bought."""

from datetime import datetime
from uuid import UUID

import strawberry

from schema.base import Node, edge
from schema.creators import Creator
from schema.enums import PaymentStatus
from schema.errors import Payload
from schema.money import Money
from schema.payments import Payment
from schema.products import Product


@strawberry.type(description="One product bought. Seen by its buyer and its seller.")
class Purchase(Node):
    key: strawberry.Private[UUID]
    creator_key: strawberry.Private[UUID]
    product_key: strawberry.Private[UUID]
    payment_key: strawberry.Private[UUID]
    buyer_key: strawberry.Private[UUID | None]
    title: str = strawberry.field(description="The product's name when it was bought.")
    amount: Money = strawberry.field(description="What the buyer pays.")
    net: Money = strawberry.field(description="What the creator gets of it.")
    status: PaymentStatus = strawberry.field(description="Where its payment stands.")
    created_at: datetime = strawberry.field(description="When it was bought.")
    creator: Creator = edge("creators", key=lambda purchase: purchase.creator_key, description="Who sold it.")
    product: Product = edge("products", key=lambda purchase: purchase.product_key, description="What was bought.")
    payment: Payment | None = edge(
        "payments", key=lambda purchase: purchase.payment_key, description="Its payment; null unless you pay it."
    )


@strawberry.input(description="Buy one of a product at its price.")
class PurchaseCreateInput:
    idempotency_key: str = strawberry.field(
        description="Sent again with the same key it is the same purchase. Without signing in: a random UUID."
    )
    product_id: strawberry.ID = strawberry.field(description="What to buy.")


@strawberry.type(description="The purchase, and the payment to confirm.")
class PurchaseCreatePayload(Payload):
    purchase: Purchase | None = strawberry.field(
        default=None, description="The purchase. One is reserved for it until its payment is cancelled."
    )
    payment: Payment | None = strawberry.field(default=None, description="Its payment; confirm it next.")
    payment_token: str | None = strawberry.field(
        default=None,
        description="For guests only: the bearer token that reads, confirms and watches this payment, and "
        "nothing else.",
    )
