"""The contract every payment provider is reached by.

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


class Capability(StrEnum):
    """What a provider can do beyond creating, confirming, cancelling and reading a payment."""

    MANUAL_CAPTURE = "MANUAL_CAPTURE"
    PARTIAL_CAPTURE = "PARTIAL_CAPTURE"
    MULTIPLE_CAPTURES = "MULTIPLE_CAPTURES"
    REFUND = "REFUND"
    PARTIAL_REFUND = "PARTIAL_REFUND"
    SPLIT = "SPLIT"
    PAYOUTS = "PAYOUTS"
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

    ``currencies`` maps each currency code to its smallest and largest charge, in minor units.
    """

    currencies: Mapping[str, tuple[int, int]]
    features: frozenset[Capability]


class ProviderState(StrEnum):
    """Where a payment stands at the provider."""

    REQUIRES_METHOD = "REQUIRES_METHOD"
    REQUIRES_ACTION = "REQUIRES_ACTION"
    PROCESSING = "PROCESSING"
    AUTHORIZED = "AUTHORIZED"
    SUCCEEDED = "SUCCEEDED"
    CANCELED = "CANCELED"


# Facts ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PaymentFact:
    """What the provider said of a payment at one of its own moments.

    ``reference`` is our payment's id, ``provider_reference`` the provider's. ``authorized`` and ``captured``
    are the totals so far. ``decline_code`` is why the last attempt failed, when it did. ``action_url`` is
    where the payer goes when the state is REQUIRES_ACTION.
    """

    reference: UUID
    provider_reference: str
    state: ProviderState
    at: datetime
    amount: int
    currency: str
    authorized: int = 0
    captured: int = 0
    decline_code: str | None = None
    action_url: str | None = None


@dataclass(frozen=True, slots=True)
class ChargeFact:
    """The provider's balance transaction for a captured payment: what it took in, and what it kept.

    ``gross`` and ``fee`` are in minor units of ``currency``; ``available_on`` is when the provider lets go
    of the money.
    """

    reference: UUID
    balance_transaction: str
    at: datetime
    gross: int
    fee: int
    currency: str
    available_on: datetime


Fact = PaymentFact | ChargeFact


@dataclass(frozen=True, slots=True)
class Event:
    """A verified event of the provider: its id there, its type, and its decoded body."""

    id: str
    type: str
    body: Mapping[str, object] = field(repr=False)


# Commands -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CreatePayment:
    """Ask for ``amount`` minor units of ``currency``; nothing is charged until it is confirmed."""

    idempotency_key: str
    reference: UUID
    amount: int
    currency: str
    description: str
    manual_capture: bool = False


@dataclass(frozen=True, slots=True)
class ConfirmPayment:
    """Charge a payment with a tokenised method. ``return_url`` is where a 3-D Secure page sends the payer."""

    idempotency_key: str
    provider_reference: str
    method: str = field(repr=False)
    return_url: str | None = None


@dataclass(frozen=True, slots=True)
class CapturePayment:
    """Capture ``amount`` minor units of an authorised payment; the rest is let go when ``final``."""

    idempotency_key: str
    provider_reference: str
    amount: int
    final: bool = True


@dataclass(frozen=True, slots=True)
class CancelPayment:
    idempotency_key: str
    provider_reference: str


@dataclass(frozen=True, slots=True)
class Refund:
    """Give back ``amount`` minor units. ``reference`` is our refund's id."""

    idempotency_key: str
    reference: UUID
    provider_reference: str
    amount: int
    reason: str


@dataclass(frozen=True, slots=True)
class SaveMethod:
    idempotency_key: str
    customer: UUID
    method: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class DetachMethod:
    idempotency_key: str
    provider_reference: str


@dataclass(frozen=True, slots=True)
class Onboard:
    """Open a creator's account at the provider, or continue doing so."""

    idempotency_key: str
    creator: UUID
    country: str
    return_url: str


@dataclass(frozen=True, slots=True)
class Transfer:
    """Move ``amount`` minor units from our balance to a connected account."""

    idempotency_key: str
    reference: UUID
    account: str
    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class Payout:
    """Send ``amount`` minor units from a connected account to its bank."""

    idempotency_key: str
    reference: UUID
    account: str
    amount: int
    currency: str
    instant: bool = False


@dataclass(frozen=True, slots=True)
class AnswerDispute:
    idempotency_key: str
    provider_reference: str
    evidence: Mapping[str, str]
    submit: bool = True


# Snapshots ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ObjectSnapshot:
    """A refund, transfer, payout, dispute or saved method as the provider has it now."""

    provider_reference: str
    status: str
    at: datetime


@dataclass(frozen=True, slots=True)
class AccountSnapshot:
    """A connected account: whether it may receive money, what is missing, where the creator goes on."""

    provider_reference: str
    ready: bool
    missing: tuple[str, ...]
    onboarding_url: str | None


