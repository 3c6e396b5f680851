"""The sandbox's cards: what each token does, as data."""

from dataclasses import dataclass
from typing import Final

from providers.payments.base import ProviderErrorCode, ProviderState


@dataclass(frozen=True, slots=True)
class Card:
    """What confirming with a card does.

    ``decline_code`` is what the payer is told of a decline, ``reason`` what only we are told.
    ``answer_lost``: the confirmation takes effect, and its answer never arrives.
    """

    state: ProviderState
    decline_code: ProviderErrorCode | None = None
    reason: str | None = None
    answer_lost: bool = False


def _declined(decline_code: ProviderErrorCode, reason: str) -> Card:
    return Card(ProviderState.REQUIRES_METHOD, decline_code, reason)


CARDS: Final[dict[str, Card]] = {
    "tok_success": Card(ProviderState.SUCCEEDED),
    "tok_declined": _declined(ProviderErrorCode.DECLINED, "generic_decline"),
    "tok_insufficient_funds": _declined(ProviderErrorCode.INSUFFICIENT_FUNDS, "insufficient_funds"),
    "tok_expired_card": _declined(ProviderErrorCode.CARD_EXPIRED, "expired_card"),
    # A payer who is told that the card is known as stolen learns to try the next one.
    "tok_stolen_card": _declined(ProviderErrorCode.DECLINED, "stolen_card"),
    "tok_fraud_suspected": _declined(ProviderErrorCode.DECLINED, "fraud_suspected"),
    "tok_3ds": Card(ProviderState.REQUIRES_ACTION),
    "tok_processing": Card(ProviderState.PROCESSING),
    "tok_timeout": Card(ProviderState.SUCCEEDED, answer_lost=True),
}
