"""Refunds: money on its way back to a payer."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import strawberry

from schema.base import Node, edge
from schema.enums import RefundReason, RefundStatus, described
from schema.errors import Payload
from schema.money import Money, MoneyInput
from schema.payments import Payment


class RefundNextAction(StrEnum):
    WAIT = "WAIT"
    NONE = "NONE"


described(
    RefundNextAction,
    "What to do next about a refund.",
    {
        RefundNextAction.WAIT: "Nothing; its status will change by itself.",
        RefundNextAction.NONE: "Nothing; it has ended. What a failed one would have given back is there again.",
    },
)


@strawberry.type(
    description="A payment, or a part of one, on its way back to the payer. Seen by the creator who was paid, by "
    "the payer, and with the payment's token."
)
class Refund(Node):
    key: strawberry.Private[UUID]
    payment_key: strawberry.Private[UUID]
    payment: Payment | None = edge(
        "payments", key=lambda refund: refund.payment_key, description="What it is a refund of."
    )
    amount: Money = strawberry.field(description="What goes back.")
    reason: RefundReason = strawberry.field(description="Why it goes back.")
    status: RefundStatus = strawberry.field(description="Where it stands.")
    status_reason: str | None = strawberry.field(description="Why, for machines, where there is a reason.")
    status_message: str = strawberry.field(description="Where it stands, for people.")
    next_action: RefundNextAction = strawberry.field(description="What to do next.")
    created_at: datetime = strawberry.field(description="When it was asked for, or first told of.")
    status_changed_at: datetime = strawberry.field(description="When anything about it last changed.")


@strawberry.input(description="Give back a payment or a part of it.")
class RefundCreateInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    payment_id: strawberry.ID = strawberry.field(description="Which payment: one that you were paid.")
    amount: MoneyInput | None = strawberry.field(
        default=None, description="How much, in the payment's currency. Without it, all that is left."
    )
    reason: RefundReason = strawberry.field(
        default=RefundReason.REQUESTED_BY_CUSTOMER, description="Why it goes back."
    )


@strawberry.type(description="The refund after the provider was asked for it.")
class RefundCreatePayload(Payload):
    refund: Refund | None = strawberry.field(default=None, description="The refund as it is now.")
