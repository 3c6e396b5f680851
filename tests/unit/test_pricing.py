"""Pricing a basket: whatever is in it, nothing is lost or made by rounding."""

from fractions import Fraction
from random import Random
from typing import Final, TypeAlias
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.discounts import DiscountKind
from core.money import allocate
from services.pricing import (
    NO_TAX,
    SHIPPING,
    Item,
    Offer,
    PricedLine,
    PricedShipping,
    Rate,
    Shipping,
    Totals,
    price,
)

Basket: TypeAlias = tuple[list[Item], list[Offer], list[Shipping], dict[tuple[UUID, str], Rate]]

CREATORS: Final = [UUID(int=number) for number in range(1, 4)]
PRODUCTS: Final = [UUID(int=number) for number in range(100, 106)]
CATEGORIES: Final = ["standard", "books", "exempt"]
# What something ordinary costs: 19.99, 2,000 and 6.150 in their smallest units.
ORDINARY: Final = {"USD": 1_999, "JPY": 2_000, "KWD": 6_150}

_BASIS_POINTS: Final = st.one_of(
    st.sampled_from([0, 500, 700, 810, 1_000, 1_900, 2_550, 10_000]), st.integers(0, 10_000)
)
_RATES: Final = st.builds(Rate, st.just("VAT"), _BASIS_POINTS, st.booleans())


def _amounts(currency: str) -> st.SearchStrategy[int]:
    ordinary = ORDINARY[currency]
    return st.one_of(
        st.sampled_from([0, 1, 2, 3, ordinary]), st.integers(0, ordinary * 50), st.integers(0, 10**12)
    )


@st.composite
def baskets(
    draw: st.DrawFn,
) -> Basket:
    """A basket in one of three currencies, with up to three creators and whatever they take off."""
    amounts = _amounts(draw(st.sampled_from(sorted(ORDINARY))))
    items = [
        Item(
            key=UUID(int=1_000 + number),
            part=draw(st.sampled_from(CREATORS)),
            product_id=draw(st.sampled_from(PRODUCTS)),
            quantity=draw(st.one_of(st.integers(1, 3), st.integers(1, 1_000))),
            unit_price=draw(amounts),
            tax_category=draw(st.sampled_from(CATEGORIES)),
            requires_shipping=draw(st.booleans()),
        )
        for number in range(draw(st.integers(0, 6)))
    ]
    offers = [
        Offer(
            id=UUID(int=2_000 + number),
            creator_id=draw(st.sampled_from(CREATORS)),
            kind=draw(st.sampled_from(DiscountKind)),
            basis_points=draw(st.one_of(st.just(10_000), st.integers(1, 10_000))),
            amount=draw(amounts),
            product_ids=draw(st.frozensets(st.sampled_from(PRODUCTS), max_size=2)),
        )
        for number in range(draw(st.integers(0, 5)))
    ]
    shippings = [
        Shipping(creator, UUID(int=3_000), "Parcel", draw(amounts))
        for creator in draw(st.lists(st.sampled_from(CREATORS), unique=True))
    ]
    places = [(creator, category) for creator in CREATORS for category in (*CATEGORIES, SHIPPING)]
    rates = draw(st.dictionaries(st.sampled_from(places), _RATES))
    return items, offers, shippings, rates


def _taxed(totals: Totals) -> list[PricedLine | PricedShipping]:
    return [*totals.lines, *(part.shipping for part in totals.parts if part.shipping is not None)]


@given(baskets())
def test_every_total_is_the_sum_of_what_it_is_made_of(
    basket: Basket,
) -> None:
    totals = price(*basket)
    taxed = _taxed(totals)

    assert totals.total == sum(part.total for part in totals.parts) == sum(line.total for line in taxed)
    assert totals.tax == sum(part.tax for part in totals.parts) == sum(line.tax for line in taxed)
    assert totals.discount == sum(discount.amount for discount in totals.discounts)
    assert totals.discount == sum(part.discount for part in totals.parts) == sum(line.discount for line in taxed)
    assert totals.subtotal == sum(item.unit_price * item.quantity for item in basket[0])
    assert totals.subtotal == sum(part.subtotal for part in totals.parts)
    on_top = sum(line.tax for line in taxed if not line.rate.inclusive)
    assert totals.total == totals.subtotal + totals.shipping - totals.discount + on_top


