"""Stock: places, how many of what are there, and the creator's changes of that."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import strawberry

from core.ids import Noun
from core.scopes import Scope
from resolvers.context import Info
from resolvers.fields import id_of, mutation
from resolvers.loaders import may_see_stock
from resolvers.pages import connection, page_query, tree
from resolvers.shown_stock import stock_level, stock_location, stock_movement
from schema.connections import Connection, PageArguments
from schema.creators import Creator
from schema.sorts import StockLevelSort
from schema.stock import (
    StockAdjustInput,
    StockAdjustPayload,
    StockLevel,
    StockLevelWhere,
    StockLocation,
    StockLocationArchiveInput,
    StockLocationArchivePayload,
    StockLocationCreateInput,
    StockLocationCreatePayload,
    StockLocationUpdateInput,
    StockLocationUpdatePayload,
    StockMoveInput,
    StockMovement,
    StockMovePayload,
    StockSetInput,
    StockSetPayload,
)
from services import stock, stock_changes, stock_locations
from services.paging import NEWEST, OLDEST, Compare, Condition, Order


@strawberry.type
class StockMutation:
    @mutation(
        description="Add a place to keep stock at.",
        scope=Scope.PRODUCTS_WRITE,
        payload=StockLocationCreatePayload,
    )
    async def stock_location_create(
        self,
        info: Info,
        input: StockLocationCreateInput,  # ruff: ignore[builtin-argument-shadowing]
    ) -> StockLocationCreatePayload:
        command = stock_locations.CreateLocation(
            creator_id=id_of(Noun.CREATOR, input.creator_id, "creatorId"),
            name=input.name,
            position=input.position,
            key=input.idempotency_key,
        )
        location_id, info.context.replayed = await stock_locations.create(
            info.context.engine, info.context.viewer, command
        )
        return StockLocationCreatePayload(location=await _location(info, location_id))

    @mutation(
        description="Rename a location of yours, or put it elsewhere in the order.",
        scope=Scope.PRODUCTS_WRITE,
        payload=StockLocationUpdatePayload,
    )
    async def stock_location_update(
        self,
        info: Info,
        input: StockLocationUpdateInput,  # ruff: ignore[builtin-argument-shadowing]
    ) -> StockLocationUpdatePayload:
        command = stock_locations.UpdateLocation(
            location_id=_location_id(input.location_id),
            name=input.name,
            position=input.position,
            key=input.idempotency_key,
        )
        location_id, info.context.replayed = await stock_locations.update(
            info.context.engine, info.context.viewer, command
        )
        return StockLocationUpdatePayload(location=await _location(info, location_id))

    @mutation(
        description="Sell nothing from a location of yours any more. What is reserved there stays reserved.",
        scope=Scope.PRODUCTS_WRITE,
        payload=StockLocationArchivePayload,
    )
    async def stock_location_archive(
        self,
        info: Info,
        input: StockLocationArchiveInput,  # ruff: ignore[builtin-argument-shadowing]
    ) -> StockLocationArchivePayload:
        command = stock_locations.ArchiveLocation(
            location_id=_location_id(input.location_id), key=input.idempotency_key
        )
        location_id, info.context.replayed = await stock_locations.archive(
            info.context.engine, info.context.viewer, command
        )
        return StockLocationArchivePayload(location=await _location(info, location_id))

    @mutation(
        description="Say how many of a variant of yours are at a location, as after counting.",
        scope=Scope.PRODUCTS_WRITE,
        payload=StockSetPayload,
    )
    async def stock_set(self, info: Info, input: StockSetInput) -> StockSetPayload:  # ruff: ignore[builtin-argument-shadowing]
        command = stock_changes.SetStock(
            variant_id=_variant_id(input.variant_id),
            location_id=_location_id(input.location_id),
            on_hand=input.on_hand,
            low_at=input.low_at,
            never_low=input.never_low,
            key=input.idempotency_key,
        )
        row, info.context.replayed = await stock_changes.set_stock(
            info.context.engine, info.context.viewer, command
        )
        return StockSetPayload(level=stock_level(row))

    @mutation(
        description="Say that there are more or fewer of a variant of yours at a location.",
        scope=Scope.PRODUCTS_WRITE,
        payload=StockAdjustPayload,
    )
    async def stock_adjust(self, info: Info, input: StockAdjustInput) -> StockAdjustPayload:  # ruff: ignore[builtin-argument-shadowing]
        command = stock_changes.AdjustStock(
            variant_id=_variant_id(input.variant_id),
            location_id=_location_id(input.location_id),
            by=input.by,
            note=input.note,
            key=input.idempotency_key,
        )
        row, info.context.replayed = await stock_changes.adjust(info.context.engine, info.context.viewer, command)
        return StockAdjustPayload(level=stock_level(row))

    @mutation(
        description="Take some of a variant of yours from one location to another.",
        scope=Scope.PRODUCTS_WRITE,
        payload=StockMovePayload,
    )
    async def stock_move(self, info: Info, input: StockMoveInput) -> StockMovePayload:  # ruff: ignore[builtin-argument-shadowing]
        command = stock_changes.MoveStock(
            variant_id=_variant_id(input.variant_id),
            from_location_id=id_of(Noun.STOCK_LOCATION, input.from_location_id, "fromLocationId"),
            to_location_id=id_of(Noun.STOCK_LOCATION, input.to_location_id, "toLocationId"),
            quantity=input.quantity,
            note=input.note,
            key=input.idempotency_key,
        )
        source, destination, info.context.replayed = await stock_changes.move(
            info.context.engine, info.context.viewer, command
        )
        return StockMovePayload(source=stock_level(source), destination=stock_level(destination))


async def creator_stock_locations(
    creator: Creator, info: Info, page: PageArguments
) -> Connection[StockLocation] | None:
    """Return a page of a creator's locations in their order, to that creator."""
    if not may_see_stock(info.context.viewer, creator.user_key):
        return None
    query = page_query(page, order=Order("position", int, descending=False))
    return connection(await stock_locations.of_creator(info.context.engine, creator.key, query), stock_location)


