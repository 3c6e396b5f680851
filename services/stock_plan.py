"""Where stock is taken from, worked out without the database."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID


@dataclass(slots=True)
class Level:
    """How many of a variant a location has to sell: ``available`` shrinks as a plan takes of it."""

    id: UUID
    variant_id: UUID
    place: tuple[int, UUID]
    available: int


@dataclass(frozen=True, slots=True)
class Share:
    """So many of a level."""

    level_id: UUID
    quantity: int


class Shelves:
    """The levels of some variants, in the order of their locations: by position, then by id."""

    def __init__(self, levels: Iterable[Level]) -> None:
        self._levels: dict[UUID, list[Level]] = defaultdict(list)
        for level in sorted(levels, key=lambda level: level.place):
            self._levels[level.variant_id].append(level)

    @classmethod
    def of(cls, rows: Iterable[Any]) -> Self:
        """Read levels that are locked. A row may come several times; what archived locations have is not sold."""
        return cls(
            {
                row["id"]: Level(
                    row["id"],
                    row["variant_id"],
                    (row["position"], row["location_id"]),
                    row["on_hand"] - row["reserved"],
                )
                for row in rows
                if row["location_active"]
            }.values()
        )

    def available(self, variant_id: UUID) -> int:
        """Return how many of a variant can be sold, wherever they are."""
        return sum(level.available for level in self._levels.get(variant_id, ()))

    def take(self, variant_id: UUID, quantity: int) -> list[Share] | None:
        """Take so many off the shelves: all from the first location that has them, else from one after the other.

        None, and nothing is taken, when all of them together have too few.
        """
        levels = self._levels.get(variant_id, ())
        if quantity > self.available(variant_id):
            return None
        single = next((level for level in levels if level.available >= quantity), None)
        shares = [Share(single.id, quantity)] if single is not None else list(_spread(levels, quantity))
        by_id = {level.id: level for level in levels}
        for share in shares:
            by_id[share.level_id].available -= share.quantity
        return shares


def _spread(levels: Sequence[Level], quantity: int) -> Iterable[Share]:
    for level in levels:
        taken = min(level.available, quantity)
        if taken > 0:
            yield Share(level.id, taken)
        quantity -= taken
