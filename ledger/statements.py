"""Statements: every line of an account, with the balance after it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from ledger.connections import Connection
from ledger.whole import whole

PAGE: Final = 100
_STREAM_PAGE: Final = 1000

_STATEMENT: Final = "select * from ledger.statement($1, $2, $3, $4, $5, $6, $7)"
_SETTLED: Final = """
select case when exists (select from ledger.account where stripe_of = $1) then ledger.settled_moment($1) end
"""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a line stands on its account's statement: ask for what comes after it."""

    posted_at: datetime
    row: int
    row_version: int


@dataclass(frozen=True, slots=True)
class StatementLine:
    """Line ``version`` of an account's statement.

    ``amount`` is positive for money that came in, ``balance`` is what the account held after it, both in the
    smallest unit. ``counterparty`` is the account on the other side. Of a striped account, ``row`` and
    ``row_version`` say which stripe the line is of; otherwise they are the account and the version.
    """

    version: int
    movement_id: UUID
    group_id: UUID
    kind: str
    amount: int
    balance: int
    counterparty: int
    reference: UUID | None
    posted_at: datetime
    effective_at: datetime
    row: int
    row_version: int

    @property
    def position(self) -> Position:
        """Where it stands."""
        return Position(self.posted_at, self.row, self.row_version)


async def statement(
    account_id: int,
    *,
    on: Connection,
    after: Position | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = PAGE,
) -> list[StatementLine]:
    """Return up to ``limit`` lines of an account's statement, oldest first, after a position.

    ``since`` (included) and ``until`` (not included) are moments of posting. Lines have no gaps and never change.
    A striped account's lines are those of its stripes in the order of posting; they are settled before
    :func:`settled_until`, later ones may still be preceded by another.
    """
    position = (None, None, None) if after is None else (after.posted_at, after.row, after.row_version)
    rows = await on.fetch(_STATEMENT, account_id, *position, since, until, limit)
    return [
        StatementLine(**{**row, "amount": whole(row["amount"]), "balance": whole(row["balance"])}) for row in rows
    ]


async def settled_until(account_id: int, *, on: Connection) -> datetime | None:
    """Return the moment before which a striped account's statement does not change any more; None: it never does.

    Whoever is posting to it right now is waited for, so the connection has to be one that may write.
    """
    moment: datetime | None = await on.fetchval(_SETTLED, account_id)
    return moment


async def stream(
    account_id: int, *, on: Connection, since: datetime | None = None, until: datetime | None = None
) -> AsyncIterator[StatementLine]:
    """Yield all lines of an account's statement, oldest first, read a page at a time.

    Where it ends is settled at the beginning (see :func:`settled_until`): lines that are posted meanwhile to a
    striped account are left for the next time.
    """
    settled = await settled_until(account_id, on=on)
    if settled is not None:
        until = settled if until is None else min(until, settled)
    after: Position | None = None
    while True:
        page = await statement(account_id, on=on, after=after, since=since, until=until, limit=_STREAM_PAGE)
        for line in page:
            yield line
        if len(page) < _STREAM_PAGE:
            return
        after = page[-1].position
