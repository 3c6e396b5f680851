"""Fees: asking before acting."""

from typing import Annotated, Final

import strawberry

from core.ids import Noun
from resolvers.context import Info
from resolvers.fields import id_of, query
from schema.fees import LineKind, PaymentLine, Quote, QuoteInput
from schema.money import Money
from services import fees

_ASKED: Final = strawberry.argument(description="What would be paid, and to whom.")


@strawberry.type
class FeeQuery:
    @query(description="What a payment would cost now, line by line, as it will stand on it.")
    async def quote(self, info: Info, input: Annotated[QuoteInput, _ASKED]) -> Quote | None:  # ruff: ignore[builtin-argument-shadowing] - the contract's name
        quoted = await fees.quote(
            info.context.engine,
            input.kind,
            id_of(Noun.CREATOR, input.creator_id, "creatorId"),
            input.amount.parsed(),
        )
        lines = (
            (LineKind.GROSS, quoted.gross),
            (LineKind.PERCENT_FEE, quoted.percent_fee),
            (LineKind.FIXED_FEE, quoted.fixed_fee),
            (LineKind.PLATFORM_FEE, quoted.fee),
            (LineKind.TAX, quoted.tax),
            (LineKind.NET, quoted.net),
        )
        return Quote(
            lines=[PaymentLine(kind=kind, amount=Money.of(amount)) for kind, amount in lines],
            percent_basis_points=quoted.percent_basis_points,
        )
