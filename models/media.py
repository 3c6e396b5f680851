"""Files that creators upload: pictures of products, and what is sold as a download."""

from typing import TYPE_CHECKING, ClassVar
from uuid import UUID

from tortoise import fields
from tortoise.models import Model

if TYPE_CHECKING:
    from models.creators import Creator
    from models.products import Product, ProductVariant


class MediaFile(Model):
    """A file of a creator's in the store, under its id. ``size`` in bytes; ``digest`` is its SHA-256.

    PICTURE files are public; DIGITAL ones are reached by signed links only. WAITING until all of it has arrived.
    """

    id = fields.UUIDField(primary_key=True)
    creator: fields.ForeignKeyRelation["Creator"] = fields.ForeignKeyField(
        "models.Creator", related_name=False, on_delete=fields.RESTRICT
    )
    creator_id: UUID
    kind = fields.TextField()
    state = fields.TextField()
    file_name = fields.TextField()
    content_type = fields.TextField()
    size = fields.BigIntField()
    digest = fields.BinaryField(null=True)
    width = fields.IntField(null=True)
    height = fields.IntField(null=True)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    rules: ClassVar = (
        "media_kind_is_known",
        "media_state_is_known",
        "media_size_is_positive",
        "stored_media_has_a_digest",
    )

    class Meta:
        table = "media_files"


class ProductMedia(Model):
    """A picture's place with its product."""

    id = fields.UUIDField(primary_key=True)
    product: fields.ForeignKeyRelation["Product"] = fields.ForeignKeyField(
        "models.Product", related_name=False, on_delete=fields.RESTRICT
    )
    product_id: UUID
    media: fields.ForeignKeyRelation["MediaFile"] = fields.ForeignKeyField(
        "models.MediaFile", related_name=False, on_delete=fields.RESTRICT
    )
    media_id: UUID
    position = fields.IntField()
    alternative_text = fields.TextField(null=True)
    removed_at = fields.DatetimeField(null=True)

    rules: ClassVar = ("picture_once_per_product",)

    class Meta:
        table = "product_media"


class VariantFile(Model):
    """A file that whoever buys a variant may download. ``removed_at``: no longer for new buyers."""

    id = fields.UUIDField(primary_key=True)
    variant: fields.ForeignKeyRelation["ProductVariant"] = fields.ForeignKeyField(
        "models.ProductVariant", related_name=False, on_delete=fields.RESTRICT
    )
    variant_id: UUID
    media: fields.ForeignKeyRelation["MediaFile"] = fields.ForeignKeyField(
        "models.MediaFile", related_name=False, on_delete=fields.RESTRICT
    )
    media_id: UUID
    position = fields.IntField()
    removed_at = fields.DatetimeField(null=True)

    rules: ClassVar = ("file_once_per_variant",)

    class Meta:
        table = "variant_files"
