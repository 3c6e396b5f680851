"""What every measurement of commerce works with, and how CPU and statements are counted."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg

from benchmarks import processes
from benchmarks.commerce_shop import Shirt
from benchmarks.load import Connections
from benchmarks.processes import Place, Process
from benchmarks.saying import say
from benchmarks.statements import Statements, is_frame, shown, without_idle

NAME: Final = "comptoir-benchmark"
CONNECTIONS: Final = 4

_IDLE_SECONDS: Final = 2.0
_STATEMENTS_SHOWN: Final = 48


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured."""

    rounds: int
    lists: int
    products: int
    checkouts: int


@dataclass(frozen=True, slots=True)
class Bench:
    """What every measurement works with."""

    effort: Effort
    place: Place
    connection: "asyncpg.Connection[asyncpg.Record]"
    web: Process
    worker: Process
    postmaster: int
    shop: Connections
    shirts: Sequence[Shirt]

    def used(self) -> list[float]:
        """Return the CPU seconds of web, worker and PostgreSQL since they started."""
        own = [processes.cpu_seconds(process.pid) for process in (self.web, self.worker)]
        return [*own, processes.postgres_cpu_seconds(self.postmaster)]


async def repeat(do: Callable[[], Awaitable[None]], count: int, at_once: int = CONNECTIONS) -> None:
    """Do something so often, so many at once."""
    numbers = iter(range(count))

    async def some() -> None:
        for _ in numbers:
            await do()

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(some())


async def cpu(bench: Bench, do: Callable[[], Awaitable[None]], count: int) -> list[float]:
    """Return the CPU milliseconds of web, worker and PostgreSQL for each of ``count``."""
    before = bench.used()
    await repeat(do, count)
    return [(b - a) * 1000 / count for a, b in zip(before, bench.used(), strict=True)]


def split(parts: Sequence[float]) -> str:
    """Return the milliseconds of the parts and their sum, for a line."""
    web, worker, postgres = parts
    return f"{sum(parts):6.2f} = web {web:.2f} + worker {worker:.2f} + PostgreSQL {postgres:.2f}"


async def sql_of(bench: Bench, do: Callable[[], Awaitable[None]], count: int, *, each: int = 1) -> float:
    """Return how many statements one operation takes, less what is polled while idle, and say which they are.

    ``do`` is run ``count`` times, and each run is of ``each`` operations.
    """
    operations = count * each
    async with Statements(bench.connection, bench.place.server_log, NAME) as statements:
        await statements.begin()
        await asyncio.sleep(_IDLE_SECONDS)
        idle = await statements.executed()
        await statements.begin()
        began = time.perf_counter()
        for _ in range(count):
            await do()
        seconds = time.perf_counter() - began
        busy = await statements.executed()
    left = without_idle(busy, idle, seconds / _IDLE_SECONDS)
    for sql, executed in sorted(left.items(), key=lambda item: -item[1].count)[:_STATEMENTS_SHOWN]:
        planning, milliseconds = executed.planning_milliseconds / operations, executed.milliseconds / operations
        say(f"  {executed.count / operations:6.2f}  {planning:6.2f} + {milliseconds:5.2f} ms  {shown(sql)}")
    frames = sum(one.count for sql, one in left.items() if is_frame(sql)) / operations
    total = sum(one.count for one in left.values()) / operations
    say(f"  {total:.1f} statements = {total - frames:.1f} and {frames:.1f} that begin or end transactions")
    return total
