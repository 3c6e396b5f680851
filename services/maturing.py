"""Maturing: earnings whose time has come move from pending to available, and reserves after them."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog

import ledger
from core.clock import now
from ledger import AccountKind, Draft, chart
from models.database import Connection
from services.engine import Engine
from services.payments import captured_split
from services.posting import LedgerRefusedError, post

BATCH: Final = 500
_WHOLE_BASIS_POINTS: Final = 10_000

_DUE: Final = """
    select id from payments where matured_at is null and matures_at <= $1 order by matures_at limit $2
"""
_LOCK: Final = """
    select p.*, f.reserve_basis_points, f.reserve_delay_seconds
    from payments p join fee_rules f on f.id = p.fee_rule_id
    where p.id = any($1::uuid[]) and p.matured_at is null
    order by p.id for no key update of p skip locked
"""
_MATURE: Final = """
    update payments p set matured_at = $4, updated_at = $4, reserve = t.reserve, reserve_due_at = t.due_at
    from unnest($1::uuid[], $2::numeric[], $3::timestamptz[]) as t (id, reserve, due_at)
    where p.id = t.id
"""
_RESERVES_DUE: Final = """
    select id from payments where reserve_due_at <= $1 and reserve_released_at is null
    order by reserve_due_at limit $2
"""
_LOCK_RESERVES: Final = """
    select * from payments where id = any($1::uuid[]) and reserve_released_at is null
    order by id for no key update skip locked
"""
_RELEASE: Final = """
    update payments set reserve_released_at = $2, reserve = 0, updated_at = $2 where id = any($1::uuid[])
"""

log = structlog.get_logger(__name__)

Step = Callable[[Engine, Sequence[UUID], datetime], Awaitable[int]]


async def mature(engine: Engine, limit: int = BATCH) -> int:
    """Mature up to ``limit`` due earnings; return how many. Run by any number of workers.

    They are one transaction. If the ledger refuses one of them each is matured alone, so that it does not keep
    the others waiting.
    """
    return await _together(engine, _DUE, _mature, limit)


async def release_reserves(engine: Engine, limit: int = BATCH) -> int:
    """Make up to ``limit`` reserves available whose time is over; return how many. As :func:`mature`."""
    return await _together(engine, _RESERVES_DUE, _release, limit)


async def _together(engine: Engine, due_statement: str, step: Step, limit: int) -> int:
    at = now()
    due = [row["id"] for row in await engine.database.writer.fetch(due_statement, at, limit)]
    try:
        return await step(engine, due, at) if due else 0
    except LedgerRefusedError:
        log.exception("earnings could not be matured together", earnings=len(due))
    done = 0
    for payment_id in due:
        try:
            done += await step(engine, [payment_id], at)
        except LedgerRefusedError:
            log.exception("earning could not be matured", payment=str(payment_id))
    return done


async def _mature(engine: Engine, payment_ids: Sequence[UUID], at: datetime) -> int:
    async with engine.database.transaction() as transaction:
        connection = transaction.connection
        rows = await connection.fetch(_LOCK, payment_ids)
        if not rows:
            return 0
        indebted = await _indebted(rows, connection)
        drafts: list[Draft] = []
        reserves: list[int] = []
        due_at: list[datetime | None] = []
        for row in rows:
            left = _left(row)
            reserve = left * row["reserve_basis_points"] // _WHOLE_BASIS_POINTS
            reserves.append(reserve)
            delay = timedelta(seconds=row["reserve_delay_seconds"])
            due_at.append(row["matures_at"] + delay if reserve else None)
            if left:
                drafts.append(
                    chart.earning(
                        payment=row["id"],
                        creator_id=row["creator_id"],
                        asset=row["currency"],
                        net=left,
                        reserve=reserve,
                        recover=(row["creator_id"], row["currency"]) in indebted,
                        effective_at=row["matures_at"],
                    )
                )
        await connection.execute(_MATURE, [row["id"] for row in rows], reserves, due_at, at)
        await post(engine, connection, drafts)
    return len(rows)


async def _release(engine: Engine, payment_ids: Sequence[UUID], at: datetime) -> int:
    async with engine.database.transaction() as transaction:
        connection = transaction.connection
        rows = await connection.fetch(_LOCK_RESERVES, payment_ids)
        if not rows:
            return 0
        indebted = await _indebted(rows, connection)
        drafts = [
            chart.reserve_due(
                payment=row["id"],
                creator_id=row["creator_id"],
                asset=row["currency"],
                amount=int(row["reserve"]),
                recover=(row["creator_id"], row["currency"]) in indebted,
                effective_at=row["reserve_due_at"],
            )
            for row in rows
            if row["reserve"]
        ]
        await connection.execute(_RELEASE, [row["id"] for row in rows], at)
        await post(engine, connection, drafts)
    return len(rows)


def _left(row: Any) -> int:
    """Return what is left of a payment's net, in minor units: captured, and not gone back."""
    return captured_split(row, int(row["captured"])).net - int(row["returned_net"])


async def _indebted(rows: Sequence[Any], connection: Connection) -> set[tuple[UUID, str]]:
    """Return which creators owe something in which currency. A debt made meanwhile waits for the next earning."""
    specs = {
        (row["creator_id"], row["currency"]): chart.creator(AccountKind.OWED, row["currency"], row["creator_id"])
        for row in rows
    }
    ids = await ledger.find(list(specs.values()), on=connection)
    if not ids:
        return set()
    balances = await ledger.balances(list(ids.values()), on=connection)
    return {key for key, spec in specs.items() if spec in ids and balances[ids[spec]].posted < 0}
