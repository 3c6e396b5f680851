"""Refunds: money on its way back to a payer."""

from typing import TYPE_CHECKING, ClassVar
from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from models.fields import AmountField

if TYPE_CHECKING:
    from models.creators import Creator
    from models.payments import Payment
    from models.users import User


class Refund(Model):
    """One refund of a payment, or of a part of it.

    ``status`` follows from what the provider told (``provider_state`` at ``provider_state_at``) and from where
    our own call stands: while ``calling_until`` is ahead somebody is asking the provider; once it has passed the
    sweeper looks up how that ended. ``net + fee + tax`` is how it divides, set aside when it is asked for, and
    posted once the provider accepted it (``accepted_at``); its net comes out of the creator's ``taken_from`` and,
    of that, ``from_reserve`` out of the reserve. ``returned_at`` is when all that was given back, because it
    failed.
    """

    id = fields.UUIDField(primary_key=True)
    payment: fields.ForeignKeyRelation["Payment"] = fields.ForeignKeyField(
        "models.Payment", related_name=False, on_delete=fields.RESTRICT
    )
    payment_id: UUID
    creator: fields.ForeignKeyNullableRelation["Creator"] = fields.ForeignKeyField(
        "models.Creator", related_name=False, on_delete=fields.RESTRICT, null=True
    )
    creator_id: UUID | None
    requested_by: fields.ForeignKeyNullableRelation["User"] = fields.ForeignKeyField(
        "models.User", related_name=False, on_delete=fields.RESTRICT, null=True
    )
    requested_by_id: UUID | None
    currency = fields.TextField()
    amount = AmountField()
    reason = fields.TextField()
    provider = fields.TextField()
    provider_reference = fields.TextField(null=True)
    provider_state = fields.TextField(null=True)
    provider_state_at = fields.DatetimeField(null=True)
    status = fields.TextField()
    failure_code = fields.TextField(null=True)
    net = AmountField(null=True)
    fee = AmountField(null=True)
    tax = AmountField(null=True)
    taken_from = fields.TextField(null=True)
    from_reserve = AmountField(db_default=0)
    balance_transaction = fields.TextField(null=True)
    return_transaction = fields.TextField(null=True)
    reconciling = fields.BooleanField(db_default=False)
    calling_until = fields.DatetimeField(null=True)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()
    accepted_at = fields.DatetimeField(null=True)
    returned_at = fields.DatetimeField(null=True)

    rules: ClassVar = (
        "refund_amount_is_positive",
        "refund_status_is_known",
        "refund_reason_is_known",
        "refund_divides_once_accepted",
        "refund_reference_is_unique",
        "refund_currency_is_declared",
    )

    class Meta:
        table = "refunds"
