"""Orders: what was bought at once, of one creator or of several."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import strawberry

from schema.addresses import PostalAddress
from schema.base import Node, computed, edge
from schema.connections import DateTimeFilter
from schema.enums import OrderEventKind, OrderStatus
from schema.errors import Payload
from schema.money import Money
from schema.payments import Payment, UpdateKind
from schema.scalars import CurrencyCode

if TYPE_CHECKING:
    from schema.downloads import Download
    from schema.licences import LicenceKey
    from schema.products import Product
    from schema.sales import Sale
    from schema.variants import Variant


@strawberry.input(description="Conditions on an order's status; all that are given must hold.")
class OrderStatusFilter:
    eq: OrderStatus | None = strawberry.field(default=None, description="Equal to.")
    in_: list[OrderStatus] | None = strawberry.field(default=None, name="in", description="One of.")


@strawberry.input(description="Which orders; all conditions that are given must hold.")
class OrderWhere:
    status: OrderStatusFilter | None = strawberry.field(default=None, description="By status.")
    created_at: DateTimeFilter | None = strawberry.field(default=None, description="By when they were made.")
    and_: list["OrderWhere"] | None = strawberry.field(default=None, name="AND", description="All of these hold.")
    or_: list["OrderWhere"] | None = strawberry.field(
        default=None, name="OR", description="At least one of these holds."
    )


@strawberry.type(description="So many of a variant, as it was sold. Seen by who bought it and who sells it.")
class OrderLine(Node):
    key: strawberry.Private[UUID]
    product_key: strawberry.Private[UUID]
    variant_key: strawberry.Private[UUID]
    title: str = strawberry.field(description="The product's name when it was sold.")
    variant_title: str | None = strawberry.field(description="Which form of it; null where there is one.")
    sku: str | None = strawberry.field(description="The creator's own number for it.")
    requires_shipping: bool = strawberry.field(description="Whether it is sent to an address.")
    quantity: int = strawberry.field(description="How many were sold.")
    unit_price: Money = strawberry.field(description="What one cost.")
    subtotal: Money = strawberry.field(description="What all of them cost before discounts.")
    discount: Money = strawberry.field(description="What was taken off.")
    tax: Money = strawberry.field(description="The tax in `total`.")
    tax_name: str | None = strawberry.field(description="What the tax is called.")
    tax_rate_basis_points: int = strawberry.field(description="Its rate: 1900 is 19 %.")
    tax_included: bool = strawberry.field(description="Whether the price had it in it; otherwise it came on top.")
    total: Money = strawberry.field(description="What the buyer pays for them.")
    fulfilled: int = strawberry.field(description="How many were sent or handed over.")
    canceled: int = strawberry.field(description="How many will not be sent.")
    returned: int = strawberry.field(description="How many came back.")
    refunded: int = strawberry.field(description="How many were paid back, or are being.")
    refunded_amount: Money = strawberry.field(description="What was paid back for those, or is being.")
    product: Annotated["Product", strawberry.lazy("schema.products")] | None = edge(
        "products", key=lambda line: line.product_key, description="What was sold, as it is now."
    )
    variant: Annotated["Variant", strawberry.lazy("schema.variants")] | None = edge(
        "variants", key=lambda line: line.variant_key, description="Which form of it, as it is now."
    )
    downloads: list[Annotated["Download", strawberry.lazy("schema.downloads")]] | None = edge(
        "downloads_of_line",
        key=lambda line: line.key,
        description="Its files, once it is paid. Null unless you bought it.",
    )
    licence_keys: list[Annotated["LicenceKey", strawberry.lazy("schema.licences")]] | None = edge(
        "licences_of_line",
        key=lambda line: line.key,
        description="Its licence keys, once it is paid. Null unless you bought it.",
    )


@strawberry.type(description="A discount that an order was given.")
class OrderDiscount:
    title: str = strawberry.field(description="What it is called.")
    code: str | None = strawberry.field(description="Its code; null for one that is given without.")
    amount: Money = strawberry.field(description="What it took off, shipping included.")


@strawberry.type(description="Something that became of an order.")
class OrderEvent:
    cursor: str = strawberry.field(description="Its place in the order's events; resume from it.")
    kind: OrderEventKind = strawberry.field(description="What happened.")
    status: OrderStatus = strawberry.field(description="Where the order stood from then on.")
    reason: str | None = strawberry.field(description="Why, for machines, where there is a reason.")
    message: str = strawberry.field(description="Where it stood, for people.")
    at: datetime = strawberry.field(description="When.")


@strawberry.type(
    description="Everything that was bought at once, with one payment. Seen by its buyer: signed in, with the "
    "token of its cart, or with that of its payment."
)
class Order(Node):
    key: strawberry.Private[UUID]
    payment_key: strawberry.Private[UUID | None]
    number: int | None = strawberry.field(description="Its number, without gaps; null until it is paid.")
    status: OrderStatus = strawberry.field(description="Where it stands.")
    status_reason: str | None = strawberry.field(description="Why, for machines, where there is a reason.")
    status_message: str = strawberry.field(description="Where it stands, for people.")
    currency: CurrencyCode = strawberry.field(description="The currency it was bought in.")
    subtotal: Money = strawberry.field(description="What everything cost before discounts and shipping.")
    discount: Money = strawberry.field(description="What was taken off, shipping included.")
    shipping: Money = strawberry.field(description="What shipping cost before discounts.")
    tax: Money = strawberry.field(description="The taxes in `total`.")
    total: Money = strawberry.field(description="What the buyer pays.")
    refunded: Money = strawberry.field(description="What went back to the buyer.")
    email: str | None = strawberry.field(description="Where the buyer is written to about it.")
    address: PostalAddress | None = strawberry.field(description="Where it is shipped to, and taxed.")
    can_cancel: bool = strawberry.field(description="Whether `orderCancel` would be taken.")
    receipt: strawberry.Private[Callable[[], str | None]]
    cursor: str = strawberry.field(description="The place of its last event: `orderStatus` resumes from it.")
    created_at: datetime = strawberry.field(description="When it was made.")
    paid_at: datetime | None = strawberry.field(description="When it was paid.")
    canceled_at: datetime | None = strawberry.field(description="When it was cancelled.")
    status_changed_at: datetime = strawberry.field(description="When anything about it last changed.")
    lines: list[OrderLine] = edge(
        "lines_of_order", key=lambda order: order.key, description="What was bought, in order."
    )
    sales: list[Annotated["Sale", strawberry.lazy("schema.sales")]] = edge(
        "sales_of_order", key=lambda order: order.key, description="What of it each creator sold."
    )
    discounts: list[OrderDiscount] = edge(
        "discounts_of_order", key=lambda order: order.key, description="The discounts it was given."
    )
    events: list[OrderEvent] = edge(
        "events_of_order", key=lambda order: order.key, description="All that became of it, in order."
    )
    payment: Payment | None = edge(
        "payments",
        key=lambda order: order.payment_key,
        description="Its payment; null if it cost nothing, or unless you pay it.",
    )

    @computed(
        description="Its receipt as a page, for thirty days, without signing in: whoever has the address may read "
        "it. Null until it is paid."
    )
    def receipt_url(self) -> str | None:
        return self.receipt()


@strawberry.type(description="A message of `orderStatus`.")
class OrderStatusUpdate:
    kind: UpdateKind = strawberry.field(description="What it is.")
    cursor: str = strawberry.field(description="Send it as `after` to go on from here.")
    event: OrderEvent | None = strawberry.field(description="What happened, with EVENT.")
    order: Order = strawberry.field(description="The order as it is now.")


@strawberry.input(description="So many of a line of an order.")
class OrderLineQuantityInput:
    line_id: strawberry.ID = strawberry.field(description="Which line.")
    quantity: int = strawberry.field(description="How many, 1 or more.")


@strawberry.input(description="Cancel an order of yours that is not paid.")
class OrderCancelInput:
    idempotency_key: str = strawberry.field(
        description="Sent again with the same key it happens once. Without signing in: a random UUID."
    )
    order_id: strawberry.ID = strawberry.field(description="Which order.")


@strawberry.type(description="The order after the provider was asked to cancel its payment.")
class OrderCancelPayload(Payload):
    order: Order | None = strawberry.field(default=None, description="The order as it is now.")
