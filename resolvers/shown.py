"""From rows of the services to the types of the contract."""

from dataclasses import fields
from typing import Any

import strawberry

from core import ids
from core.clock import now
from core.cursors import encode_cursor
from core.disputes import DISPUTE_NEXT_ACTIONS, DisputeNextAction, DisputeStatus, dispute_message
from core.ids import Noun
from core.money import money
from core.payments import NEXT_ACTIONS, PaymentKind, PaymentStatus, status_message
from core.payouts import PayoutStatus, payout_message
from core.refunds import RefundReason, RefundStatus, refund_message
from schema.creators import Creator
from schema.disputes import Dispute
from schema.feeds import Activity
from schema.fees import PaymentLine, payment_lines
from schema.methods import PaymentMethod
from schema.money import Money
from schema.payments import Payment, PaymentAction, PaymentAmounts, PaymentEvent
from schema.payouts import Payout, PayoutEvent, PayoutNextAction
from schema.purchases import Purchase
from schema.refunds import Refund, RefundNextAction
from schema.scalars import CurrencyCode
from schema.tips import Tip
from schema.users import User
from services import disputes, payments
from services.bus import StatusEvent


def _id(noun: Noun, value: Any) -> strawberry.ID:
    return strawberry.ID(ids.encode(noun, value))


def _amount(row: Any, column: str) -> Money:
    return Money.of(money(row[column], row["currency"]))


def user(row: Any) -> User:
    return User(id=_id(Noun.USER, row["id"]), key=row["id"], name=row["name"], created_at=row["created_at"])


def creator(row: Any) -> Creator:
    return Creator(
        id=_id(Noun.CREATOR, row["id"]),
        key=row["id"],
        user_key=row["user_id"],
        handle=row["handle"],
        display_name=row["display_name"],
        bio=row["bio"],
        active=row["state"] == "active",
        created_at=row["created_at"],
    )


def tip(row: Any) -> Tip:
    return Tip(
        id=_id(Noun.TIP, row["id"]),
        key=row["id"],
        creator_key=row["creator_id"],
        payment_key=row["payment_id"],
        giver_key=row["giver_id"],
        amount=_amount(row, "gross"),
        net=_amount(row, "net"),
        message=row["message"],
        status=PaymentStatus(row["status"]),
        created_at=row["created_at"],
    )


def purchase(row: Any) -> Purchase:
    return Purchase(
        id=_id(Noun.PURCHASE, row["id"]),
        key=row["id"],
        creator_key=row["creator_id"],
        product_key=row["product_id"],
        payment_key=row["payment_id"],
        buyer_key=row["buyer_id"],
        title=row["title"],
        amount=_amount(row, "gross"),
        net=_amount(row, "net"),
        status=PaymentStatus(row["status"]),
        created_at=row["created_at"],
    )


def payment(row: Any, *, payer: bool = True) -> Payment:
    """Return a payment; where the payer goes to authenticate is for the payer alone."""
    status = PaymentStatus(row["status"])
    action_url = row["action_url"] if payer and status is PaymentStatus.REQUIRES_ACTION else None
    return Payment(
        id=_id(Noun.PAYMENT, row["id"]),
        key=row["id"],
        creator_key=row["creator_id"],
        kind=PaymentKind(row["kind"]),
        status=status,
        status_reason=row["reason"],
        status_message=status_message(status, row["reason"]),
        status_changed_at=row["updated_at"],
        next_action=PaymentAction(type=NEXT_ACTIONS[status], url=action_url),
        amount=_amount(row, "gross"),
        split=lambda: _lines(row),
        became=lambda: _amounts(row),
        manual_capture=row["manual_capture"],
        capture_before=row["capture_before"],
        cursor=encode_cursor(row["id"], row["sequence"]),
        created_at=row["created_at"],
    )


def _lines(row: Any) -> list[PaymentLine]:
    """Return a payment's lines; made only when they are asked for, because few ask."""
    code = row["currency"]
    return payment_lines(
        gross=money(row["gross"], code),
        fixed_fee=money(row["fixed_fee"], code),
        fee=money(row["fee"], code),
        tax=money(row["tax"], code),
        net=money(row["net"], code),
    )


def _amounts(row: Any) -> PaymentAmounts:
    """Return what became of a payment's amount; made only when it is asked for."""
    amounts = payments.amounts(row)
    code = row["currency"]
    return PaymentAmounts(
        **{part.name: Money.of(money(getattr(amounts, part.name), code)) for part in fields(amounts)}
    )


