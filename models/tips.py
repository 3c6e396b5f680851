"""Gifts of money."""

from typing import ClassVar

from tortoise import fields
from tortoise.models import Model


class Tip(Model):
    """A gift to a creator; its amount and its status are its payment's. ``giver`` is NULL for a guest."""

    id = fields.UUIDField(primary_key=True)
    payment = fields.ForeignKeyField("models.Payment", related_name=False, on_delete=fields.RESTRICT)
    creator = fields.ForeignKeyField("models.Creator", related_name=False, on_delete=fields.RESTRICT)
    giver = fields.ForeignKeyField("models.User", related_name=False, on_delete=fields.RESTRICT, null=True)
    message = fields.TextField(null=True)
    created_at = fields.DatetimeField()

    rules: ClassVar = ("one_tip_per_payment", "tip_message_is_short")

    class Meta:
        table = "tips"
