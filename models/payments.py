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
    """One payment for one tip or order.

    ``gross = net + fee + tax`` was fixed by a fee rule when it was created; ``fixed_fee`` is a part of ``fee``.
    An order of several creators has no ``creator`` and no ``fee_rule`` here: each of them has a
    :class:`PaymentShare`, and what stands here is the sum of those.
    ``status`` is derived from the facts (``provider_state`` at ``provider_state_at``, ``authorized``,
    ``captured``, ``decline_code``) and ``reconciling``. ``sequence`` is the number of its last event. While
    ``calling_until`` is ahead somebody is talking to the provider; once it has passed, nobody knows how that
    ended and the sweeper looks it up. ``attempt_id`` names the last call, at the provider as well.

    With ``manual_capture`` it is reserved first and captured later, before ``capture_before``; ``capturing`` is
    what a capture under way asks for, ``canceling`` that a cancellation is. ``refunded`` has gone back,
    ``refund_pending`` is on its way; ``returned_net``, ``returned_fee`` and ``returned_tax`` are what left each
    part by refunds and disputes that stand, and ``returns`` counts both kinds. ``dispute`` is where its disputes
    stand: OPEN, LOST, or NULL. ``reserve`` is what is still kept of its earning, until ``reserve_due_at``.
    """

    id = fields.UUIDField(primary_key=True)
    kind = fields.TextField()
    creator: fields.ForeignKeyNullableRelation["Creator"] = fields.ForeignKeyField(
        "models.Creator", related_name=False, on_delete=fields.RESTRICT, null=True
    )
    creator_id: UUID | None
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
    fee_rule: fields.ForeignKeyNullableRelation["FeeRule"] = fields.ForeignKeyField(
        "models.FeeRule", related_name=False, on_delete=fields.RESTRICT, null=True
    )
    fee_rule_id: UUID | None
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
    manual_capture = fields.BooleanField(db_default=False)
    capture_before = fields.DatetimeField(null=True)
    capturing = AmountField(db_default=0)
    canceling = fields.BooleanField(db_default=False)
    returns = fields.IntField(db_default=0)
    refunded = AmountField(db_default=0)
    refund_pending = AmountField(db_default=0)
    returned_net = AmountField(db_default=0)
    returned_fee = AmountField(db_default=0)
    returned_tax = AmountField(db_default=0)
    dispute = fields.TextField(null=True)
    reserve = AmountField(db_default=0)
    reserve_due_at = fields.DatetimeField(null=True)
    reserve_released_at = fields.DatetimeField(null=True)

    rules: ClassVar = (
        "gross_is_net_and_fee_and_tax",
        "payment_amounts_are_sound",
        "captured_within_gross",
        "payment_kind_is_known",
        "payment_status_is_known",
        "payment_currency_is_declared",
        "provider_reference_is_unique",
        "matures_only_when_captured",
        "refunds_within_captured",
        "returned_within_parts",
        "dispute_standing_is_known",
        "capture_within_gross",
        "reserve_within_net",
        "one_creator_or_shares",
    )

    class Meta:
        table = "payments"


class PaymentShare(Model):
    """One creator's part of a payment for several: ``gross = net + fee + tax``, as of a payment.

    ``returned_net``, ``returned_fee`` and ``returned_tax`` have left it by refunds and disputes that stand;
    ``reserve`` is what is still kept of its earning. It matures with its payment.
    """

    id = fields.UUIDField(primary_key=True)
    payment: fields.ForeignKeyRelation["Payment"] = fields.ForeignKeyField(
        "models.Payment", related_name=False, on_delete=fields.RESTRICT
    )
    payment_id: UUID
    creator: fields.ForeignKeyRelation["Creator"] = fields.ForeignKeyField(
        "models.Creator", related_name=False, on_delete=fields.RESTRICT
    )
    creator_id: UUID
    gross = AmountField()
    fixed_fee = AmountField()
    fee = AmountField()
    tax = AmountField()
    net = AmountField()
    fee_rule: fields.ForeignKeyRelation["FeeRule"] = fields.ForeignKeyField(
        "models.FeeRule", related_name=False, on_delete=fields.RESTRICT
    )
    fee_rule_id: UUID
    returned_net = AmountField(db_default=0)
    returned_fee = AmountField(db_default=0)
    returned_tax = AmountField(db_default=0)
    reserve = AmountField(db_default=0)

    rules: ClassVar = (
        "one_share_per_payment_and_creator",
        "share_gross_is_net_and_fee_and_tax",
        "share_amounts_are_sound",
        "share_returned_within_parts",
        "share_reserve_within_net",
    )

    class Meta:
        table = "payment_shares"


class ReturnShare(Model):
    """What a refund or a dispute took out of one share of its payment. ``return_id`` is the refund's or dispute's.

    Only of payments that have shares; where it was taken from stands with the refund or the dispute.
    """

    id = fields.UUIDField(primary_key=True)
    return_id = fields.UUIDField()
    share: fields.ForeignKeyRelation["PaymentShare"] = fields.ForeignKeyField(
        "models.PaymentShare", related_name=False, on_delete=fields.RESTRICT
    )
    share_id: UUID
    net = AmountField()
    fee = AmountField()
    tax = AmountField()
    from_reserve = AmountField(db_default=0)

    rules: ClassVar = ("share_once_per_return", "return_share_is_sound")

    class Meta:
        table = "return_shares"


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
