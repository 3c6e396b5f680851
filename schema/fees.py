"""Fees: what of a payment goes where, line by line."""

from enum import StrEnum

import strawberry

import core.money
from schema.enums import PaymentKind, described
from schema.money import Money, MoneyInput


class LineKind(StrEnum):
    GROSS = "GROSS"
    PERCENT_FEE = "PERCENT_FEE"
    FIXED_FEE = "FIXED_FEE"
    PLATFORM_FEE = "PLATFORM_FEE"
    TAX = "TAX"
    NET = "NET"


LineKindEnum = described(
    LineKind,
    "What a line of a payment is.",
    {
        LineKind.GROSS: "What the payer pays.",
        LineKind.PERCENT_FEE: "The part of the platform's fee that is a percentage.",
        LineKind.FIXED_FEE: "The part of the platform's fee that is a fixed amount.",
        LineKind.PLATFORM_FEE: "What the platform keeps in all.",
        LineKind.TAX: "What is owed to the tax authority.",
        LineKind.NET: "What the creator gets.",
    },
)


@strawberry.type(description="A line of a payment. GROSS = PLATFORM_FEE + TAX + NET, to the last unit.")
class PaymentLine:
    kind: LineKind = strawberry.field(description="What it is.")
    amount: Money = strawberry.field(description="How much.")


def payment_lines(
    *,
    gross: core.money.Money,
    fixed_fee: core.money.Money,
    fee: core.money.Money,
    tax: core.money.Money,
    net: core.money.Money,
) -> list[PaymentLine]:
    """Return the lines of a payment, the same before and after it is created."""
    percent_fee = core.money.Money(fee.minor - fixed_fee.minor, fee.currency)
    lines = (
        (LineKind.GROSS, gross),
        (LineKind.PERCENT_FEE, percent_fee),
        (LineKind.FIXED_FEE, fixed_fee),
        (LineKind.PLATFORM_FEE, fee),
        (LineKind.TAX, tax),
        (LineKind.NET, net),
    )
    return [PaymentLine(kind=kind, amount=Money.of(amount)) for kind, amount in lines]


@strawberry.input(description="What a price is asked for.")
class QuoteInput:
    kind: PaymentKind = strawberry.field(description="What would be paid for.")
    creator_id: strawberry.ID = strawberry.field(description="Who would be paid.")
    amount: MoneyInput = strawberry.field(description="What the payer would pay.")


@strawberry.type(description="What a payment would cost now. The same lines stand on it once it is created.")
class Quote:
    lines: list[PaymentLine] = strawberry.field(description="Every line, GROSS first and NET last.")
    percent_basis_points: int = strawberry.field(
        description="The percentage in force, in hundredths of a percent: 500 is 5 %."
    )
