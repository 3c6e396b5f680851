"""The built-in calculator: rates from a table, by country, region, category and moment."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol
from uuid import UUID

from providers.tax.base import NO_TAX, Rate, TaxQuestion

_READ: Final = "select country, region, category, name, basis_points, inclusive, valid_from from public.tax_rates"
_KEPT_SECONDS: Final = 60.0


class Reads(Protocol):
    """What the table is read through: a pool of connections."""

    async def fetch(self, query: str, *args: Any) -> Sequence[Any]: ...


@dataclass(frozen=True, slots=True)
class _Row:
    valid_from: datetime
    rate: Rate


class TaxTable:
    """Rates from the table ``tax_rates``, read again a minute after it was last read."""

    def __init__(self, database: Reads, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._rates: dict[tuple[str, str, str], list[_Row]] = {}
        self._read_at = float("-inf")

    async def rates(self, question: TaxQuestion) -> Mapping[tuple[UUID, str], Rate]:
        """Return the rates in force: a region's before its country's, a category's before the standard one."""
        if self._clock() - self._read_at > _KEPT_SECONDS:
            await self._read()
        return {(creator_id, category): self._rate(question, category) for creator_id, category in question.wanted}

    def forget(self) -> None:
        """Read the table again when next asked."""
        self._read_at = float("-inf")

    def _rate(self, question: TaxQuestion, category: str) -> Rate:
        if category == "exempt":
            return NO_TAX
        for place in dict.fromkeys((question.region, "")):
            for kind in dict.fromkeys((category, "standard")):
                rows = self._rates.get((question.country, place, kind), ())
                in_force = [row for row in rows if row.valid_from <= question.at]
                if in_force:
                    return max(in_force, key=lambda row: row.valid_from).rate
        return NO_TAX

    async def _read(self) -> None:
        rates: dict[tuple[str, str, str], list[_Row]] = {}
        for row in await self._database.fetch(_READ):
            rate = Rate(row["name"], row["basis_points"], row["inclusive"])
            rates.setdefault((row["country"], row["region"], row["category"]), []).append(
                _Row(row["valid_from"], rate)
            )
        self._rates = rates
        self._read_at = self._clock()
