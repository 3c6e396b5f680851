"""Carts: what somebody means to buy, at the prices of now."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import strawberry

from schema.addresses import AddressInput, PostalAddress
from schema.base import Node, edge
from schema.creators import Creator
from schema.enums import DiscountReason
from schema.errors import Payload, UserError
from schema.money import Money, MoneyInput
from schema.scalars import CurrencyCode

if TYPE_CHECKING:
    from schema.orders import Order
    from schema.products import Product
    from schema.variants import Variant


@strawberry.type(description="So many of a variant in a cart, at the price of now.")
class CartLine:
    variant_key: strawberry.Private[UUID | None]
    product_key: strawberry.Private[UUID | None]
    variant: Annotated["Variant", strawberry.lazy("schema.variants")] | None = edge(
        "variants", key=lambda line: line.variant_key, description="What is bought; null if it is gone."
    )
    product: Annotated["Product", strawberry.lazy("schema.products")] | None = edge(
        "products", key=lambda line: line.product_key, description="Of which product."
    )
    variant_id: strawberry.ID = strawberry.field(
        description="The id to change or take out the line by, also if the variant is gone."
    )
    quantity: int = strawberry.field(description="How many.")
    unit_price: Money | None = strawberry.field(description="What one costs; null where it is not sold now.")
    subtotal: Money | None = strawberry.field(description="What all of them cost before discounts.")
    discount: Money | None = strawberry.field(description="What is taken off.")
    tax: Money | None = strawberry.field(description="The tax in `total`.")
    total: Money | None = strawberry.field(description="What the buyer pays for them.")
    available: int | None = strawberry.field(description="How many there are now; null is without limit.")
    problem: UserError | None = strawberry.field(description="What stands in the way of buying it.")


@strawberry.type(description="A way a creator ships.")
class CartShippingMethod:
    id: strawberry.ID = strawberry.field(description="Its id.")


@strawberry.type(description="A way the cart can be shipped, and what it costs.")
class CartShippingOption:
    method: CartShippingMethod = strawberry.field(description="Send its id in `shippingMethodIds` to choose it.")
    name: str = strawberry.field(description="What it is called.")
    price: Money = strawberry.field(description="What it costs, before discounts.")
    days_minimum: int | None = strawberry.field(description="How many days it takes at least.")
    days_maximum: int | None = strawberry.field(description="How many days it takes at most.")


@strawberry.type(description="How one creator ships their part of a cart.")
class CartShipping:
    creator_key: strawberry.Private[UUID]
    creator: Creator = edge("creators", key=lambda shipping: shipping.creator_key, description="Who ships.")
    options: list[CartShippingOption] = strawberry.field(
        description="The ways there are, the cheapest first; empty if it is not shipped there."
    )
    chosen_method_id: strawberry.ID | None = strawberry.field(
        description="The one that was chosen, or the cheapest as long as none was."
    )


@strawberry.type(description="A discount that a cart is given.")
class CartDiscount:
    title: str = strawberry.field(description="What it is called.")
    code: str | None = strawberry.field(description="Its code; null for one that is given without.")
    amount: Money = strawberry.field(description="What it takes off.")


@strawberry.type(description="A discount code that takes nothing off.")
class CartRejectedDiscount:
    code: str | None = strawberry.field(description="The code.")
    reason: DiscountReason = strawberry.field(description="Why.")


@strawberry.type(
    description="What somebody means to buy, at the prices, stock and discounts of now. Seen by who began it: "
    "signed in, or with its token."
)
class Cart(Node):
    key: strawberry.Private[UUID]
    order_key: strawberry.Private[UUID | None]
    currency: CurrencyCode = strawberry.field(description="The currency that everything in it is bought in.")
    lines: list[CartLine] = strawberry.field(description="What is in it, in the order it was put in.")
    email: str | None = strawberry.field(description="Where the buyer is written to about the order.")
    address: PostalAddress | None = strawberry.field(description="Where it is shipped to, and taxed.")
    subtotal: Money = strawberry.field(description="What everything costs before discounts and shipping.")
    discount: Money = strawberry.field(description="What is taken off, shipping included.")
    shipping: Money = strawberry.field(description="What shipping costs before discounts.")
    tax: Money = strawberry.field(description="The taxes in `total`.")
    total: Money = strawberry.field(description="What the buyer pays. `checkoutComplete` is sent this.")
    tax_estimated: bool = strawberry.field(
        description="Whether no tax is reckoned yet because nobody knows where it goes: send an address."
    )
    shipping_options: list[CartShipping] = strawberry.field(
        description="How each creator ships what they send; empty without an address."
    )
    discounts: list[CartDiscount] = strawberry.field(description="The discounts that are given.")
    discount_codes: list[str] = strawberry.field(description="The codes that were sent.")
    rejected_discounts: list[CartRejectedDiscount] = strawberry.field(
        description="Those of them that take nothing off."
    )
    problems: list[UserError] = strawberry.field(
        description="Everything that stands in the way of checking out; the first is what `checkoutComplete` "
        "would refuse it for. That fees would leave a creator nothing (AMOUNT_TOO_SMALL) only shows there."
    )
    order: Annotated["Order", strawberry.lazy("schema.orders")] | None = edge(
        "orders",
        key=lambda cart: cart.order_key,
        description="The order that was made of it. As long as it is not cancelled the cart stays as it is.",
    )
    version: int = strawberry.field(description="Grows with every change.")
    updated_at: datetime = strawberry.field(description="When it last changed.")


@strawberry.input(description="So many of a variant.")
class CartLineInput:
    variant_id: strawberry.ID = strawberry.field(description="Which variant.")
    quantity: int = strawberry.field(default=1, description="How many, up to 1,000; 0 takes it out.")
    chosen_price: MoneyInput | None = strawberry.field(
        default=None, description="What the buyer pays for one, where buyers may say: at least its price."
    )


@strawberry.input(description="Begin a cart.")
class CartCreateInput:
    idempotency_key: str = strawberry.field(
        description="Sent again with the same key it is the same cart. Without signing in: a random UUID."
    )
    currency: CurrencyCode = strawberry.field(description="The currency to buy in.")
    lines: list[CartLineInput] = strawberry.field(default_factory=list, description="What is in it.")
    email: str | None = strawberry.field(
        default=None, description="Where to write to about the order. Guests need one to check out."
    )
    address: AddressInput | None = strawberry.field(default=None, description="Where it is shipped to, and taxed.")
    shipping_method_ids: list[strawberry.ID] = strawberry.field(
        default_factory=list,
        description="One method for each creator who ships; the cheapest where there is none.",
    )
    discount_codes: list[str] = strawberry.field(default_factory=list, description="Up to five discount codes.")


@strawberry.input(description="Change a cart. What is not given stays as it is.")
class CartUpdateInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    cart_id: strawberry.ID = strawberry.field(description="Which cart.")
    currency: CurrencyCode | None = strawberry.field(
        default=None, description="Another currency to buy in. Chosen prices are forgotten by that."
    )
    lines: list[CartLineInput] = strawberry.field(
        default_factory=list, description="Variants with the quantities they are to have from now on."
    )
    email: str | None = strawberry.field(default=None, description="Where to write to about the order.")
    address: AddressInput | None = strawberry.field(default=None, description="Where it is shipped to, and taxed.")
    shipping_method_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="One method for each creator who ships, instead of those chosen before."
    )
    discount_codes: list[str] | None = strawberry.field(
        default=None, description="The discount codes from now on; an empty list takes them away."
    )


@strawberry.type(description="The cart.")
class CartCreatePayload(Payload):
    cart: Cart | None = strawberry.field(default=None, description="The cart as it is now.")
    cart_token: str | None = strawberry.field(
        default=None,
        description="For guests only: the bearer token that opens this cart and what is ordered with it, and "
        "nothing else. Good for thirty days.",
    )


@strawberry.type(description="The cart as it is now.")
class CartUpdatePayload(Payload):
    cart: Cart | None = strawberry.field(default=None, description="The cart.")
