"""Payment methods that the provider keeps for a user."""

from datetime import datetime
from uuid import UUID

import strawberry

from schema.base import Node
from schema.errors import Payload


@strawberry.type(description="A payment method kept for later. Seen by the one it belongs to.")
class PaymentMethod(Node):
    key: strawberry.Private[UUID]
    kind: str = strawberry.field(description="What it is, in the provider's word for it: `card`.")
    brand: str = strawberry.field(description="The card's brand, in the provider's word for it.")
    last_four: str = strawberry.field(description="The last four digits, by which its owner knows it.")
    expires_month: int = strawberry.field(description="It expires at the end of this month, 1 to 12.")
    expires_year: int = strawberry.field(description="The year of that month.")
    created_at: datetime = strawberry.field(description="When it was saved.")


@strawberry.input(description="Keep a payment method for later.")
class PaymentMethodSaveInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    method: str = strawberry.field(
        description="A token the payment provider gave out for your card. Never a card number."
    )


@strawberry.input(description="Have a saved payment method forgotten.")
class PaymentMethodRemoveInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    payment_method_id: strawberry.ID = strawberry.field(description="Which of yours.")


@strawberry.type(description="The method that was saved.")
class PaymentMethodSavePayload(Payload):
    payment_method: PaymentMethod | None = strawberry.field(default=None, description="The method.")


@strawberry.type(description="The method that can no longer be paid with.")
class PaymentMethodRemovePayload(Payload):
    payment_method: PaymentMethod | None = strawberry.field(default=None, description="The method as it was.")
