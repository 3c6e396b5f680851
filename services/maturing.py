"""Maturing: earnings whose time has come move from pending to available."""

from typing import Final

from core.clock import now
from ledger import chart
from services.engine import Engine
from services.settlement import post

BATCH: Final = 500

_DUE: Final = """
    select * from payments where id in (
        select id from payments where matured_at is null and matures_at <= $1 order by matures_at limit $2
    )
    and matured_at is null
    order by id for no key update skip locked
"""
_MATURE: Final = "update payments set matured_at = $2, updated_at = $2 where id = any($1::uuid[])"


async def mature(engine: Engine, limit: int = BATCH) -> int:
    """Mature up to ``limit`` due earnings in one transaction; return how many. Run by any number of workers."""
    at = now()
    async with engine.database.transaction() as transaction:
        connection = transaction.connection
        rows = await connection.fetch(_DUE, at, limit)
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
