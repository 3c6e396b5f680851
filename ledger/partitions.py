"""Partitions: the movements of each month lie together, so that what is written to stays small."""

from typing import Final

from ledger.connections import Connection

MONTHS_AHEAD: Final = 3


async def create_partitions(*, on: Connection, months: int = MONTHS_AHEAD) -> list[str]:
    """Make the partitions of the coming months that are not there yet; return their names.

    Waits a second for the tables at most and leaves the rest for another time: a movement without a partition
    of its own lies in the default one, and nothing else is different.
    """
    rows = await on.fetch("select * from ledger.create_partitions($1)", months)
    return [row[0] for row in rows]
