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

# One round trip and one commit for any number of tips: their requests' keys, the tips, their payments and the
# payments' first events. What speaks against a tip is decided in the statement, and stored under its key as the
# outcome. Keys go in by order, so that batches of several processes cannot wait for each other in a circle.
_SEND: Final = f"""
    with asked as (
        select * from unnest($1::uuid[], $2::text[], $3::numeric[], $4::uuid[], $5::text[], $6::text[],
            $7::bytea[], $8::text[], $9::uuid[], $10::uuid[], $11::text[])
        as a (creator_id, currency, gross, payer_id, principal, key, body_hash, ids, payment_id, tip_id, message)
    ),
    judged as (
        select a.*, c.id is not null as creator_found, s.fixed, s.fee, s.tax, s.net, s.rule_id,
            s.maturity_delay_seconds,
            case
            when c.user_id = a.payer_id then 'SELF_TIP'
            when c.state <> 'active' then 'CREATOR_NOT_ACTIVE'
            when s.rule_id is null then 'CURRENCY_NOT_SUPPORTED'
            when s.net < 1 then 'AMOUNT_TOO_SMALL'
            end as refusal
        from asked a
        left join creators c on c.id = a.creator_id
        left join lateral fee_split('tip', a.currency, c.plan, a.gross, $12) s on true
    ),
    request as (
        insert into requests (principal, operation, key, body_hash, outcome, created_at)
        select principal, 'tipCreate', key, body_hash,
            case when refusal is null then ids::jsonb else $13::jsonb -> refusal end, $12
        from judged where creator_found
        order by principal, key
        on conflict (principal, operation, key) do nothing
        returning principal, key
    ),
    draft as (
        select j.payment_id as id, 'tip' as kind, j.creator_id, j.payer_id, j.currency, j.gross,
            j.fixed as fixed_fee, j.fee, j.tax,
            j.net, j.rule_id, j.maturity_delay_seconds, $14 as provider, $15::timestamptz as calling_until,
            false as manual_capture, $12::timestamptz as at, j.tip_id, j.message
        from judged j join request r using (principal, key)
        where j.refusal is null
    ),
    {payments.CREATE_PAYMENT},
    tip as (
        insert into tips (id, payment_id, creator_id, giver_id, message, created_at)
        select tip_id, id, creator_id, payer_id, message, at from draft
    )
    select j.payment_id, j.creator_found, r.key is not null as fresh, j.refusal
    from judged j left join request r using (principal, key)
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
    draft = _Draft(command, viewer.user_id, request, uuid7(), uuid7())
    row = await engine.batched(_write).submit(draft)
    if not row["creator_found"]:
        raise not_found("creator", "creatorId")
    if not row["fresh"]:
        return await _replay(engine, request)
    if row["refusal"] is not None:
        raise thawed(_REFUSALS[row["refusal"]]["refused"])
    payment = await payments.start(engine, draft.payment_id, amount.minor, amount.currency.code, PaymentKind.TIP)
    return SentTip(draft.tip_id, payment, replayed=False)


@dataclass(frozen=True, slots=True)
class _Draft:
    """A tip about to be written, with the ids it will have if it is."""

    command: SendTip
    giver_id: UUID | None
    request: Request
    tip_id: UUID
    payment_id: UUID


async def _write(engine: Engine, drafts: Sequence[_Draft]) -> list[Any]:
    """Write drafts, each once per key; return for each whether its creator is there, it is fresh, or refused."""
    # Of two drafts with one key only the first can be fresh; the statement would not know which is which.
    first = {(draft.request.principal, draft.request.key): draft for draft in reversed(drafts)}
    at = now()
    columns = zip(
        *(
            (
                draft.command.creator_id,
                draft.command.amount.currency.code,
                draft.command.amount.minor,
                draft.giver_id,
                draft.request.principal,
                draft.request.key,
                draft.request.body_hash,
                outcome_of_ids({"tip": draft.tip_id, "payment": draft.payment_id}),
                draft.payment_id,
                draft.tip_id,
                draft.command.message,
            )
            for draft in first.values()
        ),
        strict=True,
    )
    rows = await engine.database.writer.fetch(
        _SEND, *columns, at, _STORED_REFUSALS, engine.provider.name, at + engine.provider_timeout
    )
    by_payment = {row["payment_id"]: row for row in rows}
    return [
        by_payment.get(draft.payment_id)
        or {**by_payment[first[draft.request.principal, draft.request.key].payment_id], "fresh": False}
        for draft in drafts
    ]


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
