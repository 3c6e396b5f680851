"""Payments: what a client confirms, cancels and watches."""

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import strawberry

from schema.base import Node, computed, edge
from schema.connections import DateTimeFilter
from schema.creators import Creator
from schema.enums import PaymentKind, PaymentNextAction, PaymentStatus, described
from schema.errors import Payload
from schema.fees import PaymentLine
from schema.money import Money, MoneyInput

if TYPE_CHECKING:
    from schema.disputes import Dispute
    from schema.orders import Order
    from schema.purchases import Purchase
    from schema.refunds import Refund
    from schema.tips import Tip


@strawberry.input(description="Conditions on a status; all that are given must hold.")
class PaymentStatusFilter:
    eq: PaymentStatus | None = strawberry.field(default=None, description="Equal to.")
    in_: list[PaymentStatus] | None = strawberry.field(default=None, name="in", description="One of.")


@strawberry.input(description="Which payments; all conditions that are given must hold.")
class PaymentWhere:
    status: PaymentStatusFilter | None = strawberry.field(default=None, description="By status.")
    kind: PaymentKind | None = strawberry.field(default=None, description="By what they are for.")
    created_at: DateTimeFilter | None = strawberry.field(default=None, description="By when they were created.")
    and_: list["PaymentWhere"] | None = strawberry.field(
        default=None, name="AND", description="All of these hold."
    )
    or_: list["PaymentWhere"] | None = strawberry.field(
        default=None, name="OR", description="At least one of these holds."
    )


@strawberry.type(description="What the payer's client does next.")
class PaymentAction:
    type: PaymentNextAction = strawberry.field(description="What to do.")
    url: str | None = strawberry.field(description="Where to send the payer, with AUTHENTICATE.")


@strawberry.type(description="A change of a payment's status.")
class PaymentEvent:
    cursor: str = strawberry.field(description="Its place in the payment's events; resume from it.")
    status: PaymentStatus = strawberry.field(description="The status from then on.")
    reason: str | None = strawberry.field(description="Why, for machines, where there is a reason.")
    message: str = strawberry.field(description="The same for people.")
    at: datetime = strawberry.field(description="When.")


@strawberry.type(
    description="What became of a payment's amount so far. What is pending is asked for and not certain yet."
)
class PaymentAmounts:
    authorized: Money = strawberry.field(description="Reserved, and neither captured nor let go.")
    authorized_pending: Money = strawberry.field(description="Being reserved.")
    captured: Money = strawberry.field(description="Taken in, whatever went back since.")
    captured_pending: Money = strawberry.field(description="Being taken in.")
    refunded: Money = strawberry.field(description="Gone back to the payer by refunds.")
    refunded_pending: Money = strawberry.field(description="On its way back to the payer.")
    canceled: Money = strawberry.field(description="Never to be taken in.")
    canceled_pending: Money = strawberry.field(description="Being let go.")


