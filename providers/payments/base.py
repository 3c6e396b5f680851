"""The contract every payment provider is reached by: facts, commands and errors, and what can be asked.

Amounts are whole numbers of the currency's smallest unit, times are aware and in UTC, and every command that
changes something carries an idempotency key: sent again with the same key, it happens once. An adapter raises
``ProviderError`` and nothing else, and refuses with ``UNSUPPORTED`` whatever its capabilities do not declare.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from core.refunds import RefundReason
from providers.payments.commands import (
    AnswerDispute,
    CancelPayment,
    CapturePayment,
    ConfirmPayment,
    CreatePayment,
    DetachMethod,
    Onboard,
    Payout,
    Refund,
    ReverseTransfer,
    SaveMethod,
    Transfer,
)
from providers.payments.errors import (
    ProviderAction,
    ProviderError,
    ProviderErrorCode,
    WebhookRejected,
    unsupported,
)
from providers.payments.facts import (
    AccountFact,
    AccountSnapshot,
    BalanceEntry,
    BalanceKind,
    BalanceMove,
    ChargeFact,
    DisputeFact,
    DisputeState,
    Fact,
    LookUp,
    MethodSnapshot,
    PaymentFact,
    PayoutFact,
    PayoutState,
    ProviderState,
    RefundFact,
    RefundState,
    Subject,
    TransferFact,
)

__all__ = [
    "AccountFact",
    "AccountSnapshot",
    "AnswerDispute",
    "BalanceEntry",
    "BalanceKind",
    "BalanceMove",
    "CancelPayment",
    "Capabilities",
    "Capability",
    "CapturePayment",
    "ChargeFact",
    "ConfirmPayment",
    "CreatePayment",
    "DetachMethod",
    "DisputeFact",
    "DisputeState",
    "Event",
    "Fact",
    "Foreign",
    "LookUp",
    "MethodSnapshot",
    "Onboard",
    "PaymentFact",
    "PaymentProvider",
    "Payout",
    "PayoutFact",
    "PayoutState",
    "ProviderAction",
    "ProviderError",
    "ProviderErrorCode",
    "ProviderState",
    "Refund",
    "RefundFact",
    "RefundReason",
    "RefundState",
    "ReverseTransfer",
    "SaveMethod",
    "Subject",
    "Transfer",
    "TransferFact",
    "WebhookRejected",
    "unsupported",
]


class Capability(StrEnum):
    """What a provider can do beyond creating, confirming, cancelling and reading a payment."""

    MANUAL_CAPTURE = "MANUAL_CAPTURE"
    PARTIAL_CAPTURE = "PARTIAL_CAPTURE"
    MULTIPLE_CAPTURES = "MULTIPLE_CAPTURES"
    REFUND = "REFUND"
    PARTIAL_REFUND = "PARTIAL_REFUND"
    SPLIT = "SPLIT"
    PAYOUTS = "PAYOUTS"
    INSTANT_PAYOUTS = "INSTANT_PAYOUTS"
    SAVED_METHODS = "SAVED_METHODS"
    OFF_SESSION = "OFF_SESSION"
    THREE_D_SECURE = "THREE_D_SECURE"
    DISPUTES = "DISPUTES"
    NATIVE_SUBSCRIPTIONS = "NATIVE_SUBSCRIPTIONS"
    EVENT_REPLAY = "EVENT_REPLAY"
    BALANCE_FEED = "BALANCE_FEED"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider can do, as data.

    ``currencies`` maps each currency code to its smallest and largest charge, in minor units. ``replayed`` are the
    objects whose events are told again, where EVENT_REPLAY is declared; the others have to be looked up.
    """

    currencies: Mapping[str, tuple[int, int]]
    features: frozenset[Capability]
    replayed: frozenset[Subject] = frozenset()


class Foreign(StrEnum):
    """Why a verified event is not for this deployment: it is kept, and nothing is done about it."""

    VERSION = "VERSION"
    MODE = "MODE"
    ACCOUNT = "ACCOUNT"


@dataclass(frozen=True, slots=True)
class Event:
    """A verified event of the provider: its id there, its type, its decoded body, and the bytes it came as.

    ``at`` is when it happened, as the provider says. ``account`` is the connected account it is of, where it is of
    one. ``foreign`` is why it is not for us: it is of another version of the API than the one we speak, or of
    another mode, live or test, than ours.
    """

    id: str
    type: str
    body: Mapping[str, object] = field(repr=False)
    raw: bytes = field(default=b"", repr=False)
    at: datetime | None = None
    account: str | None = None
    foreign: Foreign | None = None


class PaymentProvider(Protocol):
    """A payment provider. See the module's docstring for what holds of every method."""

    name: str
    capabilities: Capabilities

    async def create_payment(self, command: CreatePayment) -> PaymentFact: ...
    async def confirm_payment(self, command: ConfirmPayment) -> PaymentFact: ...
    async def capture(self, command: CapturePayment) -> PaymentFact: ...
    async def cancel(self, command: CancelPayment) -> PaymentFact: ...
    async def refund(self, command: Refund) -> RefundFact: ...
    async def save_method(self, command: SaveMethod) -> MethodSnapshot: ...
    async def detach_method(self, command: DetachMethod) -> None: ...
    async def onboard(self, command: Onboard) -> AccountSnapshot: ...
    async def transfer(self, command: Transfer) -> TransferFact: ...
    async def reverse_transfer(self, command: ReverseTransfer) -> TransferFact: ...
    async def payout(self, command: Payout) -> PayoutFact: ...
    async def answer_dispute(self, command: AnswerDispute) -> DisputeFact: ...

    async def fetch(self, subject: Subject, provider_reference: str) -> Sequence[Fact]:
        """Return the truth about an object the provider knows, by its own id: the object's fact first.

        Of a payment also its charge, what was let go of that, its refunds and its disputes; of a line of the
        provider's books the line.
        Errors: NOT_FOUND, UNAVAILABLE.
        """
        ...

    async def find(self, subject: Subject, reference: UUID) -> Sequence[Fact]:
        """Return the same of the object made for our id; nothing when the provider has none.

        Exhaustive, not a guess: after an ambiguous failure this decides. Not for disputes and lines of the books,
        which are not ours.
        """
        ...

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Event:
        """Check a webhook's signature and age and decode it. Pure and total: raises only WebhookRejected."""
        ...

    def decode(self, raw: bytes) -> Event:
        """Return the event that stored bytes tell, as ``verify`` did; what is foreign is so by today's settings.

        Pure and total: raises only WebhookRejected.
        """
        ...

    def translate(self, event: Event) -> Sequence[Fact | LookUp]:
        """Return the facts an event states, and what has to be looked up for it; of none of our business nothing.

        Pure and total.
        """
        ...

    def events(self, since: datetime) -> AsyncIterator[Event]:
        """Replay the events since a moment, oldest first, each as it was sent.

        Of the objects that ``capabilities.replayed`` names.
        """
        ...

    def balance_entries(self, since: datetime) -> AsyncIterator[BalanceEntry]:
        """Read the provider's books since a moment, oldest first."""
        ...

    async def balances(self) -> Mapping[str, int]:
        """Return what the provider holds for us, in minor units by currency: pending and available together."""
        ...
