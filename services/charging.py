"""Charging: a payment is confirmed, captured or cancelled at its provider.

The call is written down before it is made and its answer after, each in a commit of its own. In between
``calling_until`` says that somebody is calling; once that has passed, whoever called is gone.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
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
from providers.payments import base
from services import stock_reservations
from services.calls import claimed_until, patience
from services.engine import Engine
from services.payment_changes import change_of
from services.payments import LOCK_PAYMENT, is_payee, is_payer, read, reconcile_later, write_if_unchanged
from services.requests import Request, once_named, outcome_of_ids
from services.return_urls import ensure_return_url

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
_END_CALL: Final = """
    update payments set calling_until = $3, capturing = 0, canceling = false
    where id = $1 and attempt_id = $2 and provider_state is distinct from 'SUCCEEDED'
"""
_LOCK_LINES: Final = """
    select l.id from orders o join order_lines l on l.order_id = o.id where o.payment_id = $1
    order by l.position for no key update of o
"""
_CONFIRMABLE: Final = (PaymentStatus.PENDING, PaymentStatus.FAILED, PaymentStatus.REQUIRES_ACTION)
_CANCELABLE: Final = (*_CONFIRMABLE, PaymentStatus.AUTHORIZED)
# A confirmation that reached the provider leaves its payment in another state than this.
_LEFT_OPEN: Final = (PaymentStatus.PENDING,)
_CAPTURABLE: Final = (PaymentStatus.AUTHORIZED,)
_AT_REST: Final = {PaymentStatus.REQUIRES_ACTION, PaymentStatus.CANCELED, *CAPTURED_STATUSES}
_AUTHENTICATION_LOOK_UP: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Confirm:
    """Confirm a payment with a tokenised method of its provider, or with a ``saved`` one of the payer's."""

    payment_id: UUID
    method: str
    return_url: str | None
    key: str
    off_session: bool = False
    saved: bool = False


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancel a payment that nothing was captured of."""

    payment_id: UUID
    key: str


@dataclass(frozen=True, slots=True)
class Capture:
    """Capture a payment whose amount is reserved: all of it, or ``amount``, and then the rest is let go."""

    payment_id: UUID
    amount: Money | None
    key: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A payment's row after an operation, and the refusal to show beside it, if any."""

    row: Any
    replayed: bool
    refusal: Refused | None = None


async def confirm(engine: Engine, viewer: Viewer, command: Confirm) -> Answer:
    """Charge a payment. The answer shows it accepted; that it succeeded is settled from what the provider tells.

    Errors: NOT_FOUND, INPUT_INVALID (return address, method), PAYMENT_IN_PROGRESS, PAYMENT_NOT_CONFIRMABLE,
    PAYMENT_DECLINED (beside the payment), RESERVATION_EXPIRED (what is bought was kept no longer and is sold out;
    the provider is not asked), PROVIDER_UNSUPPORTED (of another provider), PROVIDER_UNAVAILABLE,
    IDEMPOTENCY_KEY_REUSED.
    """
    body = {"payment": command.payment_id, "method": command.method, "return": command.return_url}
    if command.off_session:
        body["offSession"] = True
    if command.saved:
        body["saved"] = True
    request = Request.of(viewer, "paymentConfirm", command.key, body)
    if command.return_url is not None:
        ensure_return_url(command.return_url)
    row = await _begin_plainly(engine, viewer, request, command.payment_id)
    if row is not None:
        attempt_id, replayed = row["attempt_id"], False
    else:
        row, attempt_id, replayed = await _take_call(
            engine,
            viewer,
            request,
            command.payment_id,
            (_CONFIRMABLE, ErrorCode.PAYMENT_NOT_CONFIRMABLE, "confirmed"),
            resumable=_LEFT_OPEN,
            holding=True,
        )
    if row is None:
        row = await read(engine, command.payment_id)
        return Answer(row, replayed=True, refusal=_decline_of(row, attempt_id))
    call = base.ConfirmPayment(
        idempotency_key=f"confirm:{attempt_id}",
        provider_reference=row["provider_reference"],
        method=command.method,
        return_url=command.return_url,
        off_session=command.off_session,
        saved=command.saved,
    )
    refusal: Refused | None = None
    try:
        fact = await engine.provider.confirm_payment(call)
    except base.ProviderError as error:
        refusal = await _refused_by_provider(engine, row, error)
    else:
        await _take_answer(engine, row, fact)
    engine.relay_wake()
    return Answer(await read(engine, command.payment_id), replayed, refusal)


