"""Conversions: exact rates, and not a unit made or lost."""

from collections import Counter
from decimal import Decimal
from fractions import Fraction
from operator import itemgetter
from uuid import uuid4

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ledger import AccountKind, AccountSpec, chart
from ledger.chart import ConversionQuote, Line, quote_conversion

UNHURRIED = settings(deadline=None)
SCALES = {"JPY": 0, "USD": 2, "KWD": 3}
OWNER = uuid4()
pairs = st.permutations(sorted(SCALES)).map(itemgetter(0, 1))
amounts = st.integers(1, 10**36)
rates = st.fractions(Fraction(1, 1_000), 1_000)
margins = st.fractions(0, Fraction(99, 100))


def quoted(sold: int, pair: tuple[str, str], rate: Fraction, margin: Fraction) -> ConversionQuote:
    sell, buy = pair
    worth = sold * rate * Fraction(10) ** (SCALES[buy] - SCALES[sell])
    assume(worth * (1 - margin) >= 1)
    return quote_conversion(sold, rate=rate, margin=margin, sold_scale=SCALES[sell], bought_scale=SCALES[buy])


@UNHURRIED
@given(amounts, pairs, rates, margins)
def test_what_is_left_of_a_conversion_is_less_than_two_units(
    sold: int, pair: tuple[str, str], rate: Fraction, margin: Fraction
) -> None:
    quote = quoted(sold, pair, rate, margin)
    worth = sold * rate * Fraction(10) ** (SCALES[pair[1]] - SCALES[pair[0]])
    assert 0 <= worth - quote.bought - quote.spread < 2
    assert 0 <= worth * (1 - margin) - quote.bought < 1
    assert 0 <= worth * margin - quote.spread < 1


@UNHURRIED
@given(amounts, pairs, rates, margins, margins)
def test_nobody_gains_by_going_there_and_back(
    sold: int, pair: tuple[str, str], rate: Fraction, margin: Fraction, margin_back: Fraction
) -> None:
    there = quoted(sold, pair, rate, margin)
    back = quoted(there.bought, (pair[1], pair[0]), 1 / rate, margin_back)
    assert back.bought <= sold


@UNHURRIED
@given(amounts, pairs, rates, margins)
def test_each_asset_sums_to_zero_and_the_remainder_stays_in_the_liquidity(
    sold: int, pair: tuple[str, str], rate: Fraction, margin: Fraction
) -> None:
    sell, buy = (chart.wallet(asset, OWNER) for asset in pair)
    quote = quoted(sold, pair, rate, margin)
    draft = chart.conversion(conversion=uuid4(), sell=sell, buy=buy, quote=quote)
    balances: Counter[AccountSpec] = Counter()
    for line in draft.lines:
        assert isinstance(line, Line)
        assert line.debit.asset == line.credit.asset
        assert line.amount > 0
        balances[line.debit] -= line.amount
        balances[line.credit] += line.amount
    liquidity = [chart.platform(AccountKind.FX, asset) for asset in pair]
    assert balances[sell] == -sold
    assert balances[liquidity[0]] == sold
    assert balances[buy] == quote.bought
    assert balances[chart.platform(AccountKind.FEES, pair[1])] == quote.spread
    assert balances[liquidity[1]] == -quote.bought - quote.spread
    assert draft.key.startswith("conversion:")


def test_rate_is_between_main_units() -> None:
    dollars_to_yen = quote_conversion(100_00, rate=Fraction("150.25"), sold_scale=2, bought_scale=0)
    yen_to_dinars = quote_conversion(1_000, rate=Fraction("0.002"), sold_scale=0, bought_scale=3)
    assert dollars_to_yen == ConversionQuote(sold=100_00, bought=15_025, spread=0)
    assert yen_to_dinars == ConversionQuote(sold=1_000, bought=2_000, spread=0)


def test_customer_and_spread_are_rounded_down() -> None:
    quote = quote_conversion(99, rate=Fraction("1.1"), margin=Fraction("0.015"), sold_scale=2, bought_scale=2)
    # Worth 108.9: 107.2665 to the customer, 1.6335 to the platform, and 0.9 that are nobody's.
    assert quote == ConversionQuote(sold=99, bought=107, spread=1)


def test_no_margin_has_no_leg() -> None:
    quote = quote_conversion(99, rate=Fraction(1), sold_scale=2, bought_scale=2)
    sell, buy = chart.wallet("USD", OWNER), chart.wallet("EUR", OWNER)
    draft = chart.conversion(conversion=uuid4(), sell=sell, buy=buy, quote=quote)
    assert [line.kind for line in draft.lines] == ["conversion.sell", "conversion.buy"]


@pytest.mark.parametrize("number", [1.1, Decimal("1.1"), "1.1"])
@pytest.mark.parametrize("name", ["rate", "margin"])
def test_rate_that_is_not_an_exact_fraction_is_refused(name: str, number: object) -> None:
    exact = {"rate": Fraction(1), "margin": Fraction(0)}
    with pytest.raises(TypeError, match="exact fraction"):
        quote_conversion(99, **{**exact, name: number}, sold_scale=2, bought_scale=2)


@pytest.mark.parametrize(
    ("sold", "rate", "margin"),
    [
        (0, Fraction(1), Fraction(0)),
        (-5, Fraction(1), Fraction(0)),
        (5, Fraction(0), Fraction(0)),
        (5, Fraction(-1), Fraction(0)),
        (5, Fraction(1), Fraction(1)),
        (5, Fraction(1), Fraction(-1, 100)),
        (9, Fraction(1, 10), Fraction(0)),
    ],
)
def test_conversion_that_cannot_be_is_refused(sold: int, rate: Fraction, margin: Fraction) -> None:
    with pytest.raises(ValueError, match=r"takes an amount|too little"):
        quote_conversion(sold, rate=rate, margin=margin, sold_scale=2, bought_scale=2)


def test_asset_is_not_converted_into_itself() -> None:
    quote = ConversionQuote(1, 1, 0)
    with pytest.raises(ValueError, match="two assets"):
        chart.conversion(
            conversion=uuid4(), sell=chart.wallet("USD", OWNER), buy=chart.wallet("USD", uuid4()), quote=quote
        )
