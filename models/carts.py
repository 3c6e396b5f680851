"""Carts: what somebody means to buy."""

from typing import TYPE_CHECKING, ClassVar
from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from models.fields import AmountField, TextArrayField, UUIDArrayField

if TYPE_CHECKING:
    from models.products import ProductVariant
    from models.users import User


class Cart(Model):
    """What a user, or a guest who holds its token, means to buy, all in one currency.

    ``version`` grows with every change. ``address`` is where it is shipped to and taxed, as given and checked;
    ``shipping_methods`` are those chosen, one for each creator who ships. While an order made of it is alive it
    stays as it is.
    """

    id = fields.UUIDField(primary_key=True)
    buyer: fields.ForeignKeyNullableRelation["User"] = fields.ForeignKeyField(
        "models.User", related_name=False, on_delete=fields.RESTRICT, null=True
    )
    buyer_id: UUID | None
    currency = fields.TextField()
    email = fields.TextField(null=True)
    address: fields.JSONField[dict[str, str]] = fields.JSONField(null=True)
    shipping_methods = UUIDArrayField(db_default=[])
    discount_codes = TextArrayField(db_default=[])
    version = fields.IntField(db_default=1)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    rules: ClassVar = ("cart_currency_is_declared", "few_discount_codes")

    class Meta:
        table = "carts"


class CartLine(Model):
    """So many of a variant in a cart; none of it, once it was taken out.

    ``chosen_price`` is what the buyer wants to pay for one, where they may say.
    """

    id = fields.UUIDField(primary_key=True)
    cart: fields.ForeignKeyRelation["Cart"] = fields.ForeignKeyField(
        "models.Cart", related_name=False, on_delete=fields.RESTRICT
    )
    cart_id: UUID
    variant: fields.ForeignKeyRelation["ProductVariant"] = fields.ForeignKeyField(
        "models.ProductVariant", related_name=False, on_delete=fields.RESTRICT
    )
    variant_id: UUID
    quantity = fields.IntField()
    chosen_price = AmountField(null=True)
    created_at = fields.DatetimeField()

    rules: ClassVar = ("one_line_per_variant", "cart_quantity_is_bounded", "chosen_price_is_sound")

    class Meta:
        table = "cart_lines"
