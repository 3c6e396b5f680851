"""Scalars whose values must not pass through a float on any client: they are text on the wire."""

import re
from decimal import Decimal, InvalidOperation
from typing import Final, NewType

import strawberry
from graphql import GraphQLError

BigInt = NewType("BigInt", int)
CurrencyCode = NewType("CurrencyCode", str)

_LONGEST_NUMBER = 64
# JSON's numbers (RFC 8259, section 6). Python reads more than that: underscores, spaces, other scripts' digits.
_NUMBER: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


def _parse_decimal(value: object) -> Decimal:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or len(value) > _LONGEST_NUMBER or not _NUMBER.fullmatch(value):
        raise GraphQLError('A Decimal is sent as text, such as "5.00".')
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise GraphQLError('A Decimal is sent as text, such as "5.00".') from None
    if not number.is_finite():
        raise GraphQLError('A Decimal is a finite number, such as "5.00".')
    return number


def _parse_big_int(value: object) -> int:
    if isinstance(value, str) and len(value) <= _LONGEST_NUMBER and value.lstrip("-").isdecimal():
        return int(value)
    raise GraphQLError('A BigInt is sent as text, such as "500".')


def _parse_currency(value: object) -> str:
    if isinstance(value, str) and len(value) == 3 and value.isascii() and value.isalpha():
        return value.upper()
    raise GraphQLError("A currency is sent as its three-letter ISO 4217 code, such as USD.")


SCALARS: dict[object, object] = {
    Decimal: strawberry.scalar(
        name="Decimal",
        description='A decimal number of any precision, as text: `"5.00"`.',
        serialize=lambda value: format(value, "f"),
        parse_value=_parse_decimal,
    ),
    BigInt: strawberry.scalar(
        name="BigInt",
        description='A whole number of any size, as text: `"500"`.',
        serialize=str,
        parse_value=_parse_big_int,
    ),
    CurrencyCode: strawberry.scalar(
        name="CurrencyCode",
        description="An ISO 4217 currency code: `USD`.",
        serialize=str,
        parse_value=_parse_currency,
        specified_by_url="https://www.iso.org/iso-4217-currency-codes.html",
    ),
}
