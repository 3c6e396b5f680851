"""Payouts: a creator's money on its way to the bank, the account it goes through, and when it goes by itself."""

from typing import TYPE_CHECKING, ClassVar
from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from models.fields import AmountField

if TYPE_CHECKING:
    from models.creators import Creator


class PayoutAccount(Model):
    """A creator's connected account at the provider. ``ready``: it may receive money and be paid out.

    ``missing`` names what the creator has still to give. Without a ``provider_reference`` it is still being
    opened; ``calling_until`` is as for a payment.
    """

    creator_id = fields.UUIDField(primary_key=True)
    provider = fields.TextField()
    provider_reference = fields.TextField(null=True)
    country = fields.TextField()
    ready = fields.BooleanField(db_default=False)
    missing: fields.JSONField[list[str]] = fields.JSONField()
    told_at = fields.DatetimeField(null=True)
    calling_until = fields.DatetimeField(null=True)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    rules: ClassVar = (
        "payout_account_is_a_creators",
        "payout_account_reference_is_unique",
        "payout_country_is_a_code",
        "ready_only_when_opened",
    )

    class Meta:
        table = "payout_accounts"


class PayoutSchedule(Model):
    """When a creator's money of one currency is paid out by itself: all that is available, from ``minimum`` on.

    ``day`` is a day of the week (1 is Monday) or of the month (at most 28), as the ``interval`` says. ``next_at``
    is NULL where nothing is paid out by itself.
    """

    id = fields.UUIDField(primary_key=True)
    creator: fields.ForeignKeyRelation["Creator"] = fields.ForeignKeyField(
        "models.Creator", related_name=False, on_delete=fields.RESTRICT
    )
    creator_id: UUID
    currency = fields.TextField()
    interval = fields.TextField()
    day = fields.IntField(null=True)
    minimum = AmountField()
    next_at = fields.DatetimeField(null=True)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    rules: ClassVar = (
        "one_schedule_per_creator_and_currency",
        "payout_interval_is_known",
        "payout_day_fits_the_interval",
        "payout_minimum_not_negative",
        "schedule_currency_is_declared",
    )

    class Meta:
        table = "payout_schedules"


class Payout(Model):
    """One payout: transferred to the creator's connected account, and paid out from there.

    ``status`` says where it stands and ``step`` which call comes next (TRANSFER, PAYOUT, REVERSE), NULL when
    none does. While ``calling_until`` is ahead somebody is making that call; once it has passed the next worker
    looks up how it ended. ``sequence`` is the number of its last event.
    """

    id = fields.UUIDField(primary_key=True)
    creator: fields.ForeignKeyRelation["Creator"] = fields.ForeignKeyField(
        "models.Creator", related_name=False, on_delete=fields.RESTRICT
    )
    creator_id: UUID
    currency = fields.TextField()
    amount = AmountField()
    origin = fields.TextField()
    provider = fields.TextField()
    account_reference = fields.TextField()
    status = fields.TextField()
    reason = fields.TextField(null=True)
    step = fields.TextField(null=True)
    sequence = fields.IntField()
    transfer_reference = fields.TextField(null=True)
    transfer_transaction = fields.TextField(null=True)
    reversal_transaction = fields.TextField(null=True)
    provider_reference = fields.TextField(null=True)
    provider_state = fields.TextField(null=True)
    provider_state_at = fields.DatetimeField(null=True)
    arrives_at = fields.DatetimeField(null=True)
    reconciling = fields.BooleanField(db_default=False)
    attempts = fields.IntField(db_default=0)
    calling_until = fields.DatetimeField(null=True)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()
    paid_at = fields.DatetimeField(null=True)
    returned_at = fields.DatetimeField(null=True)

    rules: ClassVar = (
        "payout_amount_is_positive",
        "payout_status_is_known",
        "payout_step_is_known",
        "payout_origin_is_known",
        "payout_reference_is_unique",
        "transfer_reference_is_unique",
        "payout_currency_is_declared",
    )

    class Meta:
        table = "payouts"


class PayoutEvent(Model):
    """A change of a payout's status, numbered per payout without gaps."""

    id = fields.BigIntField(primary_key=True)
    payout: fields.ForeignKeyRelation["Payout"] = fields.ForeignKeyField(
        "models.Payout", related_name=False, on_delete=fields.RESTRICT
    )
    payout_id: UUID
    sequence = fields.IntField()
    status = fields.TextField()
    reason = fields.TextField(null=True)
    at = fields.DatetimeField()

    rules: ClassVar = ("payout_event_number_is_unique", "payout_event_number_is_positive")

    class Meta:
        table = "payout_events"
