"""What is known of a dispute: each state absorbs those before it, so the order of telling does not matter."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from core.disputes import DisputeStatus
from providers.payments.base import BalanceMove, DisputeFact, DisputeState
from services.fold.contradictions import Contradiction
from services.fold.refunds import same

_RANKS: Final = {state: rank for rank, state in enumerate(DisputeState)}


@dataclass(frozen=True, slots=True)
class DisputeKnown:
    """What is known of a dispute. Amounts in minor units.

    ``withdrawal_currency`` and ``reinstatement_currency`` are those of the moves, where that is another than the
    dispute's. Nobody remembers them: the fact that names a move says it.
    """

    amount: int
    currency: str
    provider_reference: str
    state: DisputeState
    at: datetime
    reason: str
    respond_by: datetime | None = None
    withdrawal: BalanceMove | None = None
    reinstatement: BalanceMove | None = None
    withdrawal_currency: str | None = field(default=None, compare=False)
    reinstatement_currency: str | None = field(default=None, compare=False)

    @classmethod
    def of(cls, row: Any) -> "DisputeKnown":
        """Read a row of the disputes table."""
        return cls(
            amount=int(row["amount"]),
            currency=row["currency"],
            provider_reference=row["provider_reference"],
            state=DisputeState(row["status"]),
            at=row["provider_state_at"],
            reason=row["reason"],
            respond_by=row["respond_by"],
            withdrawal=_move(row["withdrawal_transaction"], row["withdrawn"], row["withdrawal_fee"]),
            reinstatement=_move(row["reinstatement_transaction"], row["reinstated"], row["reinstatement_fee"]),
        )

    @classmethod
    def first(cls, fact: DisputeFact) -> "DisputeKnown":
        """Return what is known of a dispute that was never told of before."""
        return cls(
            amount=fact.amount,
            currency=fact.currency,
            provider_reference=fact.provider_reference,
            state=fact.state,
            at=fact.at,
            reason=fact.reason,
            respond_by=fact.respond_by,
            withdrawal=_amounts(fact.withdrawal),
            reinstatement=_amounts(fact.reinstatement),
            withdrawal_currency=_foreign(fact.withdrawal, fact.currency),
            reinstatement_currency=_foreign(fact.reinstatement, fact.currency),
        )

    @property
    def status(self) -> DisputeStatus:
        """The status these facts amount to."""
        return DisputeStatus(self.state.value)

    @property
    def is_open(self) -> bool:
        """Whether it is not decided yet."""
        return self.state in {DisputeState.NEEDS_RESPONSE, DisputeState.UNDER_REVIEW}


def fold_dispute(known: DisputeKnown, fact: DisputeFact) -> DisputeKnown:
    """Return what is known of a dispute once a fact is taken in. Raises ``Contradiction``."""
    if fact.amount != known.amount or fact.currency != known.currency:
        raise Contradiction("The provider speaks of another amount or currency than the dispute's.")
    respond_by = max(filter(None, (known.respond_by, fact.respond_by)), default=None)
    merged = replace(
        known,
        respond_by=respond_by,
        withdrawal=_same(known.withdrawal, _amounts(fact.withdrawal)),
        reinstatement=_same(known.reinstatement, _amounts(fact.reinstatement)),
        withdrawal_currency=same(known.withdrawal_currency, _foreign(fact.withdrawal, known.currency)),
        reinstatement_currency=same(known.reinstatement_currency, _foreign(fact.reinstatement, known.currency)),
        reason=max(known.reason, fact.reason),
    )
    # What took money is later than the inquiry before it, however that had ended.
    told, before = fact.withdrawal is not None, known.withdrawal is not None
    if (told, _RANKS[fact.state]) < (before, _RANKS[known.state]):
        return merged
    if told is before and fact.state is known.state:
        return replace(merged, at=min(known.at, fact.at))
    return replace(merged, state=fact.state, at=fact.at)


def _move(transaction: str | None, amount: Any, fee: Any) -> BalanceMove | None:
    return None if transaction is None else BalanceMove(transaction, int(amount), int(fee))


def _amounts(move: BalanceMove | None) -> BalanceMove | None:
    return None if move is None else replace(move, currency=None)


def _foreign(move: BalanceMove | None, currency: str) -> str | None:
    return None if move is None or move.currency == currency else move.currency


def _same(known: BalanceMove | None, told: BalanceMove | None) -> BalanceMove | None:
    if known is not None and told is not None and known != told:
        raise Contradiction("The provider speaks of another balance transaction than before.")
    return known or told
