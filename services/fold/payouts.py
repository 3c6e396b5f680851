"""A payout is a fold of facts about its transfer and about the payout itself, told late, twice and in any order.

Pure: no clock, no database. What is posted follows from what was known before and what is known after, so that
the books end the same whichever fact came first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from core.payouts import PayoutStatus, PayoutStep
from ledger import chart
from ledger.chart import AccountKind, BalanceTransaction, Draft, Line
from providers.payments.base import PayoutFact, PayoutState, TransferFact
from services.fold.contradictions import Contradiction

_RANK: Final = {state: rank for rank, state in enumerate(PayoutState)}
_FAILURES: Final = frozenset({PayoutState.CANCELED, PayoutState.FAILED})
_STATUS: Final = {
    PayoutState.PENDING: PayoutStatus.TRANSFERRED,
    PayoutState.IN_TRANSIT: PayoutStatus.IN_TRANSIT,
    PayoutState.PAID: PayoutStatus.PAID,
    PayoutState.CANCELED: PayoutStatus.CANCELED,
    PayoutState.FAILED: PayoutStatus.FAILED,
}

_COMES_BACK_WITHIN: Final = timedelta(days=14)

DISPUTE_OPEN: Final = "DISPUTE_OPEN"
"""Why a payout is on hold."""


@dataclass(frozen=True, slots=True)
class PayoutKnown:
    """What is known of a payout. ``amount`` is in minor units; it, ``currency`` and ``account`` never change.

    ``given_up_at`` is when it was ended here, as failed, and not by the provider. ``paid_at`` and ``returned_at``
    are when what is in the books as paid, and as given back, happened; None where the books say no such thing.
    """

    id: UUID
    creator_id: UUID
    provider: str
    account: str
    amount: int
    currency: str
    transfer_reference: str | None = None
    transfer_transaction: str | None = None
    transferred_at: datetime | None = None
    reversal_transaction: str | None = None
    reversed_at: datetime | None = None
    provider_reference: str | None = None
    state: PayoutState | None = None
    at: datetime | None = None
    arrives_at: datetime | None = None
    failure_code: str | None = None
    given_up_at: datetime | None = None
    paid_at: datetime | None = None
    returned_at: datetime | None = None
    held: bool = False
    reconciling: bool = False

    @classmethod
    def of(cls, row: Any) -> "PayoutKnown":
        """Read a row of the payouts table."""
        state = PayoutState(row["provider_state"]) if row["provider_state"] else None
        ended_here = row["returned_at"] is not None and state not in _FAILURES
        return cls(
            id=row["id"],
            creator_id=row["creator_id"],
            provider=row["provider"],
            account=row["account_reference"],
            amount=int(row["amount"]),
            currency=row["currency"],
            transfer_reference=row["transfer_reference"],
            transfer_transaction=row["transfer_transaction"],
            reversal_transaction=row["reversal_transaction"],
            provider_reference=row["provider_reference"],
            state=state,
            at=row["provider_state_at"],
            arrives_at=row["arrives_at"],
            failure_code=row["reason"] if row["returned_at"] is not None else None,
            given_up_at=row["returned_at"] if ended_here else None,
            paid_at=row["paid_at"],
            returned_at=row["returned_at"],
            held=row["status"] == PayoutStatus.ON_HOLD,
            reconciling=row["reconciling"],
        )

    @property
    def failed(self) -> bool:
        """Whether its money goes back to the creator."""
        return self.given_up_at is not None or self.state in _FAILURES

    @property
    def status(self) -> PayoutStatus:
        """The status these facts amount to."""
        if self.state in _FAILURES or (self.state is PayoutState.PAID and not self.failed):
            return _STATUS[self.state]
        if self.given_up_at is not None:
            return PayoutStatus.FAILED
        if self.reconciling:
            return PayoutStatus.RECONCILING
        if self.state is not None:
            return _STATUS[self.state]
        if self.transfer_reference is not None:
            return PayoutStatus.TRANSFERRED
        return PayoutStatus.ON_HOLD if self.held else PayoutStatus.REQUESTED

    @property
    def reason(self) -> str | None:
        """The machine-readable reason for the status, where there is one."""
        if self.failed:
            return self.failure_code
        return DISPUTE_OPEN if self.status is PayoutStatus.ON_HOLD else None

    @property
    def step(self) -> PayoutStep | None:
        """The call to the provider that comes next; None when only the provider's word is waited for, or nothing.

        A transfer that was taken back is not paid out: whoever comes to that step gives the payout up.
        """
        if self.failed:
            stands = self.transfer_reference is not None and self.reversal_transaction is None
            return PayoutStep.REVERSE if stands else None
        if self.provider_reference is not None:
            return None
        return PayoutStep.TRANSFER if self.transfer_reference is None else PayoutStep.PAYOUT

    @property
    def waits(self) -> bool:
        """Whether the provider has it and has not said how it ended."""
        return not self.failed and self.state in {PayoutState.PENDING, PayoutState.IN_TRANSIT}

    def may_come_back(self, at: datetime) -> bool:
        """Whether a bank may still send back what it was paid: whether it did is looked up as well."""
        return _is_paid(self) and self.at is not None and at - self.at < _COMES_BACK_WITHIN


def fold_payout(known: PayoutKnown, fact: TransferFact | PayoutFact) -> PayoutKnown:
    """Return what is known once a fact is taken in. Raises ``Contradiction``."""
    if fact.amount != known.amount or fact.currency != known.currency:
        raise Contradiction("The provider speaks of another amount or currency than the payout's.")
    if fact.account != known.account:
        raise Contradiction("The provider speaks of another account than the payout's.")
    return _transferred(known, fact) if isinstance(fact, TransferFact) else _told(known, fact)


def _transferred(known: PayoutKnown, fact: TransferFact) -> PayoutKnown:
    if known.transfer_reference not in {None, fact.provider_reference}:
        raise Contradiction("The provider speaks of another transfer than the payout's.")
    if known.transfer_transaction not in {None, fact.balance_transaction}:
        raise Contradiction("The provider moved the money of one transfer twice.")
    if None not in {known.reversal_transaction, fact.reversal_transaction} and (
        known.reversal_transaction != fact.reversal_transaction
    ):
        raise Contradiction("The provider took one transfer back twice.")
    reversed_at = known.reversed_at
    if fact.reversal_transaction is not None:
        reversed_at = _earlier(known.reversed_at, fact.at)
    return replace(
        known,
        transfer_reference=fact.provider_reference,
        transfer_transaction=fact.balance_transaction,
        transferred_at=_earlier(known.transferred_at, fact.at),
        reversal_transaction=known.reversal_transaction or fact.reversal_transaction,
        reversed_at=reversed_at,
    )


def _told(known: PayoutKnown, fact: PayoutFact) -> PayoutKnown:
    if known.provider_reference not in {None, fact.provider_reference}:
        raise Contradiction("The provider speaks of another payout than this one.")
    if known.given_up_at is not None and known.state is None and fact.state not in _FAILURES:
        # Its money is the creator's again; that it is on its way to the bank as well somebody has to see.
        raise Contradiction("The provider goes on with a payout that was given up here.")
    merged = replace(
        known,
        provider_reference=fact.provider_reference,
        arrives_at=_later(known.arrives_at, fact.arrives_at),
    )
    if known.state is fact.state:
        # Told of twice, it happened when it was first told to have happened.
        codes = [code for code in (known.failure_code, fact.failure_code) if code is not None]
        return replace(merged, at=_earlier(known.at, fact.at), failure_code=max(codes, default=None))
    if known.state is not None and _RANK[known.state] > _RANK[fact.state]:
        return merged
    return replace(merged, state=fact.state, at=fact.at, failure_code=fact.failure_code or known.failure_code)


def give_up(known: PayoutKnown, reason: str, at: datetime) -> PayoutKnown:
    """Return what is known once a payout that its provider will not make is ended here, as failed."""
    return replace(known, given_up_at=at, failure_code=reason, held=False, reconciling=False)


def booked(before: PayoutKnown, after: PayoutKnown) -> PayoutKnown:
    """Return what is known once the :func:`drafts` of the two are posted."""
    returned_at = before.returned_at
    if returned_at is None and after.failed:
        returned_at = after.given_up_at or after.at
    paid_at = before.paid_at
    if paid_at is None and _is_paid(after):
        paid_at = after.at
    return replace(after, paid_at=paid_at, returned_at=returned_at)


def drafts(before: PayoutKnown, after: PayoutKnown) -> Sequence[Draft]:
    """Return what is to be posted between what was known, and posted, and what is known now.

    One that failed before it was known to be paid is posted as never paid: the balances are the same.
    """
    due: list[Draft] = []
    if before.transfer_transaction is None and after.transfer_transaction is not None:
        due.append(
            chart.payout_transferred(
                payout=after.id,
                provider=after.provider,
                balance_transaction=after.transfer_transaction,
                asset=after.currency,
                amount=after.amount,
                effective_at=after.transferred_at,
            )
        )
    if before.paid_at is None and _is_paid(after):
        due.append(
            chart.payout_paid(
                payout=after.id,
                creator_id=after.creator_id,
                provider=after.provider,
                asset=after.currency,
                amount=after.amount,
                effective_at=after.at,
            )
        )
    if before.returned_at is None and after.failed:
        due.append(
            chart.payout_failed(
                payout=after.id,
                creator_id=after.creator_id,
                provider=after.provider,
                asset=after.currency,
                amount=after.amount,
                paid=before.paid_at is not None,
                effective_at=after.given_up_at or after.at,
            )
        )
    if before.reversal_transaction is None and after.reversal_transaction is not None:
        due.append(_reversal(before, after, after.reversal_transaction))
    return due


def _reversal(before: PayoutKnown, after: PayoutKnown, balance_transaction: str) -> Draft:
    if before.transfer_transaction is not None:
        return chart.transfer_reversed(
            provider=after.provider,
            balance_transaction=balance_transaction,
            transfer=before.transfer_transaction,
            reference=after.id,
            effective_at=after.reversed_at,
        )
    # Learnt of together with its transfer, which is not in the books yet to be undone: the same movement back.
    return Draft.of(
        BalanceTransaction.TRANSFER_REVERSED.key(after.provider, balance_transaction),
        Line(
            chart.with_provider(AccountKind.BALANCE, after.currency, after.provider),
            chart.with_provider(AccountKind.CONNECTED, after.currency, after.provider),
            after.amount,
            "payout.transfer_reversed",
            after.id,
        ),
        effective_at=after.reversed_at,
    )


def _is_paid(known: PayoutKnown) -> bool:
    return known.state is PayoutState.PAID and not known.failed


def _earlier(known: datetime | None, told: datetime) -> datetime:
    return told if known is None else min(known, told)


def _later(known: datetime | None, told: datetime | None) -> datetime | None:
    if known is None or told is None:
        return known or told
    return max(known, told)
