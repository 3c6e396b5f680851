"""Calls to charge a payment: begun under a request's key, or taken over from a caller who is gone.

Each is written down before it is made. In between ``calling_until`` says that somebody is calling.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final
from uuid import UUID

import asyncpg

from core.clock import now
from core.errors import ErrorCode, Refused, not_found
from core.ids import uuid7
from core.money import Money
from core.payments import CAPTURED_STATUSES, PaymentKind, PaymentStatus
from core.viewer import Viewer
from models.database import Transaction
from services import stock_reservations
from services.calls import claimed_until
from services.engine import Engine
from services.payments import LOCK_PAYMENT, is_payee, is_payer
from services.requests import Request, once_named, outcome_of_ids

_LOCK_PAID: Final = """
    select p.*, c.user_id as creator_user_id from payments p left join creators c on c.id = p.creator_id
    where p.id = $1 for no key update of p
"""
_BEGIN_CALL: Final = """
    update payments set attempt_id = $2, calling_until = $3, updated_at = $4, capturing = $5, canceling = $6
    where id = $1 returning *
"""
# All of a plain confirmation's beginning in one round trip: the key, and the call. Where anything is otherwise
# with the payment or the key it writes nothing; then it is done step by step, and whatever is wrong is told.
# A payment that moved on between the look at it and the update fails the division, which undoes the key with it.
_MAY_CONFIRM: Final = """
    p.id = $7 and (p.id = $10 or p.payer_id = $11) and p.provider = $9
        and p.status in ('PENDING', 'FAILED', 'REQUIRES_ACTION')
        and (p.calling_until is null or p.calling_until <= $5 or p.status = 'REQUIRES_ACTION')
        and (p.kind <> 'purchase' or p.created_at > $12)
"""
_CONFIRM: Final = f"""
    with ready as (
        select from payments p where {_MAY_CONFIRM}
    ),
    request as (
        insert into requests (principal, operation, key, body_hash, outcome, created_at)
        select $1, 'paymentConfirm', $2, $3, $4::jsonb, $5::timestamptz from ready
        on conflict (principal, operation, key) do nothing
        returning id
    ),
    payment as (
        update payments p set attempt_id = $8::uuid, calling_until = $6::timestamptz, updated_at = $5,
            capturing = 0, canceling = false
        from request where {_MAY_CONFIRM}
        returning p.*, p.xmin::text as row_version
    )
    select p.* from request left join payment p on true
    where case when p.id is null then 1 / (select count(*) from payment) = 1 else true end
"""  # ruff: ignore[hardcoded-sql-expression] - made of constants
# A repeat goes on with a call whose caller is gone, or that left no trace at the provider; one repeat at once.
_RESUME_CALL: Final = """
    update payments set calling_until = $3, updated_at = $4, canceling = $7,
        capturing = case when $6 then least(coalesce($8, authorized), authorized) else 0 end
    where id = $1 and attempt_id = $2 and status = any($5::text[]) and provider = $9
        and (calling_until is null or calling_until <= $4
            or status = 'AUTHORIZED' and capturing = 0 and not canceling)
    returning *
"""
_LOCK_LINES: Final = """
    select l.id from orders o join order_lines l on l.order_id = o.id where o.payment_id = $1
    order by l.position for no key update of o
