"""Tipping: a gift of money from a supporter, or a guest, to a creator."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import orjson

from core.clock import now
from core.errors import ErrorCode, Refused, not_found
from core.ids import uuid7
from core.money import Money
from core.payments import PaymentKind
from core.viewer import Viewer
from models.database import fetch_one
from services import payments
from services.creators import creator_not_active
from services.engine import Engine
from services.fees import amount_too_small, currency_not_supported, ensure_chargeable
from services.paging import Page, PageQuery, fetch_page
from services.requests import Request, frozen, outcome_of_ids, thawed

_MAXIMUM_MESSAGE_LENGTH: Final = 500

_REFUSALS: Final = {
    refused.code.value: frozen(refused)
    for refused in (
        Refused(ErrorCode.SELF_TIP, "A creator cannot tip themselves.", path=("creatorId",)),
        creator_not_active(),
        currency_not_supported(),
        amount_too_small(),
    )
}

_STORED_REFUSALS: Final = orjson.dumps(_REFUSALS).decode()

# One round trip and one commit: the request's key, the tip, its payment and the payment's first event. What
# speaks against the tip is decided in the statement, and stored under the key as its outcome.
_SEND: Final = f"""
    with creator as (
        select id, user_id, state, plan from creators where id = $1
    ),
    split as (
        select s.* from creator c, fee_split('tip', $2, c.plan, $3, $4) s
    ),
    verdict as (
        select case
            when c.user_id = $5 then 'SELF_TIP'
            when c.state <> 'active' then 'CREATOR_NOT_ACTIVE'
            when s.rule_id is null then 'CURRENCY_NOT_SUPPORTED'
            when s.net < 1 then 'AMOUNT_TOO_SMALL'
            end as refusal
        from creator c left join split s on true
    ),
    request as (
        insert into requests (principal, operation, key, body_hash, outcome, created_at)
        select $6, 'tipCreate', $7, $8, case when refusal is null then $9::jsonb else $10::jsonb -> refusal end, $4
        from verdict
        on conflict (principal, operation, key) do nothing
        returning id
    ),
    draft as (
        select $11::uuid as id, 'tip' as kind, $1::uuid as creator_id, $5::uuid as payer_id, $2 as currency,
            $3::numeric as gross, s.fee, s.tax, s.net, s.rule_id, s.maturity_delay_seconds, $12 as provider,
            $13::timestamptz as calling_until, $4::timestamptz as at
        from request, verdict, split s where refusal is null
    ),
    {payments.CREATE_PAYMENT},
    tip as (
        insert into tips (id, payment_id, creator_id, giver_id, message, created_at)
        select $14, id, creator_id, payer_id, $15, created_at from payment
        returning id
    )
    select exists (select from creator) as creator_found, exists (select from request) as fresh,
        (select refusal from verdict) as refusal
"""  # ruff: ignore[hardcoded-sql-expression] - made of constants
_READ_TIPS: Final = """
    select t.*, p.status, p.gross, p.net, p.currency, c.user_id as creator_user_id
    from tips t join payments p on p.id = t.payment_id join creators c on c.id = t.creator_id
"""
_READ_TIPS_BY_ID: Final = f"{_READ_TIPS} where t.id = any($1::uuid[])"
_READ_TIPS_BY_PAYMENT: Final = f"{_READ_TIPS} where t.payment_id = any($1::uuid[])"


@dataclass(frozen=True, slots=True)
class SendTip:
    """Give ``amount`` to a creator, with a few words."""

    creator_id: UUID
    amount: Money
    message: str | None
    key: str


@dataclass(frozen=True, slots=True)
class SentTip:
    """A tip's id with its payment's row as it is now."""

    tip_id: UUID
    payment: Any
    replayed: bool


async def send(engine: Engine, viewer: Viewer, command: SendTip) -> SentTip:
    """Record a tip and start its payment.

    Exactly once per ``command.key``: a repeat returns the first tip, and goes on with a payment that never
    reached its provider.
    Errors: NOT_FOUND, SELF_TIP, CREATOR_NOT_ACTIVE, CURRENCY_NOT_SUPPORTED, AMOUNT_TOO_SMALL,
    AMOUNT_TOO_LARGE, INPUT_INVALID (message), IDEMPOTENCY_KEY_REUSED.
    """
    amount = command.amount
    body = {
        "creator": command.creator_id,
        "amount": amount.minor,
        "currency": amount.currency.code,
        "message": command.message,
    }
    request = Request.of(viewer, "tipCreate", command.key, body)
    ensure_chargeable(engine, amount)
    if command.message is not None and len(command.message) > _MAXIMUM_MESSAGE_LENGTH:
        raise Refused(
            ErrorCode.INPUT_INVALID,
            f"A message has at most {_MAXIMUM_MESSAGE_LENGTH} characters.",
            path=("message",),
        )
    tip_id, payment_id, at = uuid7(), uuid7(), now()
    row = await fetch_one(
        engine.database.writer,
        _SEND,
        command.creator_id,
        amount.currency.code,
        amount.minor,
        at,
        viewer.user_id,
        request.principal,
        request.key,
        request.body_hash,
        outcome_of_ids({"tip": tip_id, "payment": payment_id}),
        _STORED_REFUSALS,
        payment_id,
        engine.provider.name,
        at + engine.provider_timeout,
        tip_id,
        command.message,
    )
    if not row["creator_found"]:
        raise not_found("creator", "creatorId")
    if not row["fresh"]:
        return await _replay(engine, request)
    if row["refusal"] is not None:
        raise thawed(_REFUSALS[row["refusal"]]["refused"])
    payment = await payments.start(engine, payment_id, amount.minor, amount.currency.code, PaymentKind.TIP)
    return SentTip(tip_id, payment, replayed=False)


async def _replay(engine: Engine, request: Request) -> SentTip:
    async with engine.database.writer.acquire() as connection:
        outcome = await request.stored(connection)
    payment = await payments.resume(engine, outcome.ids["payment"])
    return SentTip(outcome.ids["tip"], payment, replayed=True)


async def of_creator(engine: Engine, creator_id: UUID, query: PageQuery) -> Page:
    """Page through a creator's tips, newest first. The caller has checked that the viewer may see them."""
    return await fetch_page(
        engine.database.reader,
        "tips of a creator",
        f"{_READ_TIPS} where t.creator_id = $1 and p.status <> 'CREATED'",
        (creator_id,),
        query,
    )


async def by_payment(engine: Engine, payment_ids: Sequence[UUID]) -> list[Any]:
    """Read the tips that payments are for."""
    return await engine.database.reader.fetch(_READ_TIPS_BY_PAYMENT, payment_ids)


async def by_id(engine: Engine, ids: Sequence[UUID]) -> list[Any]:
    """Read tips with their payment's status and amounts. Says nothing about who may see them."""
    return await engine.database.reader.fetch(_READ_TIPS_BY_ID, ids)
