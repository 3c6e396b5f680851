"""The states of a payment, in words that hold for every provider."""

from enum import StrEnum


class PaymentKind(StrEnum):
    """What a payment is for."""

    TIP = "tip"
    PURCHASE = "purchase"


class PaymentStatus(StrEnum):
    """Where a payment stands: derived from facts, never set by hand."""

    CREATED = "CREATED"
    PENDING = "PENDING"
    REQUIRES_ACTION = "REQUIRES_ACTION"
    PROCESSING = "PROCESSING"
    AUTHORIZED = "AUTHORIZED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"
    RECONCILING = "RECONCILING"


class PaymentNextAction(StrEnum):
    """What the payer's client does next."""

    CONFIRM = "CONFIRM"
    AUTHENTICATE = "AUTHENTICATE"
    OTHER_METHOD = "OTHER_METHOD"
    WAIT = "WAIT"
    NONE = "NONE"


NEXT_ACTIONS = {
    PaymentStatus.CREATED: PaymentNextAction.WAIT,
    PaymentStatus.PENDING: PaymentNextAction.CONFIRM,
    PaymentStatus.REQUIRES_ACTION: PaymentNextAction.AUTHENTICATE,
    PaymentStatus.PROCESSING: PaymentNextAction.WAIT,
    PaymentStatus.AUTHORIZED: PaymentNextAction.WAIT,
    PaymentStatus.SUCCEEDED: PaymentNextAction.NONE,
    PaymentStatus.FAILED: PaymentNextAction.OTHER_METHOD,
    PaymentStatus.CANCELED: PaymentNextAction.NONE,
    PaymentStatus.RECONCILING: PaymentNextAction.WAIT,
}

_STATUS_MESSAGES = {
    PaymentStatus.CREATED: "The payment is being made known to the payment provider.",
    PaymentStatus.PENDING: "The payment waits to be confirmed with a payment method.",
    PaymentStatus.REQUIRES_ACTION: "The payer's bank asks the payer to confirm it is really them.",
    PaymentStatus.PROCESSING: "The payment was accepted and is being settled.",
    PaymentStatus.AUTHORIZED: "The amount is reserved and not captured yet.",
    PaymentStatus.SUCCEEDED: "The payment is complete.",
    PaymentStatus.FAILED: "The payment was declined. Another payment method may work.",
    PaymentStatus.CANCELED: "The payment was cancelled. Nothing was charged.",
    PaymentStatus.RECONCILING: "The provider did not answer in time. We are looking up what happened.",
}

_REASON_MESSAGES = {
    "INSUFFICIENT_FUNDS": "The card has not enough funds. Another payment method may work.",
    "CARD_EXPIRED": "The card has expired. Another payment method may work.",
    "AUTHENTICATION_FAILED": "The payer could not be authenticated. Another attempt or method may work.",
    "EXPIRED": "The payment was not completed in time and was cancelled. Nothing was charged.",
}


def status_message(status: PaymentStatus, reason: str | None) -> str:
    """Return a sentence for a person about a status and the reason for it."""
    return _REASON_MESSAGES.get(reason or "", _STATUS_MESSAGES[status])
