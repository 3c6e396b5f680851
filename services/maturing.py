"""Maturing: earnings whose time has come move from pending to available."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import structlog

from core.clock import now
from ledger import chart
from services.engine import Engine
from services.settlement import LedgerRefusedError, post

BATCH: Final = 500

_DUE: Final = """
    select id from payments where matured_at is null and matures_at <= $1 order by matures_at limit $2
"""
_LOCK: Final = """
    select * from payments where id = any($1::uuid[]) and matured_at is null
    order by id for no key update skip locked
"""
_MATURE: Final = "update payments set matured_at = $2, updated_at = $2 where id = any($1::uuid[])"

log = structlog.get_logger(__name__)


async def mature(engine: Engine, limit: int = BATCH) -> int:
    """Mature up to ``limit`` due earnings; return how many. Run by any number of workers.

    They are one transaction. If the ledger refuses one of them each is matured alone, so that it does not keep
    the others waiting.
    """
    at = now()
    due = [row["id"] for row in await engine.database.writer.fetch(_DUE, at, limit)]
    try:
        return await _mature(engine, due, at) if due else 0
    except LedgerRefusedError:
        log.exception("earnings could not be matured together", earnings=len(due))
    matured = 0
    for payment_id in due:
        try:
            matured += await _mature(engine, [payment_id], at)
        except LedgerRefusedError:
            log.exception("earning could not be matured", payment=str(payment_id))
    return matured


async def _mature(engine: Engine, payment_ids: Sequence[UUID], at: datetime) -> int:
    async with engine.database.transaction() as transaction:
        connection = transaction.connection
        rows = await connection.fetch(_LOCK, payment_ids)
        if not rows:
            return 0
        await connection.execute(_MATURE, [row["id"] for row in rows], at)
        drafts = [
            chart.earning(
                payment=row["id"],
                creator_id=row["creator_id"],
                asset=row["currency"],
                net=int(row["net"]),
                reserve=0,
                effective_at=row["matures_at"],
            )
            for row in rows
        ]
        await post(engine, connection, drafts)
    return len(rows)
