"""Shipping: where a creator ships to, how, and what that costs."""

from typing import TYPE_CHECKING, ClassVar
from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from models.fields import AmountField, TextArrayField

if TYPE_CHECKING:
    from models.creators import Creator


class ShippingZone(Model):
    """Countries (ISO 3166-1 alpha-2) a creator ships to alike. No countries: everywhere no other zone names."""

    id = fields.UUIDField(primary_key=True)
    creator: fields.ForeignKeyRelation["Creator"] = fields.ForeignKeyField(
        "models.Creator", related_name=False, on_delete=fields.RESTRICT
    )
    creator_id: UUID
    name = fields.TextField()
    countries = TextArrayField(db_default=[])
    state = fields.TextField()
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    rules: ClassVar = ("zone_name_not_empty", "zone_state_is_known")

    class Meta:
        table = "shipping_zones"


class ShippingMethod(Model):
    """A way of shipping within a zone."""

    id = fields.UUIDField(primary_key=True)
    zone: fields.ForeignKeyRelation["ShippingZone"] = fields.ForeignKeyField(
        "models.ShippingZone", related_name=False, on_delete=fields.RESTRICT
    )
    zone_id: UUID
    name = fields.TextField()
    days_minimum = fields.IntField(null=True)
    days_maximum = fields.IntField(null=True)
    state = fields.TextField()
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    rules: ClassVar = ("method_name_not_empty", "method_state_is_known", "shipping_days_are_sound")

    class Meta:
        table = "shipping_methods"


class ShippingRate(Model):
    """What a method costs from a weight and a subtotal on; of those that apply the one with the highest bounds.

    A parcel heavier than ``weight_grams_maximum`` does not go by this rate.
    """

    id = fields.UUIDField(primary_key=True)
    method: fields.ForeignKeyRelation["ShippingMethod"] = fields.ForeignKeyField(
        "models.ShippingMethod", related_name=False, on_delete=fields.RESTRICT
    )
    method_id: UUID
    currency = fields.TextField()
    amount = AmountField()
    weight_grams_from = fields.IntField(db_default=0)
    weight_grams_maximum = fields.IntField(null=True)
    subtotal_from = AmountField(db_default=0)
    removed_at = fields.DatetimeField(null=True)

    rules: ClassVar = (
        "shipping_rate_is_sound",
        "shipping_currency_is_declared",
    )

    class Meta:
        table = "shipping_rates"
