"""What is known is a fold of facts: providers tell them late, twice and in any order, and the end is the same.

Pure: no clock, no database. A payment with its refunds and disputes is one thing to fold, a payout another.
"""

from services.fold.contradictions import Contradiction, Premature
from services.fold.disputes import DisputeKnown, fold_dispute
from services.fold.entries import DisputeEntry, RefundEntry, Taken, TakenPart, standing, take
from services.fold.let_go import is_let_go, let_go
from services.fold.own_money import OWN_MONEY, moves_nothing, own_money
from services.fold.payments import Known, fold
from services.fold.position import Of, Part, Position, captured_splits, set_aside
from services.fold.refunds import RefundKnown, fold_refund
from services.fold.returns import Effects, Returns, follow
from services.fold.told import Decided, ReturnFact, Told, Unanswered

__all__ = [
    "OWN_MONEY",
    "Contradiction",
    "Decided",
    "DisputeEntry",
    "DisputeKnown",
    "Effects",
    "Known",
    "Of",
    "Part",
    "Position",
    "Premature",
    "RefundEntry",
    "RefundKnown",
    "ReturnFact",
    "Returns",
    "Taken",
    "TakenPart",
    "Told",
    "Unanswered",
    "captured_splits",
    "fold",
    "fold_dispute",
    "fold_refund",
    "follow",
    "is_let_go",
    "let_go",
    "moves_nothing",
    "own_money",
    "set_aside",
    "standing",
    "take",
]
