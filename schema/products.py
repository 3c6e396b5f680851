"""Products: what creators sell."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import strawberry

from schema.base import Node, edge
from schema.connections import DateTimeFilter, StringFilter
from schema.creators import Creator
from schema.enums import ProductState, TaxCategory
from schema.errors import Payload
from schema.money import Money, MoneyInput
from schema.scalars import CurrencyCode
from schema.variants import Variant, VariantInput

if TYPE_CHECKING:
    from schema.collections import Collection


@strawberry.input(description="A range of prices in one currency.")
class PriceFilter:
    currency: CurrencyCode = strawberry.field(
        description="Only products whose own `currency` this is. Other currencies they are sold in do not count."
    )
    gte: MoneyInput | None = strawberry.field(default=None, description="At least; in the same currency.")
    lte: MoneyInput | None = strawberry.field(default=None, description="At most; in the same currency.")


@strawberry.input(description="Which products; all conditions that are given must hold.")
class ProductWhere:
    search: str | None = strawberry.field(
        default=None,
        description='Words of the title, the tags or the description, the last one also as a beginning. `"…"` '
        "for words in a row, `or` between alternatives, `-` before what is not wanted.",
    )
    tag: str | None = strawberry.field(default=None, description="With this tag.")
    collection_id: strawberry.ID | None = strawberry.field(default=None, description="In this collection.")
    creator_id: strawberry.ID | None = strawberry.field(default=None, description="Of this creator.")
    title: StringFilter | None = strawberry.field(default=None, description="By title.")
    price: PriceFilter | None = strawberry.field(default=None, description="By price.")
    in_stock: bool | None = strawberry.field(default=None, description="True: something is left. False: sold out.")
    created_at: DateTimeFilter | None = strawberry.field(default=None, description="By when it was offered.")
    state: ProductState | None = strawberry.field(
        default=None, description="In this state; only their creator is shown products that are not ACTIVE."
    )
    and_: list["ProductWhere"] | None = strawberry.field(
        default=None, name="AND", description="All of these hold."
    )
    or_: list["ProductWhere"] | None = strawberry.field(
        default=None, name="OR", description="At least one of these holds."
    )


@strawberry.type(description="A picture of a product.")
class Picture:
    url: str = strawberry.field(description="Where it is to be seen.")
    alternative_text: str | None = strawberry.field(description="What it shows, for those who do not see it.")
    width: int = strawberry.field(description="In pixels.")
    height: int = strawberry.field(description="In pixels.")


@strawberry.type(description="Something a creator sells, in one or more variants.")
class Product(Node):
    key: strawberry.Private[UUID]
    creator_key: strawberry.Private[UUID]
    title: str = strawberry.field(description="Its name.")
    description: str | None = strawberry.field(description="What it is.")
    state: ProductState = strawberry.field(description="Whether it is on sale.")
    active: bool = strawberry.field(description="Whether it is on sale; otherwise it is a draft, or archived.")
    releases_at: datetime | None = strawberry.field(
        description="From when on it is sold; null if that is no question."
    )
    price: Money = strawberry.field(
        description="What one costs, or the cheapest of its variants, in the first currency it is sold in."
    )
    currency: CurrencyCode = strawberry.field(description="The first currency it is sold in.")
    pays_what_they_want: bool = strawberry.field(
        description="Whether buyers choose what to pay, its price being the least."
    )
    per_buyer_limit: int | None = strawberry.field(description="How many of it one buyer may buy, ever.")
    stock: int | None = strawberry.field(
        description="How many are left of all its variants; null if one of them is without limit."
    )
    options: list[str] = strawberry.field(description="What its variants differ in, such as `Size`.")
    tags: list[str] = strawberry.field(description="What it is found by, in small letters.")
    tax_category: TaxCategory = strawberry.field(description="How it is taxed.")
    manual_capture: bool = strawberry.field(
        description="Whether a payment for it only reserves its price, for the creator to capture later."
    )
    created_at: datetime = strawberry.field(description="When it was made.")
    creator: Creator = edge("creators", key=lambda product: product.creator_key, description="Who sells it.")
    variants: list[Variant] = edge(
        "variants_of_product", key=lambda product: product.key, description="What it can be bought as, in order."
    )
    pictures: list[Picture] = edge(
        "pictures_of_product", key=lambda product: product.key, description="What it looks like, in order."
    )
    collections: list[Annotated["Collection", strawberry.lazy("schema.collections")]] = edge(
        "collections_of_product", key=lambda product: product.key, description="The collections it is shown in."
    )


@strawberry.input(description="Offer something.")
class ProductCreateInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    creator_id: strawberry.ID = strawberry.field(description="Who sells it: a creator of yours.")
    title: str = strawberry.field(description="Its name, 1 to 120 characters.")
    description: str | None = strawberry.field(default=None, description="At most 10,000 characters.")
    price: MoneyInput | None = strawberry.field(
        default=None, description="What one costs. Without variants it is needed, with variants each has its own."
    )
    stock: int | None = strawberry.field(
        default=None, description="How many there are; without it, as many as are wanted."
    )
    variants: list[VariantInput] | None = strawberry.field(
        default=None, description="What it can be bought as, in order, at most 100; without them, as one thing."
    )
    options: list[str] = strawberry.field(
        default_factory=list, description="What variants differ in, such as `Size`; at most 3."
    )
    tags: list[str] = strawberry.field(
        default_factory=list, description="What it is found by; at most 20 of 1 to 40 characters."
    )
    state: ProductState = strawberry.field(
        default=ProductState.ACTIVE, description="On sale at once, or a draft that only you see."
    )
    releases_at: datetime | None = strawberry.field(
        default=None, description="From when on it is sold; it is shown before."
    )
    per_buyer_limit: int | None = strawberry.field(
        default=None, description="How many of it one buyer may buy, ever; without it, as many as they like."
    )
    pays_what_they_want: bool = strawberry.field(
        default=False, description="Let buyers choose what to pay; the price is the least, and may be 0."
    )
    tax_category: TaxCategory = strawberry.field(default=TaxCategory.STANDARD, description="How it is taxed.")
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
        default=None,
        description="Its only price from now on. Payments that were already created keep theirs. "
        "With several variants, use `variantUpdate`.",
    )
    stock: int | None = strawberry.field(
        default=None,
        description="How many are left to sell from now on. With several variants, use `variantUpdate`.",
    )
    unlimited_stock: bool = strawberry.field(default=False, description="Take the limit away.")
    options: list[str] | None = strawberry.field(
        default=None, description="Other names for its options, as many as there were."
    )
    tags: list[str] | None = strawberry.field(default=None, description="What it is found by from now on.")
    state: ProductState | None = strawberry.field(
        default=None, description="Put it on sale, make it a draft again, or archive it for good."
    )
    releases_at: datetime | None = strawberry.field(default=None, description="From when on it is sold.")
    release_now: bool = strawberry.field(default=False, description="Take `releasesAt` away.")
    per_buyer_limit: int | None = strawberry.field(
        default=None, description="How many of it one buyer may buy, ever; 0 is without limit."
    )
    pays_what_they_want: bool | None = strawberry.field(
        default=None, description="Whether buyers choose what to pay."
    )
    tax_category: TaxCategory | None = strawberry.field(default=None, description="How it is taxed.")
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
