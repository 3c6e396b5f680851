"""Conversions: one asset for another, through the platform's liquidity in both."""

import math
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from numbers import Rational
from typing import Final
from uuid import UUID

from ledger.chart.drafts import Draft, Line
from ledger.chart.specs import AccountKind, AccountSpec, platform

_NO_MARGIN: Final = Fraction(0)


@dataclass(frozen=True, slots=True)
class ConversionQuote:
    """What a conversion moves: ``sold`` of one asset, ``bought`` and ``spread`` of the other.

    Each is in its own asset's smallest unit. What the customer gets is ``bought``, what the platform earns is
    ``spread``.
    """

    sold: int
    bought: int
    spread: int


def quote_conversion(
    sold: int,
    *,
    rate: Fraction,
    margin: Fraction = _NO_MARGIN,
    sold_scale: int,
    bought_scale: int,
) -> ConversionQuote:
    """Return what ``sold`` (in its asset's smallest unit) buys.

    ``rate`` is how much of the bought asset one whole unit of the sold one is worth: with USD sold and JPY
    bought at 150.25, ``Fraction("150.25")``. ``margin`` is the part of that which the platform keeps. Both are
    exact, and bought and spread are rounded down: what is left, less than two of the bought asset's smallest
    unit, stays in the platform's liquidity.

    Errors: TypeError for a float, ValueError when nothing would be bought or the margin is not in [0, 1).
    """
    for number in (rate, margin):
        if not isinstance(number, Rational):
            raise TypeError(f"A rate is an exact fraction, not {type(number).__name__}.")
    if sold <= 0 or rate <= 0 or not 0 <= margin < 1:
        raise ValueError("A conversion takes an amount and a rate above zero and a margin of at least 0, below 1.")
    worth = sold * rate * Fraction(10) ** (bought_scale - sold_scale)
    bought = math.floor(worth * (1 - margin))
    if bought == 0:
        raise ValueError("That is too little to buy anything.")
    return ConversionQuote(sold, bought, math.floor(worth * margin))


def conversion(
    *,
    conversion: UUID,
    sell: AccountSpec,
    buy: AccountSpec,
    quote: ConversionQuote,
    reference: UUID | None = None,
    effective_at: datetime | None = None,
) -> Draft:
    """Return the group of a conversion: out of ``sell``, into ``buy``, and the spread into the platform's fees.

    The two accounts are of two assets, usually the same person's wallets. Each asset sums to zero on its own;
    the platform's ``fx`` accounts hold the position. ``reference`` is what is converted, where that is something
    of its own: the payment, refund or dispute whose money waits in suspense. Errors: ValueError for one asset.
    """
    if sell.asset == buy.asset:
        raise ValueError(f"A conversion is between two assets, not {sell.asset} and {buy.asset}.")
    liquidity = platform(AccountKind.FX, buy.asset)
    about = reference or conversion
    return Draft.of(
        f"conversion:{conversion}",
        Line(sell, platform(AccountKind.FX, sell.asset), quote.sold, "conversion.sell", about),
        Line(liquidity, buy, quote.bought, "conversion.buy", about),
        Line(liquidity, platform(AccountKind.FEES, buy.asset), quote.spread, "conversion.spread", about),
        effective_at=effective_at,
    )
