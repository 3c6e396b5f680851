"""Recognising card numbers, so that they can be refused before anything stores or logs them."""

import re
from typing import Final

# A primary account number has 13 to 19 digits (ISO/IEC 7812-1) and stands alone: digits inside a longer word (a
# UUID, an opaque id, a decimal) are not one. It is often typed in groups, and an expiry date or a security code
# often stands beside it, so it may be any run of neighbouring groups.
_GROUP: Final = re.compile(r"(?<![\w.-])\d+(?:-\d+)*(?![\w-]|\.\d)")
_FEWEST_DIGITS: Final = 13
_MOST_DIGITS: Final = 19
_WIDEST_GAP: Final = 3


def _may_be_card_number(digits: str) -> bool:
    # Payment cards begin with 2 to 6; thirteen digits only ever began with 4.
    known = digits[0] in "23456" if len(digits) > _FEWEST_DIGITS else digits[0] == "4"
    return known and _luhn(digits)


def _luhn(digits: str) -> bool:
    """Return whether the check digit is right (ISO/IEC 7812-1, annex B)."""
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + position % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def text_holds_card_number(text: str) -> bool:
    """Return whether a text holds something that reads as a payment card's number."""
    if len(text) < _FEWEST_DIGITS:
        return False
    # The numbers that end where the last group ended, the longest first, none of them too long to go on.
    open_numbers: list[str] = []
    end = 0
    for group in _GROUP.finditer(text):
        gap = text[end : group.start()]
        neighbours = open_numbers if len(gap) <= _WIDEST_GAP and gap.isspace() else []
        digits = "".join(str(int(character)) for character in group.group() if character != "-")
        numbers = (number + digits for number in [*neighbours, ""])
        open_numbers = [number for number in numbers if len(number) <= _MOST_DIGITS]
        if any(len(number) >= _FEWEST_DIGITS and _may_be_card_number(number) for number in open_numbers):
            return True
        end = group.end()
    return False
