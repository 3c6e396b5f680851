"""Payouts: a creator's money on its way to the bank."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import strawberry

from schema.base import Node, edge
from schema.connections import DateTimeFilter
from schema.creators import Creator
from schema.enums import PayoutInterval, PayoutStatus, described
from schema.errors import Payload
from schema.money import Money, MoneyInput
from schema.scalars import CurrencyCode


class PayoutNextAction(StrEnum):
    WAIT = "WAIT"
    ONBOARD = "ONBOARD"
    REQUEST_AGAIN = "REQUEST_AGAIN"
    NONE = "NONE"


described(
    PayoutNextAction,
    "What the creator does next about a payout.",
    {
        PayoutNextAction.WAIT: "Nothing; a change of status will come.",
        PayoutNextAction.ONBOARD: "Complete the account with `creatorOnboard`, then ask for a new payout.",
        PayoutNextAction.REQUEST_AGAIN: "Ask for a new payout: the money is available again.",
        PayoutNextAction.NONE: "Nothing; it has ended.",
    },
)


@strawberry.input(description="Conditions on a payout's status; all that are given must hold.")
class PayoutStatusFilter:
    eq: PayoutStatus | None = strawberry.field(default=None, description="Equal to.")
    in_: list[PayoutStatus] | None = strawberry.field(default=None, name="in", description="One of.")


@strawberry.input(description="Which payouts; all conditions that are given must hold.")
class PayoutWhere:
    status: PayoutStatusFilter | None = strawberry.field(default=None, description="By status.")
    currency: CurrencyCode | None = strawberry.field(default=None, description="By currency.")
    created_at: DateTimeFilter | None = strawberry.field(default=None, description="By when they were asked for.")
    and_: list["PayoutWhere"] | None = strawberry.field(default=None, name="AND", description="All of these hold.")
    or_: list["PayoutWhere"] | None = strawberry.field(
        default=None, name="OR", description="At least one of these holds."
    )


@strawberry.type(description="A change of a payout's status.")
class PayoutEvent:
    sequence: int = strawberry.field(description="Its number among the payout's events, from 1, without gaps.")
    status: PayoutStatus = strawberry.field(description="The status from then on.")
    reason: str | None = strawberry.field(description="Why, for machines, where there is a reason.")
    message: str = strawberry.field(description="The same for people.")
    at: datetime = strawberry.field(description="When.")


@strawberry.type(
    description="Money of a creator's on its way to their bank. Seen by that creator, and by finance."
)
class Payout(Node):
    key: strawberry.Private[UUID]
    creator_key: strawberry.Private[UUID]
    amount: Money = strawberry.field(description="How much.")
    currency: CurrencyCode = strawberry.field(description="The currency of `amount`.")
    scheduled: bool = strawberry.field(description="Whether the creator's schedule asked for it.")
    status: PayoutStatus = strawberry.field(description="Where it stands.")
    status_reason: str | None = strawberry.field(description="Why, for machines, where there is a reason.")
    status_message: str = strawberry.field(description="Where it stands, for people.")
    status_changed_at: datetime = strawberry.field(description="When anything about it last changed.")
    next_action: PayoutNextAction = strawberry.field(description="What the creator does next.")
    arrives_at: datetime | None = strawberry.field(
        description="When the bank is expected to have it, once the provider says so."
    )
    created_at: datetime = strawberry.field(description="When it was asked for.")
    creator: Creator = edge("creators", key=lambda payout: payout.creator_key, description="Whose it is.")
    events: list[PayoutEvent] = edge(
        "events_of_payout", key=lambda payout: payout.key, description="All changes of its status, in order."
    )


@strawberry.type(description="A creator's account with the payment provider, through which payouts go.")
class PayoutAccount:
    ready: bool = strawberry.field(description="Whether payouts can be asked for.")
    missing: list[str] = strawberry.field(
        description="What the creator has still to give, in the provider's words: see `creatorOnboard`."
    )
    country: str = strawberry.field(description="Where the creator is, as an ISO 3166-1 alpha-2 code.")


@strawberry.type(description="When a creator's money of one currency is paid out by itself, at midnight UTC.")
class PayoutSchedule:
    currency: CurrencyCode = strawberry.field(description="Of which currency.")
    interval: PayoutInterval = strawberry.field(description="How often.")
    day: int | None = strawberry.field(
        description="On which day: of the week, 1 being Monday, or of the month, at most 28."
    )
    minimum: Money = strawberry.field(description="What is less than this is left for the next time.")
    next_at: datetime | None = strawberry.field(description="When next; null if never by itself.")


@strawberry.input(description="Ask for a payout.")
class PayoutRequestInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it is the same payout.")
    creator_id: strawberry.ID = strawberry.field(description="Whose money: a creator of yours.")
    amount: MoneyInput = strawberry.field(description="How much of what is available.")


@strawberry.input(description="Have a currency paid out by itself. What was set before is replaced.")
class PayoutScheduleSetInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    creator_id: strawberry.ID = strawberry.field(description="Whose money: a creator of yours.")
    currency: CurrencyCode = strawberry.field(description="Of which currency.")
    interval: PayoutInterval = strawberry.field(description="How often. MANUAL ends it.")
    day: int | None = strawberry.field(
        default=None,
        description="With WEEKLY the day of the week, 1 (Monday) to 7; with MONTHLY of the month, 1 to 28.",
    )
    minimum: MoneyInput | None = strawberry.field(
        default=None,
        description="The least to be paid out at once, in that currency, by the schedule and on request.",
    )


@strawberry.input(description="Open a creator's account with the payment provider, or go on completing it.")
class CreatorOnboardInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    creator_id: strawberry.ID = strawberry.field(description="A creator of yours.")
    country: str = strawberry.field(
        description="Where the creator is, as an ISO 3166-1 alpha-2 code. It is fixed once the account is open."
    )
    return_url: str = strawberry.field(description="Where the creator comes back to afterwards. http or https.")


@strawberry.type(description="The payout; its money is no longer available.")
class PayoutRequestPayload(Payload):
    payout: Payout | None = strawberry.field(default=None, description="The payout.")


@strawberry.type(description="The schedule as it is now.")
class PayoutScheduleSetPayload(Payload):
    payout_schedule: PayoutSchedule | None = strawberry.field(default=None, description="The schedule.")


@strawberry.type(description="The account, and where the creator completes it.")
class CreatorOnboardPayload(Payload):
    payout_account: PayoutAccount | None = strawberry.field(default=None, description="The account.")
    onboarding_url: str | None = strawberry.field(
        default=None,
        description="Where to send the creator, once and soon; null when nothing is missing. Kept nowhere.",
    )
