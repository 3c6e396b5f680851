"""The test cards: what each of Stripe's test payment methods does, as data."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Card:
    """``code`` is why it is declined. ``authenticates``: its owner has to act. ``refund``: what refunds of it do."""

    last4: str
    code: str | None = None
    decline_code: str | None = None
    authenticates: bool = False
    disputed: bool = False
    refund: str = "succeeded"
    exp_year: int = 2049
    brand: str = "visa"


def _declined(last4: str, decline_code: str) -> Card:
    return Card(last4, "card_declined", decline_code)


CARDS: Final[dict[str, Card]] = {
    "pm_card_visa": Card("4242"),
    "pm_card_mastercard": Card("4444", brand="mastercard"),
    "pm_card_authenticationRequired": Card("3184", authenticates=True),
    "pm_card_visa_chargeDeclined": _declined("0002", "generic_decline"),
    "pm_card_visa_chargeDeclinedInsufficientFunds": _declined("9995", "insufficient_funds"),
    "pm_card_visa_chargeDeclinedLostCard": _declined("9987", "lost_card"),
    "pm_card_visa_chargeDeclinedStolenCard": _declined("9979", "stolen_card"),
    "pm_card_visa_chargeDeclinedFraudulent": _declined("0019", "fraudulent"),
    "pm_card_chargeDeclinedExpiredCard": Card("0069", "expired_card", exp_year=2020),
    "pm_card_chargeDeclinedIncorrectCvc": Card("0127", "incorrect_cvc"),
    "pm_card_chargeDeclinedProcessingError": Card("0119", "processing_error"),
    "pm_card_createDispute": Card("0259", disputed=True),
    "pm_card_pendingRefund": Card("7726", refund="pending"),
    "pm_card_refundFail": Card("5126", refund="fails_later"),
}
