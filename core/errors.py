"""Expected failures: a stable code, a sentence for a person, and what to do next."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class ErrorCode(StrEnum):
    """Every expected failure, by a name that never changes."""

    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    NOT_FOUND = "NOT_FOUND"
    INPUT_INVALID = "INPUT_INVALID"
    CARD_NUMBER_REFUSED = "CARD_NUMBER_REFUSED"
    IDEMPOTENCY_KEY_INVALID = "IDEMPOTENCY_KEY_INVALID"
    IDEMPOTENCY_KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"
    AMOUNT_INVALID = "AMOUNT_INVALID"
    AMOUNT_TOO_PRECISE = "AMOUNT_TOO_PRECISE"
    AMOUNT_TOO_SMALL = "AMOUNT_TOO_SMALL"
    AMOUNT_TOO_LARGE = "AMOUNT_TOO_LARGE"
    CURRENCY_NOT_SUPPORTED = "CURRENCY_NOT_SUPPORTED"
    CREATOR_NOT_ACTIVE = "CREATOR_NOT_ACTIVE"
    CREATOR_EXISTS = "CREATOR_EXISTS"
    HANDLE_TAKEN = "HANDLE_TAKEN"
    SELF_TIP = "SELF_TIP"
    SELF_PURCHASE = "SELF_PURCHASE"
    PRODUCT_NOT_ACTIVE = "PRODUCT_NOT_ACTIVE"
    OUT_OF_STOCK = "OUT_OF_STOCK"
    VARIANT_NOT_AVAILABLE = "VARIANT_NOT_AVAILABLE"
    NOT_RELEASED = "NOT_RELEASED"
    PRICE_CHANGED = "PRICE_CHANGED"
    CURRENCY_MIXED = "CURRENCY_MIXED"
    BUYER_LIMIT_EXCEEDED = "BUYER_LIMIT_EXCEEDED"
    DISCOUNT_REJECTED = "DISCOUNT_REJECTED"
    ADDRESS_INVALID = "ADDRESS_INVALID"
    ADDRESS_NEEDED = "ADDRESS_NEEDED"
    EMAIL_NEEDED = "EMAIL_NEEDED"
    SHIPPING_UNAVAILABLE = "SHIPPING_UNAVAILABLE"
    CART_EMPTY = "CART_EMPTY"
    CART_CHECKED_OUT = "CART_CHECKED_OUT"
    CAPTURE_MIXED = "CAPTURE_MIXED"
    RESERVATION_EXPIRED = "RESERVATION_EXPIRED"
    ORDER_NOT_CANCELABLE = "ORDER_NOT_CANCELABLE"
    ORDER_NOT_PAID = "ORDER_NOT_PAID"
    QUANTITY_TOO_LARGE = "QUANTITY_TOO_LARGE"
    RETURN_CLOSED = "RETURN_CLOSED"
    ACCESS_REVOKED = "ACCESS_REVOKED"
    DOWNLOAD_LIMIT_REACHED = "DOWNLOAD_LIMIT_REACHED"
    LINK_INVALID = "LINK_INVALID"
    LICENCE_INVALID = "LICENCE_INVALID"
    LICENCE_ACTIVATIONS_EXHAUSTED = "LICENCE_ACTIVATIONS_EXHAUSTED"
    MEDIA_INVALID = "MEDIA_INVALID"
    MEDIA_TOO_LARGE = "MEDIA_TOO_LARGE"
    NAME_TAKEN = "NAME_TAKEN"
    PAYMENT_DECLINED = "PAYMENT_DECLINED"
    PAYMENT_IN_PROGRESS = "PAYMENT_IN_PROGRESS"
    PAYMENT_NOT_CONFIRMABLE = "PAYMENT_NOT_CONFIRMABLE"
    PAYMENT_NOT_CANCELABLE = "PAYMENT_NOT_CANCELABLE"
    PAYMENT_NOT_CAPTURABLE = "PAYMENT_NOT_CAPTURABLE"
    CAPTURE_EXPIRED = "CAPTURE_EXPIRED"
    PAYMENT_NOT_REFUNDABLE = "PAYMENT_NOT_REFUNDABLE"
    REFUND_TOO_LARGE = "REFUND_TOO_LARGE"
    METHOD_NOT_SAVED = "METHOD_NOT_SAVED"
    DISPUTE_CLOSED = "DISPUTE_CLOSED"
    DISPUTE_RESPONSE_LATE = "DISPUTE_RESPONSE_LATE"
    NOTHING_TO_WRITE_OFF = "NOTHING_TO_WRITE_OFF"
    INSUFFICIENT_BALANCE = "INSUFFICIENT_BALANCE"
    PAYOUT_BELOW_MINIMUM = "PAYOUT_BELOW_MINIMUM"
    PAYOUT_ACCOUNT_NOT_READY = "PAYOUT_ACCOUNT_NOT_READY"
    PROVIDER_UNSUPPORTED = "PROVIDER_UNSUPPORTED"
    PROVIDER_UNAVAILABLE = "PROVIDER_UNAVAILABLE"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    INTERNAL = "INTERNAL"

    @property
    def next_action(self) -> "NextAction":
        """What a client does about it."""
        return _NEXT_ACTIONS.get(self, NextAction.FIX_INPUT)


class NextAction(StrEnum):
    """What a client does about a failure."""

    FIX_INPUT = "FIX_INPUT"
    SIGN_IN = "SIGN_IN"
    RETRY_SAME_KEY = "RETRY_SAME_KEY"
    USE_NEW_KEY = "USE_NEW_KEY"
    OTHER_METHOD = "OTHER_METHOD"
    ONBOARD = "ONBOARD"
    REVIEW_CART = "REVIEW_CART"
    WAIT = "WAIT"
    NONE = "NONE"


_NEXT_ACTIONS = {
    ErrorCode.UNAUTHENTICATED: NextAction.SIGN_IN,
    ErrorCode.FORBIDDEN: NextAction.SIGN_IN,
    ErrorCode.IDEMPOTENCY_KEY_REUSED: NextAction.USE_NEW_KEY,
    ErrorCode.CREATOR_NOT_ACTIVE: NextAction.NONE,
    ErrorCode.CREATOR_EXISTS: NextAction.NONE,
    ErrorCode.SELF_TIP: NextAction.NONE,
    ErrorCode.SELF_PURCHASE: NextAction.NONE,
    ErrorCode.PRODUCT_NOT_ACTIVE: NextAction.NONE,
    ErrorCode.OUT_OF_STOCK: NextAction.NONE,
    ErrorCode.VARIANT_NOT_AVAILABLE: NextAction.REVIEW_CART,
    ErrorCode.NOT_RELEASED: NextAction.WAIT,
    ErrorCode.PRICE_CHANGED: NextAction.REVIEW_CART,
    ErrorCode.BUYER_LIMIT_EXCEEDED: NextAction.REVIEW_CART,
    ErrorCode.DISCOUNT_REJECTED: NextAction.REVIEW_CART,
    ErrorCode.SHIPPING_UNAVAILABLE: NextAction.REVIEW_CART,
    ErrorCode.CART_EMPTY: NextAction.REVIEW_CART,
    ErrorCode.CART_CHECKED_OUT: NextAction.NONE,
    ErrorCode.CAPTURE_MIXED: NextAction.REVIEW_CART,
    ErrorCode.RESERVATION_EXPIRED: NextAction.REVIEW_CART,
    ErrorCode.ORDER_NOT_CANCELABLE: NextAction.NONE,
    ErrorCode.ORDER_NOT_PAID: NextAction.WAIT,
    ErrorCode.RETURN_CLOSED: NextAction.NONE,
    ErrorCode.ACCESS_REVOKED: NextAction.NONE,
    ErrorCode.DOWNLOAD_LIMIT_REACHED: NextAction.NONE,
    ErrorCode.LINK_INVALID: NextAction.NONE,
    ErrorCode.LICENCE_INVALID: NextAction.NONE,
    ErrorCode.LICENCE_ACTIVATIONS_EXHAUSTED: NextAction.NONE,
    ErrorCode.PAYMENT_DECLINED: NextAction.OTHER_METHOD,
    ErrorCode.PAYMENT_IN_PROGRESS: NextAction.WAIT,
    ErrorCode.PAYMENT_NOT_CONFIRMABLE: NextAction.NONE,
    ErrorCode.PAYMENT_NOT_CANCELABLE: NextAction.NONE,
    ErrorCode.PAYMENT_NOT_CAPTURABLE: NextAction.NONE,
    ErrorCode.CAPTURE_EXPIRED: NextAction.NONE,
    ErrorCode.PAYMENT_NOT_REFUNDABLE: NextAction.NONE,
    ErrorCode.METHOD_NOT_SAVED: NextAction.OTHER_METHOD,
    ErrorCode.DISPUTE_CLOSED: NextAction.NONE,
    ErrorCode.DISPUTE_RESPONSE_LATE: NextAction.NONE,
    ErrorCode.NOTHING_TO_WRITE_OFF: NextAction.NONE,
    ErrorCode.PAYOUT_ACCOUNT_NOT_READY: NextAction.ONBOARD,
    ErrorCode.PROVIDER_UNSUPPORTED: NextAction.NONE,
    ErrorCode.PROVIDER_UNAVAILABLE: NextAction.RETRY_SAME_KEY,
    ErrorCode.INTERNAL: NextAction.RETRY_SAME_KEY,
}


class Refused(Exception):  # ruff: ignore[error-suffix-on-exception-name] - a refusal is an answer, not an accident
    """An expected failure on its way to the client.

    ``path`` names the input field it speaks of, below ``input``. ``data`` holds what a client needs to
    recover (units as the typed error says). A ``transient`` refusal says nothing about the request itself,
    so it is never stored under its idempotency key.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        path: tuple[str, ...] = (),
        data: Mapping[str, Any] | None = None,
        transient: bool = False,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.path = path
        self.data = dict(data or {})
        self.transient = transient

    def at(self, *path: str) -> "Refused":
        """Return the same refusal, speaking of another input field."""
        return Refused(self.code, self.message, path=path, data=self.data, transient=self.transient)


def not_found(what: str, *path: str) -> Refused:
    """Return the refusal for an object that isn't there, or that the viewer may not know is there."""
    # It says nothing about the request: the object may be there tomorrow, and the key is still good.
    return Refused(
        ErrorCode.NOT_FOUND,
        f"There is no such {what}. Check the id that was sent.",
        path=path,
        transient=True,
    )
