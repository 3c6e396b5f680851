"""Reading one field of an object of Stripe's. Pure functions.

All raise KeyError, TypeError, ValueError or OverflowError, and nothing else, when a field is not what it must be.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

Source = Mapping[str, object]

MALFORMED: Final = (KeyError, TypeError, ValueError, OverflowError)
"""What a reader raises of an object that is not what it has to be."""

_LARGEST_AMOUNT: Final = 2**63 - 1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def text(source: Source, name: str) -> str:
    """Return a text that says something."""
    value = source[name]
    if not isinstance(value, str) or not value:
        raise TypeError(name)
    return value


def text_or_none(source: Source, name: str) -> str | None:
    """Return a text, or None where nothing is told."""
    return None if source.get(name) is None else text(source, name)


def whole(source: Source, name: str) -> int:
    """Return a whole number, of either sign."""
    value = source[name]
    if type(value) is not int or not -_LARGEST_AMOUNT <= value <= _LARGEST_AMOUNT:
        raise TypeError(name)
    return value


def amount(source: Source, name: str) -> int:
    """Return an amount of at least zero, as Stripe writes it."""
    value = whole(source, name)
    if value < 0:
        raise ValueError(name)
    return value


def positive(source: Source, name: str) -> int:
    """Return an amount above zero, as Stripe writes it."""
    value = amount(source, name)
    if value == 0:
        raise ValueError(name)
    return value


def currency(source: Source, name: str = "currency") -> str:
    """Return a currency's code in our letters: Stripe writes it small."""
    code = text(source, name)
    if not code.isascii() or not code.isalpha() or len(code) != 3:
        raise ValueError(name)
    return code.upper()


def time(source: Source, name: str) -> datetime:
    """Return a moment: seconds since 1970 in version 1 of Stripe's API, a text in version 2."""
    value = source[name]
    if isinstance(value, str):
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError(name)
        return moment.astimezone(UTC)
    return _EPOCH + timedelta(seconds=amount(source, name))


def time_or_none(source: Source, name: str) -> datetime | None:
    """Return a moment, or None where nothing is told."""
    return None if source.get(name) is None else time(source, name)


def inner(source: Source, name: str) -> Source:
    """Return an object within an object."""
    value = source[name]
    if not isinstance(value, Mapping):
        raise TypeError(name)
    return value


def inner_or_none(source: Source, name: str) -> Source | None:
    """Return an object within an object, or None where there is none, or only its id (it was not expanded)."""
    value = source.get(name)
    return value if isinstance(value, Mapping) else None


def identity(source: Source, name: str) -> str:
    """Return the id of another object, which is told as its id or as the whole of it."""
    value = inner_or_none(source, name)
    return text(source, name) if value is None else text(value, "id")


def identity_or_none(source: Source, name: str) -> str | None:
    """Return the id of another object, or None where there is none."""
    return None if source.get(name) is None else identity(source, name)


def items(source: Source, name: str = "data") -> Sequence[Source]:
    """Return the objects of a list."""
    value = source[name]
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise TypeError(name)
    if not all(isinstance(item, Mapping) for item in value):
        raise TypeError(name)
    return value
