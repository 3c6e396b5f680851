"""Payouts as they are written: what is known of them, the events of each, and what is posted for them.

Nothing else writes a payout's status. Payouts are locked by id, in order, after payments; the ledger comes last.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from core.clock import now
from core.payouts import PayoutStep
from ledger import chart
from models.database import Connection, Transaction
from providers.payments.base import PayoutFact, TransferFact
from services.engine import Engine
from services.fold.contradictions import Contradiction
from services.fold.payouts import PayoutKnown, booked, drafts, fold_payout, give_up
from services.posting import post

_LOOK_UP_AFTER: Final = timedelta(minutes=1)

_LOCK: Final = "select * from payouts where id = any($1::uuid[]) order by id for no key update"
_WRITE: Final = """
    with payout as (
        update payouts set status = $2, reason = $3, step = $4, sequence = $5, transfer_reference = $6,
            transfer_transaction = $7, reversal_transaction = $8, provider_reference = $9, provider_state = $10,
            provider_state_at = $11, arrives_at = $12, reconciling = $13, attempts = $14, calling_until = $15,
            paid_at = $16, returned_at = $17, updated_at = $18
        where id = $1
    )
    insert into payout_events (payout_id, sequence, status, reason, at)
    select $1, $5, $2, $3, $18 where $19::bool
"""


@dataclass(frozen=True, slots=True)
class PayoutsSettled:
    """What came of the facts about payouts. ``drafts`` are still to be posted, last of all.

    ``unknown`` are ids no payout here has, ``contradictions`` payouts told what cannot be true of them; both were
    left as they were.
    """

    drafts: tuple[chart.Draft, ...]
    unknown: frozenset[UUID]
    contradictions: dict[UUID, str]


async def settle_facts(
    transaction: Transaction, facts: Sequence[TransferFact | PayoutFact], at: datetime
) -> PayoutsSettled:
    """Fold facts about any number of payouts in the caller's transaction, who then posts the drafts."""
    told: defaultdict[UUID, list[TransferFact | PayoutFact]] = defaultdict(list)
    for fact in facts:
        told[fact.reference].append(fact)
    if not told:
        return PayoutsSettled((), frozenset(), {})
    connection = transaction.connection
    rows = await connection.fetch(_LOCK, list(told))
    due: list[chart.Draft] = []
    contradictions: dict[UUID, str] = {}
    for row in rows:
        before = after = PayoutKnown.of(row)
        try:
            for fact in told[row["id"]]:
                after = fold_payout(after, fact)
        except Contradiction as contradiction:
            contradictions[row["id"]] = str(contradiction)
            continue
        due += await write_change(connection, row, before, after, at)
    unknown = frozenset(told) - {row["id"] for row in rows}
    return PayoutsSettled(tuple(due), unknown, contradictions)


async def write_change(
    connection: Connection,
    row: Any,
    before: PayoutKnown,
    after: PayoutKnown,
    at: datetime,
    *,
    again_at: datetime | None = None,
) -> Sequence[chart.Draft]:
    """Write what a locked payout becomes, with its event, and return what is to be posted for it.

    ``again_at`` is when a worker takes it up again, where that does not follow from what it becomes.
    """
    if (after.step, after.state, after.failed) != (before.step, before.state, before.failed):
        # Whatever was looked up has been found.
        after = replace(after, reconciling=False)
    due = drafts(before, after)
    after = booked(before, after)
    attempts = row["attempts"] if after.step is before.step else 0
    calling_until = again_at or _due_at(row, before, after, at)
    tells = (after.status, after.reason) != (row["status"], row["reason"])
    if after == before and (attempts, calling_until) == (row["attempts"], row["calling_until"]):
        return due
    await connection.execute(
        _WRITE,
        after.id,
        after.status.value,
        after.reason,
        after.step and after.step.value,
        row["sequence"] + tells,
        after.transfer_reference,
        after.transfer_transaction,
        after.reversal_transaction,
        after.provider_reference,
        after.state and after.state.value,
        after.at,
        after.arrives_at,
        after.reconciling,
        attempts,
        calling_until,
        after.paid_at,
        after.returned_at,
        at,
        tells,
    )
    return due


def _due_at(row: Any, before: PayoutKnown, after: PayoutKnown, at: datetime) -> datetime | None:
    """Return when a worker takes a payout up again: at once for a new step, one day for news, or never."""
    calling_until: datetime | None = row["calling_until"]
    if after.step is None and not after.waits and not after.may_come_back(at):
        return None
    if after.step is before.step and (after.step is not None or calling_until is not None):
        return calling_until
    # What the provider has and does not end is looked up: its last event may be lost.
    return at + _LOOK_UP_AFTER if after.step is None else at


async def end_here(engine: Engine, payout_id: UUID, step: PayoutStep, reason: str) -> None:
    """End a payout as failed that stands before ``step`` and that its provider will not make.

    Its money is available again at once; a transfer that was made is taken back next. Nothing happens if the
    payout has moved on. Raises ``LedgerRefusedError``; then nothing was written.
    """
    at = now()
    async with engine.database.transaction() as transaction:
        connection = transaction.connection
        (row,) = await connection.fetch(_LOCK, [payout_id])
        before = PayoutKnown.of(row)
        if before.step is not step or before.failed:
            return
        due = await write_change(connection, row, before, give_up(before, reason, at), at)
        await post(engine, connection, due)


async def search_later(engine: Engine, payout_id: UUID, lease: datetime, again_at: datetime) -> None:
    """Note that nobody knows how the call ended that was made until ``lease``: it is looked up at ``again_at``."""
    at = now()
    async with engine.database.transaction() as transaction:
        (row,) = await transaction.connection.fetch(_LOCK, [payout_id])
        if row["calling_until"] != lease:
            return  # it has been told of meanwhile, or somebody else goes on with it
        before = PayoutKnown.of(row)
        after = replace(before, reconciling=True)
        await write_change(transaction.connection, row, before, after, at, again_at=again_at)
