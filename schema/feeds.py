"""Feeds: what happens to a creator, as it happens."""

from datetime import datetime

import strawberry

from schema.base import edge
from schema.enums import PaymentKind
from schema.money import Money
from schema.payments import UpdateKind
from schema.purchases import Purchase
from schema.sales import Sale
from schema.tips import Tip


@strawberry.type(description="Something that happened to a creator: a payment to them succeeded.")
class Activity:
    payment_key: strawberry.Private[object]
    cursor: str = strawberry.field(description="Its place in the activity; resume from it.")
    kind: PaymentKind = strawberry.field(description="What was paid for.")
    amount: Money = strawberry.field(description="What was paid.")
    net: Money = strawberry.field(description="What the creator gets of it.")
    at: datetime = strawberry.field(description="When.")
    tip: Tip | None = edge(
        "tip_of_payment",
        key=lambda activity: activity.payment_key if activity.kind is PaymentKind.TIP else None,
        description="The tip.",
    )
    purchase: Purchase | None = edge(
        "purchase_of_payment",
        key=lambda activity: activity.payment_key if activity.kind is PaymentKind.PURCHASE else None,
        description="The purchase; null for what was ordered with a cart.",
    )
    sale: Sale | None = edge(
        "own_sale_of_payment",
        key=lambda activity: activity.payment_key if activity.kind is PaymentKind.PURCHASE else None,
        description="What was sold, also where it is a purchase; null without the scope to read sales.",
    )


@strawberry.type(description="A message of `creatorActivity`.")
class CreatorActivityUpdate:
    kind: UpdateKind = strawberry.field(description="What it is.")
    cursor: str = strawberry.field(description="Send it as `after` to go on from here.")
    activity: Activity | None = strawberry.field(description="What happened, with EVENT.")
    recent: list[Activity] = strawberry.field(
        description="With SNAPSHOT: the latest activity up to the cursor, the newest first. Otherwise empty."
    )
