"""What a basket is made of, and what comes out of pricing it."""

from dataclasses import dataclass, field
from uuid import UUID

from core.discounts import DiscountKind
from providers.tax.base import Rate


@dataclass(frozen=True, slots=True)
class Item:
    """So many of a variant. ``key`` names the line, ``part`` is the creator who sells it.

    ``unit_price`` is at least zero, ``weight_grams`` that of one.
    """

    key: UUID
    part: UUID
    product_id: UUID
    quantity: int
    unit_price: int
    tax_category: str
    requires_shipping: bool = False
    weight_grams: int = 0

    @property
    def subtotal(self) -> int:
        """What all of them cost before anything is taken off."""
        return self.unit_price * self.quantity


@dataclass(frozen=True, slots=True)
class Offer:
    """A discount of a creator that was judged to apply. ``code`` None: given without one.

    PERCENT has ``basis_points`` (1 to 10,000), FIXED an ``amount`` of ``currency``. ``product_ids`` empty: all of
    the creator's. ``minimum_subtotal`` and ``currency`` were judged before and are not looked at again.
    """

    id: UUID
    creator_id: UUID
    kind: DiscountKind
    code: str | None = None
    title: str = ""
    basis_points: int = 0
    amount: int = 0
    product_ids: frozenset[UUID] = field(default_factory=frozenset)
    minimum_subtotal: int | None = None
    currency: str | None = None

    def is_for(self, item: Item) -> bool:
        """Return whether it may take something off an item."""
        return item.part == self.creator_id and (not self.product_ids or item.product_id in self.product_ids)


@dataclass(frozen=True, slots=True)
class Shipping:
    """How one creator's part is shipped, and for how much, before discounts."""

    creator_id: UUID
    method_id: UUID
    title: str
    price: int


@dataclass(frozen=True, slots=True)
class PricedLine:
    """A line: ``total`` is what the buyer pays for it, ``tax`` is in it."""

    key: UUID
    part: UUID
    subtotal: int
    discount: int
    rate: Rate
    tax: int
    total: int


@dataclass(frozen=True, slots=True)
class PricedShipping:
    """The shipping of a part, reckoned as a line is."""

    method_id: UUID
    title: str
    price: int
    discount: int
    rate: Rate
    tax: int
    total: int


@dataclass(frozen=True, slots=True)
class PricedPart:
    """One creator's part. ``subtotal`` is of its lines; the other amounts have shipping's in them."""

    creator_id: UUID
    subtotal: int
    shipping: PricedShipping | None
    discount: int
    tax: int
    total: int


@dataclass(frozen=True, slots=True)
class PricedDiscount:
    """What an offer took off; zero where others had left it nothing, and then it was not used."""

    offer_id: UUID
    amount: int


@dataclass(frozen=True, slots=True)
class Totals:
    """A priced basket: lines in the order of its items, parts in the order of their first line.

    ``shipping`` is before discounts. total = subtotal + shipping - discount + the taxes that are not contained in
    prices, and so it is the sum of the parts' totals.
    """

    lines: tuple[PricedLine, ...]
    parts: tuple[PricedPart, ...]
    discounts: tuple[PricedDiscount, ...]
    subtotal: int
    discount: int
    shipping: int
    tax: int
    total: int
