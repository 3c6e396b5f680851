"""Refunds: money on its way back to a payer, asked for by the creator who was paid or by an operator.

Of a payment for several creators nobody but operators asks for one here; each of them gives back their sale.

A refund is written down before the provider is asked, and what it says is settled like any other fact. In
between ``calling_until`` says that somebody is asking; once that has passed, whoever asked is gone, and the
refund is looked up. It is asked for under one key as long as it lives, so it is never paid twice.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog

from core.clock import now
from core.errors import ErrorCode, Refused, not_found
from core.ids import uuid7
from core.money import Money
from core.payments import CAPTURED_STATUSES
from core.refunds import RefundReason, RefundStatus
from core.viewer import Viewer
from models.database import DATABASE_ERRORS, Transaction, fetch_one
from providers.payments import base
from services import returns
from services.calls import RESEND_WITHIN, claimed_until, patience
from services.engine import Engine
from services.fold import Decided, Unanswered
from services.paging import Page, PageQuery, fetch_page
from services.payments import is_payee
from services.requests import Request, once

_LOCK_PAYMENT: Final = """
    select p.*, c.user_id as creator_user_id from payments p left join creators c on c.id = p.creator_id
    where p.id = $1 for no key update of p
"""
# Whoever claims a refund has it to themselves until ``calling_until``; a caller who is alive is never disturbed.
_CLAIM: Final = """
    with due as (
        select id from refunds where calling_until <= $1 and provider = $4 order by calling_until limit $3
        for no key update skip locked
    )
    update refunds r set calling_until = $2 from due, payments p
    where r.id = due.id and p.id = r.payment_id
    returning r.*, p.provider_reference as payment_reference
"""
_TAKE_OVER: Final = """
    update refunds r set calling_until = $3 from payments p
    where r.id = $1 and r.calling_until <= $2 and p.id = r.payment_id and r.provider_state is null
    returning r.*, p.provider_reference as payment_reference
"""
_POSTPONE: Final = "update refunds set calling_until = $2 where id = $1 and calling_until is not null"
_WAIT: Final = "update refunds set calling_until = $2 where id = $1 and status = 'PENDING'"
_READ_TO_CALL: Final = """
    select r.*, p.provider_reference as payment_reference from refunds r join payments p on p.id = r.payment_id
    where r.id = $1
"""
# Of a payment for several, a refund is its creator's to see if all of it is of their sale.
_READ: Final = """
    select r.*, c.user_id as creator_user_id, p.payer_id
    from refunds r join payments p on p.id = r.payment_id
    left join creators c on c.id = coalesce(r.creator_id, (
        select (array_agg(a.creator_id))[1]
        from order_refund_items i left join order_lines l on l.id = i.line_id
        join order_parts a on a.id = coalesce(i.part_id, l.part_id)
        where i.refund_id = r.id having count(distinct a.creator_id) = 1
    ))
"""
_OF_CREATOR: Final = """
    r.creator_id = $1 or r.creator_id is null and c.id = $1
        and r.payment_id in (select payment_id from payment_shares where creator_id = $1)
"""
_READ_BY_ID: Final = f"{_READ} where r.id = any($1::uuid[])"
_READ_BY_PAYMENT: Final = f"{_READ} where r.payment_id = any($1::uuid[]) order by r.id"

# Providers may forget an idempotency key after a day; then the same call would no longer be the same.
_ABSENT_AFTER: Final = timedelta(hours=24)
_RETRY_AFTER: Final = timedelta(seconds=10)
_SOONEST_LOOK_UP: Final = timedelta(hours=1)
_LONGEST_PAUSE: Final = timedelta(hours=3)
_AGAIN: Final = frozenset(
    {base.ProviderAction.SAME_KEY, base.ProviderAction.LATER, base.ProviderAction.FIX_CONFIG}
)
_BATCH: Final = 100

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CreateRefund:
    """Give back an amount of a payment; None is all that is left of it."""

    payment_id: UUID
    amount: Money | None
    reason: RefundReason
    key: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A refund's row as it is now."""

    row: Any
    replayed: bool


