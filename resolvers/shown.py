"""From rows of the services to the types of the contract."""

from typing import Any

import strawberry

from core import ids
from core.cursors import encode_cursor
from core.ids import Noun
from core.money import money
from core.payments import NEXT_ACTIONS, PaymentKind, PaymentStatus, status_message
from schema.creators import Creator
from schema.feeds import Activity
from schema.fees import PaymentLine, payment_lines
from schema.money import Money
from schema.payments import Payment, PaymentAction, PaymentEvent
from schema.products import Product
from schema.purchases import Purchase
from schema.tips import Tip
from schema.users import User
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


def product(row: Any) -> Product:
    return Product(
        id=_id(Noun.PRODUCT, row["id"]),
        key=row["id"],
        creator_key=row["creator_id"],
        title=row["title"],
        description=row["description"],
        price=_amount(row, "price"),
        stock=row["stock"],
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


def payment(row: Any) -> Payment:
    status = PaymentStatus(row["status"])
    action_url = row["action_url"] if status is PaymentStatus.REQUIRES_ACTION else None
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
        cursor=encode_cursor(event.payment_id, event.sequence),
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
