"""Amounts as Stripe writes them, and which of them it charges. Pure functions.

Stripe's amounts are whole numbers of a currency's smallest unit, as ours are, but for a few: what ISK and UGX lost
of their decimals is still written, as two zeros. A currency is offered only if its amounts are the same ones here
and there, whatever they are. Source: Stripe's page on the currencies it supports.
"""

from collections.abc import Mapping
from typing import Final

from providers.payments.base import ProviderAction, ProviderError, ProviderErrorCode, unsupported

_LARGEST_CHARGE: Final = 99_999_999  # eight digits in Stripe's units; of a few currencies it takes more

# Charged in whole units that have no parts.
_WITHOUT_DECIMALS: Final = frozenset(
    "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split()  # ruff: ignore[split-static-string] - a table
)
# Charged in thousandths, of which the last digit is always a zero.
_WITH_THREE: Final = frozenset(("BHD", "JOD", "KWD", "OMR", "TND"))
# Without decimals, but written as if they had two: how many of Stripe's units one of ours is.
_SCALES: Final = {"ISK": 100, "UGX": 100}
_WITH_TWO: Final = frozenset(
    # ruff: ignore[split-static-string] - a table
    """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF CNY COP CRC
    CVE CZK DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GTQ GYD HKD HNL HTG IDR ILS INR JMD KES KGS KHR KYD KZT
    LAK LBP LKR LRD LSL MAD MDL MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR
    PLN QAR RON RSD RUB SAR SBD SCR SEK SGD SHP SLE SOS SRD STD SZL THB TJS TOP TRY TTD TZS UAH USD UYU UZS WST XCD
    YER ZAR ZMW
    """.split()
)
# HUF and TWD are left out: charged in hundredths, paid out in whole units only, so that a share of a charge could
# not be paid out exactly.

# The smallest charges that Stripe names, in its units. Where it names none, it is what the settlement currency's
# comes to on the day: Stripe itself refuses what is less, and nothing is made.
_SMALLEST: Final[Mapping[str, int]] = {
    "USD": 50, "AED": 200, "AUD": 50, "BGN": 100, "BRL": 50, "CAD": 50, "CHF": 50, "CZK": 1500, "DKK": 250,
    "EUR": 50, "GBP": 30, "HKD": 400, "INR": 50, "JPY": 50, "MXN": 1000, "MYR": 200, "NOK": 300, "NZD": 50,
    "PLN": 200, "RON": 200, "SEK": 300, "SGD": 50, "THB": 1000,
}  # fmt: skip


def limits(currencies: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """Return the smallest and the largest charge, in our units, of each currency that can be offered.

    ``currencies`` maps codes to how many decimals each has with us. One is offered when Stripe charges in it, and
    means the same by a number of its units as we do.
    """
    return {code: _limits(code) for code, decimals in currencies.items() if decimals == _decimals(code)}


def from_stripe(minor: int, currency: str) -> int:
    """Return an amount of Stripe's in our units; ``currency`` is a code in either's letters.

    Raises ValueError when it is no whole number of them.
    """
    ours, rest = divmod(minor, _SCALES.get(currency.upper(), 1))
    if rest:
        raise ValueError("An amount has parts that its currency does not have.")
    return ours


def to_stripe(amount: int, currency: str) -> int:
    """Return an amount of ours as Stripe writes it.

    Raises ProviderError: AMOUNT_INVALID for nothing and less, UNSUPPORTED for thousandths that do not end in a
    zero.
    """
    if amount <= 0:
        raise not_positive()
    if currency.upper() in _WITH_THREE and amount % 10:
        raise unsupported("amount")
    return amount * _SCALES.get(currency.upper(), 1)


def is_particular(currency: str) -> bool:
    """Return whether amounts of a currency are not simply the same number with Stripe, any number."""
    return currency.upper() in _SCALES or currency.upper() in _WITH_THREE


def not_positive() -> ProviderError:
    """Return the refusal of an amount that is nothing or less."""
    return ProviderError(
        ProviderErrorCode.AMOUNT_INVALID, ProviderAction.NEVER, provider_code="amount_not_positive"
    )


def too_large() -> ProviderError:
    """Return the refusal of an amount that no charge here can be of."""
    return ProviderError(ProviderErrorCode.AMOUNT_INVALID, ProviderAction.NEVER, provider_code="amount_too_large")


def _decimals(code: str) -> int | None:
    """Return how many decimals a currency has to have with us, or None when Stripe does not charge in it."""
    if code in _WITHOUT_DECIMALS or code in _SCALES:
        return 0
    if code in _WITH_THREE:
        return 3
    return 2 if code in _WITH_TWO else None


def _limits(code: str) -> tuple[int, int]:
    smallest = 10 if code in _WITH_THREE else _SMALLEST.get(code, 1)
    return smallest, _LARGEST_CHARGE // _SCALES.get(code, 1)
