"""Earnings: what a creator took in."""

from datetime import date

import strawberry

from schema.enums import PaymentKind
from schema.money import Money


@strawberry.type(description="What one kind of payment brought in.")
class EarningsBySource:
    source: PaymentKind = strawberry.field(description="What was paid for.")
    net: Money = strawberry.field(description="What the creator got of it.")
    returned: Money = strawberry.field(description="What left it again by refunds and disputes that stand.")
    payments: int = strawberry.field(description="How many payments it was.")


@strawberry.type(description="What one UTC day brought in.")
class EarningsByDay:
    day: date = strawberry.field(description="The day, in UTC.")
    net: Money = strawberry.field(description="What the creator got.")
    returned: Money = strawberry.field(description="What left again that day by refunds and disputes that stand.")
    payments: int = strawberry.field(description="How many payments it was.")


@strawberry.type(description="A creator's money in one currency. Balances are read from the ledger.")
class Earnings:
    pending: Money = strawberry.field(description="Captured, and not theirs to use yet.")
    available: Money = strawberry.field(description="Theirs to be paid out.")
    reserved: Money = strawberry.field(description="Kept back for a while, in case of refunds and disputes.")
    in_payout: Money = strawberry.field(description="On its way to their bank.")
    owed: Money = strawberry.field(description="What they owe; it is paid from what they earn next.")
    lifetime: Money = strawberry.field(
        description="All that was ever captured for them, within `since` and `until` if given."
    )
    returned: Money = strawberry.field(
        description="What of that left again by refunds and disputes that stand, within the same days."
    )
    by_source: list[EarningsBySource] = strawberry.field(description="`lifetime` by what was paid for.")
    by_day: list[EarningsByDay] = strawberry.field(description="`lifetime` by day, the newest first.")
