"""What is asked of the ledger, and which answers are right."""

from dataclasses import dataclass
from typing import Final

from ledger.groups import Group, Outcome, Posted, Refusal, Refused

POSTED: Final = None
"""Stands beside refusals for an answer that is none."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A group, under which name it is counted, and the refusals that may be its answer, POSTED among them.

    ``alone``: nobody has asked for the key before, and nobody else does. ``said`` is what was answered first,
    where the same is asked again.
    """

    kind: str
    group: Group
    right: frozenset[Refusal | None]
    alone: bool = True
    said: Outcome | None = None


def wrong(ask: Ask, outcome: Outcome, attempts: int) -> str | None:
    """Return what is wrong with an answer, given after so many attempts, or None."""
    code = outcome.code if isinstance(outcome, Refused) else POSTED
    if code not in ask.right:
        return f"it is {code or 'posted'}, which it cannot be"
    if ask.said is not None and not same_answer(ask.said, outcome):
        return f"asked again, it is another answer than {ask.said}"
    if ask.said is not None and not outcome.replayed:
        return "asked again, it was decided again"
    if ask.alone and attempts == 1 and outcome.replayed:
        return "asked for the first time, it is said to be an answer of before"
    return None


def same_answer(one: Outcome, other: Outcome) -> bool:
    """Tell whether two outcomes say the same, but for which of them came first."""
    if isinstance(one, Posted) and isinstance(other, Posted):
        return (one.group_id, one.posted_at, set(one.movements)) == (
            other.group_id,
            other.posted_at,
            set(other.movements),
        )
    if isinstance(one, Refused) and isinstance(other, Refused):
        return (one.code, one.account, one.missing) == (other.code, other.account, other.missing)
    return False
