"""Money: exact or refused, never rounded."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import money
from core.errors import ErrorCode, Refused
from core.money import Currency, Money, allocate, parse
from schema.money import MoneyInput
from schema.scalars import CurrencyCode

EDGES = (0, 1, 2**53 - 1, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**63 + 1, 10**18 - 1, 10**18, 10**18 + 1, 10**36)
EXPONENTS = {"JPY": 0, "USD": 2, "KWD": 3}

for _code, _exponent in EXPONENTS.items():
    money.declare(_code, _exponent)

codes = st.sampled_from(sorted(EXPONENTS))
minors = st.one_of(st.integers(1, 10**38 - 1), st.sampled_from([edge for edge in EDGES if edge]))


@given(codes, minors)
def test_amount_that_was_written_is_read_back_exactly(code: str, minor: int) -> None:
    written = format(Money(minor, money.currency(code)).amount, "f")

    assert parse(Decimal(written), code).minor == minor


@pytest.mark.parametrize("minor", EDGES)
def test_amount_has_all_its_decimals(minor: int) -> None:
    assert format(Money(minor, Currency("JPY", 0)).amount, "f") == str(minor)
    assert format(Money(minor, Currency("USD", 2)).amount, "f") == f"{minor // 100}.{minor % 100:02}"
    assert (
        format(Money(-minor, Currency("KWD", 3)).amount, "f").lstrip("-") == f"{minor // 1000}.{minor % 1000:03}"
    )


@given(codes, minors, st.integers(0, 20))
def test_zeros_at_the_end_change_nothing(code: str, minor: int, zeros: int) -> None:
    amount = Money(minor, money.currency(code)).amount
    sign, digits, exponent = amount.as_tuple()

    assert parse(Decimal((sign, digits + (0,) * zeros, int(exponent) - zeros)), code).minor == minor


@given(codes, minors, st.integers(1, 9), st.integers(1, 20))
def test_any_digit_beyond_the_decimals_is_refused(code: str, minor: int, digit: int, places: int) -> None:
    amount = Money(minor, money.currency(code)).amount
    _, digits, exponent = amount.as_tuple()
    finer = Decimal((0, digits + (0,) * (places - 1) + (digit,), int(exponent) - places))

    assert _refusal(finer, code) is ErrorCode.AMOUNT_TOO_PRECISE


@pytest.mark.parametrize(
    ("amount", "code", "refusal"),
    [
        ("0", "USD", ErrorCode.AMOUNT_INVALID),
        ("-0", "USD", ErrorCode.AMOUNT_INVALID),
        ("-5", "USD", ErrorCode.AMOUNT_INVALID),
        ("NaN", "USD", ErrorCode.AMOUNT_INVALID),
        ("sNaN", "USD", ErrorCode.AMOUNT_INVALID),
        ("Infinity", "USD", ErrorCode.AMOUNT_INVALID),
        ("-Infinity", "USD", ErrorCode.AMOUNT_INVALID),
        ("0.001", "USD", ErrorCode.AMOUNT_TOO_PRECISE),
        ("0.5", "JPY", ErrorCode.AMOUNT_TOO_PRECISE),
        ("0.0001", "KWD", ErrorCode.AMOUNT_TOO_PRECISE),
        ("1E-999999", "USD", ErrorCode.AMOUNT_TOO_PRECISE),
        ("1E-999999999999", "USD", ErrorCode.AMOUNT_TOO_PRECISE),
        ("1E36", "USD", ErrorCode.AMOUNT_TOO_LARGE),
        ("1E38", "JPY", ErrorCode.AMOUNT_TOO_LARGE),
        ("1E999999999999", "USD", ErrorCode.AMOUNT_TOO_LARGE),
        ("5", "XXX", ErrorCode.CURRENCY_NOT_SUPPORTED),
        ("5", "usd", ErrorCode.CURRENCY_NOT_SUPPORTED),
        ("5", "", ErrorCode.CURRENCY_NOT_SUPPORTED),
    ],
)
def test_amount_that_is_no_amount_is_refused(amount: str, code: str, refusal: ErrorCode) -> None:
    assert _refusal(Decimal(amount), code) is refusal


@pytest.mark.parametrize(
    ("amount", "code", "minor"),
    [
        ("0.01", "USD", 1),
        ("5", "USD", 500),
        ("5E2", "USD", 50_000),
        ("9" * 36 + ".99", "USD", 10**38 - 1),
        ("9" * 38, "JPY", 10**38 - 1),
        ("9.99E+37", "JPY", 999 * 10**35),
        ("0.00000000000000000000000000000000000000000000010E+45", "USD", 10),
    ],
)
def test_amount_within_the_books_is_exact(amount: str, code: str, minor: int) -> None:
    assert parse(Decimal(amount), code) == Money(minor, money.currency(code))


def _refusal(amount: Decimal, code: str) -> ErrorCode:
    with pytest.raises(Refused) as refused:
        parse(amount, code)
    assert refused.value.path in {("amount", "amount"), ("amount", "currency")}
    assert refused.value.message.endswith(".")
    return refused.value.code


@pytest.mark.parametrize("minor", [1.0, True, Decimal(1), "1", None])
def test_money_is_made_of_whole_numbers_alone(minor: object) -> None:
    with pytest.raises(TypeError):
        Money(minor, Currency("USD", 2))  # type: ignore[arg-type] # what must not happen


def test_currency_never_changes_its_decimals() -> None:
    assert money.declare("USD", 2) is money.currency("USD")
    with pytest.raises(ValueError, match="USD is declared with 2 decimals, not 3"):
        money.declare("USD", 3)
    assert money.currency("USD").exponent == 2


weights = st.lists(st.integers(0, 10**12), min_size=1, max_size=8).filter(any)


@given(st.one_of(st.integers(0, 10**40), st.sampled_from(EDGES)), weights)
def test_parts_sum_to_the_whole_and_each_is_within_one_of_its_share(total: int, given_weights: list[int]) -> None:
    parts = allocate(total, given_weights)
    whole = sum(given_weights)

    assert sum(parts) == total
    for part, weight in zip(parts, given_weights, strict=True):
        floor = total * weight // whole
        assert floor <= part <= floor + 1
        assert part == 0 or weight > 0


@given(st.integers(0, 10**12), weights)
def test_larger_remainder_is_never_served_after_a_smaller_one(total: int, given_weights: list[int]) -> None:
    parts = allocate(total, given_weights)
    whole = sum(given_weights)
    remainders = [(total * weight % whole, place) for place, weight in enumerate(given_weights)]
    served = [remainders[n] for n, part in enumerate(parts) if part > total * given_weights[n] // whole]
    waiting = [remainders[n] for n, part in enumerate(parts) if part == total * given_weights[n] // whole]

    assert not served or not waiting or min(served) > max(waiting)


def test_tie_goes_to_the_later_part() -> None:
    assert allocate(1, [1, 1]) == [0, 1]
    assert allocate(10, [500, 9_500]) == [0, 10]
    assert allocate(2, [1, 1, 1]) == [0, 1, 1]


@pytest.mark.parametrize(
    ("total", "given_weights"), [(-1, [1]), (1, []), (1, [0]), (1, [0, 0]), (1, [1, -1]), (1, [-1, 3])]
)
def test_split_that_makes_no_sense_is_an_error(total: int, given_weights: list[int]) -> None:
    with pytest.raises(ValueError, match="allocate takes"):
        allocate(total, given_weights)


@pytest.mark.parametrize("code", sorted(EXPONENTS))
def test_amount_that_is_sent_fits_into_64_bits(code: str) -> None:
    largest, more = (Money(minor, money.currency(code)).amount for minor in (2**63 - 1, 2**63))

    assert MoneyInput(amount=largest, currency=CurrencyCode(code)).parsed().minor == 2**63 - 1
    with pytest.raises(Refused) as refused:
        MoneyInput(amount=more, currency=CurrencyCode(code)).parsed()
    assert (refused.value.code, refused.value.path) == (ErrorCode.AMOUNT_TOO_LARGE, ("amount", "amount"))
