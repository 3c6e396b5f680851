"""Whole numbers from the database."""

from decimal import Decimal


def whole(value: Decimal) -> int:
    """Return a numeric column's value as an int.

    The one place where amounts cross from the database into Python. A fraction, an infinity or not-a-number
    raises ValueError or OverflowError: there is none in the books, and none may be rounded away.
    """
    number = int(value)
    if number != value:
        raise ValueError(f"{value} is not a whole number of the smallest unit.")
    return number
