"""Stock: where a creator keeps what they sell, how many there are, and why that changed."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import strawberry

from schema.base import Info, Node, computed, edge, nested
from schema.connections import After, Before, Connection, First, Last, PageArguments
from schema.enums import StockMovementKind
from schema.errors import Payload

if TYPE_CHECKING:
    from schema.variants import Variant


@strawberry.type(
    description="A place a creator keeps stock at; seen by them alone. What is sold is taken from the first "
    "location that has all of it, or else from several."
)
class StockLocation(Node):
    key: strawberry.Private[UUID]
    name: str = strawberry.field(description="Its name, unlike that of the creator's other locations.")
    position: int = strawberry.field(
        description="Its place in the order: what is sold comes from the lowest first."
    )
    active: bool = strawberry.field(description="Whether what it has is sold; otherwise it is archived.")
    created_at: datetime = strawberry.field(description="When it was made.")


@strawberry.type(description="A change of a stock level, kept for ever.")
class StockMovement:
    kind: StockMovementKind = strawberry.field(description="Why it changed.")
    on_hand: int = strawberry.field(description="How many came, or negative: went.")
    reserved: int = strawberry.field(description="How many were reserved, or negative: no longer.")
    order_line_id: strawberry.ID | None = strawberry.field(description="The line of an order that it was for.")
    note: str | None = strawberry.field(description="What the creator noted.")
    at: datetime = strawberry.field(description="When.")


@strawberry.type(description="How many of a variant a location has; seen by the creator alone.")
class StockLevel:
    key: strawberry.Private[UUID]
    variant_key: strawberry.Private[UUID]
    location_key: strawberry.Private[UUID]
    on_hand: int = strawberry.field(description="How many are there, reserved ones included.")
    reserved: int = strawberry.field(description="How many of them are kept for orders that are not paid yet.")
    available: int = strawberry.field(description="How many can be sold: those on hand that are not reserved.")
    low_at: int | None = strawberry.field(description="It is low when no more than that many are available.")
    low_since: datetime | None = strawberry.field(description="Since when it has been low; null if it is not.")
    variant: Annotated["Variant", strawberry.lazy("schema.variants")] = edge(
        "variants", key=lambda level: level.variant_key, description="Of what."
    )
    location: StockLocation = edge("stock_locations", key=lambda level: level.location_key, description="Where.")

    @computed(description="What changed it, the newest first.")
    async def movements(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[StockMovement] | None:
        page = PageArguments(first, after, last, before)
        result: Connection[StockMovement] | None = await nested("stock_level_movements")(self, info, page)
        return result


@strawberry.input(description="Which stock levels; all conditions that are given must hold.")
class StockLevelWhere:
    low: bool | None = strawberry.field(default=None, description="True: those that are low. False: the others.")
    location_id: strawberry.ID | None = strawberry.field(default=None, description="At this location.")
    variant_id: strawberry.ID | None = strawberry.field(default=None, description="Of this variant.")
    and_: list["StockLevelWhere"] | None = strawberry.field(
        default=None, name="AND", description="All of these hold."
    )
    or_: list["StockLevelWhere"] | None = strawberry.field(
        default=None, name="OR", description="At least one of these holds."
    )


@strawberry.input(description="Add a place to keep stock at.")
class StockLocationCreateInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    creator_id: strawberry.ID = strawberry.field(description="Whose: a creator of yours.")
    name: str = strawberry.field(description="Its name, 1 to 80 characters.")
    position: int | None = strawberry.field(
        default=None, description="Its place in the order, 0 to 10,000; without it, the last."
    )


@strawberry.input(description="Change a location of yours. What is not given stays as it is.")
class StockLocationUpdateInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    location_id: strawberry.ID = strawberry.field(description="Which location.")
    name: str | None = strawberry.field(default=None, description="1 to 80 characters.")
    position: int | None = strawberry.field(default=None, description="Its place in the order, 0 to 10,000.")


@strawberry.input(description="Sell nothing from a location of yours any more.")
class StockLocationArchiveInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    location_id: strawberry.ID = strawberry.field(description="Which location.")


@strawberry.input(
    description="Say how many of a variant of yours a location has, and when that is low. What is not given stays "
    "as it is."
)
class StockSetInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    variant_id: strawberry.ID = strawberry.field(description="Of which variant.")
    location_id: strawberry.ID = strawberry.field(description="At which location.")
    on_hand: int | None = strawberry.field(
        default=None,
        description="How many are there, reserved ones included, and so no fewer than those. From then on no more "
        "of the variant are sold than there are.",
    )
    low_at: int | None = strawberry.field(
        default=None, description="Call it low when no more than that many are available."
    )
    never_low: bool = strawberry.field(default=False, description="Call it low no longer.")


@strawberry.input(
    description="Say that a location has more or fewer of a variant of yours. From then on no more of the variant "
    "are sold than there are."
)
class StockAdjustInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    variant_id: strawberry.ID = strawberry.field(description="Of which variant.")
    location_id: strawberry.ID = strawberry.field(description="At which location.")
    by: int = strawberry.field(description="How many more, or negative: fewer.")
    note: str | None = strawberry.field(default=None, description="Why, at most 500 characters.")


@strawberry.input(description="Take some of a variant of yours from one location to another.")
class StockMoveInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    variant_id: strawberry.ID = strawberry.field(description="Of which variant.")
    from_location_id: strawberry.ID = strawberry.field(description="From where; it may be archived.")
    to_location_id: strawberry.ID = strawberry.field(description="To where.")
    quantity: int = strawberry.field(description="How many. Reserved ones stay where they are.")
    note: str | None = strawberry.field(default=None, description="Why, at most 500 characters.")


@strawberry.type(description="The location that was made.")
class StockLocationCreatePayload(Payload):
    location: StockLocation | None = strawberry.field(default=None, description="The location.")


@strawberry.type(description="The location as it is now.")
class StockLocationUpdatePayload(Payload):
    location: StockLocation | None = strawberry.field(default=None, description="The location.")


@strawberry.type(description="The location, archived.")
class StockLocationArchivePayload(Payload):
    location: StockLocation | None = strawberry.field(default=None, description="The location.")


@strawberry.type(description="The stock level as it is now.")
class StockSetPayload(Payload):
    level: StockLevel | None = strawberry.field(default=None, description="The level.")


@strawberry.type(description="The stock level as it is now.")
class StockAdjustPayload(Payload):
    level: StockLevel | None = strawberry.field(default=None, description="The level.")


@strawberry.type(description="Both stock levels as they are now.")
class StockMovePayload(Payload):
    source: StockLevel | None = strawberry.field(default=None, description="Where they were taken from.")
    destination: StockLevel | None = strawberry.field(default=None, description="Where they were taken to.")
