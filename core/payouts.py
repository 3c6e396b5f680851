"""The states of a payout, in words that hold for every provider."""

from enum import StrEnum


class PayoutStatus(StrEnum):
    """Where a payout stands: derived from what the provider told and where our own calls stand."""

    REQUESTED = "REQUESTED"
    ON_HOLD = "ON_HOLD"
    RECONCILING = "RECONCILING"
    TRANSFERRED = "TRANSFERRED"
    IN_TRANSIT = "IN_TRANSIT"
    PAID = "PAID"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


class PayoutStep(StrEnum):
    """Which call to the provider a payout waits for."""

    TRANSFER = "TRANSFER"
    PAYOUT = "PAYOUT"
    REVERSE = "REVERSE"


class PayoutInterval(StrEnum):
    """How often a creator's money is paid out by itself."""

    MANUAL = "MANUAL"
    DAILY = "DAILY"
    WEEKLY = "WEEKLY"
    MONTHLY = "MONTHLY"


_MESSAGES = {
    PayoutStatus.REQUESTED: "The payout is being handed to the payment provider.",
    PayoutStatus.ON_HOLD: "The payout waits until the open dispute is decided.",
    PayoutStatus.RECONCILING: "The provider did not answer in time. We are looking up what happened.",
    PayoutStatus.TRANSFERRED: "The money is on the creator's account with the provider, on its way to the bank.",
    PayoutStatus.IN_TRANSIT: "The money is on its way to the bank.",
    PayoutStatus.PAID: "The money reached the bank.",
    PayoutStatus.FAILED: "The bank did not take the money. It is available again.",
    PayoutStatus.CANCELED: "The payout was cancelled. The money is available again.",
}


_REASON_MESSAGES = {
    "CREATOR_OWES": "What was taken back from the creator comes first. The rest of the money is available again.",
    "ACCOUNT_NOT_READY": "The account with the payment provider is not ready. The money is available again.",
    "NOT_FOUND": "The account is no longer connected with the payment provider. The money is available again.",
    "BALANCE_INSUFFICIENT": "The account with the payment provider did not hold the money. It is available again.",
    "PROVIDER_SILENT": "The payment provider did not take the payout. The money is available again.",
    "TRANSFER_REVERSED": "The transfer was taken back at the provider. The money is available again.",
}


def payout_message(status: PayoutStatus, reason: str | None = None) -> str:
    """Return a sentence for a person about a payout's status and the reason for it."""
    return _REASON_MESSAGES.get(reason or "", _MESSAGES[status])
