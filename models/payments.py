"""Payments: the facts a provider told us, folded."""

from typing import TYPE_CHECKING, ClassVar
from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from models.fields import AmountField

if TYPE_CHECKING:
    from models.creators import Creator
    from models.fees import FeeRule
    from models.users import User


class Payment(Model):
    """One payment for one tip or purchase.

    ``gross = net + fee + tax`` was fixed by a fee rule when it was created; ``fixed_fee`` is a part of ``fee``.
    ``status`` is derived from the facts (``provider_state`` at ``provider_state_at``, ``authorized``,
    ``captured``, ``decline_code``) and ``reconciling``. ``sequence`` is the number of its last event. While
    ``calling_until`` is ahead somebody is talking to the provider; once it has passed, nobody knows how that
    ended and the sweeper looks it up. ``attempt_id`` names the last confirmation, at the provider as well.
    """

    id = fields.UUIDField(primary_key=True)
    kind = fields.TextField()
    creator: fields.ForeignKeyRelation["Creator"] = fields.ForeignKeyField(
        "models.Creator", related_name=False, on_delete=fields.RESTRICT
    )
    creator_id: UUID
    payer: fields.ForeignKeyNullableRelation["User"] = fields.ForeignKeyField(
        "models.User", related_name=False, on_delete=fields.RESTRICT, null=True
    )
    payer_id: UUID | None
    currency = fields.TextField()
    gross = AmountField()
    fixed_fee = AmountField()
    fee = AmountField()
    tax = AmountField()
    net = AmountField()
    fee_rule: fields.ForeignKeyRelation["FeeRule"] = fields.ForeignKeyField(
        "models.FeeRule", related_name=False, on_delete=fields.RESTRICT
    )
    fee_rule_id: UUID
    maturity_delay_seconds = fields.IntField()
    provider = fields.TextField()
    provider_reference = fields.TextField(null=True)
    status = fields.TextField()
    reason = fields.TextField(null=True)
    sequence = fields.IntField()
    provider_state = fields.TextField(null=True)
    provider_state_at = fields.DatetimeField(null=True)
    authorized = AmountField()
    captured = AmountField()
    decline_code = fields.TextField(null=True)
    action_url = fields.TextField(null=True)
    reconciling = fields.BooleanField()
    attempt_id = fields.UUIDField(null=True)
    calling_until = fields.DatetimeField(null=True)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()
    succeeded_at = fields.DatetimeField(null=True)
    available_on = fields.DatetimeField(null=True)
    matures_at = fields.DatetimeField(null=True)
    matured_at = fields.DatetimeField(null=True)

    rules: ClassVar = (
        "gross_is_net_and_fee_and_tax",
        "payment_amounts_are_sound",
        "captured_within_gross",
        "payment_kind_is_known",
        "payment_status_is_known",
        "payment_currency_is_declared",
        "provider_reference_is_unique",
        "matures_only_when_captured",
    )

    class Meta:
        table = "payments"


class PaymentEvent(Model):
    """A change of a payment's status, numbered per payment without gaps. What its subscribers replay."""

    id = fields.BigIntField(primary_key=True)
    payment: fields.ForeignKeyRelation["Payment"] = fields.ForeignKeyField(
        "models.Payment", related_name=False, on_delete=fields.RESTRICT
    )
    payment_id: UUID
    sequence = fields.IntField()
    status = fields.TextField()
    reason = fields.TextField(null=True)
    at = fields.DatetimeField()

    rules: ClassVar = ("event_number_is_unique", "event_number_is_positive", "event_status_is_known")

    class Meta:
        table = "payment_events"
