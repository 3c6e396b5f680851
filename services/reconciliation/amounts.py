"""Amounts in sentences."""

from core.errors import Refused
from core.money import money


def shown(minor: int, code: str) -> str:
    """Return an amount of minor units as people read it: ``12.50 USD``."""
    try:
        return f"{money(minor, code).amount} {code}"
    except Refused:
        # The provider moved a currency that is not declared here.
        return f"{minor} of the smallest unit of {code}"
