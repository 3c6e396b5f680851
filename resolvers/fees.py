"""Fees: asking before acting."""

from typing import Annotated, Final

import strawberry

from core.ids import Noun
from resolvers.context import Info
from resolvers.fields import id_of, query
from schema.fees import Quote, QuoteInput, payment_lines
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
        return Quote(
            lines=payment_lines(
                gross=quoted.gross,
                fixed_fee=quoted.fixed_fee,
                fee=quoted.fee,
                tax=quoted.tax,
                net=quoted.net,
            ),
            percent_basis_points=quoted.percent_basis_points,
        )
