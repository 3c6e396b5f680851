"""Variants: the forms of a product that can be bought."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import strawberry

from schema.base import Info, Node, access, computed, edge, nested
from schema.connections import After, Before, Connection, First, Last, PageArguments
from schema.enums import LicencePolicy, Scope
from schema.errors import Payload
from schema.money import Money, MoneyInput
from schema.scalars import CurrencyCode

if TYPE_CHECKING:
    from schema.downloads import VariantFile
    from schema.licences import LicenceKey
    from schema.products import Product
    from schema.stock import StockLevel


@strawberry.type(description="One form of a product that can be bought: a choice for each of its options.")
class Variant(Node):
    key: strawberry.Private[UUID]
    product_key: strawberry.Private[UUID]
    creator_key: strawberry.Private[UUID]
    title: str | None = strawberry.field(
        description="How it is told from the others, such as `Large / Red`; null where there is nothing to choose."
    )
    choices: list[str] = strawberry.field(
        description="A choice for each of the product's options, in their order."
    )
    sku: str | None = strawberry.field(description="The creator's own number for it.")
    prices: list[Money] = strawberry.field(
        description="What one costs, in each currency it is sold in; where buyers pay what they want, the least."
    )
    requires_shipping: bool = strawberry.field(description="Whether it is sent to an address.")
    weight_grams: int | None = strawberry.field(description="What one weighs.")
    available: int | None = strawberry.field(
        description="How many can be bought now, none before the product is released; null is without limit."
    )
    licence_policy: LicencePolicy | None = strawberry.field(
        description="How its licence keys come about; null if none come with it."
    )
    licence_activations: int | None = strawberry.field(
        description="On how many devices one of its keys works; null is without limit."
    )
    download_limit: int | None = strawberry.field(
        description="How often each of its files can be downloaded; null is without limit."
    )
    active: bool = strawberry.field(description="Whether it is offered; otherwise it is archived.")
    created_at: datetime = strawberry.field(description="When it was first offered.")
    product: Annotated["Product", strawberry.lazy("schema.products")] = edge(
        "products", key=lambda variant: variant.product_key, description="What it is a form of."
    )

    @computed(description="What one costs in a currency; null if it is not sold in that.")
    def price(
        self, currency: Annotated[CurrencyCode, strawberry.argument(description="In which currency.")]
    ) -> Money | None:
        return next((price for price in self.prices if price.currency == currency), None)

    @computed(
        description="How many of it each location has, in their order. Null unless you are its creator.",
        directives=access(Scope.PRODUCTS_WRITE),
    )
    async def stock_levels(
        self, info: Info
    ) -> list[Annotated["StockLevel", strawberry.lazy("schema.stock")]] | None:
        result: list[StockLevel] | None = await info.context.loaders.load("levels_of_variant", self.key)
        return result

    @computed(
        description="The files it is sold with, in order. Null unless you are its creator.",
        directives=access(Scope.PRODUCTS_WRITE),
    )
    async def files(
        self, info: Info
    ) -> list[Annotated["VariantFile", strawberry.lazy("schema.downloads")]] | None:
        result: list[VariantFile] | None = await info.context.loaders.load("files_of_variant", self.key)
        return result

    @computed(
        description="Its licence keys, sold or not, the newest first; of each the last characters. Null unless "
        "you are its creator.",
        directives=access(Scope.PRODUCTS_WRITE),
    )
    async def licence_keys(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[Annotated["LicenceKey", strawberry.lazy("schema.licences")]] | None:
        page = PageArguments(first, after, last, before)
        result: Connection[LicenceKey] | None = await nested("variant_licence_keys")(self, info, page)
        return result


@strawberry.input(description="A variant to be offered.")
class VariantInput:
    choices: list[str] = strawberry.field(
        default_factory=list, description="A choice for each of the product's options, 1 to 60 characters each."
    )
    prices: list[MoneyInput] = strawberry.field(
        description="What one costs, once for each currency; 0 only where buyers pay what they want."
    )
    stock: int | None = strawberry.field(
        default=None, description="How many there are; without it, as many as are wanted."
    )
    sku: str | None = strawberry.field(default=None, description="Your own number for it, at most 100 characters.")
    requires_shipping: bool = strawberry.field(default=False, description="Whether it is sent to an address.")
    weight_grams: int | None = strawberry.field(default=None, description="What one weighs.")
    licence_policy: LicencePolicy | None = strawberry.field(
        default=None, description="How its licence keys come about; without it, none come with it."
    )
    licence_activations: int | None = strawberry.field(
        default=None, description="On how many devices one of its keys works; without it, on as many as one likes."
    )
    download_limit: int | None = strawberry.field(
        default=None,
        description="How often each of its files can be downloaded; without it, as often as one likes.",
    )


@strawberry.input(description="Offer a product of yours in one more variant.")
class VariantCreateInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    product_id: strawberry.ID = strawberry.field(description="Of which product.")
    variant: VariantInput = strawberry.field(description="The variant.")


@strawberry.input(description="Change a variant of yours. What is not given stays as it is.")
class VariantUpdateInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    variant_id: strawberry.ID = strawberry.field(description="Which variant.")
    choices: list[str] | None = strawberry.field(default=None, description="A choice for each of the options.")
    prices: list[MoneyInput] | None = strawberry.field(
        default=None, description="What one costs from now on, once for each currency; in others it is not sold."
    )
    stock: int | None = strawberry.field(
        default=None,
        description="How many are left to sell from now on; `stockSet` where several locations have it.",
    )
    unlimited_stock: bool = strawberry.field(default=False, description="Take the limit away.")
    sku: str | None = strawberry.field(default=None, description="Your own number for it; empty for none.")
    requires_shipping: bool | None = strawberry.field(
        default=None, description="Whether it is sent to an address."
    )
    weight_grams: int | None = strawberry.field(default=None, description="What one weighs.")
    licence_policy: LicencePolicy | None = strawberry.field(
        default=None, description="How its licence keys come about. To and from POOL it cannot be changed."
    )
    licence_activations: int | None = strawberry.field(
        default=None, description="On how many devices a key works that is sold from now on; 0 is without limit."
    )
    download_limit: int | None = strawberry.field(
        default=None,
        description="How often a file that is sold from now on can be downloaded; 0 is without limit.",
    )


@strawberry.input(description="Take a variant of yours off sale for good. What was sold stays sold.")
class VariantArchiveInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    variant_id: strawberry.ID = strawberry.field(description="Which variant.")


@strawberry.type(description="The variant that was offered.")
class VariantCreatePayload(Payload):
    variant: Variant | None = strawberry.field(default=None, description="The variant.")


@strawberry.type(description="The variant as it is now.")
class VariantUpdatePayload(Payload):
    variant: Variant | None = strawberry.field(default=None, description="The variant.")


@strawberry.type(description="The variant, off sale.")
class VariantArchivePayload(Payload):
    variant: Variant | None = strawberry.field(default=None, description="The variant.")
