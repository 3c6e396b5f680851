"""Stock: how many of what there are where, what is reserved of it, and why that changed."""

from typing import TYPE_CHECKING, ClassVar
from uuid import UUID

from tortoise import fields
from tortoise.models import Model

if TYPE_CHECKING:
    from models.creators import Creator
    from models.orders import OrderLine
    from models.products import ProductVariant


class StockLocation(Model):
    """A place a creator keeps stock at. What is sold is taken from the first location that has it."""

    id = fields.UUIDField(primary_key=True)
    creator: fields.ForeignKeyRelation["Creator"] = fields.ForeignKeyField(
        "models.Creator", related_name=False, on_delete=fields.RESTRICT
    )
    creator_id: UUID
    name = fields.TextField()
    position = fields.IntField()
    state = fields.TextField()
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    rules: ClassVar = ("one_location_per_name", "location_name_not_empty", "location_state_is_known")

    class Meta:
        table = "stock_locations"


class StockLevel(Model):
    """How many of a variant a location has. ``on_hand`` less ``reserved`` can be sold.

    ``low_at``: once no more than that many can be sold, it is low, since ``low_since`` and until it rises above.
    ``low_told_at`` is when that was told: once each time it becomes low.
    """

    id = fields.UUIDField(primary_key=True)
    variant: fields.ForeignKeyRelation["ProductVariant"] = fields.ForeignKeyField(
        "models.ProductVariant", related_name=False, on_delete=fields.RESTRICT
    )
    variant_id: UUID
    location: fields.ForeignKeyRelation["StockLocation"] = fields.ForeignKeyField(
        "models.StockLocation", related_name=False, on_delete=fields.RESTRICT
    )
    location_id: UUID
    on_hand = fields.IntField()
    reserved = fields.IntField(db_default=0)
    low_at = fields.IntField(null=True)
    low_since = fields.DatetimeField(null=True)
    low_told_at = fields.DatetimeField(null=True)
    updated_at = fields.DatetimeField()

    rules: ClassVar = ("one_level_per_variant_and_location", "reserved_within_on_hand", "low_at_not_negative")

    class Meta:
        table = "stock_levels"


class StockReservation(Model):
    """Some of a level kept for an order's line.

    HELD until ``expires_at`` (NULL: without end), TAKEN once it is paid, RELEASED when it is not wanted any more.
    Of the ``quantity`` that was taken, ``returned`` were put back.
    """

    id = fields.UUIDField(primary_key=True)
    line: fields.ForeignKeyRelation["OrderLine"] = fields.ForeignKeyField(
        "models.OrderLine", related_name=False, on_delete=fields.RESTRICT
    )
    line_id: UUID
    level: fields.ForeignKeyRelation["StockLevel"] = fields.ForeignKeyField(
        "models.StockLevel", related_name=False, on_delete=fields.RESTRICT
    )
    level_id: UUID
    quantity = fields.IntField()
    returned = fields.IntField(db_default=0)
    state = fields.TextField()
    expires_at = fields.DatetimeField(null=True)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    rules: ClassVar = (
        "reservation_quantity_is_positive",
        "reservation_state_is_known",
        "returned_within_reservation",
    )

    class Meta:
        table = "stock_reservations"


class StockMovement(Model):
    """A change of a level, kept for ever. ``on_hand`` and ``reserved`` are by how much each changed."""

    id = fields.BigIntField(primary_key=True)
    level: fields.ForeignKeyRelation["StockLevel"] = fields.ForeignKeyField(
        "models.StockLevel", related_name=False, on_delete=fields.RESTRICT
    )
    level_id: UUID
    kind = fields.TextField()
    on_hand = fields.IntField()
    reserved = fields.IntField()
    line_id = fields.UUIDField(null=True)
    note = fields.TextField(null=True)
    at = fields.DatetimeField()

    rules: ClassVar = ("movement_kind_is_known", "movement_moves_something")

    class Meta:
        table = "stock_movements"
