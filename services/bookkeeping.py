"""Bookkeeping: what the ledger needs done now and then, whether anybody asks for it or not."""

from typing import Final

import structlog

import ledger
from services.engine import Engine

# Nobody needs to know how many there are of very many.
_STRAY_LIMIT: Final = 1_000
_STRAY: Final = "select count(*) from (select from ledger.movement_default limit $1) as movement"

log = structlog.get_logger(__name__)


async def expire_holds(engine: Engine) -> int:
    """Make available again what is left of holds whose time is over; return how many there were.

    Run by any number of workers. There may be more where it returns more than nothing.
    """
    async with engine.database.writer.acquire() as connection:
        expired = await ledger.expire_holds(on=connection)
    if expired:
        log.info("holds expired", holds=expired)
    return expired


async def make_partitions(engine: Engine) -> None:
    """Make the partitions of the coming months, and warn of movements that have none of their own.

    Run by any number of workers, now and then: what could not be made is made the next time. A movement in the
    default partition is as good as any other, but keeps its month from getting a partition.
    """
    async with engine.database.writer.acquire() as connection:
        made = await ledger.create_partitions(on=connection)
        stray = await connection.fetchval(_STRAY, _STRAY_LIMIT)
    if made:
        log.info("partitions made", partitions=made)
    if stray:
        log.warning(
            "movements lie in the default partition: see Partitions in docs/operations.md",
            movements=stray,
            at_least=stray == _STRAY_LIMIT,
        )
