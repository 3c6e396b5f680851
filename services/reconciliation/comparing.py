"""One comparison: every check in its order, from one snapshot of ours and what the provider says meanwhile."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Final

from core.clock import now
from models.database import Connection, fetch_one
from providers.payments.base import Capability, ProviderError
from services.engine import Engine
from services.reconciliation import (
    accounts,
    books,
    earnings,
    events,
    items,
    payments,
    payouts,
    returns,
    shares,
    standing,
    stock,
)
from services.reconciliation.codes import DifferenceCode
from services.reconciliation.differences import About, AboutKind, Difference
from services.reconciliation.frame import BEGINNING, Frame, Limits, Snapshot
from services.reconciliation.report import Check, CheckResult, Report, State

LISTED: Final = 1_000
"""How many differences of one check are listed; the rest is counted."""

Tell = Callable[[Check], None]

# History is joined and sorted, so there is room for that, and where the tables were never analysed no query may
# turn quadratic. For this transaction alone.
_SETTINGS: Final = """
    select
        set_config('work_mem', '64MB', true),
        set_config('enable_nestloop', 'off', true),
        set_config('plan_cache_mode', 'force_custom_plan', true)
"""
_IN_SNAPSHOT: Final = {
    Check.SUSPENSE: accounts.find_unconverted,
    Check.PAYMENTS: payments.find_payments,
    Check.SHARES: shares.find_shares,
    Check.ITEMS: items.find_items,
    Check.STOCK: stock.find_stock,
    Check.EARNINGS: earnings.find_earnings,
    Check.REFUNDS: returns.find_refunds,
    Check.DISPUTES: returns.find_disputes,
    Check.PAYOUTS: payouts.find_payouts,
    Check.INBOX: events.find_unsettled,
    Check.OUTBOX: events.find_untold,
    Check.CLEARING: accounts.find_uncleared,
}


async def compare(
    engine: Engine, *, since: datetime | None, grace: timedelta, limits: Limits, tell: Tell
) -> Report:
    """Make every check once and change nothing.

    Of ours, all but the ledger's own invariants and the inbox that events are looked for in is read from one
    snapshot, taken after the provider's books were read: what they say is older than what is compared with them.
    """
    started_at = now()
    results: dict[Check, CheckResult] = {}
    async with engine.database.reader.acquire() as connection:
        clock = await fetch_one(connection, "select clock_timestamp() as at")
        frame = Frame(
            engine=engine,
            since=since or BEGINNING,
            at=started_at,
            judged_until=started_at - grace,
            posted_until=clock["at"] - grace,
            limits=limits,
        )
        tell(Check.BOOKS)
        async with books.opened(frame, connection) as read:
            async with _snapshot(frame, connection) as snapshot:
                results[Check.BOOKS] = await _books(snapshot, read)
                results[Check.BALANCE] = await _balance(snapshot, read)
                for check, find in _IN_SNAPSHOT.items():
                    tell(check)
                    results[check] = await _collected(check, find(snapshot))
                under_way = await standing.listed(snapshot)
            entries = read.entries
    tell(Check.STANDING)
    results[Check.STANDING] = await _standing(frame, under_way)
    tell(Check.EVENTS)
    results[Check.EVENTS] = await _events(frame)
    tell(Check.LEDGER)
    results[Check.LEDGER] = await _ledger(frame)
    return Report(
        provider=frame.provider,
        since=frame.since,
        started_at=started_at,
        finished_at=now(),
        entries=entries,
        checks=tuple(results[check] for check in Check),
    )


@asynccontextmanager
async def _snapshot(frame: Frame, connection: Connection) -> AsyncIterator[Snapshot]:
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute(_SETTINGS)
        given = {each.name: getattr(frame, each.name) for each in fields(frame)}
        yield Snapshot(**given, connection=connection)


@dataclass(slots=True)
class _List:
    kept: list[Difference]
    more: int = 0

    def result(self, check: Check, note: str = "") -> CheckResult:
        return CheckResult(check, tuple(self.kept), self.more, note=note)


async def _collected(check: Check, found: AsyncIterator[Difference], note: str = "") -> CheckResult:
    """Take in what a check finds; a provider that does not answer is a difference beside what was found so far."""
    taken = _List([])
    try:
        async for difference in found:
            if len(taken.kept) < LISTED:
                taken.kept.append(difference)
            else:
                taken.more += 1
    except ProviderError as error:
        taken.kept.append(_silent(check, error))
    return taken.result(check, note)


def _silent(check: Check, error: ProviderError) -> Difference:
    return Difference(
        DifferenceCode.PROVIDER_SILENT,
        About(AboutKind.PROVIDER, check.value),
        f"The provider could not be asked ({error.code}), so this was not compared, or not to its end.",
    )


def _not_possible(check: Check) -> CheckResult:
    return CheckResult(check, state=State.NOT_POSSIBLE, note="not possible with this provider")


async def _books(snapshot: Snapshot, read: books.Books) -> CheckResult:
    if not read.possible:
        return _not_possible(Check.BOOKS)
    if read.failure is not None:
        # Half of the books would make groups look as if they had no line.
        return CheckResult(Check.BOOKS, (_silent(Check.BOOKS, read.failure),))
    note = f"{read.entries} lines read"
    return await _collected(Check.BOOKS, books.find_lines(snapshot, read), note)


async def _balance(snapshot: Snapshot, read: books.Books) -> CheckResult:
    if not read.possible:
        return _not_possible(Check.BALANCE)
    if read.failure is not None:
        return CheckResult(Check.BALANCE, (_silent(Check.BALANCE, read.failure),))
    if not snapshot.whole:
        note = f"not compared as a whole: the books were read from {snapshot.since:%Y-%m-%d %H:%M} UTC on only"
        return CheckResult(Check.BALANCE, note=note)
    return await _collected(Check.BALANCE, books.find_balances(snapshot, read))


async def _standing(frame: Frame, found: standing.Listed) -> CheckResult:
    note = f"{len(found.under_way)} under way"
    if found.left_out:
        note += f" were asked about, {found.left_out} more that changed longer ago were not"
    return await _collected(Check.STANDING, standing.find_standing(frame, found), note)


async def _events(frame: Frame) -> CheckResult:
    if Capability.EVENT_REPLAY not in frame.engine.provider.capabilities.features:
        return _not_possible(Check.EVENTS)
    return await _collected(Check.EVENTS, events.find_missed(frame))


async def _ledger(frame: Frame) -> CheckResult:
    try:
        return await _collected(Check.LEDGER, accounts.find_broken(frame))
    except TimeoutError:
        difference = Difference(
            DifferenceCode.CHECK_FAILED,
            About(AboutKind.INVARIANT, "all"),
            "An invariant took longer than an hour, so it is not known to hold. `comptoir ledger verify` takes "
            "all the time it needs.",
        )
        return CheckResult(Check.LEDGER, (difference,))
