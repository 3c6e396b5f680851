"""The contract of a tax calculator: which rates apply to a sale. What they come to is reckoned by ``pricing``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

SHIPPING: Final = "shipping"
"""The category of shipping, beside those of products."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A tax rate: 1,950 ``basis_points`` are 19.5 %. ``inclusive``: prices contain it. No ``name``: no tax."""

    name: str | None
    basis_points: int
    inclusive: bool


NO_TAX: Final = Rate(None, 0, inclusive=True)


@dataclass(frozen=True, slots=True)
class TaxQuestion:
    """A sale to a country, or to a ``region`` of it, at a moment; ``wanted`` are creators with tax categories."""

    country: str
    region: str
    at: datetime
    wanted: Sequence[tuple[UUID, str]]


class TaxCalculator(Protocol):
    """Knows which rates apply. Never asked inside a transaction."""

    async def rates(self, question: TaxQuestion) -> Mapping[tuple[UUID, str], Rate]:
        """Return a rate for each creator and category wanted; ``NO_TAX`` where none applies."""
        ...
