"""The sixteen invariants of the books, each one query, each able to fail."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final

import asyncpg

from ledger.connections import Connection

_QUERIES: Final = {
    path.stem: path.read_text(encoding="utf-8")
    for path in sorted((Path(__file__).parent / "invariants").glob("*.sql"))
}
_CLEARING: Final = 13
_DETAILS: Final = 5

_ABSENT: Final = {
    7: ("holds_within_their_amount", "There are no holds yet."),
    8: ("reversals_within_their_original", "There are no reversals yet."),
    9: ("conversion_balances_per_asset", "There is no conversion yet."),
    12: ("history_is_sealed", "There are no seals yet."),
    14: ("accruals_are_exact", "There are no accruals yet."),
}


class Status(StrEnum):
    """What became of an invariant."""

    OK = "ok"
    BROKEN = "broken"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Finding:
    """An invariant's number and name, whether it holds, and a sentence on what was found (or "")."""

    number: int
    name: str
    status: Status
    detail: str


async def verify(connection: Connection, *, clearing_overdue: timedelta | None = None) -> list[Finding]:
    """Check every invariant in one snapshot and return a finding for each of the sixteen, in order.

    An invariant whose subject does not exist yet is ABSENT, never OK. Clearing accounts that are not at zero
    are named in the detail of number 13, which is broken only if one of them has not moved for
    ``clearing_overdue``.

    Only reads, on a connection without an open transaction; takes time in proportion to the whole history.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        checked = [await _check(stem, connection, clearing_overdue) for stem in _QUERIES]
    absent = [Finding(number, name, Status.ABSENT, why) for number, (name, why) in _ABSENT.items()]
    return sorted(checked + absent, key=lambda finding: finding.number)


async def _check(stem: str, connection: Connection, clearing_overdue: timedelta | None) -> Finding:
    prefix, _, name = stem.partition("_")
    number = int(prefix)
    if number == _CLEARING:
        rows = await connection.fetch(_QUERIES[stem], clearing_overdue)
        broken = any(row["broken"] for row in rows)
    else:
        rows = await connection.fetch(_QUERIES[stem])
        broken = bool(rows)
    return Finding(number, name, Status.BROKEN if broken else Status.OK, _detail(rows))


def _detail(rows: Sequence[asyncpg.Record]) -> str:
    lines = [row["detail"] for row in rows[:_DETAILS]]
    return "; ".join(lines + ["…"] * (len(rows) > _DETAILS))
