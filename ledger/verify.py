"""The sixteen invariants of the books, each one query, each able to fail.

The queries sort what they find: behind a limit alone, PostgreSQL plans as if there were always something to find.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from ledger.chart import BALANCE_MOVEMENTS
from ledger.connections import Connection

_CLEARING: Final = 13
_BALANCE_TRANSACTIONS: Final = 15
_DETAILS: Final = 5

# For this transaction. All of history is sorted and hashed, so there is room for that; where the tables were never
# analysed, no query may turn quadratic; and to compile one takes longer than it saves.
_SETTINGS: Final = """
select
    set_config('work_mem', '64MB', true),
    set_config('enable_nestloop', 'off', true),
    set_config('jit', 'off', true)
"""

_ABSENT: Final = {
    12: ("history_is_sealed", "There are no seals yet."),
    14: ("accruals_are_exact", "There are no accruals yet."),
}

# The prefix of a balance transaction's key, with the kinds of debit and credit that it may move.
_BALANCE_SHAPES: Final = [
    (prefix.value, debit.value, credit.value)
    for prefix, shapes in BALANCE_MOVEMENTS.items()
    for debit, credit in shapes
]


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


@dataclass(frozen=True, slots=True)
class _Query:
    number: int
    name: str
    sql: str


def _read(path: Path) -> _Query:
    number, _, name = path.stem.partition("_")
    return _Query(int(number), name, path.read_text(encoding="utf-8"))


_QUERIES: Final = [_read(path) for path in sorted((Path(__file__).parent / "invariants").glob("*.sql"))]


async def verify(
    connection: Connection,
    *,
    clearing_overdue: timedelta | None = None,
    only: Collection[int] = range(1, 17),
    timeout_seconds: float | None = None,
) -> list[Finding]:
    """Check every invariant in one snapshot and return a finding for each of the sixteen, in order.

    An invariant whose subject does not exist yet is ABSENT, never OK. Clearing accounts that are not at zero
    are named in the detail of number 13, which is broken only if one of them has not moved for
    ``clearing_overdue``. ``only``: the numbers of those to check, and to return. ``timeout_seconds``: how long
    one of them may take, where that is not what the connection allows any statement. Raises ``TimeoutError`` then.

    Only reads, on a connection without an open transaction; takes time in proportion to the whole history.
    """
    arguments: dict[int, tuple[Any, ...]] = {
        _CLEARING: (clearing_overdue,),
        _BALANCE_TRANSACTIONS: tuple(zip(*_BALANCE_SHAPES, strict=True)),
    }
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute(_SETTINGS)
        checked = [
            await _check(query, connection, arguments.get(query.number, ()), timeout_seconds)
            for query in _QUERIES
            if query.number in only
        ]
    absent = [
        Finding(number, name, Status.ABSENT, why) for number, (name, why) in _ABSENT.items() if number in only
    ]
    return sorted(checked + absent, key=lambda finding: finding.number)


async def _check(
    query: _Query, connection: Connection, arguments: tuple[Any, ...], timeout_seconds: float | None
) -> Finding:
    rows = await connection.fetch(query.sql, *arguments, timeout=timeout_seconds)
    details = [row["detail"] for row in rows]
    if query.number == _CLEARING:
        broken = any(row["broken"] for row in rows)
    else:
        broken = bool(rows)
        details[_DETAILS:] = ["…"] * (len(rows) > _DETAILS)
    return Finding(query.number, query.name, Status.BROKEN if broken else Status.OK, "; ".join(details))