async def cancel(engine: Engine, viewer: Viewer, command: Cancel) -> Answer:
    """Cancel a payment at its provider. What it reserved is released once the provider has cancelled.

    Errors: NOT_FOUND, PAYMENT_IN_PROGRESS, PAYMENT_NOT_CANCELABLE, PROVIDER_UNSUPPORTED (of another provider),
    PROVIDER_UNAVAILABLE, IDEMPOTENCY_KEY_REUSED.
    """
    request = Request.of(viewer, "paymentCancel", command.key, {"payment": command.payment_id})
    row, _, replayed = await _take_call(
        engine,
        viewer,
        request,
        command.payment_id,
        (_CANCELABLE, ErrorCode.PAYMENT_NOT_CANCELABLE, "cancelled"),
        resumable=_CANCELABLE,
        lock=_lock_either_side,
        canceling=True,
    )
    if row is None:
        return Answer(await read(engine, command.payment_id), replayed=True)
    refusal = await cancel_at_provider(engine, row)
    return Answer(await read(engine, command.payment_id), replayed, refusal)


async def capture(engine: Engine, viewer: Viewer, command: Capture) -> Answer:
    """Capture a payment whose amount is reserved, for the creator who is paid, or for an operator.

    The answer shows it accepted; that it succeeded is settled from what the provider tells. Fee and tax are those
    of the part that is captured.
    Errors: NOT_FOUND, PAYMENT_IN_PROGRESS, PAYMENT_NOT_CAPTURABLE, CAPTURE_EXPIRED, AMOUNT_TOO_LARGE,
    AMOUNT_TOO_SMALL, INPUT_INVALID (another currency), PROVIDER_UNSUPPORTED, PROVIDER_UNAVAILABLE,
    IDEMPOTENCY_KEY_REUSED.
    """
    body = {
        "payment": command.payment_id,
        "amount": command.amount.minor if command.amount else None,
        "currency": command.amount.currency.code if command.amount else None,
    }
    request = Request.of(viewer, "paymentCapture", command.key, body)
    row, attempt_id, replayed = await _take_call(
        engine,
        viewer,
        request,
        command.payment_id,
        (_CAPTURABLE, ErrorCode.PAYMENT_NOT_CAPTURABLE, "captured"),
        resumable=_CAPTURABLE,
        lock=_lock_paid,
        capturing=partial(_captured_amount, engine, command.amount),
        amount=command.amount,
    )
    if row is None:
        return Answer(await read(engine, command.payment_id), replayed=True)
    call = base.CapturePayment(
        idempotency_key=f"capture:{attempt_id}",
        provider_reference=row["provider_reference"],
        amount=int(row["capturing"]),
        final=True,
    )
    refusal: Refused | None = None
    try:
        fact = await engine.provider.capture(call)
    except base.ProviderError as error:
        refusal = await _refused_by_provider(engine, row, error)
    else:
        await _take_answer(engine, row, fact)
    engine.relay_wake()
    return Answer(await read(engine, command.payment_id), replayed, refusal)


def _captured_amount(engine: Engine, amount: Money | None, row: Any) -> int:
    """Return how much of a reserved payment is to be captured, in minor units."""
    reserved = int(row["authorized"])
    if row["capture_before"] is not None and row["capture_before"] <= now():
        raise _capture_expired()
    if amount is None:
        return reserved
    if amount.currency.code != row["currency"]:
        raise Refused(
            ErrorCode.INPUT_INVALID,
            f"The payment is in {row['currency']}. Send an amount of that currency.",
            path=("amount", "currency"),
        )
    if amount.minor > reserved:
        raise Refused(
            ErrorCode.AMOUNT_TOO_LARGE,
            "More than what is reserved cannot be captured. Send an amount up to that.",
            path=("amount", "amount"),
            data={"minimum": 1, "maximum": reserved, "currency": row["currency"]},
        )
    if amount.minor < reserved and base.Capability.PARTIAL_CAPTURE not in engine.provider.capabilities.features:
        raise Refused(
            ErrorCode.PROVIDER_UNSUPPORTED,
            "This server's payment provider captures the whole amount only. Leave the amount out.",
            path=("amount",),
        )
    return amount.minor


def _capture_expired() -> Refused:
    return Refused(
        ErrorCode.CAPTURE_EXPIRED,
        "The reservation lapsed before it was captured. Ask the payer to pay anew.",
        path=("paymentId",),
    )


async def cancel_at_provider(engine: Engine, row: Any) -> Refused | None:
    """Have the provider cancel a payment and settle its answer; return the refusal if it would not."""
    call = base.CancelPayment(idempotency_key=f"cancel:{row['id']}", provider_reference=row["provider_reference"])
    try:
        fact = await engine.provider.cancel(call)
    except base.ProviderError as error:
        return await _refused_by_provider(engine, row, error)
    await engine.settle(engine, [fact], look_up_at=None)
    engine.relay_wake()
    return None


async def _begin_plainly(engine: Engine, viewer: Viewer, request: Request, payment_id: UUID) -> Any:
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