@given(baskets())
def test_every_line_is_what_the_database_asks_of_it(
    basket: Basket,
) -> None:
    """The rules line_amounts_add_up, shipping_amounts_add_up and part_amounts_are_sound, in Python."""
    totals = price(*basket)

    assert [line.key for line in totals.lines] == [item.key for item in basket[0]]
    for line in _taxed(totals):
        whole = line.subtotal if isinstance(line, PricedLine) else line.price
        assert 0 <= line.discount <= whole
        assert line.total == whole - line.discount + (0 if line.rate.inclusive else line.tax)
        assert 0 <= line.tax <= line.total
    for part in totals.parts:
        shipping = part.shipping.price if part.shipping is not None else 0
        assert 0 <= part.discount <= part.subtotal + shipping
        assert 0 <= part.tax <= part.total


@given(baskets())
def test_the_tax_of_each_line_is_the_nearest_whole_to_the_exact_one(
    basket: Basket,
) -> None:
    for line in _taxed(price(*basket)):
        points = line.rate.basis_points
        after_discount = (line.subtotal if isinstance(line, PricedLine) else line.price) - line.discount
        exact = Fraction(after_discount * points, 10_000 + points if line.rate.inclusive else 10_000)
        # Half a unit at most, and a half goes up.
        assert -Fraction(1, 2) < line.tax - exact <= Fraction(1, 2)


@given(baskets(), st.randoms())
def test_it_makes_no_difference_in_which_order_discounts_are_named(basket: Basket, random: Random) -> None:
    items, offers, shippings, rates = basket
    shuffled = list(offers)
    random.shuffle(shuffled)

    assert price(items, shuffled, shippings, rates) == price(items, offers, shippings, rates)


# By example -------------------------------------------------------------------------------------------------

SHOP, OTHER = CREATORS[:2]


def _item(unit_price: int, quantity: int = 1, *, of: UUID = SHOP, product: int = 0, **more: bool) -> Item:
    return Item(UUID(int=9), of, PRODUCTS[product], quantity, unit_price, "standard", **more)


def _percent(basis_points: int, number: int = 1) -> Offer:
    return Offer(UUID(int=number), SHOP, DiscountKind.PERCENT, basis_points=basis_points)


def _fixed(amount: int, number: int = 1, **more: frozenset[UUID]) -> Offer:
    return Offer(UUID(int=number), SHOP, DiscountKind.FIXED, amount=amount, **more)


def _free_shipping(number: int = 1) -> Offer:
    return Offer(UUID(int=number), SHOP, DiscountKind.FREE_SHIPPING)


@pytest.mark.parametrize(
    ("amount", "rate", "tax", "total"),
    [
        # 19 % in 19.99: 3.1917…; in 119.00 exactly 19.00.
        (1_999, Rate("MwSt", 1_900, inclusive=True), 319, 1_999),
        (11_900, Rate("MwSt", 1_900, inclusive=True), 1_900, 11_900),
        # 10 % in 2,000 yen: 181.81…
        (2_000, Rate("消費税", 1_000, inclusive=True), 182, 2_000),
        # 5 % on top of 6.150 dinars: 0.3075, in thousandths 307.5, which goes up.
        (6_150, Rate("VAT", 500, inclusive=False), 308, 6_458),
        # 5 % on top of 19.99: 0.9995.
        (1_999, Rate("GST", 500, inclusive=False), 100, 2_099),
        # Half a cent goes up: 5 % of 0.10.
        (10, Rate("GST", 500, inclusive=False), 1, 11),
        (9, Rate("GST", 500, inclusive=False), 0, 9),
        # Half a cent in 0.21 at 5 %: 1 exactly; in 0.11 at 10 %: 1 exactly.
        (21, Rate("GST", 500, inclusive=True), 1, 21),
        (11, Rate("GST", 1_000, inclusive=True), 1, 11),
        (1_999, NO_TAX, 0, 1_999),
        (0, Rate("GST", 500, inclusive=False), 0, 0),
    ],
)
def test_taxes_are_rounded_half_up_once_for_each_line(amount: int, rate: Rate, tax: int, total: int) -> None:
    totals = price([_item(amount)], [], [], {(SHOP, "standard"): rate})

    assert (totals.lines[0].tax, totals.lines[0].total) == (tax, total)
    assert (totals.tax, totals.total) == (tax, total)


