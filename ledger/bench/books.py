"""The ledger under test: accounts with money, posted to through the functions that everybody posts with."""

import asyncio
import gc
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Self
from uuid import uuid4

from core.ids import uuid7
from ledger.accounts import ensure
from ledger.bench.errors import BenchError
from ledger.bench.figures import Timed
from ledger.bench.pgbench import Flood, Pgbench, session_settings
from ledger.bench.place import ACCOUNTS, AMOUNT
from ledger.chart import AccountKind, creator, with_provider
from ledger.connections import Connection, Pool
from ledger.groups import Group, Movement, Outcome, Posted
from ledger.poster import Poster
from ledger.posting import post

MONEY: Final = 10**15
"""What every account begins with, in its smallest unit: nobody runs out of it."""

_ASSET: Final = "USD"
_KIND: Final = "bench.transfer"
_FUNDING: Final = 500
_PATIENCE_SECONDS: Final = 30

_ANSWERS: Final = """
    select
        count(*) filter (where outcome = 'posted') as posted,
        count(*) filter (where outcome <> 'posted') as refused
    from ledger.request
"""
_FIRST: Final = "select min(id) from ledger.account where kind = 'pending'"


@dataclass(slots=True)
class Books:
    """A ledger of creators with money. Counts what was acknowledged, to be compared with what is stored."""

    dsn: str
    pool: Pool
    first: int
    acknowledged: int = field(default=0, init=False)

    @classmethod
    async def open(cls, dsn: str, pool: Pool) -> Self:
        """Open the accounts, in books that are empty so far, and put money into them."""
        specs = [creator(AccountKind.PENDING, _ASSET, uuid4()) for _ in range(ACCOUNTS)]
        clearing = with_provider(AccountKind.CLEARING, _ASSET, "bench")
        async with pool.acquire() as connection:
            ids = sorted((await ensure(specs, on=connection)).values())
            source = (await ensure([clearing], on=connection))[clearing]
            if ids != list(range(ids[0], ids[0] + ACCOUNTS)):
                raise BenchError("The accounts' ids are not one range: somebody else opens accounts here.")
            books = cls(dsn, pool, ids[0])
            for start in range(0, ACCOUNTS, _FUNDING):
                funded = ids[start : start + _FUNDING]
                await books.post([_group(source, account, MONEY) for account in funded], connection)
        return books

    @classmethod
    async def reopen(cls, dsn: str, pool: Pool) -> Self:
        """Return the books of a database that was copied from another's, or filled since."""
        books = cls(dsn, pool, await pool.fetchval(_FIRST))
        books.acknowledged, _ = await books._answers()
        return books

    async def post(self, groups: Sequence[Group], connection: Connection) -> None:
        """Post groups that cannot be refused. Raises ``BenchError`` if one is."""
        self.count(await post(groups, on=connection))

    def count(self, outcomes: Sequence[Outcome]) -> None:
        """Count groups that were posted. Raises ``BenchError`` if one was not."""
        for outcome in outcomes:
            if not isinstance(outcome, Posted) or outcome.replayed:
                raise BenchError(f"A transfer that nothing stood in the way of was answered with {outcome}.")
        self.acknowledged += len(outcomes)

    async def ensure_complete(self) -> None:
        """Check that what was acknowledged is stored, and nothing else. Raises ``BenchError``."""
        posted, refused = await self._answers()
        if (posted, refused) != (self.acknowledged, 0):
            raise BenchError(
                f"{posted} groups stand in the books as posted and {refused} as refused, "
                f"and {self.acknowledged} were acknowledged as posted."
            )

    # Measured ---------------------------------------------------------------------------------------------

    async def single(self, pgbench: Pgbench, clients: int, seconds: int) -> Timed:
        """Have pgbench call the function of a single transfer, from any account to any other."""
        flood = await self._flood(pgbench, "single.sql", clients, seconds, 1)
        self.acknowledged += flood.transactions
        return Timed(flood.per_second)

    async def batch(self, pgbench: Pgbench, size: int, clients: int, seconds: int) -> Timed:
        """Have pgbench call the function of batches, each drawn on the server as the floor draws its own."""
        flood = await self._flood(pgbench, "batch.sql", clients, seconds, size)
        self.acknowledged += flood.transactions * size
        return Timed(flood.per_second * size)

    async def _flood(self, pgbench: Pgbench, script: str, clients: int, seconds: int, size: int) -> Flood:
        async with self.pool.acquire() as connection:
            settings = await session_settings(connection)
        # Its hash, too, is the caller's to make.
        given = {
            "accounts": ACCOUNTS,
            "amount": AMOUNT,
            "first": self.first,
            "hash": f"\\x{'5e' * 32}",
            "size": size,
        }
        return await pgbench.run(
            self.dsn, script, clients=clients, seconds=seconds, settings=settings, variables=given
        )

    async def single_by_api(self, connections: int, seconds: float) -> Timed:
        """Post transfers one by one, from any account to any other, on so many connections of this process."""
        async with AsyncExitStack() as stack:
            opened = [await stack.enter_async_context(self.pool.acquire()) for _ in range(connections)]
            return await _repeat([partial(self._post_next, connection) for connection in opened], seconds)

    async def celebrity(self, callers: int, seconds: float) -> Timed:
        """Have so many callers at once tip one account through the batcher, each one transfer at a time."""
        poster = Poster(self.pool)

        async def tip() -> None:
            self.count([await poster.post(self.transfer(hot=True))])

        return await _repeat([tip] * callers, seconds)

    async def batches(self, size: int, count: int, *, connections: int, hot: bool = False) -> Timed:
        """Post so many batches; ``hot``: every transfer goes to one account."""
        waiting = iter([[self.transfer(hot=hot) for _ in range(size)] for _ in range(count)])
        seconds: list[float] = []

        async def post_waiting(connection: Connection) -> None:
            for groups in waiting:
                began = time.perf_counter()
                await self.post(groups, connection)
                seconds.append(time.perf_counter() - began)

        async with AsyncExitStack() as stack:
            opened = [await stack.enter_async_context(self.pool.acquire()) for _ in range(connections)]
            stack.enter_context(_settled())
            began = time.perf_counter()
            async with asyncio.TaskGroup() as tasks:
                for connection in opened:
                    tasks.create_task(post_waiting(connection))
            return Timed(size * count / (time.perf_counter() - began), tuple(seconds))

    async def lone(self, count: int) -> Timed:
        """Post so many transfers one after the other on one connection."""
        return await self.batches(1, count, connections=1)

    async def lone_through_batcher(self, count: int) -> None:
        """Post so many transfers one after the other through the batcher."""
        poster = Poster(self.pool)
        for _ in range(count):
            self.count([await poster.post(self.transfer())])

    async def _post_next(self, connection: Connection) -> None:
        await self.post([self.transfer()], connection)

    def transfer(self, *, hot: bool = False) -> Group:
        """Return a transfer from any account to any other, or (``hot``) to the last one."""
        debit = random.randrange(ACCOUNTS - hot)
        credit = ACCOUNTS - 1 if hot else (debit + random.randrange(1, ACCOUNTS)) % ACCOUNTS
        return _group(self.first + debit, self.first + credit, AMOUNT)

    async def _answers(self) -> tuple[int, int]:
        row = await self.pool.fetchrow(_ANSWERS)
        return (row["posted"], row["refused"]) if row else (0, 0)


def _group(debit: int, credit: int, amount: int) -> Group:
    return Group(uuid7().hex, (Movement(debit, credit, amount, _KIND),))


async def _repeat(calls: Sequence[Callable[[], Awaitable[None]]], seconds: float) -> Timed:
    """Make each call over and over, all of them at once, for some seconds."""
    took: list[float] = []

    async def repeat(call: Callable[[], Awaitable[None]], until: float) -> None:
        while (began := time.perf_counter()) < until:
            await call()
            took.append(time.perf_counter() - began)

    with _settled():
        began = time.perf_counter()
        async with asyncio.timeout(seconds + _PATIENCE_SECONDS), asyncio.TaskGroup() as tasks:
            for call in calls:
                tasks.create_task(repeat(call, began + seconds))
        return Timed(len(took) / (time.perf_counter() - began), tuple(took))


@contextmanager
def _settled() -> Iterator[None]:
    """Keep the collector from looking over and over at what the benchmark holds, as the app does at its start."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