async def _take_call(
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


async def _lock_paid(transaction: Transaction, viewer: Viewer, payment_id: UUID) -> Any:
    """Lock a payment for the creator who is paid, or for an operator."""
    row = await transaction.connection.fetchrow(_LOCK_PAID, payment_id)
    if row is None or not is_payee(viewer, row):
        raise not_found("payment", "paymentId")
    return row


async def _lock_either_side(transaction: Transaction, viewer: Viewer, payment_id: UUID) -> Any:
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


def _decline_of(row: Any, attempt_id: UUID) -> Refused | None:
    if row["attempt_id"] != attempt_id or row["status"] != PaymentStatus.FAILED:
        return None
    return _declined(row["decline_code"])


def _declined(decline_code: str) -> Refused:
    return Refused(
        ErrorCode.PAYMENT_DECLINED,
        "The payment was declined. Try another payment method.",
        path=("method",),
        data={"decline_code": decline_code},
    )


async def _take_answer(engine: Engine, row: Any, fact: base.PaymentFact) -> None:
    """Fold what the provider answered to a confirmation.

    A captured answer is shown as PROCESSING: money is settled by the workers, in batches, from the event that
    follows; if none does, the sweeper asks again after ``settle_grace``.
    """
    if fact.captured:
        fact = replace(fact, state=base.ProviderState.PROCESSING, captured=0)
    again_at = look_up_at(engine, fact)
    version = row.get("row_version")
    if fact.state is base.ProviderState.PROCESSING and version is not None:
        # Nothing follows from that but the status: if nobody wrote the row meanwhile it needs no lock.
        at = now()
        change, _ = change_of(row, [fact], None, at, answered=True, look_up_at=again_at)
        if change is not None and change.tells:
            async with engine.database.writer.acquire() as connection:
                if await write_if_unchanged(change, version, on=connection, at=at):
                    return
    await engine.settle(engine, [fact], look_up_at=again_at)


def look_up_at(engine: Engine, fact: base.PaymentFact) -> datetime | None:
    """Return when to ask the provider about a payment again if it says nothing by itself; None is never."""
    at = now()
    if fact.state is base.ProviderState.PROCESSING:
        return at + patience(at - fact.at, engine.settle_grace)
    if fact.state is base.ProviderState.REQUIRES_ACTION:
        return at + patience(at - fact.at, _AUTHENTICATION_LOOK_UP)
    return None


async def settle_looked_up(engine: Engine, facts: Sequence[base.Fact], claim: datetime | None = None) -> None:
    """Settle what a look-up of a payment brought: its own fact, and those of what belongs to it.

    ``claim`` is until when it was claimed for that.
    """
    own = next((fact for fact in facts if isinstance(fact, base.PaymentFact)), None)
    again_at = None if own is None else look_up_at(engine, own)
    await engine.settle(engine, facts, look_up_at=again_at, claim=claim)


async def _refused_by_provider(engine: Engine, row: Any, error: base.ProviderError) -> Refused | None:
    if error.ambiguous:
        await reconcile_later(engine, row["id"])
        return None
    if isinstance(error.fact, base.PaymentFact):
        await engine.settle(engine, [error.fact], look_up_at=look_up_at(engine, error.fact))
    else:
        # Where the same key may be sent again the call stays open, so that a replay goes on with it.
        again = error.action in {base.ProviderAction.SAME_KEY, base.ProviderAction.LATER}
        # Where it was to be looked up one day, or has moved on at the provider, it is looked up now: nothing
        # else would ever say so if its events are lost.
        again = (
            again
            or error.code in {base.ProviderErrorCode.STATE_CONFLICT, base.ProviderErrorCode.EXPIRED}
            or row["status"] in {PaymentStatus.REQUIRES_ACTION, PaymentStatus.AUTHORIZED}
        )
        await engine.database.writer.execute(_END_CALL, row["id"], row["attempt_id"], now() if again else None)
    if error.code is base.ProviderErrorCode.EXPIRED:
        return _capture_expired()
    if error.code is base.ProviderErrorCode.METHOD_INVALID:
        return Refused(
            ErrorCode.INPUT_INVALID,
            "The provider does not know this payment method. Send a token it gave out.",
            path=("method",),
        )
    if error.decline_code is not None:
        return _declined(error.decline_code)
    if error.code is base.ProviderErrorCode.STATE_CONFLICT:
        return Refused(
            ErrorCode.PAYMENT_IN_PROGRESS,
            "The provider has moved this payment on. Read its status and act on that.",
            path=("paymentId",),
        )
    return Refused(
        ErrorCode.PROVIDER_UNAVAILABLE,
        "The payment provider did not take the request. Nothing was charged; send it again.",
    )
