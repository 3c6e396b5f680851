"""From rows of stock to the types of the contract."""

from typing import Any

import strawberry

from core import ids
from core.catalogue import StockMovementKind
from core.ids import Noun
from schema.stock import StockLevel, StockLocation, StockMovement


def stock_location(row: Any) -> StockLocation:
    return StockLocation(
        id=strawberry.ID(ids.encode(Noun.STOCK_LOCATION, row["id"])),
        key=row["id"],
        name=row["name"],
        position=row["position"],
        active=row["state"] == "active",
        created_at=row["created_at"],
    )


def stock_level(row: Any) -> StockLevel:
    return StockLevel(
        key=row["id"],
        variant_key=row["variant_id"],
        location_key=row["location_id"],
        on_hand=row["on_hand"],
        reserved=row["reserved"],
        available=row["available"],
        low_at=row["low_at"],
        low_since=row["low_since"],
    )


def stock_movement(row: Any) -> StockMovement:
    line = row["line_id"]
    return StockMovement(
        kind=StockMovementKind(row["kind"]),
        on_hand=row["on_hand"],
        reserved=row["reserved"],
        order_line_id=None if line is None else strawberry.ID(ids.encode(Noun.ORDER_LINE, line)),
        note=row["note"],
        at=row["at"],
    )
