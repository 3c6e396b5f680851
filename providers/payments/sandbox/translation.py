"""The sandbox's objects as facts. Pure functions: what is told in a webhook and what is looked up read alike."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from providers.payments.base import (
    AccountFact,
    BalanceMove,
    ChargeFact,
    DisputeFact,
    DisputeState,
    Event,
    Fact,
    PaymentFact,
    PayoutFact,
    PayoutState,
    ProviderErrorCode,
    ProviderState,
    RefundFact,
    RefundState,
    TransferFact,
    WebhookRejected,
)

_LARGEST_AMOUNT: Final = 2**63 - 1

Source = Mapping[str, object]


def translate(event: Event) -> tuple[Fact, ...]:
    """Return the facts an event states; an event of a type nobody knows here states none.

    Raises WebhookRejected, and nothing else, for an event of a known type whose object is malformed: it was
    signed, so it is worth keeping aside and looking at, and no retry makes it readable.
    """
    read = _READERS.get(event.type)
    if read is None:
        return ()
    try:
        data = event.body["data"]
        return (read(data["object"]),)  # type: ignore[index] # what isn't a mapping is a TypeError, caught below
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise WebhookRejected(f"Malformed object in an event of type {event.type}.") from error


def payment_fact(source: Source) -> PaymentFact:
    """Return the payment an object tells of.

    Raises KeyError, TypeError, ValueError or OverflowError when it is malformed, as all readers here do.
    """
    amount, captured = _amount(source, "amount"), _amount(source, "captured")
    # Events that were made before there were authorisations say nothing of them.
    authorized = _amount(source, "authorized") if "authorized" in source else 0
    if captured > amount or authorized > amount:
        raise ValueError("captured")
    return PaymentFact(
        reference=UUID(_text(source, "reference")),
        provider_reference=_text(source, "id"),
        state=ProviderState(_text(source, "state")),
        at=_time(source, "at"),
        amount=amount,
        currency=_text(source, "currency"),
        authorized=authorized,
        captured=captured,
        decline_code=_decline_code(source),
        action_url=_text_or_none(source, "action_url"),
        capture_before=_time(source, "capture_before") if source.get("capture_before") is not None else None,
    )


def charge_fact(source: Source) -> ChargeFact:
    """Return the charge an object tells of."""
    gross, fee = _amount(source, "gross"), _amount(source, "fee")
    if fee > gross:
        raise ValueError("fee")
    return ChargeFact(
        reference=UUID(_text(source, "reference")),
        balance_transaction=_text(source, "balance_transaction"),
        at=_time(source, "at"),
        gross=gross,
        fee=fee,
        currency=_text(source, "currency"),
        available_on=_time(source, "available_on"),
    )


def refund_fact(source: Source) -> RefundFact:
    """Return the refund an object tells of."""
    reference = _text_or_none(source, "reference")
    return RefundFact(
        payment=UUID(_text(source, "payment_reference")),
        reference=None if reference is None else UUID(reference),
        provider_reference=_text(source, "id"),
        state=RefundState(_text(source, "state")),
        at=_time(source, "at"),
        amount=_positive(source, "amount"),
        currency=_text(source, "currency"),
        failure_code=_text_or_none(source, "failure_code"),
        balance_transaction=_text_or_none(source, "balance_transaction"),
        return_transaction=_text_or_none(source, "return_transaction"),
    )


def dispute_fact(source: Source) -> DisputeFact:
    """Return the dispute an object tells of."""
    return DisputeFact(
        payment=UUID(_text(source, "payment_reference")),
        provider_reference=_text(source, "id"),
        state=DisputeState(_text(source, "state")),
        at=_time(source, "at"),
        amount=_positive(source, "amount"),
        currency=_text(source, "currency"),
        reason=_text(source, "reason"),
        respond_by=_time(source, "respond_by"),
        withdrawal=_move(source["withdrawal"]),
        reinstatement=_move(source["reinstatement"]),
    )


def account_fact(source: Source) -> AccountFact:
    """Return the connected account an object tells of."""
    ready, missing = source["ready"], source["missing"]
    if not isinstance(ready, bool) or not isinstance(missing, list):
        raise TypeError("ready")
    return AccountFact(
        reference=UUID(_text(source, "reference")),
        provider_reference=_text(source, "id"),
        at=_time(source, "at"),
        ready=ready,
        missing=tuple(_text({"missing": name}, "missing") for name in missing),
    )


def transfer_fact(source: Source) -> TransferFact:
    """Return the transfer an object tells of."""
    return TransferFact(
        reference=UUID(_text(source, "reference")),
        provider_reference=_text(source, "id"),
        account=_text(source, "account"),
        at=_time(source, "at"),
        amount=_positive(source, "amount"),
        currency=_text(source, "currency"),
        balance_transaction=_text(source, "balance_transaction"),
        reversal_transaction=_text_or_none(source, "reversal_transaction"),
    )


def payout_fact(source: Source) -> PayoutFact:
    """Return the payout an object tells of."""
    return PayoutFact(
        reference=UUID(_text(source, "reference")),
        provider_reference=_text(source, "id"),
        account=_text(source, "account"),
        state=PayoutState(_text(source, "state")),
        at=_time(source, "at"),
        amount=_positive(source, "amount"),
        currency=_text(source, "currency"),
        arrives_at=_time(source, "arrives_at"),
        failure_code=_text_or_none(source, "failure_code"),
    )


def _text(source: Source, name: str) -> str:
    value = source[name]
    if not isinstance(value, str) or not value:
        raise TypeError(name)
    return value


def _text_or_none(source: Source, name: str) -> str | None:
    return None if source[name] is None else _text(source, name)


def _amount(source: Source, name: str) -> int:
    value = source[name]
    if type(value) is not int or not 0 <= value <= _LARGEST_AMOUNT:
        raise TypeError(name)
    return value


def _positive(source: Source, name: str) -> int:
    value = _amount(source, name)
    if value == 0:
        raise ValueError(name)
    return value


def _time(source: Source, name: str) -> datetime:
    value = datetime.fromisoformat(_text(source, name))
    if value.tzinfo is None:
        raise ValueError(name)
    return value.astimezone(UTC)


def _move(source: object) -> BalanceMove | None:
    if source is None:
        return None
    if not isinstance(source, Mapping):
        raise TypeError("move")
    return BalanceMove(_text(source, "balance_transaction"), _positive(source, "amount"), _amount(source, "fee"))


def _decline_code(source: Source) -> str | None:
    value = source["decline_code"]
    return None if value is None else ProviderErrorCode(_text(source, "decline_code")).value


READERS: Final[Mapping[str, Callable[[Source], Fact]]] = {
    "payment": payment_fact,
    "charge": charge_fact,
    "refund": refund_fact,
    "dispute": dispute_fact,
    "account": account_fact,
    "transfer": transfer_fact,
    "payout": payout_fact,
}
"""How each kind of object is read."""

EVENT_TYPES: Final[tuple[str, ...]] = (
    "payment.processing",
    "payment.requires_action",
    "payment.failed",
    "payment.authorized",
    "payment.succeeded",
    "payment.canceled",
    "charge.updated",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "dispute.created",
    "dispute.updated",
    "dispute.closed",
    "dispute.funds_withdrawn",
    "dispute.funds_reinstated",
    "account.updated",
    "transfer.created",
    "transfer.reversed",
    "payout.created",
    "payout.updated",
    "payout.paid",
    "payout.failed",
)
_READERS: Final = {event_type: READERS[event_type.partition(".")[0]] for event_type in EVENT_TYPES}
