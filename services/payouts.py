"""Payouts: asked for, held back while a dispute is open, and read.

The calls they take stand in ``services.payout_calls``, what is written of them in ``services.payout_books``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import ledger
from core.clock import now
from core.errors import ErrorCode, Refused, not_found
from core.ids import uuid7
from core.money import Currency, Money, currency
from core.payouts import PayoutStatus
from core.viewer import Viewer
from ledger import chart
from models.database import Connection, Transaction
from providers.payments.base import Capability
from services.engine import Engine
from services.fold.payouts import DISPUTE_OPEN
from services.jobs import Job, enqueue
from services.paging import Page, PageQuery, fetch_page
from services.payout_books import PayoutsSettled, settle_facts
from services.payout_calls import advance, release_holds, sweep
from services.requests import Request, once

__all__ = [
    "Origin",
    "PayoutsSettled",
    "RequestPayout",
    "Terms",
    "advance",
    "by_id",
    "ensure_offered",
    "events_of",
    "of_creator",
    "open_payout",
    "platform_minimum",
    "release_holds",
    "request",
    "settle_facts",
    "sweep",
    "terms_of",
]

# In the currency's smallest unit, where one of the main unit is next to nothing.
_MINIMUMS: Final[Mapping[str, int]] = {"JPY": 100, "KRW": 1_000, "CLP": 1_000, "VND": 20_000}

_TERMS: Final = """
    select account.provider_reference, coalesce(account.ready and account.provider = $4, false) as ready,
        coalesce(schedule.minimum, 0) as minimum,
        exists (
            select from disputes
            where disputes.creator_id = creators.id and disputes.status in ('NEEDS_RESPONSE', 'UNDER_REVIEW')
        ) or exists (
            select from disputes join payment_shares on payment_shares.payment_id = disputes.payment_id
            where disputes.creator_id is null and disputes.status in ('NEEDS_RESPONSE', 'UNDER_REVIEW')
                and payment_shares.creator_id = creators.id
        ) as is_disputed
    from creators
    left join payout_accounts account on account.creator_id = creators.id
    left join payout_schedules schedule on schedule.creator_id = creators.id and schedule.currency = $3
    where creators.id = $1 and ($2::uuid is null or creators.user_id = $2)
"""
_INSERT: Final = """
    with payout as (
        insert into payouts (id, creator_id, currency, amount, origin, provider, account_reference, status, reason,
            step, sequence, calling_until, created_at, updated_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'TRANSFER', 1, $10, $11, $11)
    )
    insert into payout_events (payout_id, sequence, status, reason, at) values ($1, 1, $8, $9, $11)
"""
_READ: Final = """
    select payouts.*, creators.user_id as creator_user_id
    from payouts join creators on creators.id = payouts.creator_id
    where payouts.id = any($1::uuid[])
"""
_READ_EVENTS: Final = "select * from payout_events where payout_id = any($1::uuid[]) order by payout_id, sequence"


class Origin(StrEnum):
    """Who asked for a payout: the creator, or their schedule."""

    REQUESTED = "REQUESTED"
    SCHEDULED = "SCHEDULED"


@dataclass(frozen=True, slots=True)
class RequestPayout:
    """Ask for an amount of what is available to be paid out."""

    creator_id: UUID
    amount: Money
    key: str


@dataclass(frozen=True, slots=True)
class Terms:
    """What a creator's payouts in a currency go by. ``account`` is None until it is ready to be paid through."""

    account: str | None
    minimum: int
    is_disputed: bool


async def request(engine: Engine, viewer: Viewer, command: RequestPayout) -> tuple[UUID, bool]:
    """Ask for a payout to a creator of the viewer's; return its id and whether this is a repeat.

    Its money is set aside at once; the provider is asked after the commit. While a dispute is open it waits.
    Errors: NOT_FOUND, CURRENCY_NOT_SUPPORTED, PAYOUT_ACCOUNT_NOT_READY, PAYOUT_BELOW_MINIMUM (``minimum``),
    INSUFFICIENT_BALANCE (``available``), PROVIDER_UNSUPPORTED, IDEMPOTENCY_KEY_REUSED.
    """
    amount = command.amount
    body = {"creator": command.creator_id, "amount": amount.minor, "currency": amount.currency.code}
    asked = Request.of(viewer, "payoutRequest", command.key, body)
    ensure_offered(engine, amount.currency.code, "amount", "currency")

    async def act(transaction: Transaction) -> dict[str, UUID]:
        terms = await terms_of(engine, transaction.connection, command.creator_id, amount.currency, viewer)
        if terms is None:
            raise not_found("creator", "creatorId")
        payout_id = await open_payout(engine, transaction, command.creator_id, amount, terms, Origin.REQUESTED)
        return {"payout": payout_id}

    outcome = await once(engine, asked, act)
    return outcome.ids["payout"], outcome.replayed