async def create(engine: Engine, viewer: Viewer, command: CreateRefund) -> Answer:
    """Give back a captured payment or a part of it. The answer shows the refund as it is then.

    Exactly once per ``command.key``: a repeat while the provider is asked answers the refund as it stands, one
    after whoever asked is gone goes on with it.
    Errors: NOT_FOUND, AMOUNT_INVALID, INPUT_INVALID (another currency than the payment's),
    PAYMENT_NOT_REFUNDABLE, REFUND_TOO_LARGE (with ``refundable`` in minor units of ``currency``),
    PROVIDER_UNSUPPORTED, IDEMPOTENCY_KEY_REUSED.
    """
    body = {
        "payment": command.payment_id,
        "amount": command.amount.minor if command.amount else None,
        "currency": command.amount.currency.code if command.amount else None,
        "reason": command.reason,
    }
    request = Request.of(viewer, "refundCreate", command.key, body)
    refund_id = uuid7()

    async def act(transaction: Transaction) -> dict[str, UUID]:
        connection = transaction.connection
        payment = await connection.fetchrow(_LOCK_PAYMENT, command.payment_id)
        if payment is None or not is_payee(viewer, payment):
            raise not_found("payment", "paymentId")
        amount = _refundable(engine, payment, command.amount)
        at = now()
        await returns.open_refund(
            payment,
            refund_id,
            amount,
            reason=command.reason,
            requested_by=viewer.user_id,
            calling_until=claimed_until(engine, at, calls=2),
            on=connection,
            at=at,
        )
        return {"refund": refund_id, "payment": command.payment_id}

    outcome = await once(engine, request, act)
    refund_id = outcome.ids["refund"]
    await ask(engine, refund_id, replayed=outcome.replayed)
    return Answer(await read(engine, refund_id), outcome.replayed)


async def ask(engine: Engine, refund_id: UUID, *, replayed: bool) -> None:
    """Ask the provider for a refund that was written just now; a replay takes over from whoever is gone."""
    if not replayed:
        await _quietly(_call, engine, await fetch_one(engine.database.reader, _READ_TO_CALL, refund_id))
        return
    at = now()
    claimed = await engine.database.writer.fetchrow(_TAKE_OVER, refund_id, at, claimed_until(engine, at, calls=2))
    if claimed is not None:
        await _quietly(_advance, engine, claimed)


async def sweep(engine: Engine) -> bool:
    """Go on with refunds whose caller is gone, and ask for those the provider has had for long without a word.

    Return whether there may be more. Run by any number of workers.
    """
    at = now()
    lease = claimed_until(engine, at, calls=2)
    rows = await engine.database.writer.fetch(_CLAIM, at, lease, _BATCH, engine.provider.name)
    for row in rows:
        if now() >= row["calling_until"]:
            break  # the claim has lapsed: the rest is anybody's again
        await _quietly(_advance, engine, row)
    return len(rows) == _BATCH


async def by_id(engine: Engine, ids: Sequence[UUID]) -> list[Any]:
    """Read refunds with their payment's payer and creator. Says nothing about who may see them."""
    return await engine.database.reader.fetch(_READ_BY_ID, ids)


async def by_payment(engine: Engine, payment_ids: Sequence[UUID]) -> list[Any]:
    """Read the refunds of payments, oldest first. Says nothing about who may see them."""
    return await engine.database.reader.fetch(_READ_BY_PAYMENT, payment_ids)


async def of_creator(engine: Engine, creator_id: UUID, query: PageQuery) -> Page:
    """Page through the refunds of what a creator was paid."""
    return await fetch_page(
        engine.database.reader,
        "refunds of a creator",
        f"{_READ} where ({_OF_CREATOR})",
        (creator_id,),
        query,
    )


async def read(engine: Engine, refund_id: UUID) -> Any:
    """Return a refund's row as it is now. Says nothing about who may see it."""
    return await fetch_one(engine.database.reader, _READ_BY_ID, [refund_id])


# What may be given back ---------------------------------------------------------------------------------------


def _refundable(engine: Engine, payment: Any, amount: Money | None) -> int:
    """Return how much of a locked payment goes back, in minor units."""
    if payment["status"] not in CAPTURED_STATUSES or not payment["captured"]:
        raise _not_refundable(f"This payment is {payment['status']}: nothing was captured that could go back.")
    if payment["dispute"] == "OPEN":
        raise _not_refundable("The payer's bank has taken this payment back. Answer the dispute instead.")
    captured = int(payment["captured"])
    left = captured - int(payment["refunded"] + payment["refund_pending"])
    # What a dispute took is not there to be refunded until it has come back, also once the dispute is won.
    left = min(left, returns.left_of(payment))
    if payment["dispute"] is not None and not left:
        raise _not_refundable("The payer's bank has taken this payment back for good.")
    asked = left if amount is None else amount.minor
    if amount is not None and amount.currency.code != payment["currency"]:
        raise Refused(
            ErrorCode.INPUT_INVALID,
            f"This payment was made in {payment['currency']}. Send the amount in that currency.",
            path=("amount", "currency"),
        )
    if amount is not None and asked <= 0:
        raise Refused(ErrorCode.AMOUNT_INVALID, "Send an amount greater than zero.", path=("amount", "amount"))
    if asked > left or not left:
        raise Refused(
            ErrorCode.REFUND_TOO_LARGE,
            "That is more than is left of this payment. Send an amount up to what is left."
            if left
            else "Nothing is left of this payment that could go back.",
            path=("amount",),
            data={"refundable": left, "currency": payment["currency"]},
        )
    features = engine.provider.capabilities.features
    needed = base.Capability.REFUND if asked == payment["captured"] else base.Capability.PARTIAL_REFUND
    if payment["provider"] != engine.provider.name or not {base.Capability.REFUND, needed} <= features:
        raise Refused(
            ErrorCode.PROVIDER_UNSUPPORTED,
            "The payment provider gives back a payment in full or not at all. Leave out the amount."
            if base.Capability.REFUND in features and payment["provider"] == engine.provider.name
            else "The payment provider gives nothing back from here.",
            path=("amount",) if needed is base.Capability.PARTIAL_REFUND else ("paymentId",),
        )
    return asked


