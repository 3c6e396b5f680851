"""Facts: what a provider says of its objects, in words that hold for every provider.

A fact is never an order: facts arrive late, twice and in any order, and ``services.fold`` makes of them what is
known. Amounts are whole numbers of the currency's smallest unit, times are aware and in UTC. ``at`` is when what a
fact says was so, by the provider's clock: an object's own time where the provider keeps one, otherwise that of the
event which tells it, or of the answer.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class Subject(StrEnum):
    """The kinds of a provider's objects that can be looked up."""

    PAYMENT = "PAYMENT"
    REFUND = "REFUND"
    DISPUTE = "DISPUTE"
    ACCOUNT = "ACCOUNT"
    TRANSFER = "TRANSFER"
    PAYOUT = "PAYOUT"
    BALANCE_ENTRY = "BALANCE_ENTRY"


class ProviderState(StrEnum):
    """Where a payment stands at the provider."""

    REQUIRES_METHOD = "REQUIRES_METHOD"
    REQUIRES_ACTION = "REQUIRES_ACTION"
    PROCESSING = "PROCESSING"
    AUTHORIZED = "AUTHORIZED"
    SUCCEEDED = "SUCCEEDED"
    CANCELED = "CANCELED"


class RefundState(StrEnum):
    """Where a refund stands, each later than those before it: one that succeeded can still fail."""

    PENDING = "PENDING"
    SUCCEEDED = "SUCCEEDED"
    CANCELED = "CANCELED"
    FAILED = "FAILED"


class DisputeState(StrEnum):
    """Where a dispute stands, each later than those before it: one that was lost can be won on appeal."""

    NEEDS_RESPONSE = "NEEDS_RESPONSE"
    UNDER_REVIEW = "UNDER_REVIEW"
    LOST = "LOST"
    WON = "WON"


