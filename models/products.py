"""What creators sell: products, the variants of each, and what those cost."""

from typing import TYPE_CHECKING, ClassVar
from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from models.fields import AmountField, SearchField, TextArrayField

if TYPE_CHECKING:
    from models.creators import Creator


class Product(Model):
    """Something a creator sells, in one or more variants.

    ``price`` in ``currency`` is the lowest price of its variants in its first currency, kept by whoever writes
    variants: lists are sorted and filtered by it. With ``pays_what_they_want`` prices are the least that is taken.
    ``options`` names what variants differ in, such as a size, in order. ``releases_at``: not sold before.
    ``per_buyer_limit`` is how many of it one buyer may buy, ever. ``tax_category`` picks its rates.
    ``manual_capture``: a buyer's money is only reserved, and the creator captures it once the thing is on its way.
    ``search`` is what full-text search reads, made by the database of title, tags and description.
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
    state = fields.TextField()
    manual_capture = fields.BooleanField(db_default=False)
    pays_what_they_want = fields.BooleanField(db_default=False)
    per_buyer_limit = fields.IntField(null=True)
    releases_at = fields.DatetimeField(null=True)
    tax_category = fields.TextField(db_default="standard")
    options = TextArrayField(db_default=[])
    tags = TextArrayField(db_default=[])
    search = SearchField(null=True)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    rules: ClassVar = (
        "price_is_sound",
        "product_state_is_known",
        "product_title_not_empty",
        "product_currency_is_declared",
        "per_buyer_limit_is_positive",
        "tax_category_is_known",
        "few_options",
        "few_tags",
    )

    class Meta:
        table = "products"


class ProductVariant(Model):
    """One form of a product that can be bought: a value for each of its options, in their order.

    ``weight_grams`` is NULL for what is not shipped. ``stock_tracked``: no more are sold than stock levels have.
    ``licence_policy`` says how its licence keys come about: NULL for none, POOL for uploaded ones, GENERATED.
    """

    id = fields.UUIDField(primary_key=True)
    product: fields.ForeignKeyRelation["Product"] = fields.ForeignKeyField(
        "models.Product", related_name=False, on_delete=fields.RESTRICT
    )
    product_id: UUID
    position = fields.IntField()
    choices = TextArrayField(db_default=[])
    sku = fields.TextField(null=True)
    state = fields.TextField()
    requires_shipping = fields.BooleanField(db_default=False)
    weight_grams = fields.IntField(null=True)
    stock_tracked = fields.BooleanField(db_default=False)
    licence_policy = fields.TextField(null=True)
    licence_activations = fields.IntField(null=True)
    download_limit = fields.IntField(null=True)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    rules: ClassVar = (
        "variant_state_is_known",
        "sku_not_empty",
        "weight_is_sound",
        "licence_policy_is_known",
        "licence_limits_are_positive",
        "pooled_keys_are_stock",
    )

    class Meta:
        table = "product_variants"


class VariantPrice(Model):
    """What a variant costs in one currency, until it is no longer sold in that."""

    id = fields.UUIDField(primary_key=True)
    variant: fields.ForeignKeyRelation["ProductVariant"] = fields.ForeignKeyField(
        "models.ProductVariant", related_name=False, on_delete=fields.RESTRICT
    )
    variant_id: UUID
    currency = fields.TextField()
    amount = AmountField()
    removed_at = fields.DatetimeField(null=True)

    rules: ClassVar = (
        "one_price_per_variant_and_currency",
        "variant_price_is_sound",
        "variant_price_currency_is_declared",
    )

    class Meta:
        table = "variant_prices"


class Collection(Model):
    """A named choice of a creator's products, shown together."""

    id = fields.UUIDField(primary_key=True)
    creator: fields.ForeignKeyRelation["Creator"] = fields.ForeignKeyField(
        "models.Creator", related_name=False, on_delete=fields.RESTRICT
    )
    creator_id: UUID
    title = fields.TextField()
    slug = fields.TextField()
    description = fields.TextField(null=True)
    state = fields.TextField()
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    rules: ClassVar = (
        "one_collection_per_slug",
        "collection_slug_is_well_formed",
        "collection_title_not_empty",
        "collection_state_is_known",
    )

    class Meta:
        table = "collections"


class CollectionProduct(Model):
    """A product's place in a collection."""

    id = fields.UUIDField(primary_key=True)
    collection: fields.ForeignKeyRelation["Collection"] = fields.ForeignKeyField(
        "models.Collection", related_name=False, on_delete=fields.RESTRICT
    )
    collection_id: UUID
    product: fields.ForeignKeyRelation["Product"] = fields.ForeignKeyField(
        "models.Product", related_name=False, on_delete=fields.RESTRICT
    )
    product_id: UUID
    position = fields.IntField()
    removed_at = fields.DatetimeField(null=True)

    rules: ClassVar = ("product_once_per_collection",)

    class Meta:
        table = "collection_products"
