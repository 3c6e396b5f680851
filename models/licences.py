"""Licence keys: a pool of uploaded ones, or generated for each that is sold, and where they are in use."""

from typing import TYPE_CHECKING, ClassVar
from uuid import UUID

from tortoise import fields
from tortoise.models import Model

if TYPE_CHECKING:
    from models.orders import OrderLine
    from models.products import ProductVariant


class LicenceKey(Model):
    """A licence key of a variant. AVAILABLE in the pool, ASSIGNED to an order's line, REVOKED.

    ``key`` is what the buyer gets; ``digest`` is its SHA-256, by which it is found. ``activation_limit`` is at how
    many places it may be in use at once, NULL without limit. A rotated key is REVOKED, ``replaced_by`` the next.
    """

    id = fields.UUIDField(primary_key=True)
    variant: fields.ForeignKeyRelation["ProductVariant"] = fields.ForeignKeyField(
        "models.ProductVariant", related_name=False, on_delete=fields.RESTRICT
    )
    variant_id: UUID
    key = fields.TextField()
    digest = fields.BinaryField()
    state = fields.TextField()
    line: fields.ForeignKeyNullableRelation["OrderLine"] = fields.ForeignKeyField(
        "models.OrderLine", related_name=False, on_delete=fields.RESTRICT, null=True
    )
    line_id: UUID | None
    activation_limit = fields.IntField(null=True)
    activations = fields.IntField(db_default=0)
    replaced_by = fields.UUIDField(null=True)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    rules: ClassVar = (
        "licence_key_is_unique",
        "licence_state_is_known",
        "assigned_licence_has_a_line",
        "activations_within_limit",
    )

    class Meta:
        table = "licence_keys"


class LicenceActivation(Model):
    """One place a key is in use at, by the name its holder gave it."""

    id = fields.UUIDField(primary_key=True)
    licence: fields.ForeignKeyRelation["LicenceKey"] = fields.ForeignKeyField(
        "models.LicenceKey", related_name=False, on_delete=fields.RESTRICT
    )
    licence_id: UUID
    instance = fields.TextField()
    created_at = fields.DatetimeField()
    ended_at = fields.DatetimeField(null=True)

    rules: ClassVar = ("activation_instance_is_short",)

    class Meta:
        table = "licence_activations"
