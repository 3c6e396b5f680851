"""A provider whose events say only that something changed, so that everything has to be looked up."""

from collections.abc import Sequence
from typing import Any

from providers.payments.base import (
    AccountFact,
    ChargeFact,
    DisputeFact,
    Event,
    Fact,
    LookUp,
    PaymentFact,
    PayoutFact,
    RefundFact,
    Subject,
    TransferFact,
)
from providers.payments.sandbox import translation

_SUBJECTS = {
    PaymentFact: Subject.PAYMENT,
    ChargeFact: Subject.PAYMENT,
    RefundFact: Subject.REFUND,
    DisputeFact: Subject.DISPUTE,
    AccountFact: Subject.ACCOUNT,
    TransferFact: Subject.TRANSFER,
    PayoutFact: Subject.PAYOUT,
}


def look_ups(event: Event) -> Sequence[Fact | LookUp]:
    """Translate an event of the sandbox into where its facts can be had."""
    return [LookUp(_SUBJECTS[type(fact)], _reference(event, fact)) for fact in translation.translate(event)]


def _reference(event: Event, fact: Any) -> str:
    if isinstance(fact, ChargeFact):
        told: Any = event.body["data"]
        return str(told["object"]["payment"])
    return str(fact.provider_reference)


def tell_little(sandbox: Any) -> None:
    """Have a sandbox, or all there are if given its class, say no more than what changed."""
    sandbox.translate = staticmethod(look_ups) if isinstance(sandbox, type) else look_ups
