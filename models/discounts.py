"""Discounts: by a code or by themselves, and how often they may be used."""

from typing import TYPE_CHECKING, ClassVar
from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from models.fields import AmountField, UUIDArrayField

if TYPE_CHECKING:
    from models.creators import Creator


class Discount(Model):
    """Less to pay for what a creator sells. ``code`` NULL: given to everybody it applies to.

    PERCENT takes ``basis_points`` off lines, FIXED an ``amount`` of ``currency`` off all of them together, and
    FREE_SHIPPING the price of shipping. ``product_ids`` empty: all of the creator's products.
    """

    id = fields.UUIDField(primary_key=True)
    creator: fields.ForeignKeyRelation["Creator"] = fields.ForeignKeyField(
        "models.Creator", related_name=False, on_delete=fields.RESTRICT
    )
    creator_id: UUID
    code = fields.TextField(null=True)
    title = fields.TextField()
    kind = fields.TextField()
    basis_points = fields.IntField(null=True)
    amount = AmountField(null=True)
    currency = fields.TextField(null=True)
    minimum_subtotal = AmountField(null=True)
    product_ids = UUIDArrayField(db_default=[])
    starts_at = fields.DatetimeField(null=True)
    ends_at = fields.DatetimeField(null=True)
    usage_limit = fields.IntField(null=True)
    per_buyer_limit = fields.IntField(null=True)
    period = fields.TextField(null=True)
    per_period_limit = fields.IntField(null=True)
    state = fields.TextField()
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    rules: ClassVar = (
        "discount_code_is_unique",
        "discount_code_is_well_formed",
        "discount_title_not_empty",
        "discount_kind_has_its_value",
        "discount_limits_are_positive",
        "discount_period_is_known",
        "discount_state_is_known",
        "discount_currency_is_declared",
    )

    class Meta:
        table = "discounts"


class UsageCounter(Model):
    """How often something was used within a scope, counted where a limit on it is held.

    ``subject`` is a discount or a product; ``scope`` is ``all``, ``buyer:…`` or ``period:…``.
    """

    id = fields.BigIntField(primary_key=True)
    subject = fields.UUIDField()
    scope = fields.TextField()
    used = fields.IntField()

    rules: ClassVar = ("one_counter_per_scope", "used_not_negative")

    class Meta:
        table = "usage_counters"
