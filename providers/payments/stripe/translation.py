"""What Stripe's events state, and what has to be looked up for them. Pure functions.

A snapshot holds the object as it was; where that tells too little (a fee, the lines of the books, what a version 2
object has become) the event only says what to ask for. So does one of another version of the API than ours: ids
mean the same in all of them.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from providers.payments.base import Event, Fact, LookUp, Subject, WebhookRejected
from providers.payments.stripe import references
from providers.payments.stripe.objects import fields
from providers.payments.stripe.objects.fields import MALFORMED, Source
from providers.payments.stripe.objects.payments import payment_fact
from providers.payments.stripe.objects.payouts import payout_fact, transfer_fact
from providers.payments.stripe.webhooks import tells_ids_alone

Told = tuple[Fact | LookUp, ...]

PAYMENT_EVENTS: Final = (
    "payment_intent.processing",
    "payment_intent.requires_action",
    "payment_intent.amount_capturable_updated",
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "payment_intent.canceled",
)
CHARGE_EVENTS: Final = ("charge.captured", "charge.updated")
REFUND_EVENTS: Final = ("refund.created", "refund.updated", "refund.failed")
DISPUTE_EVENTS: Final = (
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
)
TRANSFER_EVENTS: Final = ("transfer.created", "transfer.updated", "transfer.reversed")
PAYOUT_EVENTS: Final = ("payout.created", "payout.updated", "payout.paid", "payout.failed", "payout.canceled")

_ACCOUNT: Final = "v2.core.account"


def translate(event: Event) -> Told:
    """Return what an event states and what is to be looked up; an event of a type not known here, nothing.

    Raises WebhookRejected, and nothing else, for an event of a known type whose object is malformed: it was
    signed, so it is worth keeping aside and looking at, and no retry makes it readable.
    """
    try:
        if _is_of_an_account(event):
            return (LookUp(Subject.ACCOUNT, _related_account(event.body)),)
        read = (_BY_IDS if tells_ids_alone(event.body) else _READERS).get(event.type)
        if read is None:
            return ()
        if event.at is None:
            raise ValueError("created")
        return read(fields.inner(fields.inner(event.body, "data"), "object"), event, event.at)
    except MALFORMED as error:
        raise WebhookRejected(f"Malformed object in an event of type {event.type}.") from error


def _is_of_an_account(event: Event) -> bool:
    # v2.core.account.updated and v2.core.account[requirements].updated, but not v2.core.account_link.returned.
    return event.type.startswith((f"{_ACCOUNT}.", f"{_ACCOUNT}["))


def _related_account(body: Mapping[str, object]) -> str:
    return _id(fields.text(fields.inner(body, "related_object"), "id"), Subject.ACCOUNT)


def _payment(intent: Source, event: Event, at: datetime) -> Told:
    fact = payment_fact(intent, at)
    if fact is None:
        return ()
    if event.type == "payment_intent.amount_capturable_updated":
        # Until when it can be captured stands in the charge, which the event does not hold.
        return (fact, LookUp(Subject.PAYMENT, fact.provider_reference))
    return (fact,)


def _charge(charge: Source, _event: Event, _at: datetime) -> Told:
    """Ask for the payment of a charge that was booked: the fee stands in the line of the books."""
    return () if charge.get("balance_transaction") is None else _payment_of(charge)


def _refund(refund: Source, _event: Event, _at: datetime) -> Told:
    return _payment_of(refund)


def _dispute(dispute: Source, _event: Event, _at: datetime) -> Told:
    """Ask for the dispute itself: while it is but an inquiry, its charge does not say that there is one."""
    return _itself(dispute, Subject.DISPUTE)


def _transfer(transfer: Source, _event: Event, at: datetime) -> Told:
    fact = transfer_fact(transfer, at)
    return () if fact is None else (fact,)


def _payout(payout: Source, event: Event, at: datetime) -> Told:
    if event.account is None:
        return _platform_payout(payout)
    fact = payout_fact(payout, event.account, at)
    return () if fact is None else (fact,)


def _platform_payout(payout: Source) -> Told:
    """Ask for the lines that a payout to the platform's own bank made in the books."""
    lines = (
        fields.identity_or_none(payout, name) for name in ("balance_transaction", "failure_balance_transaction")
    )
    return tuple(
        LookUp(Subject.BALANCE_ENTRY, _id(line, Subject.BALANCE_ENTRY)) for line in lines if line is not None
    )


def _intent_by_id(intent: Source, _event: Event, _at: datetime) -> Told:
    return _itself(intent, Subject.PAYMENT)


def _charge_by_id(charge: Source, _event: Event, _at: datetime) -> Told:
    return _payment_of(charge)


def _transfer_by_id(transfer: Source, _event: Event, _at: datetime) -> Told:
    return _itself(transfer, Subject.TRANSFER)


def _payout_by_id(payout: Source, event: Event, _at: datetime) -> Told:
    if event.account is None:
        return _platform_payout(payout)
    name = references.join(event.account, _id(fields.text(payout, "id"), Subject.PAYOUT))
    return (LookUp(Subject.PAYOUT, name),)


def _itself(source: Source, subject: Subject) -> Told:
    return (LookUp(subject, _id(fields.text(source, "id"), subject)),)


def _payment_of(source: Source) -> Told:
    intent = fields.identity_or_none(source, "payment_intent")
    return () if intent is None else (LookUp(Subject.PAYMENT, _id(intent, Subject.PAYMENT)),)


def _id(text: str, subject: Subject) -> str:
    if not references.has_form(text, *references.PREFIXES[subject]):
        raise ValueError(subject.value)
    return text


_Reader = Callable[[Source, Event, datetime], Told]

_READERS: Final[Mapping[str, _Reader]] = {
    **dict.fromkeys(PAYMENT_EVENTS, _payment),
    **dict.fromkeys(CHARGE_EVENTS, _charge),
    **dict.fromkeys(REFUND_EVENTS, _refund),
    **dict.fromkeys(DISPUTE_EVENTS, _dispute),
    **dict.fromkeys(TRANSFER_EVENTS, _transfer),
    **dict.fromkeys(PAYOUT_EVENTS, _payout),
}
_BY_IDS: Final[Mapping[str, _Reader]] = {
    **dict.fromkeys(PAYMENT_EVENTS, _intent_by_id),
    **dict.fromkeys(CHARGE_EVENTS, _charge_by_id),
    **dict.fromkeys(REFUND_EVENTS, _refund),
    **dict.fromkeys(DISPUTE_EVENTS, _dispute),
    **dict.fromkeys(TRANSFER_EVENTS, _transfer_by_id),
    **dict.fromkeys(PAYOUT_EVENTS, _payout_by_id),
}
EVENT_TYPES: Final = tuple(_READERS)
"""The snapshots that are read; of version 2 everything that is of an account."""
