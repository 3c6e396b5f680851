"""Balance transactions, the lines of Stripe's books, as entries.

What a line is about is told by its category for reports: its type alone takes what a part capture let go for a
refund, and calls disputes, and refunds that failed, adjustments. Source: Stripe's page on reporting categories.
"""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from providers.payments.base import BalanceEntry, BalanceKind, Subject
from providers.payments.stripe import amounts, references
from providers.payments.stripe.objects import fields
from providers.payments.stripe.objects.fields import Source

_KINDS: Final[Mapping[str, BalanceKind]] = {
    "charge": BalanceKind.CHARGE,
    "partial_capture_reversal": BalanceKind.CAPTURE_REVERSED,
    "refund": BalanceKind.REFUND,
    "refund_failure": BalanceKind.REFUND_RETURNED,
    "dispute": BalanceKind.DISPUTE_WITHDRAWN,
    "dispute_reversal": BalanceKind.DISPUTE_WON,
    "transfer": BalanceKind.TRANSFER,
    "transfer_reversal": BalanceKind.TRANSFER_REVERSED,
    "payout": BalanceKind.PLATFORM_PAYOUT,
    "payout_reversal": BalanceKind.PLATFORM_PAYOUT_RETURNED,
    "topup": BalanceKind.TOP_UP,
    "topup_reversal": BalanceKind.TOP_UP,
    "fee": BalanceKind.PROVIDER_FEE,
    "network_cost": BalanceKind.PROVIDER_FEE,
    "tax": BalanceKind.PROVIDER_FEE,
}
_OF_PAYMENTS: Final = frozenset(
    (
        BalanceKind.CHARGE,
        BalanceKind.CAPTURE_REVERSED,
        BalanceKind.REFUND,
        BalanceKind.REFUND_RETURNED,
        BalanceKind.DISPUTE_WITHDRAWN,
        BalanceKind.DISPUTE_WON,
    )
)
_OF_TRANSFERS: Final = frozenset((BalanceKind.TRANSFER, BalanceKind.TRANSFER_REVERSED))
_About = tuple[Subject, str] | None


def balance_entry(line: Source) -> BalanceEntry:
    """Return what a line of Stripe's books says, its ``source`` expanded.

    Whose payment or transfer it is about is read from the metadata of the source, or of the payment or transfer
    within it where that is expanded. What is about none of ours is OTHER, and names nothing to look up.
    """
    kind, about, reference = _about(line)
    return _entry(line, kind, about, reference)


def capture_reversed(line: Source, payment: UUID) -> BalanceEntry:
    """Return the line of what was let go of a charge; ``payment`` is our payment's id."""
    return _entry(line, BalanceKind.CAPTURE_REVERSED, (Subject.BALANCE_ENTRY, fields.text(line, "id")), payment)


def _entry(line: Source, kind: BalanceKind, about: _About, reference: UUID | None) -> BalanceEntry:
    currency = fields.currency(line)
    return BalanceEntry(
        id=fields.text(line, "id"),
        kind=kind,
        subject=None if about is None else about[0],
        provider_reference=None if about is None else about[1],
        amount=amounts.from_stripe(fields.whole(line, "amount"), currency),
        fee=amounts.from_stripe(fields.whole(line, "fee"), currency),
        net=amounts.from_stripe(fields.whole(line, "net"), currency),
        currency=currency,
        at=fields.time(line, "created"),
        available_on=fields.time(line, "available_on"),
        reference=reference,
    )


def unclear(line: Source) -> tuple[str, str] | None:
    """Return what has to be read, and put into the source, to know whether a line is about something of ours.

    A refund made in Stripe's dashboard, a dispute and a reversal carry no metadata of ours: what they are about
    does. The answer is the name of the field, and the id that stands in it; None when all is told.
    """
    kind = _kind(line)
    source = fields.inner_or_none(line, "source")
    if source is None or kind is BalanceKind.CHARGE:
        return None
    if kind in _OF_PAYMENTS and references.ours(source, references.PAYMENT) is None:
        return _by_name(source, "payment_intent")
    if kind is BalanceKind.TRANSFER_REVERSED:
        return _by_name(source, "transfer")
    return None


def _by_name(source: Source, name: str) -> tuple[str, str] | None:
    value = source.get(name)
    return (name, value) if isinstance(value, str) and value else None


def _kind(line: Source) -> BalanceKind:
    kind = _KINDS.get(fields.text(line, "reporting_category"), BalanceKind.OTHER)
    amount = fields.whole(line, "amount")
    if (kind is BalanceKind.PLATFORM_PAYOUT and amount > 0) or (
        kind is BalanceKind.PLATFORM_PAYOUT_RETURNED and amount < 0
    ):
        # What is below zero Stripe takes from the platform's bank: a payout the other way.
        return BalanceKind.TOP_UP
    return kind


def _about(line: Source) -> tuple[BalanceKind, _About, UUID | None]:
    kind = _kind(line)
    if kind is BalanceKind.OTHER:
        return kind, None, None
    own = Subject.BALANCE_ENTRY, fields.text(line, "id")
    source = fields.inner_or_none(line, "source")
    if kind is BalanceKind.CAPTURE_REVERSED:
        payment = None if source is None else _payment(source)
        return (BalanceKind.OTHER, None, None) if payment is None else (kind, own, payment)
    if kind in _OF_PAYMENTS or kind in _OF_TRANSFERS:
        about = None if source is None else _ours(source, kind)
        return (BalanceKind.OTHER, None, None) if about is None else (kind, about, None)
    return kind, own, None


def _payment(source: Source) -> UUID | None:
    """Return our id of the payment that a source is about, or None."""
    return references.ours(fields.inner_or_none(source, "payment_intent") or source, references.PAYMENT)


def _ours(source: Source, kind: BalanceKind) -> _About:
    """Return the payment or the transfer of ours that a source is about, or None."""
    if kind in _OF_TRANSFERS:
        transfer = source if source.get("object") == "transfer" else fields.inner_or_none(source, "transfer")
        if transfer is None or references.ours(transfer, references.TRANSFER) is None:
            return None
        return Subject.TRANSFER, fields.text(transfer, "id")
    if _payment(source) is None:
        return None
    name = fields.identity_or_none(source, "payment_intent")
    return None if name is None else (Subject.PAYMENT, name)
