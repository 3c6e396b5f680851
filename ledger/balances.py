"""Reading: balances and statements."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from ledger.connections import Connection
from ledger.whole import whole

_BALANCES: Final = """
select id, posted, held_out, posted - held_out as available, version
from ledger.account where id = any ($1::bigint[])
"""

_STATEMENT: Final = """
select version, movement_id, group_id, kind, amount, balance, counterparty, reference, posted_at, effective_at
from ledger.entry where account = $1 and version > $2 order by version limit $3
"""


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account holds, in its asset's smallest unit; credits minus debits.

    ``available`` is ``posted`` without what is ``held``. ``version`` is the number of lines on its statement.
    """

    posted: int
    held: int
    available: int
    version: int


@dataclass(frozen=True, slots=True)
class StatementLine:
    """Line ``version`` of an account's statement.

    ``amount`` is positive for money that came in, ``balance`` is what the account held after it, both in the
    smallest unit. ``counterparty`` is the account on the other side.
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


async def balances(account_ids: Iterable[int], *, on: Connection) -> dict[int, Balance]:
    """Return the balances of accounts at one moment, by id. An id that is no account's is left out."""
    rows = await on.fetch(_BALANCES, list(account_ids))
    return {
        row["id"]: Balance(whole(row["posted"]), whole(row["held_out"]), whole(row["available"]), row["version"])
        for row in rows
    }


async def statement(
    account_id: int, *, on: Connection, after_version: int = 0, limit: int = 100
) -> list[StatementLine]:
    """Return up to ``limit`` lines of an account's statement, oldest first, after a version.

    The last line's version is where the next page begins. Lines have no gaps and never change.
    """
    rows = await on.fetch(_STATEMENT, account_id, after_version, limit)
    return [
        StatementLine(**{**row, "amount": whole(row["amount"]), "balance": whole(row["balance"])}) for row in rows
    ]
