# ruff: file-ignore[unused-method-argument] - the contract names them
"""The commands of the contract that the sandbox's capabilities do not declare: each is refused."""

from collections.abc import AsyncIterator
from datetime import datetime

from providers.payments.base import (
    AccountSnapshot,
    AnswerDispute,
    BalanceEntry,
    CapturePayment,
    DetachMethod,
    Event,
    ObjectSnapshot,
    Onboard,
    PaymentFact,
    Payout,
    Refund,
    SaveMethod,
    Transfer,
    unsupported,
)


class Undeclared:
    """Raises ProviderError UNSUPPORTED, before anything else happens, for all it is asked."""

    async def capture(self, command: CapturePayment) -> PaymentFact:
        raise unsupported("capture")

    async def refund(self, command: Refund) -> ObjectSnapshot:
        raise unsupported("refund")

    async def save_method(self, command: SaveMethod) -> ObjectSnapshot:
        raise unsupported("save_method")

    async def detach_method(self, command: DetachMethod) -> ObjectSnapshot:
        raise unsupported("detach_method")

    async def onboard(self, command: Onboard) -> AccountSnapshot:
        raise unsupported("onboard")

    async def transfer(self, command: Transfer) -> ObjectSnapshot:
        raise unsupported("transfer")

    async def payout(self, command: Payout) -> ObjectSnapshot:
        raise unsupported("payout")

    async def answer_dispute(self, command: AnswerDispute) -> ObjectSnapshot:
        raise unsupported("answer_dispute")

    def events(self, since: datetime) -> AsyncIterator[Event]:
        raise unsupported("events")

    def balance_entries(self, since: datetime) -> AsyncIterator[BalanceEntry]:
        raise unsupported("balance_entries")
