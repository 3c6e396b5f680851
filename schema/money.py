"""Money as clients see it."""

import re
from decimal import Decimal
from typing import Annotated, Final

import strawberry
from babel.core import UnknownLocaleError
from babel.numbers import format_currency

import core.money
from core.errors import Refused
from schema.base import computed
from schema.enums import ErrorCode
from schema.scalars import BigInt, CurrencyCode

# A request is remembered as JSON, which has no larger whole numbers.
_LARGEST: Final = 2**63 - 1
# As much of RFC 5646 as a locale is named by. Babel takes more: nothing at all is the server's own locale.
_LANGUAGE_TAG: Final = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,3}")


@strawberry.type(description="An exact amount of one currency.")
class Money:
    amount: Decimal = strawberry.field(description="In the main unit, with all its decimals: `5.00`.")
    minor_units: BigInt = strawberry.field(description="In the smallest unit: `500`.")
    exponent: int = strawberry.field(description="How many decimals the currency has: 2 for USD, 0 for JPY.")
    currency: CurrencyCode = strawberry.field(description="The currency.")

    @computed(description="The amount for people: `$5.00`. Takes a BCP 47 language tag.")
    def formatted(
        self, locale: Annotated[str, strawberry.argument(description="A language tag, such as fr-CA.")] = "en"
    ) -> str:
        if not _LANGUAGE_TAG.fullmatch(locale):
            raise _unknown_language()
        try:
            return format_currency(
                self.amount,
                self.currency,
                locale=locale.replace("-", "_"),
                decimal_quantization=False,
            )
        except (UnknownLocaleError, ValueError):
            raise _unknown_language() from None

    @classmethod
    def of(cls, money: core.money.Money) -> "Money":
        """Return an amount as clients see it."""
        return cls(
            amount=money.amount,
            minor_units=BigInt(money.minor),
            exponent=money.currency.exponent,
            currency=CurrencyCode(money.currency.code),
        )


def _unknown_language() -> Refused:
    return Refused(ErrorCode.INPUT_INVALID, "Send a language tag such as en, fr-CA or ja.", path=("locale",))


@strawberry.input(description="An amount to pay or to charge.")
class MoneyInput:
    amount: Decimal = strawberry.field(
        description="In the main unit. More decimals than the currency has are refused, never rounded."
    )
    currency: CurrencyCode = strawberry.field(description="The currency.")

    def parsed(self) -> core.money.Money:
        """Return the amount exactly. Errors: as ``core.money.parse``; AMOUNT_TOO_LARGE beyond 64 bits."""
        parsed = core.money.parse(self.amount, self.currency)
        if parsed.minor > _LARGEST:
            raise Refused(ErrorCode.AMOUNT_TOO_LARGE, "Send a smaller amount.", path=("amount", "amount"))
        return parsed
