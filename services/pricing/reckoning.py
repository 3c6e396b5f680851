"""Pricing a basket. Each amount is rounded once, where it arises; everything above it is a sum."""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from core.discounts import DiscountKind
from core.money import allocate
from providers.tax.base import NO_TAX, SHIPPING, Rate
from services.pricing.values import (
    Item,
    Offer,
    PricedDiscount,
    PricedLine,
    PricedPart,
    PricedShipping,
    Shipping,
    Totals,
)

_WHOLE: Final = 10_000
_TURNS: Final = {DiscountKind.PERCENT: 0, DiscountKind.FIXED: 1, DiscountKind.FREE_SHIPPING: 2}


def price(
    items: Sequence[Item],
    offers: Sequence[Offer],
    shippings: Sequence[Shipping],
    rates: Mapping[tuple[UUID, str], Rate],
) -> Totals:
    """Return what a basket costs.

    ``offers`` were judged to apply; all of them do, one after the other: percentages, fixed amounts, free
    shipping, and by id among those of a kind. ``shippings`` has one for each creator who ships; that of a part in
    which nothing is shipped is left out. ``rates`` by creator and tax category, or ``shipping``; what has none is
    not taxed. Raises ``ValueError`` for a quantity below one or a price below zero.
    """
    if any(item.quantity < 1 or item.unit_price < 0 for item in items) or any(s.price < 0 for s in shippings):
        raise ValueError("A basket has quantities of at least one and prices of at least zero.")
    shipped = {item.part for item in items if item.requires_shipping}
    chosen = {shipping.creator_id: shipping for shipping in shippings if shipping.creator_id in shipped}

    left = [item.subtotal for item in items]
    shipping_left = {creator_id: shipping.price for creator_id, shipping in chosen.items()}
    discounts = tuple(
        PricedDiscount(offer.id, _take_off(offer, items, left, shipping_left))
        for offer in sorted(offers, key=lambda offer: (_TURNS[offer.kind], offer.id))
    )

    lines = tuple(
        _line(item, kept, rates.get((item.part, item.tax_category), NO_TAX))
        for item, kept in zip(items, left, strict=True)
    )
    priced = {
        creator_id: _shipping(shipping, shipping_left[creator_id], rates.get((creator_id, SHIPPING), NO_TAX))
        for creator_id, shipping in chosen.items()
    }
    parts = tuple(
        _part(creator_id, [line for line in lines if line.part == creator_id], priced.get(creator_id))
        for creator_id in dict.fromkeys(item.part for item in items)
    )
    return Totals(
        lines=lines,
        parts=parts,
        discounts=discounts,
        subtotal=sum(line.subtotal for line in lines),
        discount=sum(discount.amount for discount in discounts),
        shipping=sum(shipping.price for shipping in priced.values()),
        tax=sum(part.tax for part in parts),
        total=sum(part.total for part in parts),
    )


def _take_off(offer: Offer, items: Sequence[Item], left: list[int], shipping_left: dict[UUID, int]) -> int:
    """Take an offer off what is left, and return how much that was. Never more than there is."""
    if offer.kind is DiscountKind.FREE_SHIPPING:
        taken = shipping_left.get(offer.creator_id, 0)
        if taken:
            shipping_left[offer.creator_id] = 0
        return taken
    lines = [index for index, item in enumerate(items) if offer.is_for(item) and left[index]]
    if not lines:
        return 0
    weights = [left[index] for index in lines]
    if offer.kind is DiscountKind.PERCENT:
        shares = [_half_up(weight * offer.basis_points, _WHOLE) for weight in weights]
    else:
        shares = allocate(min(offer.amount, sum(weights)), weights)
    for index, share in zip(lines, shares, strict=True):
        left[index] -= share
    return sum(shares)


def _line(item: Item, kept: int, rate: Rate) -> PricedLine:
    tax, total = _taxed(kept, rate)
    return PricedLine(item.key, item.part, item.subtotal, item.subtotal - kept, rate, tax, total)


def _shipping(shipping: Shipping, kept: int, rate: Rate) -> PricedShipping:
    tax, total = _taxed(kept, rate)
    return PricedShipping(
        shipping.method_id, shipping.title, shipping.price, shipping.price - kept, rate, tax, total
    )


def _part(creator_id: UUID, lines: Sequence[PricedLine], shipping: PricedShipping | None) -> PricedPart:
    taxed: list[PricedLine | PricedShipping] = [*lines, *([shipping] if shipping is not None else [])]
    return PricedPart(
        creator_id=creator_id,
        subtotal=sum(line.subtotal for line in lines),
        shipping=shipping,
        discount=sum(line.discount for line in taxed),
        tax=sum(line.tax for line in taxed),
        total=sum(line.total for line in taxed),
    )


def _taxed(amount: int, rate: Rate) -> tuple[int, int]:
    """Return the tax on an amount, and what is to be paid with it."""
    if rate.inclusive:
        return _half_up(amount * rate.basis_points, _WHOLE + rate.basis_points), amount
    tax = _half_up(amount * rate.basis_points, _WHOLE)
    return tax, amount + tax


def _half_up(numerator: int, denominator: int) -> int:
    """Return a quotient of numbers of at least zero, rounded to the nearest whole; halves up."""
    return (2 * numerator + denominator) // (2 * denominator)
