"""Products bought."""

from typing import ClassVar

from tortoise import fields
from tortoise.models import Model


class Purchase(Model):
    """One product bought at once. Its stock is reserved from creation until the payment is cancelled.

    ``title`` is the product's as it was then; the price is the payment's gross.
    """

    id = fields.UUIDField(primary_key=True)
    payment = fields.ForeignKeyField("models.Payment", related_name=False, on_delete=fields.RESTRICT)
    product = fields.ForeignKeyField("models.Product", related_name=False, on_delete=fields.RESTRICT)
    creator = fields.ForeignKeyField("models.Creator", related_name=False, on_delete=fields.RESTRICT)
    buyer = fields.ForeignKeyField("models.User", related_name=False, on_delete=fields.RESTRICT, null=True)
    title = fields.TextField()
    stock_reserved = fields.BooleanField()
    stock_released_at = fields.DatetimeField(null=True)
    created_at = fields.DatetimeField()

    rules: ClassVar = ("one_purchase_per_payment", "only_reserved_stock_is_released")

    class Meta:
        table = "purchases"
