"""Gifts of money."""

from typing import TYPE_CHECKING, ClassVar
from uuid import UUID

from tortoise import fields
from tortoise.models import Model

if TYPE_CHECKING:
    from models.creators import Creator
    from models.payments import Payment
    from models.users import User


class Tip(Model):
    """A gift to a creator; its amount and its status are its payment's. ``giver`` is NULL for a guest."""

    id = fields.UUIDField(primary_key=True)
    payment: fields.ForeignKeyRelation["Payment"] = fields.ForeignKeyField(
        "models.Payment", related_name=False, on_delete=fields.RESTRICT
    )
    payment_id: UUID
    creator: fields.ForeignKeyRelation["Creator"] = fields.ForeignKeyField(
        "models.Creator", related_name=False, on_delete=fields.RESTRICT
    )
    creator_id: UUID
    giver: fields.ForeignKeyNullableRelation["User"] = fields.ForeignKeyField(
        "models.User", related_name=False, on_delete=fields.RESTRICT, null=True
    )
    giver_id: UUID | None
    message = fields.TextField(null=True)
    created_at = fields.DatetimeField()

    rules: ClassVar = ("one_tip_per_payment", "tip_message_is_short")

    class Meta:
        table = "tips"
