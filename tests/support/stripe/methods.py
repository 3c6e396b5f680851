"""The stand-in in the words of the conformance suite."""

from datetime import timedelta
from typing import Final

from providers.payments.base import PaymentFact, ProviderErrorCode, Subject
from tests.contracts.conformance import Methods

from .stand_in import StandIn

_NONE: Final = "1StandInHasNoneOfThis000"
DECLINES: Final = {
    "pm_card_visa_chargeDeclined": ProviderErrorCode.DECLINED,
    "pm_card_visa_chargeDeclinedInsufficientFunds": ProviderErrorCode.INSUFFICIENT_FUNDS,
    "pm_card_visa_chargeDeclinedLostCard": ProviderErrorCode.DECLINED,
    "pm_card_visa_chargeDeclinedStolenCard": ProviderErrorCode.DECLINED,
    "pm_card_visa_chargeDeclinedFraudulent": ProviderErrorCode.DECLINED,
    "pm_card_chargeDeclinedExpiredCard": ProviderErrorCode.CARD_EXPIRED,
}


class StandInLevers:
    """What happens at Stripe that nobody asks it for through the contract."""

    def __init__(self, stand_in: StandIn) -> None:
        self._stand_in = stand_in

    async def pass_time(self, by: timedelta) -> None:
        self._stand_in.pass_time(by)

    async def open_dispute(self, payment: PaymentFact) -> str:
        return self._stand_in.open_dispute(payment.provider_reference)

    async def make_ready(self, account: str) -> None:
        self._stand_in.make_ready(account)


def methods_of(stand_in: StandIn) -> Methods:
    """Return the stand-in's test methods, and what has the right form and is nothing."""
    return Methods(
        succeeds="pm_card_visa",
        authenticates="pm_card_authenticationRequired",
        unknown=f"pm_{_NONE}",
        declines=dict(DECLINES),
        unknown_objects={
            Subject.PAYMENT: f"pi_{_NONE}",
            Subject.REFUND: f"re_{_NONE}",
            Subject.DISPUTE: f"du_{_NONE}",
            Subject.ACCOUNT: f"acct_{_NONE}",
            Subject.TRANSFER: f"tr_{_NONE}",
            Subject.PAYOUT: f"acct_{_NONE}/po_{_NONE}",
            Subject.BALANCE_ENTRY: f"txn_{_NONE}",
        },
        unknown_method=f"cus_{_NONE}/pm_{_NONE}",
        levers=StandInLevers(stand_in),
    )
