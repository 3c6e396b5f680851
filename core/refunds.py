"""The states of a refund and the reasons for one, in words that hold for every provider."""

from enum import StrEnum


class RefundStatus(StrEnum):
    """Where a refund stands: derived from what the provider told and where our own call stands."""

    CREATED = "CREATED"
    RECONCILING = "RECONCILING"
    PENDING = "PENDING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


class RefundReason(StrEnum):
    """Why money goes back."""

    REQUESTED_BY_CUSTOMER = "REQUESTED_BY_CUSTOMER"
    DUPLICATE = "DUPLICATE"
    FRAUDULENT = "FRAUDULENT"
    OTHER = "OTHER"


_MESSAGES = {
    RefundStatus.CREATED: "The refund is being handed to the payment provider.",
    RefundStatus.RECONCILING: "The provider did not answer in time. We are looking up what happened.",
    RefundStatus.PENDING: "The provider has accepted the refund; the money is on its way to the payer.",
    RefundStatus.SUCCEEDED: "The money was given back to the payer.",
    RefundStatus.FAILED: "The refund failed: the money could not be given back, and everybody has what they had.",
    RefundStatus.CANCELED: "The refund was cancelled. Nothing was given back.",
}


def refund_message(status: RefundStatus) -> str:
    """Return a sentence for a person about a refund's status."""
    return _MESSAGES[status]
