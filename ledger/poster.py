"""The adaptive batcher of postings: many callers of one process, one call of the ledger at a time."""

from collections.abc import Sequence
from typing import Final

from core.batcher import Batcher
from ledger.connections import Pool
from ledger.groups import Group, Outcome
from ledger.posting import PLATFORM, post

LARGEST_BATCH: Final = 500


class Poster:
    """Posts groups that have no rows beside them, each in the company of whatever else is waiting.

    Alone, a group is posted at once; in a rush, what came while one batch was on its way is the next batch, and
    an account that all of them touch is written once. It commits on its own: what belongs into a transaction is
    posted there (see :func:`ledger.post`).

    One per process. Whoever hears of an error or is cancelled does not know what became of the group: posting it
    again is the same posting.
    """

    def __init__(self, pool: Pool, *, tenant: str = PLATFORM, largest: int = LARGEST_BATCH) -> None:
        self._pool = pool
        self._tenant = tenant
        self._batcher: Batcher[Group, Outcome] = Batcher(self._run, largest)

    async def post(self, group: Group) -> Outcome:
        """Post a group and return its outcome once it is durable. Errors: asyncpg's, for what broke."""
        return await self._batcher.submit(group)

    async def _run(self, groups: Sequence[Group]) -> Sequence[Outcome]:
        async with self._pool.acquire() as connection:
            return await post(groups, on=connection, tenant=self._tenant)