"""
_AT_REST: Final = {PaymentStatus.REQUIRES_ACTION, PaymentStatus.CANCELED, *CAPTURED_STATUSES}


async def begin_plainly(engine: Engine, viewer: Viewer, request: Request, payment_id: UUID) -> Any:
    """Begin a confirmation that nothing speaks against, in one statement; None if it has to be looked at."""
    at, attempt_id = now(), uuid7()
    try:
        return await engine.database.writer.fetchrow(
            _CONFIRM,
            request.principal,
            request.key,
            request.body_hash,
            outcome_of_ids({"payment": payment_id, "attempt": attempt_id}),
            at,
            claimed_until(engine, at),
            payment_id,
            attempt_id,
            engine.provider.name,
            viewer.payment_id,
            viewer.user_id,
            at - engine.payment_expiry,
        )
    except asyncpg.DivisionByZeroError:
        return None


async def take_call(
    engine: Engine,
    viewer: Viewer,
    request: Request,
    payment_id: UUID,
    may: tuple[Sequence[PaymentStatus], ErrorCode, str],
    *,
    resumable: Sequence[PaymentStatus],
    lock: "Callable[[Transaction, Viewer, UUID], Awaitable[Any]] | None" = None,
    capturing: Callable[[Any], int] | None = None,
    amount: Money | None = None,
    canceling: bool = False,
    holding: bool = False,
) -> tuple[Any, UUID, bool]:
    """Begin a request's call, or take it over from a caller who is gone.

    ``holding``: what an order needs is held again first, if that may have expired.
    Return the payment's row (None when there is no call to make), the attempt, and whether this is a repeat.
    """
    begun: list[Any] = []
    ids = {"payment": payment_id, "attempt": uuid7()}

    async def begin(transaction: Transaction) -> dict[str, UUID]:
        row = await (lock or _lock_own)(transaction, viewer, payment_id)
        if row["provider"] != engine.provider.name:
            raise Refused(
                ErrorCode.PROVIDER_UNSUPPORTED,
                "This payment was begun with a payment provider that is no longer used here. Begin a new one.",
                path=("paymentId",),
            )
        _ensure_may(row, *may)
        captured = 0 if capturing is None else capturing(row)
        if holding and row["kind"] == PaymentKind.PURCHASE:
            await _hold_again(engine, transaction, row)
        begun.append(await _begin_call(engine, transaction, row, ids["attempt"], captured, canceling=canceling))
        return ids

    outcome = await once_named(engine, request, ids, begin)
    attempt_id = outcome.ids["attempt"]
    row = (
        begun[0]
        if begun
        else await _resume_call(
            engine,
            payment_id,
            attempt_id,
            resumable,
            capturing=capturing is not None,
            amount=amount,
            canceling=canceling,
        )
    )
    return row, attempt_id, outcome.replayed


async def _lock_own(transaction: Transaction, viewer: Viewer, payment_id: UUID) -> Any:
    row = await transaction.connection.fetchrow(LOCK_PAYMENT, payment_id)
    if row is None or not is_payer(viewer, row):
        raise not_found("payment", "paymentId")
    return row


async def lock_paid(transaction: Transaction, viewer: Viewer, payment_id: UUID) -> Any:
    """Lock a payment for the creator who is paid, or for an operator."""
    row = await transaction.connection.fetchrow(_LOCK_PAID, payment_id)
    if row is None or not is_payee(viewer, row):
        raise not_found("payment", "paymentId")
    return row


async def lock_either_side(transaction: Transaction, viewer: Viewer, payment_id: UUID) -> Any:
    """Lock a payment for its payer; once it is reserved, the creator may let it go as well."""
    row = await transaction.connection.fetchrow(_LOCK_PAID, payment_id)
    if row is not None and is_payer(viewer, row):
        return row
    if row is None or not is_payee(viewer, row) or row["status"] != PaymentStatus.AUTHORIZED:
        raise not_found("payment", "paymentId")
    return row


def _ensure_may(row: Any, allowed: Sequence[PaymentStatus], code: ErrorCode, verb: str) -> None:
    # While the payer authenticates, the time is only when to look it up: another card may be tried at once.
    in_call = row["calling_until"] is not None and row["calling_until"] > now()
    # And what is reserved is looked up once that has lapsed, unless it is being captured or let go.
    idle = row["status"] == PaymentStatus.AUTHORIZED and not (row["capturing"] or row["canceling"])
    in_call = in_call and not idle and row["status"] not in _AT_REST
    if in_call or row["status"] in {PaymentStatus.CREATED, PaymentStatus.RECONCILING}:
        raise Refused(
            ErrorCode.PAYMENT_IN_PROGRESS,
            "The provider is being asked about this payment. Watch paymentStatus and try again.",
            path=("paymentId",),
            transient=True,
        )
    if row["status"] not in allowed:
        raise Refused(
            code,
            f"This payment is {row['status']} and can no longer be {verb}.",
            path=("paymentId",),
        )


async def _hold_again(engine: Engine, transaction: Transaction, row: Any) -> None:
    """Hold what the payment's order needs for longer, and anew what was released meanwhile.

    As long as nothing of it can have expired it costs no statement. Errors: RESERVATION_EXPIRED.
    """
    at = now()
    if at < row["created_at"] + engine.payment_expiry:
        return
    connection = transaction.connection
    lines = [line["id"] for line in await connection.fetch(_LOCK_LINES, row["id"])]
    try:
        await stock_reservations.hold_again(lines, expires_at=at + engine.payment_expiry, on=connection, at=at)
    except Refused as refused:
        raise refused.at("paymentId") from None


async def _begin_call(
    engine: Engine, transaction: Transaction, row: Any, attempt_id: UUID, capturing: int, *, canceling: bool
) -> Any:
    """Take the call for an attempt of its own, and return the payment's row with it."""
    at = now()
    return await transaction.connection.fetchrow(
        _BEGIN_CALL, row["id"], attempt_id, claimed_until(engine, at), at, capturing, canceling
    )


async def _resume_call(
    engine: Engine,
    payment_id: UUID,
    attempt_id: UUID,
    statuses: Sequence[PaymentStatus],
    *,
    capturing: bool,
    amount: Money | None,
    canceling: bool,
) -> Any:
    """Take over a call whose caller is gone; None if somebody is calling, or if it has left its mark."""
    at = now()
    return await engine.database.writer.fetchrow(
        _RESUME_CALL,
        payment_id,
        attempt_id,
        claimed_until(engine, at),
        at,
        [status.value for status in statuses],
        capturing,
        canceling,
        None if amount is None else amount.minor,
        engine.provider.name,
    )
