"""Tips: gifts of money."""

from datetime import datetime
from uuid import UUID

import strawberry

from schema.base import Node, edge
from schema.connections import DateTimeFilter
from schema.creators import Creator
from schema.enums import PaymentStatus
from schema.errors import Payload
from schema.money import Money, MoneyInput
from schema.payments import Payment, PaymentStatusFilter


@strawberry.input(description="Which tips; all conditions that are given must hold.")
class TipWhere:
    status: PaymentStatusFilter | None = strawberry.field(default=None, description="By the payment's status.")
    created_at: DateTimeFilter | None = strawberry.field(default=None, description="By when they were given.")
    and_: list["TipWhere"] | None = strawberry.field(default=None, name="AND", description="All of these hold.")
    or_: list["TipWhere"] | None = strawberry.field(
        default=None, name="OR", description="At least one of these holds."
    )


@strawberry.type(description="A gift of money from a supporter to a creator. Seen by the two of them.")
class Tip(Node):
    key: strawberry.Private[UUID]
    creator_key: strawberry.Private[UUID]
    payment_key: strawberry.Private[UUID]
    giver_key: strawberry.Private[UUID | None]
    amount: Money = strawberry.field(description="What the supporter pays.")
    net: Money = strawberry.field(description="What the creator gets of it.")
    message: str | None = strawberry.field(description="A few words that came with it.")
    status: PaymentStatus = strawberry.field(description="Where its payment stands.")
    created_at: datetime = strawberry.field(description="When it was given.")
    creator: Creator = edge("creators", key=lambda tip: tip.creator_key, description="Who received it.")
    giver_name: str | None = edge(
        "user_names", key=lambda tip: tip.giver_key, description="Who gave it; null for a guest."
    )
    payment: Payment | None = edge(
        "payments", key=lambda tip: tip.payment_key, description="Its payment; null unless you pay it."
    )


@strawberry.input(description="Give a tip.")
class TipCreateInput:
    idempotency_key: str = strawberry.field(
        description="Sent again with the same key it is the same tip. Without signing in: a random UUID."
    )
    creator_id: strawberry.ID = strawberry.field(description="Who receives it.")
    amount: MoneyInput = strawberry.field(description="How much.")
    message: str | None = strawberry.field(default=None, description="At most 500 characters.")


@strawberry.type(description="The tip, and the payment to confirm.")
class TipCreatePayload(Payload):
    tip: Tip | None = strawberry.field(default=None, description="The tip.")
    payment: Payment | None = strawberry.field(default=None, description="Its payment; confirm it next.")
    payment_token: str | None = strawberry.field(
        default=None,
        description="For guests only: the bearer token that reads, confirms and watches this payment, and "
        "nothing else.",
    )
