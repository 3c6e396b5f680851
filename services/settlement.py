"""Settlement: what the provider told becomes status, events, stock and ledger movements, in one transaction.

Everybody who learns something of a payment, a refund, a dispute or a payout comes here: the inbox's workers with
batches of webhooks, the API with a provider's answer, the sweeper with what it looked up. Locks are taken in the
order of ``models.locks`` and the ledger is posted last.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import starmap
from typing import Any, Final
from uuid import UUID

import asyncpg

from core.clock import now
from core.payments import PaymentKind
from ledger import chart
from models.database import Connection, Transaction
from models.locks import LOCK_PAYMENTS
from providers.payments.base import (
    AccountFact,
    BalanceEntry,
    ChargeFact,
    DisputeFact,
    PaymentFact,
    PayoutFact,
    ProviderState,
    RefundFact,
    TransferFact,
)
from services import (
    earnings,
    order_settlement,
    payment_shares,
    payments,
    payout_accounts,
    payouts,
    provider_lines,
    returns,
)
from services.engine import Engine
from services.fold import (
    Contradiction,
    Decided,
    Known,
    Premature,
    Told,
    Unanswered,
    is_let_go,
)
from services.payment_changes import OfPayment, change_of
from services.payments import Change
from services.posting import GaveBack, post
from services.returns import ReturnsChange

_ATTEMPTS: Final = 3


@dataclass(frozen=True, slots=True)
class Settled:
    """What came of a batch. ``drafts`` are still to be posted, as the last thing the transaction does.

    ``premature`` are those of the contradictions that something still untold may resolve.
    ``unknown`` are payments and payouts nobody here knows, ``contradictions`` those told what cannot be true of
    them; both were left as they were. ``untrue_lines`` are the same of lines about the platform's own money, by
    the provider's ids.
    """

    drafts: tuple[chart.Draft, ...]
    unknown: frozenset[UUID]
    contradictions: dict[UUID, str]
    gave_back: tuple[GaveBack, ...] = ()
    premature: frozenset[UUID] = frozenset()
    untrue_lines: Mapping[str, str] = field(default_factory=dict)

    def contradiction_of(self, facts: Iterable[Told]) -> str | None:
        """Return why one of some facts, or what else was told of its object, cannot be true; None if all can."""
        for fact in facts:
            subject = subject_of(fact)
            if subject is not None:
                why = self.contradictions.get(subject)
            else:
                why = self.untrue_lines.get(fact.id) if isinstance(fact, BalanceEntry) else None
            if why is not None:
                return why
        return None


def subject_of(fact: Told) -> UUID | None:
    """Return the id of our object that is locked for a fact: the payment's, the payout's or the creator's.

    None for a line of the provider's books which is about none of them.
    """
    if isinstance(fact, (RefundFact, DisputeFact, Decided, Unanswered)):
        return fact.payment
    return fact.reference


async def settle(
    engine: Engine, facts: Sequence[Told], *, look_up_at: datetime | None = None, claim: datetime | None = None
) -> None:
    """Settle what a provider answered, in a transaction of its own.

    It ends the call that was under way: ``look_up_at`` is when the sweeper asks again, None is never. ``claim``
    is until when whoever asked had claimed the payment: if somebody has begun a call since, that goes on. Raises
    ``Contradiction`` and ``LedgerRefusedError``; then nothing was written.
    """
    for _ in range(_ATTEMPTS - 1):
        # What gives money back posts in more than one call, and so takes accounts in more than one order.
        with suppress(asyncpg.DeadlockDetectedError):
            return await _settle(engine, facts, look_up_at, claim)
    return await _settle(engine, facts, look_up_at, claim)


async def _settle(
    engine: Engine, facts: Sequence[Told], look_up_at: datetime | None, claim: datetime | None
) -> None:
    async with engine.database.transaction() as transaction:
        settled = await settle_batch(
            transaction, facts, provider=engine.provider.name, answered=True, look_up_at=look_up_at, claim=claim
        )
        contradiction = settled.contradiction_of(facts)
        if contradiction is not None:
            raise Contradiction(contradiction)
        await post(engine, transaction.connection, settled.drafts, settled.gave_back)
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
        await _move_orders(connection, [change], [], at)
    engine.relay_wake()


async def settle_batch(
    transaction: Transaction,
    facts: Sequence[Told],
    *,
    provider: str,
    answered: bool = False,
    look_up_at: datetime | None = None,
    claim: datetime | None = None,
) -> Settled:
    """Settle the facts of any number of objects in the caller's transaction, in a fixed number of statements.

    All but the ledger: the caller writes its own rows and then posts the drafts. ``provider`` is the name of who
    told them. ``answered``: the facts answer a question of ours, so that a call under way, or a search, has
    ended; see :func:`settle` for the rest.
    """
    sorted_facts = _Sorted()
    for fact in facts:
        sorted_facts.add(fact)
    at = now()
    settled = await _settle_payments(
        transaction, sorted_facts.of_payments, at, answered=answered, look_up_at=look_up_at, claim=claim
    )
    if sorted_facts.of_own_money:
        drafts, untrue = await provider_lines.settle_own_money(
            transaction.connection, sorted_facts.of_own_money, provider
        )
        settled = replace(settled, drafts=(*settled.drafts, *drafts), untrue_lines=untrue)
    if not sorted_facts.of_payouts and not sorted_facts.of_accounts:
        return settled
    paid_out = await payouts.settle_facts(transaction, sorted_facts.of_payouts, at)
    accounts = await payout_accounts.settle_facts(transaction, sorted_facts.of_accounts, at)
    return replace(
        settled,
        drafts=(*settled.drafts, *paid_out.drafts),
        unknown=settled.unknown | paid_out.unknown | accounts.unknown,
        contradictions={**settled.contradictions, **paid_out.contradictions, **accounts.contradictions},
    )


@dataclass(slots=True)
class _Sorted:
    """Facts by what they are about."""

    of_payments: defaultdict[UUID, list[OfPayment]] = field(default_factory=lambda: defaultdict(list))
    of_payouts: list[TransferFact | PayoutFact] = field(default_factory=list)
    of_accounts: list[AccountFact] = field(default_factory=list)
    of_own_money: list[BalanceEntry] = field(default_factory=list)

    def add(self, fact: Told) -> None:
        match fact:
            case BalanceEntry(reference=UUID() as payment) if is_let_go(fact):
                self.of_payments[payment].append(fact)
            case BalanceEntry():
                self.of_own_money.append(fact)
            case TransferFact() | PayoutFact():
                self.of_payouts.append(fact)
            case AccountFact():
                self.of_accounts.append(fact)
            case PaymentFact() | ChargeFact():
                self.of_payments[fact.reference].append(fact)
            case _:
                self.of_payments[fact.payment].append(fact)


async def _settle_payments(
    transaction: Transaction,
    told: dict[UUID, list[OfPayment]],
    at: datetime,
    *,
    answered: bool,
    look_up_at: datetime | None,
    claim: datetime | None,
) -> Settled:
    if not told:
        return Settled((), frozenset(), {})
    connection = transaction.connection
    rows = await connection.fetch(LOCK_PAYMENTS, list(told))
    shares = await payment_shares.load(rows, on=connection)
    with_returns = [row["id"] for row in rows if row["returns"] or any(map(_is_return, told[row["id"]]))]
    foreign = {row["id"]: provider_lines.foreign_codes(row, told[row["id"]]) for row in rows}
    undeclared = await provider_lines.find_undeclared(connection, set().union(*foreign.values()))
    held = await returns.load(with_returns, on=connection) if with_returns else {}
    changes: list[Change] = []
    charges: list[tuple[Any, ChargeFact]] = []
    released: list[chart.Draft] = []
    returned: list[ReturnsChange] = []
    contradictions: dict[UUID, str] = {}
    premature: set[UUID] = set()
    for row in rows:
        about = told[row["id"]]
        still = answered and claim in {None, row["calling_until"]}
        try:
            provider_lines.ensure_declared(foreign[row["id"]] & undeclared)
            let_go = [provider_lines.let_go(row, fact) for fact in about if isinstance(fact, BalanceEntry)]
            change, back = change_of(
                row,
                about,
                held.get(row["id"]),
                at,
                answered=still,
                look_up_at=look_up_at,
                shares=shares.get(row["id"], ()),
            )
        except Contradiction as contradiction:
            contradictions[row["id"]] = str(contradiction)
            if isinstance(contradiction, Premature):
                premature.add(row["id"])
                if row["calling_until"] is None:
                    # Only the provider knows what is missing: it is asked at once.
                    times = (row["succeeded_at"], row["available_on"], row["matures_at"])
                    changes.append(Change(row, Known.of(row), at, *times))
            continue
        if change is not None:
            changes.append(change)
        if back is not None:
            returned.append(back)
        released.extend(let_go)
        charges.extend((row, fact) for fact in about if isinstance(fact, ChargeFact))
    if changes:
        await payments.write_changes(changes, on=connection, at=at)
    if returned:
        await returns.write(returned, on=connection, at=at)
    await _move_orders(connection, changes, returned, at)
    drafts = await _follow(connection, changes, charges, at)
    if returned:
        await returns.add_days(returned, on=connection)
    gave_back = tuple(
        GaveBack(by, part.creator_id, back.row["currency"], None if part.id == back.row["id"] else part.id)
        for back in returned
        for by, part in back.gave_back
    )
    first = [(row, provider_lines.charge(row, fact)) for row, fact in charges if row["available_on"] is None]
    provider_lines.raise_alarm([*first, *((back.row, draft) for back in returned for draft in back.drafts)])
    unknown = frozenset(told) - {row["id"] for row in rows}
    return Settled(
        (*drafts, *released, *(draft for back in returned for draft in back.drafts)),
        unknown,
        contradictions,
        gave_back,
        frozenset(premature),
    )


def _is_return(fact: Any) -> bool:
    return isinstance(fact, (RefundFact, DisputeFact, Decided, Unanswered))


async def _move_orders(
    connection: Connection, changes: Sequence[Change], returned: Sequence[ReturnsChange], at: datetime
) -> None:
    """Let the orders of payments follow what became of those.

    Orders and stock are locked before creators' days. What is paid and given back at once is paid first.
    """
    of_orders = [change for change in changes if change.row["kind"] == PaymentKind.PURCHASE]
    canceled = [change.row["id"] for change in of_orders if change.canceled]
    paid = [change.row for change in of_orders if change.succeeded]
    given_back = [back for back in returned if back.row["kind"] == PaymentKind.PURCHASE]
    if sum(map(bool, (canceled, paid, given_back))) > 1:
        # Each of them locks orders and then stock: one after the other that would be orders after stock.
        ids = {*canceled, *(row["id"] for row in paid), *(back.row["id"] for back in given_back)}
        await order_settlement.lock(list(ids), on=connection)
    if canceled:
        await order_settlement.canceled(canceled, on=connection, at=at)
    if paid:
        await order_settlement.paid(paid, on=connection, at=at)
    if given_back:
        await order_settlement.returned(given_back, on=connection, at=at)


async def _follow(
    connection: Connection,
    changes: Sequence[Change],
    charges: Sequence[tuple[Any, ChargeFact]],
    at: datetime,
) -> tuple[chart.Draft, ...]:
    """Do what follows from payments that have ended; return what is to be posted for them and for charges."""
    succeeded = [change for change in changes if change.succeeded]
    if succeeded:
        await earnings.add_days(succeeded, on=connection)
    drafts = [
        chart.capture_order(
            payment=change.row["id"],
            provider=change.row["provider"],
            asset=change.row["currency"],
            shares=[
                chart.Share(part.creator_id, part.captured, part.id)
                for part in change.parts
                if part.captured is not None
            ],
            effective_at=change.succeeded_at or at,
        )
        for change in succeeded
    ]
    drafts.extend(starmap(provider_lines.charge, charges))
    return tuple(drafts)
