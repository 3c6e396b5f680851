"""What is known of a refund: each state absorbs those before it, so the order of telling does not matter."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from core.refunds import RefundStatus
from providers.payments.base import BalanceMove, RefundFact, RefundState
from services.fold.contradictions import Contradiction

RANKS: Final = {state: rank for rank, state in enumerate(RefundState)}
_STATUS: Final = {state: RefundStatus(state.value) for state in RefundState}


@dataclass(frozen=True, slots=True)
class RefundKnown:
    """What is known of a refund. Amounts in minor units.

    ``decided`` is how it ended without the provider having it: FAILED when the provider refused it, CANCELED when
    it never got there. ``converted`` and ``return_converted`` are what its lines moved where that was in another
    currency; nobody remembers them, because the fact that names a line says it, and the line is posted then.
    """

    amount: int
    currency: str
    provider_reference: str | None = None
    state: RefundState | None = None
    at: datetime | None = None
    failure_code: str | None = None
    balance_transaction: str | None = None
    return_transaction: str | None = None
    reconciling: bool = False
    decided: RefundStatus | None = None
    converted: BalanceMove | None = field(default=None, compare=False)
    return_converted: BalanceMove | None = field(default=None, compare=False)

    @classmethod
    def of(cls, row: Any) -> "RefundKnown":
        """Read a row of the refunds table."""
        state = RefundState(row["provider_state"]) if row["provider_state"] else None
        status = RefundStatus(row["status"])
        ended = status in {RefundStatus.FAILED, RefundStatus.CANCELED}
        return cls(
            amount=int(row["amount"]),
            currency=row["currency"],
            provider_reference=row["provider_reference"],
            state=state,
            at=row["provider_state_at"],
            failure_code=row["failure_code"],
            balance_transaction=row["balance_transaction"],
            return_transaction=row["return_transaction"],
            reconciling=row["reconciling"],
            decided=status if state is None and ended else None,
        )

    @property
    def status(self) -> RefundStatus:
        """The status these facts amount to."""
        if self.state is not None:
            return _STATUS[self.state]
        if self.decided is not None:
            return self.decided
        return RefundStatus.RECONCILING if self.reconciling else RefundStatus.CREATED

    @property
    def stands(self) -> bool:
        """Whether its money has gone back or still may: it neither failed nor was cancelled."""
        return self.status not in {RefundStatus.FAILED, RefundStatus.CANCELED}


def fold_refund(known: RefundKnown, fact: RefundFact) -> RefundKnown:
    """Return what is known of a refund once a fact is taken in. Raises ``Contradiction``."""
    if fact.amount != known.amount or fact.currency != known.currency:
        raise Contradiction("The provider speaks of another amount or currency than the refund's.")
    if known.provider_reference not in {None, fact.provider_reference}:
        raise Contradiction("The provider speaks of another of its objects than the refund's.")
    merged = replace(
        known,
        provider_reference=fact.provider_reference,
        balance_transaction=same(known.balance_transaction, fact.balance_transaction),
        return_transaction=same(known.return_transaction, fact.return_transaction),
        reconciling=False,
        decided=None,
        converted=_foreign(fact.converted, known.currency) or known.converted,
        return_converted=_foreign(fact.return_converted, known.currency) or known.return_converted,
    )
    if known.state is not None and known.at is not None:
        if RANKS[fact.state] < RANKS[known.state]:
            return merged
        if fact.state is known.state:
            # Told of twice, it happened when it was first told to have happened.
            code = max(filter(None, (known.failure_code, fact.failure_code)), default=None)
            return replace(merged, at=min(known.at, fact.at), failure_code=code)
    return replace(merged, state=fact.state, at=fact.at, failure_code=fact.failure_code)


def _foreign(move: BalanceMove | None, currency: str) -> BalanceMove | None:
    return None if move is None or move.currency in {None, currency} else move


def same(known: str | None, told: str | None) -> str | None:
    """Return what names one of the provider's objects, however often it is told. Raises ``Contradiction``."""
    if known is not None and told is not None and known != told:
        raise Contradiction("The provider speaks of another balance transaction than before.")
    return known if told is None else told
