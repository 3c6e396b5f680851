"""Ids: time-ordered UUIDs inside, opaque prefixed text outside.

The text form is a TypeID (specification 0.3): a prefix that names the noun, an underscore, and the 128 bits
in 26 characters of Crockford's base32, lower case: ``tip_01h455vb4pex5vsknk084sn02q``.
"""

from enum import StrEnum
from typing import Final
from uuid import UUID

from uuid_utils.compat import uuid7

__all__ = ["Noun", "decode", "encode", "noun_of", "uuid7"]

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS: Final = tuple(high + low for high in _ALPHABET for low in _ALPHABET)
_VALUES: Final = {character: value for value, character in enumerate(_ALPHABET)}
_LENGTH: Final = 26
_SHIFTS: Final = tuple(range(120, -1, -10))


class Noun(StrEnum):
    """The prefix of each noun's ids."""

    USER = "usr"
    CREATOR = "crt"
    PRODUCT = "prd"
    VARIANT = "var"
    COLLECTION = "col"
    MEDIA = "med"
    STOCK_LOCATION = "loc"
    LICENCE = "lic"
    DOWNLOAD = "dl"
    SHIPPING_ZONE = "zon"
    SHIPPING_METHOD = "shm"
    DISCOUNT = "dsc"
    CART = "cart"
    ORDER = "ord"
    SALE = "sale"
    ORDER_LINE = "oln"
    FULFILMENT = "ful"
    ORDER_RETURN = "ret"
    TIP = "tip"
    PURCHASE = "pur"
    PAYMENT = "pay"
    PAYMENT_METHOD = "pm"
    REFUND = "ref"
    DISPUTE = "dsp"
    PAYOUT = "po"


def encode(noun: Noun, value: UUID) -> str:
    """Return the text form of an id."""
    number = value.int
    return f"{noun.value}_{''.join([_PAIRS[(number >> shift) & 1023] for shift in _SHIFTS])}"


def decode(noun: Noun, text: str) -> UUID | None:
    """Return the UUID of a noun's id, or None when the text is not the canonical id of that noun."""
    prefix, _, suffix = text.partition("_")
    if prefix != noun.value or len(suffix) != _LENGTH or suffix[0] > "7":
        return None
    number = 0
    for character in suffix:
        value = _VALUES.get(character)
        if value is None:
            return None
        number = number << 5 | value
    return UUID(int=number)


def noun_of(text: str) -> Noun | None:
    """Return which noun an id speaks of, judged by its prefix alone."""
    try:
        return Noun(text.partition("_")[0])
    except ValueError:
        return None