def _not_refundable(message: str) -> Refused:
    return Refused(ErrorCode.PAYMENT_NOT_REFUNDABLE, message, path=("paymentId",))


# At the provider ----------------------------------------------------------------------------------------------


async def _call(engine: Engine, row: Any) -> None:
    """Have the provider give back what a claimed refund says, and settle its answer."""
    command = base.Refund(
        idempotency_key=f"refund:{row['id']}",
        reference=row["id"],
        provider_reference=row["payment_reference"],
        amount=int(row["amount"]),
        reason=RefundReason(row["reason"]),
    )
    try:
        fact = await engine.provider.refund(command)
    except base.ProviderError as error:
        await _refused_by_provider(engine, row, error)
    else:
        await _settle(engine, row, [fact])


async def _refused_by_provider(engine: Engine, row: Any, error: base.ProviderError) -> None:
    if error.fact is not None:
        await engine.settle(engine, [error.fact], look_up_at=None)
    if error.ambiguous:
        await engine.settle(engine, [Unanswered(row["payment_id"], row["id"])], look_up_at=None)
        if row["status"] != RefundStatus.CREATED:
            # It was looked up at once the first time; after that it is now and then.
            await _postpone(engine, row)
    elif error.action in _AGAIN:
        # It was not taken, but it will be: the refund stands, and the sweeper asks again under the same key.
        await _postpone(engine, row, _longer_each_time(row))
    elif row["reconciling"]:
        # This says nothing of the call before, of which nobody knows whether it was taken.
        await _postpone(engine, row)
    elif not isinstance(error.fact, base.RefundFact):
        await _end(engine, row, RefundStatus.FAILED, error.code.value)


async def _settle(engine: Engine, row: Any, facts: Sequence[base.Fact]) -> None:
    await engine.settle(engine, facts, look_up_at=None)
    await engine.database.writer.execute(_WAIT, row["id"], _look_up_at(row))


def _look_up_at(row: Any) -> datetime:
    """Return when to ask for a refund that is pending: the longer it has been, the more rarely."""
    at = now()
    return at + patience(at - row["created_at"], _SOONEST_LOOK_UP)


async def _end(engine: Engine, row: Any, status: RefundStatus, failure_code: str | None = None) -> None:
    """End a refund that the provider has nothing of; what it set aside of the payment is there again."""
    await engine.settle(engine, [Decided(row["payment_id"], row["id"], status, failure_code)], look_up_at=None)


async def _postpone(engine: Engine, row: Any, by: timedelta = _RETRY_AFTER) -> None:
    await engine.database.writer.execute(_POSTPONE, row["id"], now() + by)


def _longer_each_time(row: Any) -> timedelta:
    """Return how long a refund waits that was refused for now: a provider may count how often it is asked."""
    age: timedelta = now() - row["created_at"]
    return max(_RETRY_AFTER, min(age, _LONGEST_PAUSE))


async def _quietly(step: Callable[[Engine, Any], Awaitable[None]], engine: Engine, row: Any) -> None:
    """Go on with a claimed refund; what goes wrong is logged, and the sweeper comes back to it."""
    try:
        await step(engine, row)
    except base.ProviderError as error:
        log.warning("provider could not be asked", refund=str(row["id"]), code=error.code.value)
        await _postpone(engine, row)
        if error.code is base.ProviderErrorCode.NOT_FOUND:
            # It was known there once. That is for a person to look into, and not every few seconds.
            log.exception("refund is unknown to its provider", refund=str(row["id"]))
            await engine.database.writer.execute(_WAIT, row["id"], _look_up_at(row))
    except DATABASE_ERRORS:
        raise
    except Exception:
        log.exception("refund could not be settled", refund=str(row["id"]))


async def _advance(engine: Engine, row: Any) -> None:
    if row["provider_reference"] is not None:
        facts = await engine.provider.fetch(base.Subject.REFUND, row["provider_reference"])
    else:
        facts = await engine.provider.find(base.Subject.REFUND, row["id"])
    if facts:
        await _settle(engine, row, facts)
        return
    age = now() - row["created_at"]
    if age < RESEND_WITHIN:
        await _call(engine, row)
    elif age >= _ABSENT_AFTER:
        # Asked for everything, the provider has nothing of it: a late fact would still fold over it.
        await _end(engine, row, RefundStatus.CANCELED)
