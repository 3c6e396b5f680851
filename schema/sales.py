"""Sales: what of an order one creator sold."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import strawberry

from schema.addresses import PostalAddress
from schema.base import Node, edge
from schema.connections import DateTimeFilter
from schema.creators import Creator
from schema.enums import OrderStatus, RefundReason
from schema.errors import Payload
from schema.money import Money
from schema.orders import OrderLine, OrderLineQuantityInput, OrderStatusFilter
from schema.refunds import Refund
from schema.scalars import CurrencyCode

if TYPE_CHECKING:
    from schema.fulfilments import Fulfilment
    from schema.order_returns import OrderReturn


@strawberry.input(description="Which sales; all conditions that are given must hold.")
class SaleWhere:
    status: OrderStatusFilter | None = strawberry.field(default=None, description="By their orders' status.")
    created_at: DateTimeFilter | None = strawberry.field(default=None, description="By when they were ordered.")
    and_: list["SaleWhere"] | None = strawberry.field(default=None, name="AND", description="All of these hold.")
    or_: list["SaleWhere"] | None = strawberry.field(
        default=None, name="OR", description="At least one of these holds."
    )


@strawberry.type(description="How a sale is shipped, and what that costs the buyer.")
class SaleShipping:
    title: str = strawberry.field(description="What the way it is shipped was called.")
    price: Money = strawberry.field(description="What it cost before discounts.")
    discount: Money = strawberry.field(description="What was taken off.")
    tax: Money = strawberry.field(description="The tax in `total`.")
    tax_name: str | None = strawberry.field(description="What the tax is called.")
    tax_rate_basis_points: int = strawberry.field(description="Its rate: 1900 is 19 %.")
    total: Money = strawberry.field(description="What the buyer pays for it.")
    refunded_amount: Money = strawberry.field(description="What of that was paid back, or is being.")


@strawberry.type(
    description="One creator's part of an order. Seen by that creator, who sees nothing of the others', and by "
    "the buyer."
)
class Sale(Node):
    key: strawberry.Private[UUID]
    creator_key: strawberry.Private[UUID]
    order_number: int | None = strawberry.field(description="The order's number; null until it is paid.")
    status: OrderStatus = strawberry.field(description="Where the order stands.")
    currency: CurrencyCode = strawberry.field(description="The currency it was sold in.")
    subtotal: Money = strawberry.field(description="What its lines cost before discounts.")
    discount: Money = strawberry.field(description="What was taken off, shipping included.")
    tax: Money = strawberry.field(description="The taxes in `total`.")
    total: Money = strawberry.field(description="What the buyer pays for it.")
    refunded: Money = strawberry.field(
        description="What was paid back of its lines and its shipping, or is being; not what was given back of "
        "the whole payment."
    )
    shipping: SaleShipping | None = strawberry.field(description="How it is shipped; null if it is not.")
    address: PostalAddress | None = strawberry.field(
        description="Where it is shipped to; null if nothing is, and until it is paid."
    )
    created_at: datetime = strawberry.field(description="When it was ordered.")
    paid_at: datetime | None = strawberry.field(description="When it was paid.")
    status_changed_at: datetime = strawberry.field(description="When anything about the order last changed.")
    creator: Creator = edge("creators", key=lambda sale: sale.creator_key, description="Who sold it.")
    lines: list[OrderLine] = edge("lines_of_sale", key=lambda sale: sale.key, description="What was sold.")
    fulfilments: list[Annotated["Fulfilment", strawberry.lazy("schema.fulfilments")]] = edge(
        "fulfilments_of_sale", key=lambda sale: sale.key, description="What of it was sent, the oldest first."
    )
    returns: list[Annotated["OrderReturn", strawberry.lazy("schema.order_returns")]] = edge(
        "returns_of_sale", key=lambda sale: sale.key, description="What of it is coming back, the oldest first."
    )


@strawberry.input(description="Cancel what was not sent of a sale of yours, and give back what was paid for it.")
class SaleCancelInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    sale_id: strawberry.ID = strawberry.field(description="Which sale.")
    lines: list[OrderLineQuantityInput] | None = strawberry.field(
        default=None, description="How many of which lines; everything that was not sent, if it is left out."
    )
    reason: RefundReason = strawberry.field(default=RefundReason.OTHER, description="Why.")


@strawberry.input(description="Give back lines of a sale of yours, or its shipping.")
class SaleRefundInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    sale_id: strawberry.ID = strawberry.field(description="Which sale.")
    lines: list[OrderLineQuantityInput] | None = strawberry.field(
        default=None,
        description="How many of which lines; everything that is left, shipping too, if it is left out. What was "
        "not sent is cancelled with it.",
    )
    shipping: bool = strawberry.field(default=False, description="Whether its shipping goes back as well.")
    restock: bool = strawberry.field(
        default=False, description="Whether what was sent is here again and can be sold once more."
    )
    reason: RefundReason = strawberry.field(default=RefundReason.OTHER, description="Why.")


@strawberry.type(description="The sale without what was cancelled.")
class SaleCancelPayload(Payload):
    sale: Sale | None = strawberry.field(default=None, description="The sale as it is now.")
    refund: Refund | None = strawberry.field(
        default=None, description="The money on its way back; null where there is none to give back."
    )


@strawberry.type(description="The sale without what was given back.")
class SaleRefundPayload(Payload):
    sale: Sale | None = strawberry.field(default=None, description="The sale as it is now.")
    refund: Refund | None = strawberry.field(
        default=None, description="The money on its way back; null where it cost nothing."
    )
