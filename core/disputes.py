"""The states of a dispute, in words that hold for every provider."""

from enum import StrEnum


class DisputeStatus(StrEnum):
    """Where a dispute stands: derived from what the provider told."""

    NEEDS_RESPONSE = "NEEDS_RESPONSE"
    UNDER_REVIEW = "UNDER_REVIEW"
    LOST = "LOST"
    WON = "WON"


OPEN_DISPUTES = frozenset({DisputeStatus.NEEDS_RESPONSE, DisputeStatus.UNDER_REVIEW})

_MESSAGES = {
    DisputeStatus.NEEDS_RESPONSE: "The payer's bank took the money back. Evidence may change that.",
    DisputeStatus.UNDER_REVIEW: "The evidence was handed in and is being looked at.",
    DisputeStatus.LOST: "The payer's bank kept the money.",
    DisputeStatus.WON: "The money came back.",
}


class DisputeNextAction(StrEnum):
    """What the creator does next about a dispute."""

    ANSWER = "ANSWER"
    WAIT = "WAIT"
    NONE = "NONE"


DISPUTE_NEXT_ACTIONS = {
    DisputeStatus.NEEDS_RESPONSE: DisputeNextAction.ANSWER,
    DisputeStatus.UNDER_REVIEW: DisputeNextAction.WAIT,
    DisputeStatus.LOST: DisputeNextAction.NONE,
    DisputeStatus.WON: DisputeNextAction.NONE,
}


def dispute_message(status: DisputeStatus) -> str:
    """Return a sentence for a person about a dispute's status."""
    return _MESSAGES[status]
