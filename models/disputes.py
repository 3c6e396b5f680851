"""Disputes: payments that a payer's bank takes back."""

from typing import TYPE_CHECKING, ClassVar
from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from models.fields import AmountField

if TYPE_CHECKING:
    from models.creators import Creator
    from models.payments import Payment


class Dispute(Model):
    """One dispute over a payment, known from what the provider told of it.

    ``withdrawn`` and ``withdrawal_fee`` were taken by the balance transaction ``withdrawal_transaction``,
    ``reinstated`` and ``reinstatement_fee`` given back by ``reinstatement_transaction``. ``net + fee + tax`` is
    how what was taken divides, fixed when it is posted (``taken_at``) as for a refund; ``returned_at`` is when it
    came back. ``written_off`` is what the platform bore of the creator's debt. While ``calling_until`` is ahead
    somebody is handing in evidence.
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
    currency = fields.TextField()
    amount = AmountField()
    reason = fields.TextField()
    provider = fields.TextField()
    provider_reference = fields.TextField()
    status = fields.TextField()
    provider_state_at = fields.DatetimeField()
    respond_by = fields.DatetimeField(null=True)
    withdrawal_transaction = fields.TextField(null=True)
    withdrawn = AmountField(null=True)
    withdrawal_fee = AmountField(null=True)
    reinstatement_transaction = fields.TextField(null=True)
    reinstated = AmountField(null=True)
    reinstatement_fee = AmountField(null=True)
    net = AmountField(null=True)
    fee = AmountField(null=True)
    tax = AmountField(null=True)
    taken_from = fields.TextField(null=True)
    from_reserve = AmountField(db_default=0)
    evidence: fields.JSONField[dict[str, str]] = fields.JSONField(null=True)
    evidence_submitted_at = fields.DatetimeField(null=True)
    attempt_id = fields.UUIDField(null=True)
    calling_until = fields.DatetimeField(null=True)
    written_off = AmountField(db_default=0)
    written_off_at = fields.DatetimeField(null=True)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()
    taken_at = fields.DatetimeField(null=True)
    returned_at = fields.DatetimeField(null=True)
    closed_at = fields.DatetimeField(null=True)

    rules: ClassVar = (
        "dispute_amount_is_positive",
        "dispute_status_is_known",
        "dispute_divides_once_taken",
        "dispute_reference_is_unique",
        "dispute_currency_is_declared",
    )

    class Meta:
        table = "disputes"
