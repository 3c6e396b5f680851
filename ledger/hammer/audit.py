"""The auditor: compares every answer that a process was given with the books.

What was acknowledged has to be there, the same as it was told; a refusal that stays has to be there as well;
what nobody heard an answer to is wholly there or not at all; and there is nothing that nobody asked for.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from ledger.connections import Pool
from ledger.groups import Outcome, Posted, Refusal, Refused
from ledger.hammer.asks import Ask
from ledger.hammer.journal import Answered, Asked, Happened, records
from ledger.hammer.plan import patiently
from ledger.hammer.report import Report
from ledger.hammer.written import Written, difference, written
from ledger.wire import body_hash

_BATCH: Final = 500
_SHARED: Final = "shared"
_KEYS: Final = """
    select split_part(key, ':', 1) as whose, count(*) as keys from ledger.request where tenant = $1 group by 1
"""

_Told: TypeAlias = tuple[Ask, Outcome | None]


class Auditor:
    """Audits the logs of a run's processes, one after the other; what it finds goes into the report."""

    def __init__(self, pool: Pool, tenant: str, accounts: Mapping[int, int], report: Report) -> None:
        self._pool = pool
        self._tenant = tenant
        self._accounts = accounts
        self._report = report
        self._decided: Counter[str] = Counter()
        self._shared: set[str] = set()

    async def audit(self, number: int, log: Path) -> None:
        """Audit what a process was told."""
        under_way: dict[int, Asked] = {}
        told: list[_Told] = []
        for record in records(log):
            match record:
                case Asked():
                    under_way[record.number] = record
                case Answered():
                    asked = under_way.pop(record.number)
                    self._report.add(asked, record)
                    told.extend(zip(asked.asks, record.outcomes, strict=True))
                case Happened():
                    self._report.note(record)
            if len(told) >= _BATCH:
                await self._compare(str(number), told)
                told = []
        told.extend((ask, None) for asked in under_way.values() for ask in asked.asks)
        await self._compare(str(number), told)

    async def finish(self) -> None:
        """Look for keys that were decided though nobody asked; all logs have been audited."""
        rows = await patiently(lambda: self._pool.fetch(_KEYS, self._tenant))
        found = {row["whose"]: row["keys"] for row in rows}
        expected = self._decided + Counter({_SHARED: len(self._shared)})
        if found != dict(expected):
            self._report.faults.append(f"decided keys by process: {found}, but asked for were {dict(expected)}")

    async def _compare(self, whose: str, told: Sequence[_Told]) -> None:
        keys = {ask.group.key for ask, _ in told if "\0" not in ask.group.key}
        books = await patiently(lambda: written(keys, tenant=self._tenant, on=self._pool))
        for ask, outcome in told:
            found = books.get(ask.group.key)
            if found is not None and ask.alone:
                self._decided[whose] += 1
            if found is not None and ask.kind == _SHARED:
                self._shared.add(ask.group.key)
            fault = self._fault(ask, outcome, found)
            if fault:
                self._report.faults.append(f"{ask.kind} {ask.group}: {outcome}, but in the books {found}: {fault}")

    def _fault(self, ask: Ask, outcome: Outcome | None, found: Written | None) -> str | None:
        if found is None:
            self._report.happened["groups unanswered and not there"] += outcome is None
            decided = isinstance(outcome, Posted) or (isinstance(outcome, Refused) and outcome.code.stored)
            return "what was acknowledged is gone" if decided else None
        same = found.body_hash == body_hash(ask.group)
        if outcome is None:
            self._report.happened["groups unanswered and wholly there"] += same
            return difference(ask.group, found, self._accounts) if same else None
        if isinstance(outcome, Refused) and outcome.code is Refusal.KEY_REUSED:
            return "the key does stand for this" if same else None
        if not same:
            return "the key stands for something else"
        if _stored(outcome) != _of(found):
            return "it was told otherwise"
        if isinstance(outcome, Posted) and found.posted_movements() != set(outcome.movements):
            return "other movements were told"
        return difference(ask.group, found, self._accounts)


def _stored(outcome: Outcome) -> tuple[object, ...]:
    if isinstance(outcome, Posted):
        return outcome.group_id, "posted", None, None, outcome.posted_at
    return None, outcome.code, outcome.account, outcome.missing, None


def _of(found: Written) -> tuple[object, ...]:
    if found.outcome == "posted":
        return found.group_id, "posted", None, None, found.decided_at
    return None, found.outcome, found.account, found.missing, None