async def creator_stock_levels(
    creator: Creator, info: Info, page: PageArguments, where: StockLevelWhere | None, sort: StockLevelSort
) -> Connection[StockLevel] | None:
    """Return a page of a creator's stock levels, to that creator."""
    if not may_see_stock(info.context.viewer, creator.user_key):
        return None
    query = page_query(page, where=tree(where, _conditions), order=_ORDERS[sort])
    return connection(await stock.of_creator(info.context.engine, creator.key, query), stock_level)


async def stock_level_movements(
    level: StockLevel, info: Info, page: PageArguments
) -> Connection[StockMovement] | None:
    """Return a page of what changed a level; reached from levels one may see."""
    query = page_query(page, order=Order("number", int))
    return connection(await stock.movements_of(info.context.engine, level.key, query), stock_movement)


async def find_stock_location(info: Info, location_id: UUID) -> StockLocation | None:
    """Return a location of the viewer's."""
    rows = await stock_locations.by_id(info.context.engine, [location_id])
    return (
        stock_location(rows[0])
        if rows and may_see_stock(info.context.viewer, rows[0]["creator_user_id"])
        else None
    )


async def _location(info: Info, location_id: UUID) -> StockLocation:
    return stock_location((await stock_locations.by_id(info.context.engine, [location_id]))[0])


def _location_id(text: str) -> UUID:
    key: UUID = id_of(Noun.STOCK_LOCATION, text, "locationId")
    return key


def _variant_id(text: str) -> UUID:
    key: UUID = id_of(Noun.VARIANT, text, "variantId")
    return key


_ORDERS = {
    StockLevelSort.NEWEST: NEWEST,
    StockLevelSort.OLDEST: OLDEST,
    StockLevelSort.AVAILABLE_LOWEST: Order("available", int, descending=False),
}


def _conditions(where: Any) -> Sequence[Condition]:
    conditions: list[Condition] = []
    if where.low is not None:
        conditions.append(Compare("(low_since is not null)", "=", where.low))
    if where.location_id is not None:
        key = id_of(Noun.STOCK_LOCATION, where.location_id, "where", "locationId")
        conditions.append(Compare("location_id", "=", key))
    if where.variant_id is not None:
        conditions.append(Compare("variant_id", "=", id_of(Noun.VARIANT, where.variant_id, "where", "variantId")))
    return conditions