def test_tax_is_on_what_is_left_after_discounts() -> None:
    totals = price([_item(10_000)], [_percent(5_000)], [], {(SHOP, "standard"): Rate("GST", 500, inclusive=False)})

    assert (totals.discount, totals.tax, totals.total) == (5_000, 250, 5_250)


def test_the_tax_of_a_line_is_not_the_sum_of_that_of_each_piece() -> None:
    totals = price([_item(10, 1_000)], [], [], {(SHOP, "standard"): Rate("GST", 500, inclusive=False)})

    assert (totals.tax, totals.total) == (500, 10_500)


def test_percentages_come_before_amounts_and_each_takes_of_what_is_left() -> None:
    offers = [_fixed(1_000, 1), _percent(1_000, 3), _percent(5_000, 2)]

    totals = price([_item(10_000)], offers, [], {})

    # Half of 100.00, a tenth of 50.00, 10.00 of 45.00.
    assert [(discount.offer_id.int, discount.amount) for discount in totals.discounts] == [
        (2, 5_000),
        (3, 500),
        (1, 1_000),
    ]
    assert totals.total == 3_500


def test_a_percentage_is_rounded_half_up_for_each_line() -> None:
    totals = price([_item(5), _item(15), _item(14)], [_percent(1_000)], [], {})

    assert [line.discount for line in totals.lines] == [1, 2, 1]
    assert totals.discount == 4


def test_a_fixed_amount_is_shared_by_what_lines_cost_to_the_last_cent() -> None:
    totals = price([_item(1_000), _item(1_000), _item(1_000)], [_fixed(1_000)], [], {})

    assert sorted(line.discount for line in totals.lines) == [333, 333, 334]
    assert [line.discount for line in totals.lines] == allocate(1_000, [1_000] * 3)


def test_no_more_is_taken_off_than_there_is() -> None:
    totals = price([_item(700), _item(300), _item(0)], [_fixed(5_000)], [], {})

    assert (totals.discount, totals.total) == (1_000, 0)
    assert [line.total for line in totals.lines] == [0, 0, 0]


def test_a_discount_after_which_nothing_is_left_takes_nothing() -> None:
    totals = price([_item(700)], [_percent(10_000, 1), _fixed(100, 2)], [], {})

    assert [discount.amount for discount in totals.discounts] == [700, 0]


def test_a_discount_is_for_its_creators_products_alone() -> None:
    only_second = _fixed(500, product_ids=frozenset({PRODUCTS[1]}))

    totals = price(
        [_item(1_000), _item(1_000, product=1), _item(1_000, of=OTHER, product=1)], [only_second], [], {}
    )

    assert [line.discount for line in totals.lines] == [0, 500, 0]
    assert [part.discount for part in totals.parts] == [500, 0]


def test_free_shipping_takes_the_price_of_its_creators_shipping_and_its_tax() -> None:
    method = UUID(int=7)
    items = [_item(1_000, requires_shipping=True), _item(1_000, of=OTHER, requires_shipping=True)]
    shippings = [Shipping(SHOP, method, "Parcel", 490), Shipping(OTHER, method, "Bike", 300)]
    rates = {(creator, SHIPPING): Rate("GST", 1_000, inclusive=False) for creator in (SHOP, OTHER)}

    totals = price(items, [_free_shipping()], shippings, rates)

    first, second = (part.shipping for part in totals.parts)
    assert first is not None
    assert second is not None
    assert (first.price, first.discount, first.tax, first.total) == (490, 490, 0, 0)
    assert (second.price, second.discount, second.tax, second.total) == (300, 0, 30, 330)
    assert (totals.shipping, totals.discount, totals.tax, totals.total) == (790, 490, 30, 2_330)


def test_where_nothing_is_shipped_there_is_no_shipping() -> None:
    totals = price([_item(1_000)], [_free_shipping()], [Shipping(SHOP, UUID(int=7), "Parcel", 490)], {})

    assert totals.parts[0].shipping is None
    assert (totals.shipping, totals.discount, totals.total) == (0, 0, 1_000)


def test_an_empty_basket_costs_nothing() -> None:
    totals = price([], [_percent(5_000)], [], {})

    assert (totals.lines, totals.parts, totals.total) == ((), (), 0)


@pytest.mark.parametrize("item", [_item(-1), _item(1, 0), _item(1, -1)])
def test_what_no_basket_has_is_refused(item: Item) -> None:
    with pytest.raises(ValueError, match="at least"):
        price([item], [], [], {})
