"""Maturing: earnings whose time has come move from pending to available, and reserves after them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog

import ledger
from core.clock import now
from ledger import AccountKind, Draft, chart
from models.database import Connection
from services import payment_shares
from services.engine import Engine
from services.fold import Part
from services.posting import LedgerRefusedError, post

BATCH: Final = 500
_WHOLE_BASIS_POINTS: Final = 10_000

_DUE: Final = """
    select id from payments where matured_at is null and matures_at <= $1 order by matures_at limit $2
"""
_LOCK: Final = """
    select p.*, f.reserve_basis_points, f.reserve_delay_seconds
    from payments p left join fee_rules f on f.id = p.fee_rule_id
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
        shares = await payment_shares.load(rows, on=connection)
        parts = _parts(rows, shares)
        indebted = await _indebted(rows, parts, connection)
        drafts: list[Draft] = []
        reserves: list[int] = []
        due_at: list[datetime | None] = []
        kept: list[Part] = []
        for row in rows:
            terms = {each["id"]: each for each in shares.get(row["id"], [row])}
            reserve = 0
            for part in parts[row["id"]]:
                left = part.left.net
                own = left * terms[part.id]["reserve_basis_points"] // _WHOLE_BASIS_POINTS
                reserve += own
                if own and part.id != row["id"]:
                    kept.append(replace(part, reserve=own))
                if left:
                    drafts.append(
                        chart.earning(
                            payment=part.id,
                            creator_id=part.creator_id,
                            asset=row["currency"],
                            net=left,
                            reserve=own,
                            recover=(part.creator_id, row["currency"]) in indebted,
                            effective_at=row["matures_at"],
                        )
                    )
            reserves.append(reserve)
            # What is kept of several creators' earnings is released at once: by the longest of their rules.
            delay = timedelta(seconds=max((each["reserve_delay_seconds"] for each in terms.values()), default=0))
            due_at.append(row["matures_at"] + delay if reserve else None)
        await connection.execute(_MATURE, [row["id"] for row in rows], reserves, due_at, at)
        await payment_shares.write(kept, on=connection)
        await post(engine, connection, drafts)
    return len(rows)


async def _release(engine: Engine, payment_ids: Sequence[UUID], at: datetime) -> int:
    async with engine.database.transaction() as transaction:
        connection = transaction.connection
        rows = await connection.fetch(_LOCK_RESERVES, payment_ids)
        if not rows:
            return 0
        shares = await payment_shares.load(rows, on=connection)
        parts = _parts(rows, shares)
        indebted = await _indebted(rows, parts, connection)
        drafts = [
            chart.reserve_due(
                payment=part.id,
                creator_id=part.creator_id,
                asset=row["currency"],
                amount=part.reserve,
                recover=(part.creator_id, row["currency"]) in indebted,
                effective_at=row["reserve_due_at"],
            )
            for row in rows
            for part in parts[row["id"]]
            if part.reserve
        ]
        await connection.execute(_RELEASE, [row["id"] for row in rows], at)
        of_shares = [replace(part, reserve=0) for shared in shares for part in parts[shared]]
        await payment_shares.write(of_shares, on=connection)
        await post(engine, connection, drafts)
    return len(rows)


def _parts(rows: Sequence[Any], shares: Mapping[UUID, Sequence[Any]]) -> dict[UUID, tuple[Part, ...]]:
    """Return whose each of some captured payments is, by the payment."""
    return {
        row["id"]: payment_shares.parts_of(row, int(row["captured"]), shares.get(row["id"], ())) for row in rows
    }


async def _indebted(
    rows: Sequence[Any], parts: Mapping[UUID, Sequence[Part]], connection: Connection
) -> set[tuple[UUID, str]]:
    """Return which creators owe something in which currency. A debt made meanwhile waits for the next earning."""
    specs = {
        (part.creator_id, row["currency"]): chart.creator(AccountKind.OWED, row["currency"], part.creator_id)
        for row in rows
        for part in parts[row["id"]]
    }
    ids = await ledger.find(list(specs.values()), on=connection)
    if not ids:
        return set()
    balances = await ledger.balances(list(ids.values()), on=connection)
    return {key for key, spec in specs.items() if spec in ids and balances[ids[spec]].posted < 0}
