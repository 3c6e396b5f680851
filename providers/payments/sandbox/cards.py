"""The sandbox's cards: what each token does, as data."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import orjson

from providers.payments.base import ProviderErrorCode, ProviderState


class DisputeOutcome(StrEnum):
    """How a dispute ends once it was answered, if its evidence does not say so."""

    WON = "WON"
    LOST = "LOST"
    LOST_THEN_WON = "LOST_THEN_WON"
    BY_EVIDENCE = "BY_EVIDENCE"


class RefundScenario(StrEnum):
    """What becomes of a refund that was accepted."""

    SUCCEEDS = "SUCCEEDS"
    PENDING = "PENDING"
    FAILS = "FAILS"
    FAILS_LATER = "FAILS_LATER"


class PayoutScenario(StrEnum):
    """What becomes of a payout that was accepted."""

    PAID = "PAID"
    FAILS = "FAILS"
    FAILS_AFTER_PAID = "FAILS_AFTER_PAID"
    STAYS_IN_TRANSIT = "STAYS_IN_TRANSIT"


class WebhookEffect(StrEnum):
    """What goes wrong with a webhook."""

    DUPLICATE = "DUPLICATE"
    DELAY = "DELAY"
    REORDER = "REORDER"
    LOSE = "LOSE"


@dataclass(frozen=True, slots=True)
class Card:
    """What confirming with a card does, and what becomes of the charge.

    ``decline_code`` is what the payer is told of a decline, ``reason`` what only we are told.
    ``answer_lost``: the confirmation takes effect, and its answer never arrives. ``refund`` is what its refunds
    do, ``dispute`` how the dispute ends that is opened over it, ``webhooks`` what goes wrong with the webhooks
    of its payment. ``by_amount``: what it does is chosen by the amount, from ``CHARGE_AMOUNTS``.
    """

    state: ProviderState = ProviderState.SUCCEEDED
    decline_code: ProviderErrorCode | None = None
    reason: str | None = None
    answer_lost: bool = False
    refund: RefundScenario | None = None
    dispute: DisputeOutcome | None = None
    webhooks: WebhookEffect | None = None
    by_amount: bool = False


def _declined(decline_code: ProviderErrorCode, reason: str) -> Card:
    return Card(ProviderState.REQUIRES_METHOD, decline_code, reason)


CARDS: Final[dict[str, Card]] = {
    "tok_success": Card(),
    "tok_declined": _declined(ProviderErrorCode.DECLINED, "generic_decline"),
    "tok_insufficient_funds": _declined(ProviderErrorCode.INSUFFICIENT_FUNDS, "insufficient_funds"),
    "tok_expired_card": _declined(ProviderErrorCode.CARD_EXPIRED, "expired_card"),
    # A payer who is told that the card is known as stolen learns to try the next one.
    "tok_stolen_card": _declined(ProviderErrorCode.DECLINED, "stolen_card"),
    "tok_fraud_suspected": _declined(ProviderErrorCode.DECLINED, "fraud_suspected"),
    "tok_3ds": Card(ProviderState.REQUIRES_ACTION),
    "tok_processing": Card(ProviderState.PROCESSING),
    "tok_timeout": Card(answer_lost=True),
    "tok_refund_pending": Card(refund=RefundScenario.PENDING),
    "tok_refund_fails": Card(refund=RefundScenario.FAILS),
    "tok_refund_fails_later": Card(refund=RefundScenario.FAILS_LATER),
    "tok_dispute": Card(dispute=DisputeOutcome.BY_EVIDENCE),
    "tok_dispute_won": Card(dispute=DisputeOutcome.WON),
    "tok_dispute_lost": Card(dispute=DisputeOutcome.LOST),
    "tok_dispute_lost_then_won": Card(dispute=DisputeOutcome.LOST_THEN_WON),
    "tok_webhooks_duplicated": Card(webhooks=WebhookEffect.DUPLICATE),
    "tok_webhooks_delayed": Card(webhooks=WebhookEffect.DELAY),
    "tok_webhooks_reordered": Card(webhooks=WebhookEffect.REORDER),
    "tok_webhooks_lost": Card(webhooks=WebhookEffect.LOSE),
    "tok_amount": Card(by_amount=True),
}

# Amounts in the smallest unit that choose what happens, each exactly. Charges look here with tok_amount only.
CHARGE_AMOUNTS: Final[dict[int, str]] = {
    5001: "tok_declined",
    5003: "tok_insufficient_funds",
    5005: "tok_expired_card",
    5007: "tok_3ds",
    5009: "tok_processing",
    5011: "tok_timeout",
    5013: "tok_dispute_won",
    5015: "tok_dispute_lost",
    5017: "tok_dispute_lost_then_won",
}
REFUND_AMOUNTS: Final[dict[int, RefundScenario]] = {
    4001: RefundScenario.FAILS_LATER,
    4003: RefundScenario.PENDING,
    4005: RefundScenario.FAILS,
}
PAYOUT_AMOUNTS: Final[dict[int, PayoutScenario]] = {
    4002: PayoutScenario.FAILS_AFTER_PAID,
    4004: PayoutScenario.FAILS,
    4006: PayoutScenario.STAYS_IN_TRANSIT,
}


def behaviour(token: str) -> dict[str, object]:
    """Return what a token does, in the words of the sandbox's SQL functions. Raises KeyError for no token."""
    card = CARDS[token]
    if card.by_amount:
        amounts = {str(amount): behaviour(chosen) for amount, chosen in CHARGE_AMOUNTS.items()}
        return {"by_amount": amounts, "otherwise": behaviour("tok_success")}
    told = {
        "state": card.state,
        "decline_code": card.decline_code,
        "reason": card.reason,
        "answer_lost": card.answer_lost or None,
        "refund": card.refund,
        "dispute": card.dispute,
        "webhooks": card.webhooks,
    }
    return {name: value for name, value in told.items() if value is not None}


BEHAVIOURS: Final[dict[str, str | None]] = {
    # An ordinary success has nothing to look up: the way of nearly every payment.
    token: None if CARDS[token] == Card() else orjson.dumps(behaviour(token)).decode()
    for token in CARDS
}


@dataclass(frozen=True, slots=True)
class Face:
    """What a payer sees of a card. All of it is made up."""

    brand: str
    last_four: str
    expires_month: int
    expires_year: int


def face(token: str) -> Face:
    """Return what a token's card looks like: always the same, and no real one. Raises KeyError for no token."""
    number = list(CARDS).index(token) + 1
    expires_year = 2020 if CARDS[token].decline_code is ProviderErrorCode.CARD_EXPIRED else 2049
    return Face("Sandcard", f"{number:04d}", 12, expires_year)