@strawberry.type(
    description="A payment for one tip or purchase. Seen by its payer, with its token, and by the creator who is "
    "paid."
)
class Payment(Node):
    key: strawberry.Private[UUID]
    creator_key: strawberry.Private[UUID | None]
    kind: PaymentKind = strawberry.field(description="What it is for.")
    status: PaymentStatus = strawberry.field(description="Where it stands.")
    status_reason: str | None = strawberry.field(description="Why, for machines, where there is a reason.")
    status_message: str = strawberry.field(description="Where it stands and why, for people.")
    status_changed_at: datetime = strawberry.field(description="When anything about it last changed.")
    next_action: PaymentAction = strawberry.field(description="What the payer's client does next.")
    amount: Money = strawberry.field(description="What the payer pays.")
    split: strawberry.Private[Callable[[], list[PaymentLine]]]
    became: strawberry.Private[Callable[[], PaymentAmounts]]
    manual_capture: bool = strawberry.field(
        description="Whether confirming it only reserves the amount, for the creator to capture later."
    )
    capture_before: datetime | None = strawberry.field(
        description="When what is reserved lapses, unless it is captured before."
    )
    cursor: str = strawberry.field(description="The place of its last event: `paymentStatus` resumes from it.")
    created_at: datetime = strawberry.field(description="When it was created.")
    creator: Creator | None = edge(
        "creators",
        key=lambda payment: payment.creator_key,
        description="Who is paid; null where the order is of several creators, each of whom has a sale.",
    )
    tip: Annotated["Tip", strawberry.lazy("schema.tips")] | None = edge(
        "tip_of_payment",
        key=lambda payment: payment.key if payment.kind is PaymentKind.TIP else None,
        description="The tip it is for.",
    )
    purchase: Annotated["Purchase", strawberry.lazy("schema.purchases")] | None = edge(
        "purchase_of_payment",
        key=lambda payment: payment.key if payment.kind is PaymentKind.PURCHASE else None,
        description="The purchase it is for.",
    )
    order: Annotated["Order", strawberry.lazy("schema.orders")] | None = edge(
        "order_of_payment",
        key=lambda payment: payment.key if payment.kind is PaymentKind.PURCHASE else None,
        description="The order it is for, also where that is a purchase; null unless you bought it.",
    )
    events: list[PaymentEvent] = edge(
        "events_of_payment", key=lambda payment: payment.key, description="All changes of its status, in order."
    )
    refunds: list[Annotated["Refund", strawberry.lazy("schema.refunds")]] = edge(
        "refunds_of_payment", key=lambda payment: payment.key, description="Its refunds, the oldest first."
    )
    disputes: list[Annotated["Dispute", strawberry.lazy("schema.disputes")]] = edge(
        "disputes_of_payment",
        key=lambda payment: payment.key,
        description="The disputes over it, the oldest first. Shown to the creator who is paid alone.",
    )

    @computed(description="Where it goes, fixed when it was created: the lines that `quote` gave.")
    def lines(self) -> list[PaymentLine]:
        return self.split()

    @computed(description="What became of its amount so far.")
    def amounts(self) -> PaymentAmounts:
        return self.became()


class UpdateKind(StrEnum):
    SNAPSHOT = "SNAPSHOT"
    EVENT = "EVENT"
    RESET = "RESET"


described(
    UpdateKind,
    "What a message of a stream is.",
    {
        UpdateKind.SNAPSHOT: "How things stand; the first message of a new stream.",
        UpdateKind.EVENT: "One change, the next in order.",
        UpdateKind.RESET: "The cursor sent is not one of this stream: forget what you have. A snapshot follows.",
    },
)


@strawberry.type(description="A message of `paymentStatus`.")
class PaymentStatusUpdate:
    kind: UpdateKind = strawberry.field(description="What it is.")
    cursor: str = strawberry.field(description="Send it as `after` to go on from here.")
    event: PaymentEvent | None = strawberry.field(description="The change, with EVENT.")
    payment: Payment = strawberry.field(description="The payment as it is now.")


@strawberry.input(description="Charge a payment.")
class PaymentConfirmInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    payment_id: strawberry.ID = strawberry.field(description="Which payment.")
    method: str | None = strawberry.field(
        default=None,
        description="A token the payment provider gave out for the payer's card. Never a card number. One of this "
        "and `paymentMethodId` is needed.",
    )
    payment_method_id: strawberry.ID | None = strawberry.field(
        default=None, description="A payment method the signed-in payer saved."
    )
    return_url: str | None = strawberry.field(
        default=None, description="Where the payer comes back to after authenticating. http or https."
    )


@strawberry.input(description="Cancel a payment that nothing was captured of.")
class PaymentCancelInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    payment_id: strawberry.ID = strawberry.field(description="Which payment.")


@strawberry.input(description="Capture a payment whose amount is reserved.")
class PaymentCaptureInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    payment_id: strawberry.ID = strawberry.field(description="Which payment: one that you are paid.")
    amount: MoneyInput | None = strawberry.field(
        default=None, description="How much of it; the rest is let go. Without it, all that is reserved."
    )


@strawberry.type(description="The payment after the provider was asked to charge it.")
class PaymentConfirmPayload(Payload):
    payment: Payment | None = strawberry.field(
        default=None, description="The payment as it is now; also with the error of a declined card."
    )


@strawberry.type(description="The payment after the provider was asked to cancel it.")
class PaymentCancelPayload(Payload):
    payment: Payment | None = strawberry.field(default=None, description="The payment as it is now.")


@strawberry.type(description="The payment after the provider was asked to capture it.")
class PaymentCapturePayload(Payload):
    payment: Payment | None = strawberry.field(default=None, description="The payment as it is now.")