@dataclass(frozen=True, slots=True)
class BalanceEntry:
    """A line of the provider's own books. ``amount``, ``fee`` and ``net`` are signed minor units."""

    id: str
    kind: str
    reference: UUID | None
    amount: int
    fee: int
    net: int
    currency: str
    at: datetime
    available_on: datetime


# Errors ---------------------------------------------------------------------------------------------------


class ProviderErrorCode(StrEnum):
    """Why a provider refused, in words that hold for every provider."""

    INSUFFICIENT_FUNDS = "INSUFFICIENT_FUNDS"
    CARD_EXPIRED = "CARD_EXPIRED"
    AUTHENTICATION_REQUIRED = "AUTHENTICATION_REQUIRED"
    AUTHENTICATION_FAILED = "AUTHENTICATION_FAILED"
    DECLINED = "DECLINED"
    METHOD_INVALID = "METHOD_INVALID"
    STATE_CONFLICT = "STATE_CONFLICT"
    NOT_FOUND = "NOT_FOUND"
    RATE_LIMITED = "RATE_LIMITED"
    UNAVAILABLE = "UNAVAILABLE"
    MISCONFIGURED = "MISCONFIGURED"
    UNSUPPORTED = "UNSUPPORTED"


class ProviderAction(StrEnum):
    """What may be done after an error."""

    NEVER = "NEVER"
    SAME_KEY = "SAME_KEY"
    LATER = "LATER"
    OTHER_METHOD = "OTHER_METHOD"
    AUTHENTICATE = "AUTHENTICATE"
    FIX_CONFIG = "FIX_CONFIG"


class ProviderError(Exception):
    """The only thing an adapter raises.

    ``ambiguous``: nobody knows whether it took effect (a timeout, a 5xx). Look it up; never compensate it,
    never send it again under another key. ``decline_code`` is one that may be shown to the payer: stolen
    cards and suspected fraud are DECLINED. ``fact`` is the state the refusal left the payment in, if told.
    """

    def __init__(
        self,
        code: ProviderErrorCode,
        action: ProviderAction,
        *,
        ambiguous: bool = False,
        provider_code: str | None = None,
        decline_code: str | None = None,
        request_id: str | None = None,
        fact: PaymentFact | None = None,
    ) -> None:
        super().__init__(f"{code.value} ({provider_code or 'no provider code'})")
        self.code = code
        self.action = action
        self.ambiguous = ambiguous
        self.provider_code = provider_code
        self.decline_code = decline_code
        self.request_id = request_id
        self.fact = fact


def unsupported(what: str) -> ProviderError:
    """Return the refusal of a command that the provider's capabilities do not declare."""
    return ProviderError(ProviderErrorCode.UNSUPPORTED, ProviderAction.NEVER, provider_code=what)


class WebhookRejected(Exception):  # ruff: ignore[error-suffix-on-exception-name] - an answer to whoever sent it
    """A webhook that cannot be believed: no or a wrong signature, too old, from the future, not an event."""


# The contract ---------------------------------------------------------------------------------------------


class PaymentProvider(Protocol):
    """A payment provider. See the module's docstring for what holds of every method."""

    name: str
    capabilities: Capabilities

    async def create_payment(self, command: CreatePayment) -> PaymentFact: ...
    async def confirm_payment(self, command: ConfirmPayment) -> PaymentFact: ...
    async def capture(self, command: CapturePayment) -> PaymentFact: ...
    async def cancel(self, command: CancelPayment) -> PaymentFact: ...
    async def refund(self, command: Refund) -> ObjectSnapshot: ...
    async def save_method(self, command: SaveMethod) -> ObjectSnapshot: ...
    async def detach_method(self, command: DetachMethod) -> ObjectSnapshot: ...
    async def onboard(self, command: Onboard) -> AccountSnapshot: ...
    async def transfer(self, command: Transfer) -> ObjectSnapshot: ...
    async def payout(self, command: Payout) -> ObjectSnapshot: ...
    async def answer_dispute(self, command: AnswerDispute) -> ObjectSnapshot: ...

    async def fetch(self, provider_reference: str) -> PaymentFact:
        """Return the truth about a payment the provider knows."""
        ...

    async def find(self, reference: UUID) -> PaymentFact | None:
        """Return the payment made for our id, or None when the provider has none: exhaustive, not a guess."""
        ...

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Event:
        """Check a webhook's signature and age and decode it. Pure and total: raises only WebhookRejected."""
        ...

    def translate(self, event: Event) -> Sequence[Fact]:
        """Return the facts an event states; an event that is none of our business states none. Pure, total."""
        ...

    def events(self, since: datetime) -> AsyncIterator[Event]:
        """Replay the events since a moment, oldest first."""
        ...

    def balance_entries(self, since: datetime) -> AsyncIterator[BalanceEntry]:
        """Read the provider's books since a moment, oldest first."""
        ...
