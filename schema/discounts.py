"""Discounts: less to pay, by a code or without one."""

from datetime import datetime
from uuid import UUID

import strawberry

from schema.base import Node, edge
from schema.connections import DateTimeFilter, StringFilter
from schema.enums import DiscountKind, DiscountPeriod
from schema.errors import Payload
from schema.money import Money, MoneyInput


@strawberry.input(description="Which discounts; all conditions that are given must hold.")
class DiscountWhere:
    code: StringFilter | None = strawberry.field(default=None, description="By code; codes are in capitals.")
    title: StringFilter | None = strawberry.field(default=None, description="By title.")
    active: bool | None = strawberry.field(default=None, description="True: not archived. False: archived.")
    created_at: DateTimeFilter | None = strawberry.field(default=None, description="By when it was made.")
    and_: list["DiscountWhere"] | None = strawberry.field(
        default=None, name="AND", description="All of these hold."
    )
    or_: list["DiscountWhere"] | None = strawberry.field(
        default=None, name="OR", description="At least one of these holds."
    )


@strawberry.type(description="Less to pay for what a creator sells. Seen by that creator alone.")
class Discount(Node):
    key: strawberry.Private[UUID]
    code: str | None = strawberry.field(description="What buyers enter; null: given to everybody.")
    title: str = strawberry.field(description="What buyers see.")
    kind: DiscountKind = strawberry.field(description="What it takes off.")
    basis_points: int | None = strawberry.field(description="Of a PERCENT discount: 1,950 is 19.5 %.")
    amount: Money | None = strawberry.field(description="Of a FIXED discount: off all lines together.")
    minimum_subtotal: Money | None = strawberry.field(
        description="It is given from that on: what the lines it applies to cost before discounts."
    )
    product_ids: list[strawberry.ID] = strawberry.field(description="What it applies to; none: everything.")
    starts_at: datetime | None = strawberry.field(description="It is given from then on.")
    ends_at: datetime | None = strawberry.field(description="It is given until then.")
    usage_limit: int | None = strawberry.field(description="In so many orders at most.")
    per_buyer_limit: int | None = strawberry.field(description="In so many orders of one buyer at most.")
    period: DiscountPeriod | None = strawberry.field(description="The time `perPeriodLimit` is counted in.")
    per_period_limit: int | None = strawberry.field(description="In so many orders of a period at most.")
    active: bool = strawberry.field(description="Whether it is given; otherwise it is archived.")
    created_at: datetime = strawberry.field(description="When it was made.")
    used: int = edge(
        "uses_of_discount",
        key=lambda discount: discount.key,
        description="In how many orders it was given. Those that were cancelled do not count.",
    )


@strawberry.input(
    description="When a discount is given, and how often. What is left out is not limited; limits of buyers and "
    "periods count from when they are set."
)
class DiscountTermsInput:
    minimum_subtotal: MoneyInput | None = strawberry.field(
        default=None, description="From that on: what the lines it applies to cost before discounts."
    )
    product_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="What it applies to, at most 200 products of yours; none: everything."
    )
    starts_at: datetime | None = strawberry.field(default=None, description="From then on.")
    ends_at: datetime | None = strawberry.field(default=None, description="Until then.")
    usage_limit: int | None = strawberry.field(default=None, description="In so many orders at most.")
    per_buyer_limit: int | None = strawberry.field(
        default=None, description="In so many orders of one buyer at most: a user, or a guest's email address."
    )
    period: DiscountPeriod | None = strawberry.field(
        default=None, description="The time `perPeriodLimit` is counted in."
    )
    per_period_limit: int | None = strawberry.field(
        default=None, description="In so many orders of a period at most."
    )


@strawberry.input(description="Give a discount.")
class DiscountCreateInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    creator_id: strawberry.ID = strawberry.field(description="Who gives it: a creator of yours.")
    title: str = strawberry.field(description="What buyers see, 1 to 120 characters.")
    kind: DiscountKind = strawberry.field(description="What it takes off.")
    code: str | None = strawberry.field(
        default=None,
        description="What buyers enter, in any case: 1 to 40 letters from A to Z, digits, - and _. Without it, "
        "everybody is given it.",
    )
    basis_points: int | None = strawberry.field(
        default=None, description="Of a PERCENT discount, 1 to 10,000: 1,950 is 19.5 %."
    )
    amount: MoneyInput | None = strawberry.field(default=None, description="Of a FIXED discount.")
    terms: DiscountTermsInput | None = strawberry.field(
        default=None, description="When it is given, and how often."
    )


@strawberry.input(
    description="Change a discount of yours. What is not given stays as it is. Its code and what it takes off "
    "never change."
)
class DiscountUpdateInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    discount_id: strawberry.ID = strawberry.field(description="Which discount.")
    title: str | None = strawberry.field(default=None, description="1 to 120 characters.")
    terms: DiscountTermsInput | None = strawberry.field(
        default=None, description="All of its terms from now on: what is left out of them is not limited any more."
    )


@strawberry.input(description="Give a discount of yours no longer. Orders that were given it keep it.")
class DiscountArchiveInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    discount_id: strawberry.ID = strawberry.field(description="Which discount.")


@strawberry.type(description="The discount that is given.")
class DiscountCreatePayload(Payload):
    discount: Discount | None = strawberry.field(default=None, description="The discount.")


@strawberry.type(description="The discount as it is now.")
class DiscountUpdatePayload(Payload):
    discount: Discount | None = strawberry.field(default=None, description="The discount.")


@strawberry.type(description="The discount, archived.")
class DiscountArchivePayload(Payload):
    discount: Discount | None = strawberry.field(default=None, description="The discount.")
