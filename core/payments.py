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
    PARTIALLY_REFUNDED = "PARTIALLY_REFUNDED"
    REFUNDED = "REFUNDED"
    DISPUTED = "DISPUTED"
    CHARGED_BACK = "CHARGED_BACK"


CAPTURED_STATUSES = frozenset(
    {
        PaymentStatus.SUCCEEDED,
        PaymentStatus.PARTIALLY_REFUNDED,
        PaymentStatus.REFUNDED,
        PaymentStatus.DISPUTED,
        PaymentStatus.CHARGED_BACK,
    }
)
"""Those of a payment that was captured, whatever became of its money since."""


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
    PaymentStatus.PARTIALLY_REFUNDED: PaymentNextAction.NONE,
    PaymentStatus.REFUNDED: PaymentNextAction.NONE,
    PaymentStatus.DISPUTED: PaymentNextAction.WAIT,
    PaymentStatus.CHARGED_BACK: PaymentNextAction.NONE,
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
    PaymentStatus.PARTIALLY_REFUNDED: "A part of the payment was given back.",
    PaymentStatus.REFUNDED: "The payment was given back in full.",
    PaymentStatus.DISPUTED: "The payer's bank took the payment back for now, and the dispute is being decided.",
    PaymentStatus.CHARGED_BACK: "The payer's bank took the payment back for good.",
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
