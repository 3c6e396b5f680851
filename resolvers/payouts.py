"""Payouts: asking for them, scheduling them, and opening the account they go through."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import strawberry

from core.errors import ErrorCode, Refused
from core.ids import Noun
from core.money import money
from core.scopes import Scope
from core.viewer import Viewer
from resolvers import shown
from resolvers.context import Info
from resolvers.fields import Id, id_of, mutation, query
from resolvers.loaders import may_see_payouts
from resolvers.pages import connection, page_query, status_conditions, time_conditions, tree
from schema.connections import Connection, PageArguments
from schema.creators import Creator
from schema.enums import PayoutInterval
from schema.money import Money
from schema.payouts import (
    CreatorOnboardInput,
    CreatorOnboardPayload,
    Payout,
    PayoutAccount,
    PayoutRequestInput,
    PayoutRequestPayload,
    PayoutSchedule,
    PayoutScheduleSetInput,
    PayoutScheduleSetPayload,
    PayoutWhere,
)
from schema.scalars import CurrencyCode
from schema.sorts import PayoutSort
from services import payout_accounts, payout_schedules, payouts
from services.engine import Engine
from services.paging import NEWEST, OLDEST, Compare, Condition


@strawberry.type
class PayoutQuery:
    @query(
        description="A payout by its id, for its creator and for finance; null for anybody else.",
        scope=Scope.EARNINGS_READ,
    )
    async def payout(self, info: Info, id: Id) -> Payout | None:  # ruff: ignore[builtin-argument-shadowing] - the contract's name
        return await find_payout(info, id_of(Noun.PAYOUT, id, "id"))


@strawberry.type
class PayoutMutation:
    @mutation(
        description="Ask for a payout of what is available to a creator of yours.",
        scope=Scope.PAYOUTS_WRITE,
        payload=PayoutRequestPayload,
    )
    async def payout_request(self, info: Info, input: PayoutRequestInput) -> PayoutRequestPayload:  # ruff: ignore[builtin-argument-shadowing]
        engine = info.context.engine
        command = payouts.RequestPayout(
            creator_id=id_of(Noun.CREATOR, input.creator_id, "creatorId"),
            amount=input.amount.parsed(),
            key=input.idempotency_key,
        )
        payout_id, info.context.replayed = await payouts.request(engine, info.context.viewer, command)
        return PayoutRequestPayload(payout=shown.payout((await payouts.by_id(engine, [payout_id]))[0]))

    @mutation(
        description="Have the money of a creator of yours paid out by itself, or no longer.",
        scope=Scope.PAYOUTS_WRITE,
        payload=PayoutScheduleSetPayload,
    )
    async def payout_schedule_set(self, info: Info, input: PayoutScheduleSetInput) -> PayoutScheduleSetPayload:  # ruff: ignore[builtin-argument-shadowing]
        engine = info.context.engine
        minimum = None if input.minimum is None else _minimum(input)
        command = payout_schedules.SetSchedule(
            creator_id=id_of(Noun.CREATOR, input.creator_id, "creatorId"),
            currency=payouts.declared(input.currency).code,
            interval=input.interval,
            day=input.day,
            minimum=minimum or 0,
            key=input.idempotency_key,
        )
        schedule_id, replayed = await payout_schedules.set_schedule(engine, info.context.viewer, command)
        info.context.replayed = replayed
        (row,) = await payout_schedules.by_id(engine, [schedule_id])
        return PayoutScheduleSetPayload(payout_schedule=_shown_schedule(row))

    @mutation(
        description="Open the account of a creator of yours with the payment provider, or get a new address to "
        "complete it at.",
        scope=Scope.PAYOUTS_WRITE,
        payload=CreatorOnboardPayload,
    )
    async def creator_onboard(self, info: Info, input: CreatorOnboardInput) -> CreatorOnboardPayload:  # ruff: ignore[builtin-argument-shadowing]
        command = payout_accounts.Onboard(
            creator_id=id_of(Noun.CREATOR, input.creator_id, "creatorId"),
            country=input.country,
            return_url=input.return_url,
            key=input.idempotency_key,
        )
        onboarding = await payout_accounts.onboard(info.context.engine, info.context.viewer, command)
        info.context.replayed = onboarding.replayed
        return CreatorOnboardPayload(payout_account=_shown_account(onboarding.row), onboarding_url=onboarding.url)


async def find_payout(info: Info, payout_id: UUID) -> Payout | None:
    """Return a payout if the viewer may see it."""
    rows = await payouts.by_id(info.context.engine, [payout_id])
    return (
        shown.payout(rows[0])
        if rows and may_see_payouts(info.context.viewer, rows[0]["creator_user_id"])
        else None
    )


async def creator_payouts(
    creator: Creator, info: Info, page: PageArguments, where: PayoutWhere | None, sort: PayoutSort
) -> Connection[Payout] | None:
    """Return a page of a creator's payouts, to that creator and to finance."""
    if not may_see_payouts(info.context.viewer, creator.user_key):
        return None
    order = NEWEST if sort is PayoutSort.NEWEST else OLDEST
    asked = page_query(page, where=tree(where, _conditions), order=order)
    return connection(await payouts.of_creator(info.context.engine, creator.key, asked), shown.payout)


