"""Accounts: who holds what in the books, and the statement that says why."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import strawberry

from schema.base import Info, computed, nested
from schema.connections import After, Before, Connection, First, Last, PageArguments
from schema.enums import described
from schema.money import Money
from schema.scalars import BigInt, CurrencyCode


class AccountKind(StrEnum):
    WALLET = "wallet"
    GIFT_CARD = "gift_card"
    PENDING = "pending"
    AVAILABLE = "available"
    RESERVE = "reserve"
    PAYOUT = "payout"
    OWED = "owed"
    FEES = "fees"
    TAX_PAYABLE = "tax_payable"
    PROVIDER_FEES = "provider_fees"
    DISPUTE_FEES = "dispute_fees"
    CHARGEBACKS = "chargebacks"
    FX = "fx"
    SUSPENSE = "suspense"
    BANK = "bank"
    CLEARING = "clearing"
    BALANCE = "balance"
    CONNECTED = "connected"


_CREATORS = {
    "PENDING": "A creator's: captured for them, and not theirs to use yet.",
    "AVAILABLE": "A creator's: theirs to be paid out.",
    "RESERVE": "A creator's: kept back for a while, in case payers get their money back.",
    "PAYOUT": "A creator's: on its way to their bank.",
    "OWED": "A creator's: below zero, it is what they owe.",
}
described(
    AccountKind,
    "Every kind of account in the books.",
    {
        AccountKind.WALLET: "A person's: money they hold.",
        AccountKind.GIFT_CARD: "A gift card's: what is left on it.",
        **{AccountKind[name]: sentence for name, sentence in _CREATORS.items()},
        AccountKind.FEES: "The platform's: what it earned.",
        AccountKind.TAX_PAYABLE: "The platform's: what it owes to tax authorities.",
        AccountKind.PROVIDER_FEES: "The platform's: what providers kept; below zero.",
        AccountKind.DISPUTE_FEES: "The platform's: what providers took for disputes; below zero.",
        AccountKind.CHARGEBACKS: "The platform's: what it bore of disputes; below zero.",
        AccountKind.FX: "The platform's: its position in a currency, from conversions.",
        AccountKind.SUSPENSE: "The platform's: what was settled in another currency, until it is converted.",
        AccountKind.BANK: "The platform's: what was paid in from its bank, less what providers paid there.",
        AccountKind.CLEARING: "With a provider: captured and not yet in its balance; returns to zero.",
        AccountKind.BALANCE: "With a provider: what it holds for the platform, below zero.",
        AccountKind.CONNECTED: "With a provider: what it holds for creators, below zero.",
    },
)


class CreatorAccountKind(StrEnum):
    PENDING = "pending"
    AVAILABLE = "available"
    RESERVE = "reserve"
    PAYOUT = "payout"
    OWED = "owed"


described(
    CreatorAccountKind,
    "The kinds of account a creator has, one of each in every currency.",
    {CreatorAccountKind[name]: sentence for name, sentence in _CREATORS.items()},
)


@strawberry.type(description="The account on the other side of a line.")
class Counterparty:
    kind: AccountKind = strawberry.field(description="What kind of account it is.")
    owner: strawberry.ID | None = strawberry.field(
        description="The creator or person it belongs to; null unless they own this account, too, or you read for "
        "finance."
    )
    provider: str | None = strawberry.field(
        description="The payment provider it is with; null unless you read for finance."
    )


@strawberry.type(description="A line of a statement: an amount that came in or went out. It never changes.")
class StatementLine:
    version: BigInt = strawberry.field(description="Its number: they count from 1, without a gap.")
    kind: str = strawberry.field(
        description="What happened, for machines: `capture.net`, `earning.available`, `payout.asked`. New ones "
        "may be added."
    )
    amount: Money = strawberry.field(description="Above zero for what came in, below for what went out.")
    balance: Money = strawberry.field(description="What the account held after it.")
    counterparty: Counterparty = strawberry.field(description="Where it came from, or went.")
    reference: strawberry.ID | None = strawberry.field(
        description="The tip or purchase it is about; null where there is none, or none that you may know of."
    )
    posted_at: datetime = strawberry.field(description="When it was entered. Lines are in this order.")
    effective_at: datetime = strawberry.field(
        description="When it happened in the world, which may be earlier than it was entered."
    )


@strawberry.type(
    description="Who holds what: one account per holder, kind and currency. Its four figures are of one moment. "
    "One that was never used is empty, at version 0."
)
class Account:
    key: strawberry.Private[Any]
    kind: AccountKind = strawberry.field(description="What kind of account it is.")
    currency: CurrencyCode = strawberry.field(description="In which currency.")
    owner: strawberry.ID | None = strawberry.field(
        description="The creator or person it belongs to; null for the platform's and providers'."
    )
    provider: str | None = strawberry.field(description="The payment provider it is with, if it is with one.")
    posted: Money = strawberry.field(description="What it holds: all that came in, less all that went out.")
    held: Money = strawberry.field(description="How much of that is set aside for something under way.")
    available: Money = strawberry.field(description="The rest: `posted` less `held`.")
    version: BigInt = strawberry.field(
        description="How many lines its statement had at that moment. The balance of line n is what the account "
        "held at version n."
    )

    @computed(
        description="Its statement, line by line, the oldest first: `first` with `after` reads on from where you "
        "are, `last` shows the latest. Read right after the four figures, so lines later than `version` may be on "
        "it already. Lines of the platform's and providers' accounts appear once nothing can come before them."
    )
    async def statement(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        from_: Annotated[
            datetime | None, strawberry.argument(name="from", description="Only lines entered then or later.")
        ] = None,
        to: Annotated[datetime | None, strawberry.argument(description="Only lines entered before then.")] = None,
    ) -> Connection[StatementLine] | None:
        page = PageArguments(first, after, last, before)
        result: Connection[StatementLine] | None = await nested("account_statement")(self, info, page, from_, to)
        return result
