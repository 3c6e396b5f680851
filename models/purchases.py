"""Products bought."""

from typing import TYPE_CHECKING, ClassVar
from uuid import UUID

from tortoise import fields
from tortoise.models import Model

if TYPE_CHECKING:
    from models.creators import Creator
    from models.payments import Payment
    from models.products import Product
    from models.users import User


class Purchase(Model):
    """One product bought at once. Its stock is reserved from creation until the payment is cancelled.

    ``title`` is the product's as it was then; the price is the payment's gross.
    """

    id = fields.UUIDField(primary_key=True)
    payment: fields.ForeignKeyRelation["Payment"] = fields.ForeignKeyField(
        "models.Payment", related_name=False, on_delete=fields.RESTRICT
    )
    payment_id: UUID
    product: fields.ForeignKeyRelation["Product"] = fields.ForeignKeyField(
        "models.Product", related_name=False, on_delete=fields.RESTRICT
    )
    product_id: UUID
    creator: fields.ForeignKeyRelation["Creator"] = fields.ForeignKeyField(
        "models.Creator", related_name=False, on_delete=fields.RESTRICT
    )
    creator_id: UUID
    buyer: fields.ForeignKeyNullableRelation["User"] = fields.ForeignKeyField(
        "models.User", related_name=False, on_delete=fields.RESTRICT, null=True
    )
    buyer_id: UUID | None
    title = fields.TextField()
    stock_reserved = fields.BooleanField()
    stock_released_at = fields.DatetimeField(null=True)
    created_at = fields.DatetimeField()

    rules: ClassVar = ("one_purchase_per_payment", "only_reserved_stock_is_released")

    class Meta:
        table = "purchases"
