"""What creators sell."""

from typing import TYPE_CHECKING, ClassVar
from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from models.fields import AmountField

if TYPE_CHECKING:
    from models.creators import Creator


class Product(Model):
    """Something sold at one price. ``stock`` is how many are left to reserve; NULL means without limit.

    ``manual_capture``: a buyer's money is only reserved, and the creator captures it once the thing is on its way.
    """

    id = fields.UUIDField(primary_key=True)
    creator: fields.ForeignKeyRelation["Creator"] = fields.ForeignKeyField(
        "models.Creator", related_name=False, on_delete=fields.RESTRICT
    )
    creator_id: UUID
    title = fields.TextField()
    description = fields.TextField(null=True)
    price = AmountField()
    currency = fields.TextField()
    stock = fields.IntField(null=True)
    state = fields.TextField()
    manual_capture = fields.BooleanField(db_default=False)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    rules: ClassVar = (
        "price_is_positive",
        "stock_never_negative",
        "product_state_is_known",
        "product_title_not_empty",
        "product_currency_is_declared",
    )

    class Meta:
        table = "products"
