"""Words the tests of holds share."""

from typing import Any
from uuid import UUID, uuid4

import asyncpg

import ledger
from ledger import Hold, HoldState
from tests.ledger.ledger_helpers import posted


async def placed(connection: asyncpg.Connection, debit: int, credit: int, amount: int, **others: Any) -> UUID:
    """Place a hold and return its id."""
    name = uuid4()
    await posted(connection, Hold(name, debit, credit, amount, "test", **others))
    return name


async def state(connection: asyncpg.Connection, hold: UUID) -> HoldState:
    return (await ledger.holds([hold], on=connection))[hold]


async def parts(connection: asyncpg.Connection, hold: UUID) -> tuple[int, int, int, str | None]:
    """A hold's amount, what was captured and released of it, and how it ended."""
    found = await state(connection, hold)
    assert (found.ended_at is None) == (found.open > 0) == (found.ending is None)
    return found.amount, found.captured, found.released, found.ending


async def entries(connection: asyncpg.Connection, hold: UUID) -> list[tuple[int, str, int]]:
    rows = await connection.fetch(
        "select number, event, amount from ledger.hold_entry where hold_id = $1 order by number", hold
    )
    return [(row["number"], row["event"], int(row["amount"])) for row in rows]


async def run_out(owner: asyncpg.Connection, *holds: UUID) -> None:
    """Let the time of holds be over, from now on."""
    await owner.execute("update ledger.hold set expires_at = clock_timestamp() where id = any ($1)", holds)
