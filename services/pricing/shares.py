"""How what a buyer pays is shared between the creators and the platform."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from services.pricing.values import PricedPart


@dataclass(frozen=True, slots=True)
class Share:
    """One creator's part of a payment: gross = net + fee + tax. A net below one is for the caller to refuse."""

    creator_id: UUID
    gross: int
    tax: int
    fee: int
    net: int


def split_parts(parts: Sequence[PricedPart], fee_of: Callable[[UUID, int], int]) -> tuple[Share, ...]:
    """Return the share of each part that costs something.

    ``fee_of`` gives the platform's fee for a creator on an amount without tax. The sum of gross over all shares is
    the total of the basket.
    """
    return tuple(_share(part, fee_of(part.creator_id, part.total - part.tax)) for part in parts if part.total)


def _share(part: PricedPart, fee: int) -> Share:
    return Share(part.creator_id, part.total, part.tax, fee, part.total - part.tax - fee)
