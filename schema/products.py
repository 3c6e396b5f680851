"""Products: what creators sell."""

from datetime import datetime
from uuid import UUID

import strawberry

from schema.base import Node, edge
from schema.connections import DateTimeFilter, StringFilter
from schema.creators import Creator
from schema.errors import Payload
from schema.money import Money, MoneyInput
from schema.scalars import CurrencyCode


@strawberry.input(description="A range of prices in one currency.")
class PriceFilter:
    currency: CurrencyCode = strawberry.field(description="Only prices in this currency.")
    gte: MoneyInput | None = strawberry.field(default=None, description="At least; in the same currency.")
    lte: MoneyInput | None = strawberry.field(default=None, description="At most; in the same currency.")


@strawberry.input(description="Which products; all conditions that are given must hold.")
class ProductWhere:
    creator_id: strawberry.ID | None = strawberry.field(default=None, description="Of this creator.")
    title: StringFilter | None = strawberry.field(default=None, description="By title.")
    price: PriceFilter | None = strawberry.field(default=None, description="By price.")
    in_stock: bool | None = strawberry.field(default=None, description="True: something is left. False: sold out.")
    created_at: DateTimeFilter | None = strawberry.field(default=None, description="By when it was offered.")
    and_: list["ProductWhere"] | None = strawberry.field(
        default=None, name="AND", description="All of these hold."
    )
    or_: list["ProductWhere"] | None = strawberry.field(
        default=None, name="OR", description="At least one of these holds."
    )


@strawberry.type(description="Something a creator sells at one price.")
class Product(Node):
    key: strawberry.Private[UUID]
    creator_key: strawberry.Private[UUID]
    title: str = strawberry.field(description="Its name.")
    description: str | None = strawberry.field(description="What it is.")
    price: Money = strawberry.field(description="What one costs.")
    stock: int | None = strawberry.field(description="How many are left; null is without limit.")
    manual_capture: bool = strawberry.field(
        description="Whether a payment for it only reserves its price, for the creator to capture later."
    )
    active: bool = strawberry.field(description="Whether it is on sale; otherwise it is archived.")
    created_at: datetime = strawberry.field(description="When it was first offered.")
    creator: Creator = edge("creators", key=lambda product: product.creator_key, description="Who sells it.")


@strawberry.input(description="Offer something.")
class ProductCreateInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    creator_id: strawberry.ID = strawberry.field(description="Who sells it: a creator of yours.")
    title: str = strawberry.field(description="Its name, 1 to 120 characters.")
    description: str | None = strawberry.field(default=None, description="At most 10,000 characters.")
    price: MoneyInput = strawberry.field(description="What one costs.")
    stock: int | None = strawberry.field(
        default=None, description="How many there are; without it, as many as are wanted."
    )
    manual_capture: bool = strawberry.field(
        default=False, description="Only reserve the price when it is bought: you capture it later, or let it go."
    )


@strawberry.input(description="Change a product of yours. What is not given stays as it is.")
class ProductUpdateInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    product_id: strawberry.ID = strawberry.field(description="Which product.")
    title: str | None = strawberry.field(default=None, description="1 to 120 characters.")
    description: str | None = strawberry.field(default=None, description="At most 10,000 characters.")
    price: MoneyInput | None = strawberry.field(
        default=None, description="The new price. Payments that were already created keep theirs."
    )
    stock: int | None = strawberry.field(default=None, description="How many there are from now on.")
    unlimited_stock: bool = strawberry.field(default=False, description="Take the limit away.")
    manual_capture: bool | None = strawberry.field(
        default=None,
        description="Whether the price is only reserved when it is bought. Payments already created stay "
        "as they are.",
    )


@strawberry.input(description="Take a product of yours off sale.")
class ProductArchiveInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    product_id: strawberry.ID = strawberry.field(description="Which product.")


@strawberry.type(description="The product that was offered.")
class ProductCreatePayload(Payload):
    product: Product | None = strawberry.field(default=None, description="The product.")


@strawberry.type(description="The product as it is now.")
class ProductUpdatePayload(Payload):
    product: Product | None = strawberry.field(default=None, description="The product.")


@strawberry.type(description="The product, off sale.")
class ProductArchivePayload(Payload):
    product: Product | None = strawberry.field(default=None, description="The product.")
