"""Commands: what a provider is asked to do. Each has an idempotency key; sent again with it, it happens once.

Amounts are whole numbers of the currency's smallest unit. ``provider_reference`` is the provider's own id of the
object a command is about.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from core.refunds import RefundReason


@dataclass(frozen=True, slots=True)
class CreatePayment:
    """Ask for ``amount`` minor units of ``currency``; nothing is charged until it is confirmed.

    ``manual_capture``: confirming it reserves the amount, and it is captured later.
    """

    idempotency_key: str
    reference: UUID
    amount: int
    currency: str
    description: str
    manual_capture: bool = False


@dataclass(frozen=True, slots=True)
class ConfirmPayment:
    """Charge a payment with a tokenised method of the payer's client, or with a ``saved`` one.

    A saved one goes by its provider reference, which only we may name: a client that sends one has guessed it.
    ``return_url`` is where a 3-D Secure page sends the payer. ``off_session``: the payer is not there, and so
    cannot authenticate.
    """

    idempotency_key: str
    provider_reference: str
    method: str = field(repr=False)
    return_url: str | None = None
    off_session: bool = False
    saved: bool = False


@dataclass(frozen=True, slots=True)
class CapturePayment:
    """Capture ``amount`` minor units of an authorised payment; the rest is let go when ``final``."""

    idempotency_key: str
    provider_reference: str
    amount: int
    final: bool = True


@dataclass(frozen=True, slots=True)
class CancelPayment:
    """Cancel a payment that nothing was captured of; what it reserved is let go."""

    idempotency_key: str
    provider_reference: str


@dataclass(frozen=True, slots=True)
class Refund:
    """Give back ``amount`` minor units of a payment. ``reference`` is our refund's id."""

    idempotency_key: str
    reference: UUID
    provider_reference: str
    amount: int
    reason: RefundReason


@dataclass(frozen=True, slots=True)
class SaveMethod:
    """Keep a tokenised method for a customer of ours, to charge later.

    ``customer_reference`` is what the provider calls the customer, once that is known.
    """

    idempotency_key: str
    customer: UUID
    method: str = field(repr=False)
    customer_reference: str | None = None


@dataclass(frozen=True, slots=True)
class DetachMethod:
    """Forget a saved method."""

    idempotency_key: str
    provider_reference: str


@dataclass(frozen=True, slots=True)
class Onboard:
    """Open a creator's connected account, or give a new address to go on with it.

    ``country`` is an ISO 3166-1 alpha-2 code. The creator comes back to ``return_url``. ``account`` is the
    provider's name for their account, once it is known: by then the key it was opened under may be forgotten.
    """

    idempotency_key: str
    creator: UUID
    country: str
    return_url: str
    account: str | None = None


@dataclass(frozen=True, slots=True)
class Transfer:
    """Move ``amount`` minor units from our balance to a connected account. ``reference`` is our payout's id."""

    idempotency_key: str
    reference: UUID
    account: str
    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class ReverseTransfer:
    """Take all of a transfer back from the connected account."""

    idempotency_key: str
    provider_reference: str


@dataclass(frozen=True, slots=True)
class Payout:
    """Send ``amount`` minor units from a connected account to its bank.

    ``reference`` is our payout's id, under which its money was transferred to the account before.
    """

    idempotency_key: str
    reference: UUID
    account: str
    amount: int
    currency: str
    instant: bool = False


@dataclass(frozen=True, slots=True)
class AnswerDispute:
    """Give evidence in a dispute; once it is submitted, no more is taken."""

    idempotency_key: str
    provider_reference: str
    evidence: Mapping[str, str] = field(repr=False)
    submit: bool = True
