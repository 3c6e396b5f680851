"""Amounts as Stripe writes them: the same ones there and here, or none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.payments.base import ProviderError, ProviderErrorCode
from providers.payments.stripe import amounts

# Decimals with us: how many decimals of each there are in the world today.
OFFERED = {"USD": 2, "EUR": 2, "GBP": 2, "JPY": 0, "KRW": 0, "KWD": 3, "ISK": 0, "UGX": 0, "MXN": 2, "ZMW": 2}
SPECIMENS = st.sampled_from(sorted(OFFERED))


def refusal(amount: int, currency: str) -> ProviderErrorCode:
    with pytest.raises(ProviderError) as caught:
        amounts.to_stripe(amount, currency)
    assert not caught.value.ambiguous
    return caught.value.code


@pytest.mark.parametrize(
    ("code", "decimals", "limits"),
    [
        ("USD", 2, (50, 99_999_999)),
        ("GBP", 2, (30, 99_999_999)),
        ("CZK", 2, (1500, 99_999_999)),
        ("JPY", 0, (50, 99_999_999)),
        ("ZMW", 2, (1, 99_999_999)),
        ("KWD", 3, (10, 99_999_999)),
        ("ISK", 0, (1, 999_999)),
        ("UGX", 0, (1, 999_999)),
    ],
)
def test_currency_is_offered_within_what_stripe_charges(code: str, decimals: int, limits: tuple[int, int]) -> None:
    assert amounts.limits({code: decimals}) == {code: limits}


@pytest.mark.parametrize(
    ("code", "decimals"),
    [
        ("USD", 0), ("USD", 3), ("JPY", 2), ("KWD", 2), ("ISK", 2), ("UGX", 2), ("MGA", 2),
        ("HUF", 2), ("HUF", 0), ("TWD", 2), ("XXX", 2), ("KPW", 2), ("usd", 2), ("", 0),
    ],
)  # fmt: skip
def test_currency_that_is_counted_otherwise_or_not_charged_is_not_offered(code: str, decimals: int) -> None:
    assert amounts.limits({code: decimals, "EUR": 2}) == {"EUR": (50, 99_999_999)}


@pytest.mark.parametrize(
    ("amount", "currency", "written"),
    [(1250, "USD", 1250), (500, "JPY", 500), (5, "ISK", 500), (5, "ugx", 500), (5120, "KWD", 5120)],
)
def test_amount_is_written_as_stripe_does(amount: int, currency: str, written: int) -> None:
    assert amounts.to_stripe(amount, currency) == written
    assert amounts.from_stripe(written, currency) == amount


@pytest.mark.parametrize("amount", [0, -1, -(2**64)])
@pytest.mark.parametrize("currency", sorted(OFFERED))
def test_nothing_and_less_is_no_amount(amount: int, currency: str) -> None:
    assert refusal(amount, currency) is ProviderErrorCode.AMOUNT_INVALID


@pytest.mark.parametrize("amount", [1, 5124, 5129])
def test_thousandths_end_in_a_zero(amount: int) -> None:
    assert refusal(amount, "KWD") is ProviderErrorCode.UNSUPPORTED


@pytest.mark.parametrize("minor", [1, 99, 101, -150])
def test_part_of_what_has_no_parts_is_refused(minor: int) -> None:
    with pytest.raises(ValueError, match="parts"):
        amounts.from_stripe(minor, "isk")


@given(currency=SPECIMENS, amount=st.integers(1, 10_000_000))
def test_what_is_written_is_read_as_it_was(currency: str, amount: int) -> None:
    whole = amount * 10 if currency == "KWD" else amount
    assert amounts.from_stripe(amounts.to_stripe(whole, currency), currency.lower()) == whole


@given(currency=SPECIMENS, amount=st.integers(-10_000, 10_000))
def test_sign_is_kept(currency: str, amount: int) -> None:
    scale = 100 if currency in {"ISK", "UGX"} else 1
    assert amounts.from_stripe(amount * scale, currency) == amount


def test_largest_charge_of_each_can_be_written() -> None:
    for code, (smallest, largest) in amounts.limits(OFFERED).items():
        assert 0 < smallest < largest
        assert amounts.to_stripe(smallest, code) > 0
        assert amounts.to_stripe(largest - largest % 10, code) <= 99_999_999
        assert amounts.is_particular(code) is (code in {"KWD", "ISK", "UGX"})
