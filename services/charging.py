"""Charging: a payment is confirmed, captured or cancelled at its provider.

The call is written down before it is made and its answer after, each in a commit of its own. In between
``calling_until`` says that somebody is calling; once that has passed, whoever called is gone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

from core.clock import now
from core.errors import ErrorCode, Refused
from core.money import Money
from core.payments import PaymentStatus
from core.viewer import Viewer
from providers.payments import base
from services.calls import patience
from services.charging_calls import begin_plainly, lock_either_side, lock_paid, take_call
from services.engine import Engine
from services.payment_changes import change_of
from services.payments import read, reconcile_later, write_if_unchanged
from services.requests import Request
from services.return_urls import ensure_return_url

_END_CALL: Final = """
    update payments set calling_until = $3, capturing = 0, canceling = false
    where id = $1 and attempt_id = $2 and provider_state is distinct from 'SUCCEEDED'
"""
_CONFIRMABLE: Final = (PaymentStatus.PENDING, PaymentStatus.FAILED, PaymentStatus.REQUIRES_ACTION)
_CANCELABLE: Final = (*_CONFIRMABLE, PaymentStatus.AUTHORIZED)
# A confirmation that reached the provider leaves its payment in another state than this.
_LEFT_OPEN: Final = (PaymentStatus.PENDING,)
_CAPTURABLE: Final = (PaymentStatus.AUTHORIZED,)
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
    row = await begin_plainly(engine, viewer, request, command.payment_id)
    if row is not None:
        attempt_id, replayed = row["attempt_id"], False
    else:
        row, attempt_id, replayed = await take_call(
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
    row, _, replayed = await take_call(
        engine,
        viewer,
        request,
        command.payment_id,
        (_CANCELABLE, ErrorCode.PAYMENT_NOT_CANCELABLE, "cancelled"),
        resumable=_CANCELABLE,
        lock=lock_either_side,
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
    row, attempt_id, replayed = await take_call(
        engine,
        viewer,
        request,
        command.payment_id,
        (_CAPTURABLE, ErrorCode.PAYMENT_NOT_CAPTURABLE, "captured"),
        resumable=_CAPTURABLE,
        lock=lock_paid,
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
