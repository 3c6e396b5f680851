"""The states of an order, and what moves it from one to another: data, not code."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class OrderStatus(StrEnum):
    """Where an order stands."""

    PENDING = "PENDING"
    PAID = "PAID"
    PARTIALLY_FULFILLED = "PARTIALLY_FULFILLED"
    FULFILLED = "FULFILLED"
    CANCELED = "CANCELED"
    REFUNDED = "REFUNDED"
    CHARGED_BACK = "CHARGED_BACK"


class OrderEventKind(StrEnum):
    """What becomes of an order. Each is an event of its feed."""

    CREATED = "CREATED"
    PAID = "PAID"
    CANCELED = "CANCELED"
    PARTIALLY_FULFILLED = "PARTIALLY_FULFILLED"
    FULFILLED = "FULFILLED"
    LINES_CANCELED = "LINES_CANCELED"
    STOCK_LOST = "STOCK_LOST"
    TRACKING_CHANGED = "TRACKING_CHANGED"
    RETURN_REQUESTED = "RETURN_REQUESTED"
    RETURN_RECEIVED = "RETURN_RECEIVED"
    RETURN_DECLINED = "RETURN_DECLINED"
    RETURN_CANCELED = "RETURN_CANCELED"
    REFUND_STARTED = "REFUND_STARTED"
    REFUND_FAILED = "REFUND_FAILED"
    PARTIALLY_REFUNDED = "PARTIALLY_REFUNDED"
    REFUNDED = "REFUNDED"
    REFUND_UNDONE = "REFUND_UNDONE"
    CHARGED_BACK = "CHARGED_BACK"
    CHARGEBACK_UNDONE = "CHARGEBACK_UNDONE"


_S, _E = OrderStatus, OrderEventKind
_STAYS: Final = (
    _E.LINES_CANCELED,
    _E.STOCK_LOST,
    _E.TRACKING_CHANGED,
    _E.RETURN_REQUESTED,
    _E.RETURN_RECEIVED,
    _E.RETURN_DECLINED,
    _E.RETURN_CANCELED,
    _E.REFUND_STARTED,
    _E.REFUND_FAILED,
    _E.PARTIALLY_REFUNDED,
)


def _open(status: OrderStatus, **moves: OrderStatus) -> Mapping[OrderEventKind, OrderStatus]:
    """Return the row of a paid order's status: what leaves it as it is, and what moves it."""
    ends = {_E.REFUNDED: _S.REFUNDED, _E.CHARGED_BACK: _S.CHARGED_BACK}
    return {**dict.fromkeys(_STAYS, status), **ends, **{_E(kind): to for kind, to in moves.items()}}


TRANSITIONS: Final[Mapping[OrderStatus, Mapping[OrderEventKind, OrderStatus]]] = {
    _S.PENDING: {_E.PAID: _S.PAID, _E.CANCELED: _S.CANCELED},
    # The provider may tell of a success after all: then it was paid.
    _S.CANCELED: {_E.PAID: _S.PAID},
    _S.PAID: _open(_S.PAID, PARTIALLY_FULFILLED=_S.PARTIALLY_FULFILLED, FULFILLED=_S.FULFILLED),
    _S.PARTIALLY_FULFILLED: _open(
        _S.PARTIALLY_FULFILLED, PARTIALLY_FULFILLED=_S.PARTIALLY_FULFILLED, FULFILLED=_S.FULFILLED
    ),
    _S.FULFILLED: _open(_S.FULFILLED),
    # A refund that fails later gives back what it took; where the order goes then, its quantities say.
    _S.REFUNDED: {
        **dict.fromkeys((*_STAYS, _E.REFUNDED), _S.REFUNDED),
        _E.REFUND_UNDONE: _S.PAID,
        _E.CHARGED_BACK: _S.CHARGED_BACK,
    },
    _S.CHARGED_BACK: {
        **dict.fromkeys((*_STAYS, _E.REFUNDED, _E.CHARGED_BACK), _S.CHARGED_BACK),
        _E.CHARGEBACK_UNDONE: _S.PAID,
    },
}
"""What each event makes of an order in each status; what is not named here cannot happen.

After REFUND_UNDONE and CHARGEBACK_UNDONE an order is as far fulfilled as its lines are: PAID here stands for PAID,
PARTIALLY_FULFILLED or FULFILLED.
"""

UNPAID: Final = frozenset({OrderStatus.PENDING, OrderStatus.CANCELED})


def follow(status: OrderStatus, kind: OrderEventKind) -> OrderStatus:
    """Return the status an event leads to. Raises ``ValueError`` for what cannot happen in that status."""
    to = TRANSITIONS[status].get(kind)
    if to is None:
        raise ValueError(f"An order that is {status} cannot become {kind}.")
    return to


_MESSAGES: Final[Mapping[OrderStatus, str]] = {
    OrderStatus.PENDING: "The order waits for its payment.",
    OrderStatus.PAID: "The order is paid and is being prepared.",
    OrderStatus.PARTIALLY_FULFILLED: "A part of the order is on its way or was handed over.",
    OrderStatus.FULFILLED: "Everything was sent or handed over.",
    OrderStatus.CANCELED: "The order was cancelled. Nothing was charged.",
    OrderStatus.REFUNDED: "The order was given back in full.",
    OrderStatus.CHARGED_BACK: "The buyer's bank took the payment back.",
}


def order_message(status: OrderStatus, reason: str | None) -> str:
    """Return a sentence for a person on where an order stands."""
    if reason == "STOCK_LOST":
        return "Something was sold out when the payment arrived. What was paid for it is being given back."
    return _MESSAGES[status]


class ReturnStatus(StrEnum):
    """Where the return of goods stands."""

    REQUESTED = "REQUESTED"
    RECEIVED = "RECEIVED"
    DECLINED = "DECLINED"
    CANCELED = "CANCELED"
