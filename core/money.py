"""Money: whole numbers of a currency's smallest unit, and nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from core.errors import ErrorCode, Refused

_LEDGER_DIGITS: Final = 38  # numeric(38,0)


@dataclass(frozen=True, slots=True)
class Currency:
    """A declared currency: its ISO 4217 code and how many decimals its smallest unit stands for."""

    code: str
    exponent: int


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in the smallest unit of a currency. May be negative (a balance can be)."""

    minor: int
    currency: Currency

    def __post_init__(self) -> None:
        """Refuse anything but a whole number: a float here would be a hole in the books."""
        if type(self.minor) is not int:
            raise TypeError(f"Money takes an int of the smallest unit, not {type(self.minor).__name__}.")

    @property
    def amount(self) -> Decimal:
        """The amount in the currency's main unit, exactly, with all its decimals."""
        sign, digits, _ = Decimal(self.minor).as_tuple()
        return Decimal((sign, digits, -self.currency.exponent))


_declared: dict[str, Currency] = {}


def declare(code: str, exponent: int) -> Currency:
    """Make a currency known to this process. Its exponent can never change once it is declared."""
    known = _declared.setdefault(code, Currency(code, exponent))
    if known.exponent != exponent:
        raise ValueError(f"{code} is declared with {known.exponent} decimals, not {exponent}.")
    return known


def currency(code: str) -> Currency:
    """Return a declared currency. Errors: CURRENCY_NOT_SUPPORTED."""
    known = _declared.get(code)
    if known is None:
        raise Refused(
            ErrorCode.CURRENCY_NOT_SUPPORTED,
            "This currency is not offered here. Send the three-letter code of one that is, such as USD.",
            path=("amount", "currency"),
        )
    return known


def money(minor: int, code: str) -> Money:
    """Return an amount of a declared currency, from its smallest unit."""
    return Money(int(minor), currency(code))


def parse(amount: Decimal, code: str) -> Money:
    """Return the amount a client wrote, exactly or not at all; nothing is ever rounded.

    Errors: CURRENCY_NOT_SUPPORTED, AMOUNT_INVALID (not a positive number), AMOUNT_TOO_PRECISE (more decimals
    than the currency has), AMOUNT_TOO_LARGE (more digits than the books hold).
    """
    known = currency(code)
    if not amount.is_finite() or amount <= 0:
        raise _bad_amount(ErrorCode.AMOUNT_INVALID, "Send an amount greater than zero.")
    if amount.adjusted() + known.exponent >= _LEDGER_DIGITS:
        raise _bad_amount(ErrorCode.AMOUNT_TOO_LARGE, "Send a smaller amount.")
    _, digits, exponent = amount.as_tuple()
    # Whole-number arithmetic: Decimal's own would round beyond its context's 28 digits.
    shift = int(exponent) + known.exponent
    coefficient = int("".join(map(str, digits)))
    # No power is taken of an exponent beyond the digits there are: 1E-999999999 is an input, too.
    too_fine = -shift > len(digits)
    minor, rest = (
        (coefficient * 10**shift, 0) if shift >= 0 else divmod(coefficient, 1 if too_fine else 10**-shift)
    )
    if too_fine or rest:
        raise _bad_amount(
            ErrorCode.AMOUNT_TOO_PRECISE,
            f"{known.code} has {known.exponent} decimals. Send an amount with no more than that.",
        )
    return Money(minor, known)


def _bad_amount(code: ErrorCode, message: str) -> Refused:
    return Refused(code, message, path=("amount", "amount"))


def allocate(total: int, weights: Sequence[int]) -> list[int]:
    """Split a whole number by weights with the largest-remainder rule (Hamilton's method).

    The parts always sum to ``total``. What is left after flooring goes to the largest remainders; of equal
    ones the later part is served first, so that a fee listed before the creator's share never gains a tie.
    """
    if total < 0 or not weights or min(weights) < 0 or sum(weights) == 0:
        raise ValueError("allocate takes a total of at least zero and weights with a positive sum.")
    whole = sum(weights)
    parts = [total * weight // whole for weight in weights]
    order = sorted(range(len(weights)), key=lambda i: (total * weights[i] % whole, i), reverse=True)
    for index in order[: total - sum(parts)]:
        parts[index] += 1
    return parts