def ensure_offered(engine: Engine, code: str, *path: str) -> None:
    """Make sure that the provider pays out, and takes a currency, which was sent at ``path``.

    Errors: PROVIDER_UNSUPPORTED, CURRENCY_NOT_SUPPORTED.
    """
    if Capability.PAYOUTS not in engine.provider.capabilities.features:
        raise Refused(ErrorCode.PROVIDER_UNSUPPORTED, "The payment provider in use here makes no payouts.")
    if code not in engine.provider.capabilities.currencies:
        raise Refused(
            ErrorCode.CURRENCY_NOT_SUPPORTED,
            "The payment provider does not take this currency. Send another.",
            path=path,
        )


async def terms_of(
    engine: Engine, connection: Connection, creator_id: UUID, known: Currency, viewer: Viewer | None = None
) -> Terms | None:
    """Read what a creator's payouts go by; None if there is no such creator, or it is not the viewer's."""
    user_id = None if viewer is None else viewer.user_id
    row = await connection.fetchrow(_TERMS, creator_id, user_id, known.code, engine.provider.name)
    if row is None:
        return None
    minimum = max(int(row["minimum"]), platform_minimum(known))
    return Terms(row["provider_reference"] if row["ready"] else None, minimum, row["is_disputed"])


def platform_minimum(known: Currency) -> int:
    """Return the smallest payout the platform makes, in the currency's smallest unit."""
    return _MINIMUMS.get(known.code, int(10**known.exponent))


async def open_payout(
    engine: Engine, transaction: Transaction, creator_id: UUID, amount: Money, terms: Terms, origin: Origin
) -> UUID:
    """Make a payout and set its money aside: the last thing the transaction does. Return its id.

    Errors: PAYOUT_ACCOUNT_NOT_READY, PAYOUT_BELOW_MINIMUM, INSUFFICIENT_BALANCE; the caller undoes what was
    written.
    """
    if terms.account is None:
        raise Refused(
            ErrorCode.PAYOUT_ACCOUNT_NOT_READY,
            "The creator's account with the payment provider is not ready. Go through creatorOnboard first.",
            path=("creatorId",),
        )
    code = amount.currency.code
    if amount.minor < terms.minimum:
        raise Refused(
            ErrorCode.PAYOUT_BELOW_MINIMUM,
            "This is less than what is paid out at once. Ask for at least the minimum.",
            path=("amount", "amount"),
            data={"minimum": terms.minimum, "currency": code},
        )
    payout_id, at = uuid7(), now()
    held = terms.is_disputed
    status = PayoutStatus.ON_HOLD if held else PayoutStatus.REQUESTED
    await transaction.connection.execute(
        _INSERT,
        payout_id,
        creator_id,
        code,
        amount.minor,
        origin.value,
        engine.provider.name,
        terms.account,
        status.value,
        DISPUTE_OPEN if held else None,
        None if held else at,
        at,
    )
    if not held:
        await enqueue(transaction.connection, Job.ADVANCE_PAYOUT, payout_id)
    await _set_aside(engine, transaction.connection, payout_id, creator_id, amount, at)
    return payout_id


async def _set_aside(
    engine: Engine, connection: Connection, payout_id: UUID, creator_id: UUID, amount: Money, at: datetime
) -> None:
    code = amount.currency.code
    draft = chart.payout_asked(
        payout=payout_id, creator_id=creator_id, asset=code, amount=amount.minor, effective_at=at
    )
    groups = await engine.accounts.groups([draft])
    (outcome,) = await ledger.post(groups, on=connection)
    if isinstance(outcome, ledger.Posted):
        return
    if outcome.code is not ledger.Refusal.INSUFFICIENT_FUNDS or outcome.missing is None:
        raise LookupError(f"the ledger refused {draft.key}: {outcome.code}")
    raise Refused(
        ErrorCode.INSUFFICIENT_BALANCE,
        "The creator has less than this available. Ask for at most what is available.",
        path=("amount", "amount"),
        data={"available": amount.minor - outcome.missing, "currency": code},
    )


async def by_id(engine: Engine, ids: Sequence[UUID]) -> list[Any]:
    """Read payouts, each with its creator's user. Says nothing about who may see them."""
    return await engine.database.reader.fetch(_READ, ids)


async def events_of(engine: Engine, payout_ids: Sequence[UUID]) -> list[Any]:
    """Read the events of payouts, each payout's in order."""
    return await engine.database.reader.fetch(_READ_EVENTS, payout_ids)


async def of_creator(engine: Engine, creator_id: UUID, query: PageQuery) -> Page:
    """Page through a creator's payouts."""
    return await fetch_page(
        engine.database.reader,
        "payouts of a creator",
        "select * from payouts where creator_id = $1",
        (creator_id,),
        query,
    )


def declared(code: str) -> Currency:
    """Return a currency a payout may be asked for in. Errors: CURRENCY_NOT_SUPPORTED (at ``currency``)."""
    try:
        return currency(code)
    except Refused as refused:
        raise refused.at("currency") from None