class PayoutState(StrEnum):
    """Where a payout stands at the provider, each later than those before it: one that was paid can still fail."""

    PENDING = "PENDING"
    IN_TRANSIT = "IN_TRANSIT"
    PAID = "PAID"
    CANCELED = "CANCELED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class PaymentFact:
    """What the provider said of a payment at one of its own moments.

    ``reference`` is our payment's id, ``provider_reference`` the provider's. ``authorized`` and ``captured``
    are the totals so far. ``decline_code`` is why the last attempt failed, when it did. ``action_url`` is
    where the payer goes when the state is REQUIRES_ACTION. ``capture_before`` is when an authorisation that is
    not captured lapses.
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
    capture_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class ChargeFact:
    """The provider's balance transaction for a captured payment: what it took in, and what it kept.

    ``reference`` is our payment's id. ``gross`` and ``fee`` are in minor units of ``currency``, which is another
    than the payment's where the provider converted it; ``available_on`` is when the provider lets go of the money.
    """

    reference: UUID
    balance_transaction: str
    at: datetime
    gross: int
    fee: int
    currency: str
    available_on: datetime


@dataclass(frozen=True, slots=True)
class BalanceMove:
    """Money that a line of the provider's books moved: ``amount``, and ``fee`` for the provider, both positive.

    ``currency`` is named where the provider converted it, and is not that of what the line is about.
    """

    balance_transaction: str
    amount: int
    fee: int
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class RefundFact:
    """What the provider said of a refund.

    ``payment`` is our payment's id; ``reference`` our refund's id, or None for one that was made at the provider
    itself. ``failure_code`` is why it failed. ``balance_transaction`` is the line of the provider's books that
    paid it, ``return_transaction`` the one that took its money back when it failed; each None until there is one.
    ``converted`` and ``return_converted`` are what those lines moved where the provider converted it.
    """

    payment: UUID
    reference: UUID | None
    provider_reference: str
    state: RefundState
    at: datetime
    amount: int
    currency: str
    failure_code: str | None = None
    balance_transaction: str | None = None
    return_transaction: str | None = None
    converted: BalanceMove | None = None
    return_converted: BalanceMove | None = None


@dataclass(frozen=True, slots=True)
class DisputeFact:
    """What the provider said of a dispute over a payment.

    ``payment`` is our payment's id. ``amount`` is what is disputed. ``reason`` is the provider's word for why,
    ``respond_by`` until when evidence is taken. ``withdrawal`` is what was taken from our balance,
    ``reinstatement`` what was given back once it was won: of the fee, ``reinstatement.fee`` came back.
    """

    payment: UUID
    provider_reference: str
    state: DisputeState
    at: datetime
    amount: int
    currency: str
    reason: str
    respond_by: datetime | None = None
    withdrawal: BalanceMove | None = None
    reinstatement: BalanceMove | None = None


@dataclass(frozen=True, slots=True)
class AccountFact:
    """What the provider said of a creator's connected account.

    ``reference`` is our creator's id. ``ready``: it may receive transfers and be paid out. ``missing`` names, in
    the provider's words, what the creator has still to give.
    """

    reference: UUID
    provider_reference: str
    at: datetime
    ready: bool
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TransferFact:
    """A transfer from our balance to a connected account. ``reference`` is our payout's id.

    ``reversal_transaction`` is the balance transaction that took all of it back, None as long as it stands.
    """

    reference: UUID
    provider_reference: str
    account: str
    at: datetime
    amount: int
    currency: str
    balance_transaction: str
    reversal_transaction: str | None = None


@dataclass(frozen=True, slots=True)
class PayoutFact:
    """What the provider said of a payout from a connected account to its bank. ``reference`` is our payout's id.

    ``arrives_at`` is when the bank is expected to have it. ``failure_code`` is why it failed.
    """

    reference: UUID
    provider_reference: str
    account: str
    state: PayoutState
    at: datetime
    amount: int
    currency: str
    arrives_at: datetime | None = None
    failure_code: str | None = None


# Snapshots of what is no fact of a payment ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AccountSnapshot:
    """A connected account, and where the creator goes on giving what is missing, while anything is."""

    fact: AccountFact
    onboarding_url: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class MethodSnapshot:
    """A saved payment method. ``customer_reference`` is whom the provider keeps it for.

    ``brand`` and ``last_four`` are what a payer knows a card by; it expires at the end of ``expires_month``.
    """

    provider_reference: str
    customer_reference: str
    kind: str
    brand: str
    last_four: str
    expires_month: int
    expires_year: int


class BalanceKind(StrEnum):
    """What a line of a provider's books is about."""

    CHARGE = "CHARGE"
    # What was let go of a charge that was captured in part, where the charge's own line is of the whole.
    CAPTURE_REVERSED = "CAPTURE_REVERSED"
    REFUND = "REFUND"
    REFUND_RETURNED = "REFUND_RETURNED"
    DISPUTE_WITHDRAWN = "DISPUTE_WITHDRAWN"
    DISPUTE_WON = "DISPUTE_WON"
    TRANSFER = "TRANSFER"
    TRANSFER_REVERSED = "TRANSFER_REVERSED"
    # The platform's own: what its bank was paid, and gave back or paid in, and what the provider bills it for.
    PLATFORM_PAYOUT = "PLATFORM_PAYOUT"
    PLATFORM_PAYOUT_RETURNED = "PLATFORM_PAYOUT_RETURNED"
    TOP_UP = "TOP_UP"
    PROVIDER_FEE = "PROVIDER_FEE"
    OTHER = "OTHER"


@dataclass(frozen=True, slots=True)
class BalanceEntry:
    """A line of the provider's own books.

    ``amount`` is signed: what it did to our balance before the provider's ``fee``; ``net = amount - fee``. All
    in minor units. ``subject`` and ``provider_reference`` name the object to look up for it: for a charge, a
    refund or a dispute that is the payment; for a transfer the transfer; for what is the platform's own, and what
    was let go of a charge, the line itself, which then is a fact. ``reference`` is our payment's id where the line
    is such a fact of a payment, otherwise None.
    """

    id: str
    kind: BalanceKind
    subject: Subject | None
    provider_reference: str | None
    amount: int
    fee: int
    net: int
    currency: str
    at: datetime
    available_on: datetime
    reference: UUID | None = None


Fact = PaymentFact | ChargeFact | RefundFact | DisputeFact | AccountFact | TransferFact | PayoutFact | BalanceEntry


@dataclass(frozen=True, slots=True)
class LookUp:
    """What an event tells too little of: the object has to be asked for, by the provider's own id."""

    subject: Subject
    provider_reference: str
