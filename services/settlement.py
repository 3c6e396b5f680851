"""Settlement: what the provider told becomes status, events, stock and ledger movements, in one transaction.

Everybody who learns something of a payment comes here: the inbox's workers with batches of webhooks, the API
with a provider's answer, the sweeper with what it looked up. Locks are taken in the order of ``models.locks``
and the ledger is posted last.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import ledger
from core.clock import now
from core.payments import PaymentKind
from ledger import chart
from models.database import Connection, Transaction
from models.locks import LOCK_PAYMENTS
from providers.payments.base import ChargeFact, Fact, PaymentFact, ProviderState
from services import earnings, payments, purchases
from services.engine import Engine
from services.fold import Contradiction, Known, fold
from services.payments import Change

_UNFINISHED: Final = (ProviderState.PROCESSING, ProviderState.REQUIRES_ACTION)
_LOOK_UP_AFTER: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Settled:
    """What came of a batch. ``drafts`` are still to be posted, as the last thing the transaction does.

    ``unknown`` are payments nobody here knows, ``contradictions`` those told what cannot be true of them; both
    were left as they were.
    """

    drafts: tuple[chart.Draft, ...]
    unknown: frozenset[UUID]
    contradictions: dict[UUID, str]


class LedgerRefusedError(Exception):
    """The ledger refused what a provider reported as done: books and provider disagree."""


async def settle(engine: Engine, facts: Sequence[Fact], *, look_up_at: datetime | None = None) -> None:
    """Settle what a provider answered, in a transaction of its own.

    It ends the call that was under way: ``look_up_at`` is when the sweeper asks again, None is never. Raises
    ``Contradiction`` and ``LedgerRefusedError``; then nothing was written.
    """
    async with engine.database.transaction() as transaction:
        settled = await settle_batch(transaction, facts, answered=True, look_up_at=look_up_at)
        if settled.contradictions:
            raise Contradiction(next(iter(settled.contradictions.values())))
        await post(engine, transaction.connection, settled.drafts)
    engine.relay_wake()


async def abandon(engine: Engine, payment_id: UUID) -> None:
    """Cancel a payment that its provider never got: asked for everything, it has nothing of it.

    What it reserved is released. A late fact of success would still fold over it.
    """
    at = now()
    async with engine.database.transaction() as transaction:
        connection = transaction.connection
        rows = await connection.fetch(LOCK_PAYMENTS, [payment_id])
        if not rows or rows[0]["provider_state"] is not None or rows[0]["provider_reference"] is not None:
            return
        known = replace(Known.of(rows[0]), state=ProviderState.CANCELED, at=at, reconciling=False)
        change = Change(rows[0], known)
        await payments.write_changes([change], on=connection, at=at)
        await _follow(connection, [change], [], at)
    engine.relay_wake()


async def settle_batch(
    transaction: Transaction,
    facts: Sequence[Fact],
    *,
    answered: bool = False,
    look_up_at: datetime | None = None,
) -> Settled:
    """Settle the facts of any number of payments in the caller's transaction, in a fixed number of statements.

    All but the ledger: the caller writes its own rows and then posts the drafts. ``answered``: the facts answer
    a question of ours, so that a call under way, or a search, has ended.
    """
    connection = transaction.connection
    told: defaultdict[UUID, list[Fact]] = defaultdict(list)
    for fact in facts:
        told[fact.reference].append(fact)
    rows = await connection.fetch(LOCK_PAYMENTS, list(told))
    at = now()
    changes: list[Change] = []
    charges: list[tuple[Any, ChargeFact]] = []
    contradictions: dict[UUID, str] = {}
    for row in rows:
        try:
            change = _fold_all(row, told[row["id"]], at, answered=answered, look_up_at=look_up_at)
        except Contradiction as contradiction:
            contradictions[row["id"]] = str(contradiction)
            continue
        if change is not None:
            changes.append(change)
        charges.extend((row, fact) for fact in told[row["id"]] if isinstance(fact, ChargeFact))
    if changes:
        await payments.write_changes(changes, on=connection, at=at)
    drafts = await _follow(connection, changes, charges, at)
    unknown = frozenset(told) - {row["id"] for row in rows}
    return Settled(drafts, unknown, contradictions)


def _fold_all(
    row: Any, facts: Iterable[Fact], at: datetime, *, answered: bool, look_up_at: datetime | None
) -> Change | None:
    """Return what a locked payment becomes, or None when it stays as it is."""
    before = known = Known.of(row)
    tied = False
    available_on = row["available_on"]
    for fact in facts:
        if isinstance(fact, PaymentFact):
            known, tie = fold(known, fact)
            tied = tied or tie
        else:
            if fact.currency != known.currency or fact.gross != known.gross:
                raise Contradiction("The provider charged another amount or currency than the payment's.")
            available_on = fact.available_on
    if answered:
        known = replace(known, reconciling=False)
    calling_until = look_up_at if answered else row["calling_until"]
    if known.state is ProviderState.REQUIRES_METHOD and before.state is ProviderState.REQUIRES_ACTION:
        # The payer did not authenticate: there is nothing left to look up, and another method may be tried.
        calling_until = None
    succeeded_at = row["succeeded_at"]
    if known.state in {ProviderState.SUCCEEDED, ProviderState.CANCELED}:
        calling_until = None
        known = replace(known, reconciling=False)
        if known.captured and succeeded_at is None:
            succeeded_at = known.at
    elif tied:
        # Two states for one instant: only the provider knows which came last, so it is asked at once.
        calling_until = at
    if calling_until is None and known.state in _UNFINISHED:
        # Whoever told it, what is not finished is looked up one day: its last event may be lost.
        calling_until = row["calling_until"] or at + _LOOK_UP_AFTER
    matures_at = row["matures_at"]
    if matures_at is None and succeeded_at is not None and available_on is not None:
        delay = timedelta(seconds=row["maturity_delay_seconds"])
        matures_at = max(available_on, succeeded_at + delay)
    same = (calling_until, succeeded_at, available_on, matures_at) == (
        row["calling_until"],
        row["succeeded_at"],
        row["available_on"],
        row["matures_at"],
    )
    if known == before and same:
        return None
    return Change(row, known, calling_until, succeeded_at, available_on, matures_at)


async def _follow(
    connection: Connection,
    changes: Sequence[Change],
    charges: Sequence[tuple[Any, ChargeFact]],
    at: datetime,
) -> tuple[chart.Draft, ...]:
    """Do what follows from payments that have ended; return what is to be posted for them and for charges."""
    canceled = [
        change.row["id"] for change in changes if change.canceled and change.row["kind"] == PaymentKind.PURCHASE
    ]
    if canceled:
        await purchases.release_stock(canceled, on=connection)
    succeeded = [change for change in changes if change.succeeded]
    if succeeded:
        await earnings.add_days(succeeded, on=connection)
    drafts = [
        chart.capture(
            payment=change.row["id"],
            creator_id=change.row["creator_id"],
            provider=change.row["provider"],
            asset=change.row["currency"],
            net=int(change.row["net"]),
            fee=int(change.row["fee"]),
            tax=int(change.row["tax"]),
            effective_at=change.succeeded_at or at,
        )
        for change in succeeded
    ]
    drafts += [
        chart.charge(
            provider=row["provider"],
            balance_transaction=fact.balance_transaction,
            asset=fact.currency,
            gross=fact.gross,
            provider_fee=fact.fee,
            reference=row["id"],
            effective_at=fact.at,
        )
        for row, fact in charges
    ]
    return tuple(drafts)


async def post(engine: Engine, connection: Connection, drafts: Sequence[chart.Draft]) -> None:
    """Post what has happened; the last thing a transaction does. Raises ``LedgerRefusedError``."""
    if not drafts:
        return
    groups = await engine.accounts.groups(drafts)
    outcomes = await ledger.post(groups, on=connection)
    for draft, outcome in zip(drafts, outcomes, strict=True):
        if isinstance(outcome, ledger.Refused):
            raise LedgerRefusedError(f"{draft.key}: {outcome.code}")
