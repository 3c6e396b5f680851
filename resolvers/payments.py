"""Payments: reading, confirming, cancelling and watching one."""

from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID

import strawberry

from core import ids
from core.cursors import decode_cursor, encode_cursor
from core.errors import ErrorCode, Refused, not_found
from core.ids import Noun
from core.scopes import Scope
from resolvers import shown
from resolvers.context import Info
from resolvers.fields import Id, id_of, mutation, query, stream, subscription, top_level
from resolvers.loaders import may_see_payment
from schema.errors import user_error
from schema.payments import (
    Payment,
    PaymentCancelInput,
    PaymentCancelPayload,
    PaymentCaptureInput,
    PaymentCapturePayload,
    PaymentConfirmInput,
    PaymentConfirmPayload,
    PaymentStatusUpdate,
    UpdateKind,
)
from services import charging, feeds, methods, payments


@strawberry.type
class PaymentQuery:
    @query(
        description="A payment by its id, for its payer, with its token, or for the creator who is paid; null for "
        "anybody else.",
        scope=Scope.ACCOUNT_READ,
        guests=True,
    )
    async def payment(self, info: Info, id: Id) -> Payment | None:  # ruff: ignore[builtin-argument-shadowing] - the contract's name
        row = await _visible(info, id_of(Noun.PAYMENT, id, "id"))
        return None if row is None else _shown(info, row)


@strawberry.type
class PaymentMutation:
    @mutation(
        description="Charge a payment with a payment method. The outcome is pushed by `paymentStatus`.",
        scope=Scope.PAYMENTS_WRITE,
        payload=PaymentConfirmPayload,
        guests=True,
    )
    async def payment_confirm(self, info: Info, input: PaymentConfirmInput) -> PaymentConfirmPayload:  # ruff: ignore[builtin-argument-shadowing]
        command = charging.Confirm(
            payment_id=id_of(Noun.PAYMENT, input.payment_id, "paymentId"),
            method=await _method(info, input),
            return_url=input.return_url,
            key=input.idempotency_key,
            saved=input.payment_method_id is not None,
        )
        answer = await charging.confirm(info.context.engine, info.context.viewer, command)
        info.context.replayed = answer.replayed
        return PaymentConfirmPayload(payment=_shown(info, answer.row), errors=_errors(answer))

    @mutation(
        description="Capture a payment that you are paid and whose amount is reserved, or a part of it. Operators "
        "may capture any.",
        scope=Scope.PAYMENTS_WRITE,
        payload=PaymentCapturePayload,
        operators=True,
    )
    async def payment_capture(self, info: Info, input: PaymentCaptureInput) -> PaymentCapturePayload:  # ruff: ignore[builtin-argument-shadowing]
        command = charging.Capture(
            payment_id=id_of(Noun.PAYMENT, input.payment_id, "paymentId"),
            amount=None if input.amount is None else input.amount.parsed(),
            key=input.idempotency_key,
        )
        answer = await charging.capture(info.context.engine, info.context.viewer, command)
        info.context.replayed = answer.replayed
        return PaymentCapturePayload(payment=_shown(info, answer.row), errors=_errors(answer))

    @mutation(
        description="Cancel a payment of yours that nothing was captured of; once its amount is reserved, the "
        "creator who is paid may let it go as well.",
        scope=Scope.PAYMENTS_WRITE,
        payload=PaymentCancelPayload,
        guests=True,
    )
    async def payment_cancel(self, info: Info, input: PaymentCancelInput) -> PaymentCancelPayload:  # ruff: ignore[builtin-argument-shadowing]
        command = charging.Cancel(
            payment_id=id_of(Noun.PAYMENT, input.payment_id, "paymentId"), key=input.idempotency_key
        )
        answer = await charging.cancel(info.context.engine, info.context.viewer, command)
        info.context.replayed = answer.replayed
        return PaymentCancelPayload(payment=_shown(info, answer.row), errors=_errors(answer))


@strawberry.type
class PaymentSubscription:
    @subscription(
        description="A payment's status: a snapshot first, then every change, in order and none missing. With "
        "`after`, only what came later. For its payer, with its token, or for the creator who is paid.",
        scope=Scope.ACCOUNT_READ,
        guests=True,
    )
    async def payment_status(
        self,
        info: Info,
        payment_id: Annotated[strawberry.ID, strawberry.argument(description="Which payment.")],
        after: Annotated[
            str | None, strawberry.argument(description="The cursor of the last message you have.")
        ] = None,
    ) -> AsyncIterator[PaymentStatusUpdate]:
        key = ids.decode(Noun.PAYMENT, payment_id)
        if key is None or await _visible(info, key) is None:
            raise top_level(not_found("payment", "paymentId"))
        place = None if after is None else decode_cursor(key, after)
        feed = feeds.payment_feed(info.context.engine, key, -1 if after is not None and place is None else place)

        async def show(item: feeds.FeedItem) -> PaymentStatusUpdate:
            # Somebody may have lost the right to see it since the last event: asked again each time.
            row = await _visible(info, key)
            if row is None:
                raise top_level(not_found("payment", "paymentId"))
            info.context.forget()
            return _update(key, item, _shown(info, row))

        async for update in stream(feed, key, show):
            yield update


async def _visible(info: Info, key: UUID) -> Any:
    row = await payments.read(info.context.engine, key)
    return row if row is not None and may_see_payment(info.context.viewer, row) else None


def _shown(info: Info, row: Any) -> Payment:
    return shown.payment(row, payer=payments.is_payer(info.context.viewer, row))


async def _method(info: Info, given: PaymentConfirmInput) -> str:
    """Return what the provider knows the chosen method by. Errors: INPUT_INVALID, NOT_FOUND."""
    if given.payment_method_id is not None and given.method is None:
        key = id_of(Noun.PAYMENT_METHOD, given.payment_method_id, "paymentMethodId")
        return await methods.own(info.context.engine, info.context.viewer, key)
    if given.method is None or given.payment_method_id is not None:
        raise Refused(ErrorCode.INPUT_INVALID, "Send either a method or a paymentMethodId.", path=("method",))
    return given.method


def _update(key: UUID, item: feeds.FeedItem, payment: Payment) -> PaymentStatusUpdate:
    if isinstance(item, feeds.Reset):
        return PaymentStatusUpdate(
            kind=UpdateKind.RESET, cursor=encode_cursor(key, 0), event=None, payment=payment
        )
    cursor = encode_cursor(key, item.cursor)
    if isinstance(item, feeds.Snapshot):
        return PaymentStatusUpdate(kind=UpdateKind.SNAPSHOT, cursor=cursor, event=None, payment=payment)
    event = shown.status_event(item.event)
    return PaymentStatusUpdate(kind=UpdateKind.EVENT, cursor=cursor, event=event, payment=payment)


def guest_token(info: Info, row: Any) -> str | None:
    """Return the token of a payment a guest makes; signed-in payers need none."""
    if info.context.viewer.is_signed_in:
        return None
    return info.context.engine.guests.issue(row["id"])


def _errors(answer: charging.Answer) -> list[Any]:
    return [] if answer.refusal is None else [user_error(answer.refusal)]
