"""Saved payment methods."""

from typing import TYPE_CHECKING, ClassVar
from uuid import UUID

from tortoise import fields
from tortoise.models import Model

if TYPE_CHECKING:
    from models.users import User


class PaymentMethod(Model):
    """A method the provider keeps for a user. Of a card we know what its bearer knows it by, and no more.

    Without a ``provider_reference`` it is still being saved, with one and ``detaching`` it is being removed:
    ``calling_until`` is as for a payment. Once ``detached_at`` it is gone.
    """

    id = fields.UUIDField(primary_key=True)
    user: fields.ForeignKeyRelation["User"] = fields.ForeignKeyField(
        "models.User", related_name=False, on_delete=fields.RESTRICT
    )
    user_id: UUID
    provider = fields.TextField()
    provider_reference = fields.TextField(null=True)
    customer_reference = fields.TextField(null=True)
    kind = fields.TextField(null=True)
    brand = fields.TextField(null=True)
    last_four = fields.TextField(null=True)
    expires_month = fields.IntField(null=True)
    expires_year = fields.IntField(null=True)
    detaching = fields.BooleanField(db_default=False)
    calling_until = fields.DatetimeField(null=True)
    created_at = fields.DatetimeField()
    detached_at = fields.DatetimeField(null=True)

    rules: ClassVar = ("method_reference_is_unique", "method_last_four_is_four", "method_expiry_is_a_month")

    class Meta:
        table = "payment_methods"