def refund(row: Any) -> Refund:
    status = RefundStatus(row["status"])
    under_way = status in {RefundStatus.CREATED, RefundStatus.RECONCILING, RefundStatus.PENDING}
    return Refund(
        id=_id(Noun.REFUND, row["id"]),
        key=row["id"],
        payment_key=row["payment_id"],
        amount=_amount(row, "amount"),
        reason=RefundReason(row["reason"]),
        status=status,
        status_reason=row["failure_code"],
        status_message=refund_message(status),
        next_action=RefundNextAction.WAIT if under_way else RefundNextAction.NONE,
        created_at=row["created_at"],
        status_changed_at=row["updated_at"],
    )


def dispute(row: Any) -> Dispute:
    status = DisputeStatus(row["status"])
    answering = disputes.is_being_answered(row)
    return Dispute(
        id=_id(Noun.DISPUTE, row["id"]),
        key=row["id"],
        payment_key=row["payment_id"],
        amount=_amount(row, "amount"),
        reason=row["reason"],
        status=status,
        message=dispute_message(status),
        next_action=_dispute_action(row, status, answering=answering),
        respond_by=row["respond_by"],
        # While it is on its way nobody knows whether it will be taken.
        evidence_submitted_at=None if answering else row["evidence_submitted_at"],
        written_off=_amount(row, "written_off"),
        created_at=row["created_at"],
        status_changed_at=row["updated_at"],
        closed_at=row["closed_at"],
    )


def _dispute_action(row: Any, status: DisputeStatus, *, answering: bool) -> DisputeNextAction:
    action = DISPUTE_NEXT_ACTIONS[status]
    if action is not DisputeNextAction.ANSWER:
        return action
    if answering:
        return DisputeNextAction.WAIT
    late = row["respond_by"] is not None and row["respond_by"] <= now()
    return DisputeNextAction.NONE if late else action


def payment_method(row: Any) -> PaymentMethod:
    return PaymentMethod(
        id=_id(Noun.PAYMENT_METHOD, row["id"]),
        key=row["id"],
        kind=row["kind"],
        brand=row["brand"],
        last_four=row["last_four"],
        expires_month=row["expires_month"],
        expires_year=row["expires_year"],
        created_at=row["created_at"],
    )


def payment_event(row: Any) -> PaymentEvent:
    status = PaymentStatus(row["status"])
    return PaymentEvent(
        cursor=encode_cursor(row["payment_id"], row["sequence"]),
        status=status,
        reason=row["reason"],
        message=status_message(status, row["reason"]),
        at=row["at"],
    )


def status_event(event: StatusEvent) -> PaymentEvent:
    status = PaymentStatus(event.status)
    return PaymentEvent(
        cursor=encode_cursor(event.subject, event.sequence),
        status=status,
        reason=event.reason,
        message=status_message(status, event.reason),
        at=event.at,
    )


def activity(row: Any, cursor: str, at: Any) -> Activity:
    return Activity(
        payment_key=row["id"],
        cursor=cursor,
        kind=PaymentKind(row["kind"]),
        amount=_amount(row, "gross"),
        net=_amount(row, "net"),
        at=at,
    )


def payout(row: Any) -> Payout:
    status = PayoutStatus(row["status"])
    return Payout(
        id=_id(Noun.PAYOUT, row["id"]),
        key=row["id"],
        creator_key=row["creator_id"],
        amount=_amount(row, "amount"),
        currency=CurrencyCode(row["currency"]),
        scheduled=row["origin"] == "SCHEDULED",
        status=status,
        status_reason=row["reason"],
        status_message=payout_message(status, row["reason"]),
        status_changed_at=row["updated_at"],
        next_action=_after_payout(status, row["reason"]),
        arrives_at=row["arrives_at"],
        created_at=row["created_at"],
    )


def _after_payout(status: PayoutStatus, reason: str | None) -> PayoutNextAction:
    if status in {PayoutStatus.PAID, PayoutStatus.CANCELED}:
        return PayoutNextAction.NONE
    if status is not PayoutStatus.FAILED:
        return PayoutNextAction.WAIT
    return PayoutNextAction.ONBOARD if reason == "ACCOUNT_NOT_READY" else PayoutNextAction.REQUEST_AGAIN


def payout_event(row: Any) -> PayoutEvent:
    status = PayoutStatus(row["status"])
    return PayoutEvent(
        sequence=row["sequence"],
        status=status,
        reason=row["reason"],
        message=payout_message(status, row["reason"]),
        at=row["at"],
    )
