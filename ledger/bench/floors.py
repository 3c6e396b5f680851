"""The floors: the least that any correct ledger has to do, as fast as PostgreSQL can do it.

One row per account, one per movement, one per request key, and nothing else: no guard, no balances in the history,
no foreign keys, no answers. Each floor is one statement in one round trip, because that is the strongest there is.
"""

from dataclasses import dataclass, field
from typing import Final

import asyncpg

from ledger.bench.errors import BenchError
from ledger.bench.figures import Timed
from ledger.bench.pgbench import SCRIPTS, Flood, Pgbench
from ledger.bench.place import ACCOUNTS, AMOUNT

_BATCH: Final = "f2.sql"
_ACCOUNTS: Final = "insert into account select generate_series(1, $1::int)"
_SOUND: Final = """
    select
        (select count(*) from request) as requests,
        (select count(*) from movement) as movements,
        (select sum(posted) from account) as posted,
        (select sum(version) from account) as legs
"""

_SETTINGS: Final = {"jit": "off", "plan_cache_mode": "force_generic_plan"}
_IN_ORDER_OF_IDS: Final = {"enable_seqscan": "off", "enable_bitmapscan": "off"}
"""By an index scan, which locks two accounts in one order for everybody: no circle of waiting."""


@dataclass(slots=True)
class Floors:
    """The floors' own database. What says so measures for some seconds; in the end all of it has to be there."""

    pgbench: Pgbench
    dsn: str
    single_clients: int
    batch_clients: int
    _requests: int = field(default=0, init=False)
    _movements: int = field(default=0, init=False)

    async def prepare(self) -> None:
        """Make the tables and the accounts."""
        connection = await asyncpg.connect(self.dsn)
        await connection.execute((SCRIPTS / "tables.sql").read_text(encoding="utf-8"))
        await connection.execute(_ACCOUNTS, ACCOUNTS)
        await connection.execute("analyze")
        await connection.close()

    async def f0(self, seconds: int) -> Timed:
        """Commit an inserted row, over and over: what the disk and the server allow at the most."""
        flood = await self._run("f0.sql", self.single_clients, seconds)
        self._requests += flood.transactions
        return Timed(flood.per_second)

    async def f1(self, seconds: int) -> Timed:
        """Commit transfers one by one, from any account to any other."""
        return await self._transfers("f1.sql", self.single_clients, seconds, size=1)

    async def f1_hot(self, seconds: int) -> Timed:
        """Commit transfers one by one, all of them to one account."""
        return await self._transfers("f1_hot.sql", self.single_clients, seconds, size=1)

    async def f2(self, seconds: int, size: int) -> Timed:
        """Commit transfers ``size`` at a time, from any account to any other."""
        return await self._transfers(_BATCH, self.batch_clients, seconds, size=size)

    async def ensure_sound(self) -> None:
        """Check that all of it was really done. Raises ``BenchError``."""
        connection = await asyncpg.connect(self.dsn)
        found = tuple(await connection.fetchrow(_SOUND) or ())
        await connection.close()
        expected = (self._requests, self._movements, 0, 2 * self._movements)
        if found != expected:
            raise BenchError(f"The floor has (requests, movements, sum, legs) {found} and should have {expected}.")

    async def _transfers(self, script: str, clients: int, seconds: int, *, size: int) -> Timed:
        flood = await self._run(script, clients, seconds, size=size)
        self._requests += flood.transactions * size
        self._movements += flood.transactions * size
        return Timed(flood.per_second * size)

    async def _run(self, script: str, clients: int, seconds: int, **variables: int) -> Flood:
        return await self.pgbench.run(
            self.dsn,
            script,
            clients=clients,
            seconds=seconds,
            settings=_SETTINGS if script == _BATCH else _SETTINGS | _IN_ORDER_OF_IDS,
            variables={"accounts": ACCOUNTS, "amount": AMOUNT, **variables},
        )
