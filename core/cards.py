"""Recognising card numbers, so that they can be refused before anything stores or logs them."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

# A primary account number has 13 to 19 digits (ISO/IEC 7812-1), is often typed in groups, and stands alone:
# digits inside a longer word (a UUID, an opaque id) are not one. Thirteen digits only ever began with 4.
_CANDIDATE: Final = re.compile(r"(?<![\w.-])(?:4\d(?:[ -]?\d){11}|[2-6](?:[ -]?\d){13,18})(?![\w-]|\.\d)")
_MINIMUM_DIGITS: Final = 13


def _luhn(digits: str) -> bool:
    """Return whether the check digit is right (ISO/IEC 7812-1, annex B)."""
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + position % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def text_holds_card_number(text: str) -> bool:
    """Return whether a text holds something that reads as a payment card's number."""
    if len(text) < _MINIMUM_DIGITS:
        return False
    return any(_luhn(re.sub(r"[ -]", "", match.group())) for match in _CANDIDATE.finditer(text) if match)


def holds_card_number(value: object) -> bool:
    """Return whether a JSON value holds a card number anywhere, keys and bare numbers included."""
    if isinstance(value, str):
        return text_holds_card_number(value)
    if isinstance(value, bool) or value is None:
        return False
    if isinstance(value, int):
        return text_holds_card_number(str(value))
    if isinstance(value, Mapping):
        return any(holds_card_number(key) or holds_card_number(item) for key, item in value.items())
    if isinstance(value, Iterable):
        return any(holds_card_number(item) for item in value)
    return False
