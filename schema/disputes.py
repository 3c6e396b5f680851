"""Disputes: payments that a payer's bank takes back."""

from datetime import datetime
from uuid import UUID

import strawberry

from schema.base import Node, edge
from schema.enums import DisputeNextAction, DisputeStatus
from schema.errors import Payload
from schema.money import Money
from schema.payments import Payment


@strawberry.type(
    description="A payment that the payer's bank takes back, at least until it is decided. Seen by the creator "
    "who was paid."
)
class Dispute(Node):
    key: strawberry.Private[UUID]
    payment_key: strawberry.Private[UUID]
    payment: Payment | None = edge(
        "payments", key=lambda dispute: dispute.payment_key, description="What is disputed."
    )
    amount: Money = strawberry.field(description="How much of it is disputed.")
    reason: str = strawberry.field(description="Why, in the provider's word for it.")
    status: DisputeStatus = strawberry.field(description="Where it stands.")
    message: str = strawberry.field(description="Where it stands, for people.")
    next_action: DisputeNextAction = strawberry.field(description="What the creator does next.")
    respond_by: datetime | None = strawberry.field(description="Until when evidence is taken.")
    evidence_submitted_at: datetime | None = strawberry.field(
        description="When evidence was handed in; from then on no more is taken."
    )
    written_off: Money = strawberry.field(
        description="What the platform bears of it, because the creator does not pay it."
    )
    created_at: datetime = strawberry.field(description="When it was first told of.")
    status_changed_at: datetime = strawberry.field(description="When anything about it last changed.")
    closed_at: datetime | None = strawberry.field(description="When it was decided.")


@strawberry.input(
    description="What speaks for the creator: texts of at most 20,000 characters, all of them optional."
)
class DisputeEvidenceInput:
    access_activity_log: str | None = strawberry.field(
        default=None, description="That the payer used what was sold: log entries with dates and addresses."
    )
    cancellation_policy_disclosure: str | None = strawberry.field(
        default=None, description="How and when the payer was shown the terms of cancelling."
    )
    cancellation_rebuttal: str | None = strawberry.field(
        default=None, description="Why the subscription was not cancelled, or not in time."
    )
    customer_email_address: str | None = strawberry.field(default=None, description="The payer's e-mail address.")
    customer_name: str | None = strawberry.field(default=None, description="The payer's name.")
    customer_purchase_ip: str | None = strawberry.field(
        default=None, description="The network address the payer paid from."
    )
    duplicate_charge_explanation: str | None = strawberry.field(
        default=None, description="Why this and another payment are not for the same thing."
    )
    product_description: str | None = strawberry.field(default=None, description="What was sold.")
    refund_policy_disclosure: str | None = strawberry.field(
        default=None, description="How and when the payer was shown the terms of refunds."
    )
    refund_refusal_explanation: str | None = strawberry.field(
        default=None, description="Why the payer gets no refund."
    )
    service_date: str | None = strawberry.field(default=None, description="When a service was given.")
    shipping_address: str | None = strawberry.field(default=None, description="Where it was sent.")
    shipping_carrier: str | None = strawberry.field(default=None, description="Who carried it.")
    shipping_date: str | None = strawberry.field(default=None, description="When it was sent.")
    shipping_tracking_number: str | None = strawberry.field(
        default=None, description="By which number it can be followed."
    )
    uncategorized_text: str | None = strawberry.field(default=None, description="Anything else.")


@strawberry.input(description="Answer a dispute with evidence. It is added to what was given before.")
class DisputeAnswerInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    dispute_id: strawberry.ID = strawberry.field(description="Which dispute.")
    evidence: DisputeEvidenceInput = strawberry.field(description="What speaks for you.")
    submit: bool = strawberry.field(
        default=True, description="Hand it in, after which no more is taken. False: only keep it at the provider."
    )


@strawberry.input(description="Have the platform bear what a creator owes for a lost dispute.")
class DisputeWriteOffInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    dispute_id: strawberry.ID = strawberry.field(description="Which dispute.")


@strawberry.type(description="The dispute after the provider was given the evidence.")
class DisputeAnswerPayload(Payload):
    dispute: Dispute | None = strawberry.field(default=None, description="The dispute as it is now.")


@strawberry.type(description="The dispute whose debt the platform bears.")
class DisputeWriteOffPayload(Payload):
    dispute: Dispute | None = strawberry.field(default=None, description="The dispute as it is now.")
