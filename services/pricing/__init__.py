"""What a basket costs: discounts, shipping and taxes reckoned exactly. Pure: no database, no clock, no floats.

Every amount is a whole number of the smallest unit of the basket's one currency.
"""

from providers.tax.base import NO_TAX, SHIPPING, Rate
from services.pricing.reckoning import price
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

__all__ = [
    "NO_TAX",
    "SHIPPING",
    "Item",
    "Offer",
    "PricedDiscount",
    "PricedLine",
    "PricedPart",
    "PricedShipping",
    "Rate",
    "Shipping",
    "Totals",
    "price",
]