async def creator_payout_account(creator: Creator, info: Info) -> PayoutAccount | None:
    """Return a creator's account with the provider, to that creator and to finance."""
    if not may_see_payouts(info.context.viewer, creator.user_key):
        return None
    row = await info.context.loaders.batched(_accounts, creator.key)
    return None if row is None else _shown_account(row)


async def creator_payout_schedule(creator: Creator, info: Info, code: str) -> PayoutSchedule | None:
    """Return when a creator's money of a currency is paid out, to that creator and to finance."""
    if not may_see_payouts(info.context.viewer, creator.user_key):
        return None
    row = await info.context.loaders.batched(_schedules, (creator.key, code))
    return None if row is None else _shown_schedule(row)


async def _accounts(engine: Engine, _: Viewer, keys: Sequence[UUID]) -> list[Any]:
    by_creator = {row["creator_id"]: row for row in await payout_accounts.of_creators(engine, keys)}
    return [by_creator.get(key) for key in keys]


async def _schedules(engine: Engine, _: Viewer, keys: Sequence[tuple[UUID, str]]) -> list[Any]:
    rows = await payout_schedules.of_creators(engine, keys)
    by_key = {(row["creator_id"], row["currency"]): row for row in rows}
    return [by_key.get(key) for key in keys]


def _minimum(given: PayoutScheduleSetInput) -> int:
    """Return a schedule's minimum in minor units. Errors: INPUT_INVALID (another currency), AMOUNT_*."""
    assert given.minimum is not None  # ruff: ignore[assert] - its only caller has looked
    if given.minimum.currency != given.currency:
        raise Refused(
            ErrorCode.INPUT_INVALID,
            "Send the minimum in the schedule's currency.",
            path=("minimum", "currency"),
        )
    try:
        return given.minimum.parsed().minor
    except Refused as refused:
        raise refused.at("minimum", *refused.path[1:]) from None


def _conditions(where: Any) -> Sequence[Condition]:
    by_currency = [] if where.currency is None else [Compare("currency", "=", where.currency)]
    return (
        status_conditions("status", where.status) + by_currency + time_conditions("created_at", where.created_at)
    )


def _shown_account(row: Any) -> PayoutAccount:
    return PayoutAccount(ready=row["ready"], missing=payout_accounts.missing_of(row), country=row["country"])


def _shown_schedule(row: Any) -> PayoutSchedule:
    code = row["currency"]
    return PayoutSchedule(
        currency=CurrencyCode(code),
        interval=PayoutInterval(row["interval"]),
        day=row["day"],
        minimum=Money.of(money(row["minimum"], code)),
        next_at=row["next_at"],
    )
