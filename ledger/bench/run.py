"""The whole benchmark: floors and ledger in turn, round after round, then the books checked."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Final

import asyncpg

from ledger.bench.books import Books
from ledger.bench.errors import BenchError
from ledger.bench.figures import Figures, Timed
from ledger.bench.floors import Floors
from ledger.bench.growth import Grown
from ledger.bench.pgbench import Pgbench
from ledger.bench.place import BATCH_CLIENTS, CALLERS, CLIENTS, Effort, Place
from ledger.bench.report import Size, say_bars, say_growth, say_round_trips, say_rounds
from ledger.bench.round_trips import counted
from ledger.verify import Status, verify

_SIZE: Final = """
    select
        (select count(*) from ledger.movement) as movements,
        sum(pg_total_relation_size(oid))::bigint as bytes,
        sum(pg_total_relation_size(oid)) filter (where relname = 'request')::bigint as request_bytes
    from pg_class where relnamespace = 'ledger'::regnamespace and relkind = 'r'
"""
_WARM_UP: Final = Effort(rounds=1, seconds=1, batches_of_100=20, batches_of_500=10, lone_transfers=100)
_COUNTED: Final = 20
_BUSY_SECONDS: Final = 0.1
_PROCESSORS: Final = Path("/proc/stat")
_IDLE: Final = slice(3, 5)  # idle, and idle while waiting for a disk


async def measure(
    place: Place, effort: Effort, say: Callable[[str], object], *, with_growth: bool = False
) -> dict[str, float]:
    """Measure, say what was found line by line, and return the figures of the last line by their keys.

    Raises ``BenchError`` (or what asyncpg and ``place.describe`` raise) if anything fails, if an answer is not
    the one that was due, or if the books are not sound afterwards. A bar that is missed is no failure.
    """
    began = time.monotonic()
    async with _connected(place.ledger_dsn) as owner:
        for line in await place.describe(owner):
            say(line)
        pgbench = await Pgbench.of(owner)
    floors = Floors(pgbench, place.floor_dsn, CLIENTS, BATCH_CLIENTS)
    await floors.prepare()
    async with await place.open_pool(place.ledger_dsn, 1) as pool:
        await Books.open(place.ledger_dsn, pool)
    grown = Grown(place, say) if with_growth else None
    if grown:
        await grown.copy()

    figures = Figures()
    async with await place.open_pool(place.ledger_dsn, CLIENTS) as pool:
        books = await Books.reopen(place.ledger_dsn, pool)
        measure_round = partial(_round, place, pgbench, floors, books)
        await measure_round(_WARM_UP)
        before = await _size(place.ledger_dsn)
        for number in range(1, effort.rounds + 1):
            figures.add(await measure_round(effort))
            say(f"round {number} of {effort.rounds} done {time.monotonic() - began:.0f} s after the start")
        grew = await _size(place.ledger_dsn) - before
        await books.ensure_complete()
    await floors.ensure_sound()
    result = say_rounds(figures, grew, say)
    result |= say_round_trips(await _round_trips(place), say)
    if grown:
        say("")
        result |= say_growth(await grown.measure(pgbench, CLIENTS, effort), say)
    say_bars(result, say)
    say("")
    for dsn in [place.ledger_dsn, *(grown.copies if grown else ())]:
        say(await _proof(dsn))
    say(f"All took {time.monotonic() - began:.0f} s.")
    return result


async def _round(place: Place, pgbench: Pgbench, floors: Floors, books: Books, effort: Effort) -> dict[str, float]:
    """Measure everything once: each floor, and right after it what is held against it."""
    seconds = effort.seconds
    batches = partial(books.batches, connections=BATCH_CLIENTS)
    calls: dict[str, Callable[[], Awaitable[Timed]]] = {
        "f0": partial(floors.f0, seconds),
        "f1": partial(floors.f1, seconds),
        "single": partial(books.single, pgbench, CLIENTS, seconds),
        "api": partial(books.single_by_api, CLIENTS, seconds),
        "f1_hot": partial(floors.f1_hot, seconds),
        "celebrity": partial(books.celebrity, CALLERS, seconds),
        "f2_100": partial(floors.f2, seconds, 100),
        "batch100": partial(books.batch, pgbench, 100, BATCH_CLIENTS, seconds),
        "api100": partial(batches, 100, effort.batches_of_100),
        "f2_500": partial(floors.f2, seconds, 500),
        "batch500": partial(books.batch, pgbench, 500, BATCH_CLIENTS, seconds),
        "api500": partial(batches, 500, effort.batches_of_500),
        "hot500": partial(batches, 500, effort.batches_of_500, hot=True),
        "lone": partial(books.lone, effort.lone_transfers),
    }
    busy, timed = [], {}
    for name, call in calls.items():
        busy.append(await _busy())
        timed[name] = await call()
    return {
        **{name: measured.per_second for name, measured in timed.items()},
        "fdatasync": place.fdatasync_milliseconds(),
        "p50": timed["lone"].milliseconds(50),
        "p99": timed["lone"].milliseconds(99),
        "caller_p50": timed["celebrity"].milliseconds(50),
        "caller_p99": timed["celebrity"].milliseconds(99),
        "api500_p50": timed["api500"].milliseconds(50),
        "hot500_p50": timed["hot500"].milliseconds(50),
        "busy": fmean(busy),
    }


async def _round_trips(place: Place) -> dict[str, float]:
    """Return the round trips per transfer, once each statement is known to the connection."""
    trips: dict[str, float] = {}
    async with counted(place.ledger_dsn, place.folder) as wire, await place.open_pool(wire.dsn, 1) as pool:
        books = await Books.reopen(wire.dsn, pool)
        calls: dict[str, tuple[int, Callable[[], Awaitable[object]]]] = {
            "single": (1, partial(books.lone, _COUNTED)),
            "batcher": (1, partial(books.lone_through_batcher, _COUNTED)),
            "batch100": (100, partial(books.batches, 100, _COUNTED, connections=1)),
            "batch500": (500, partial(books.batches, 500, _COUNTED, connections=1)),
        }
        for name, (size, call) in calls.items():
            await call()
            before = wire.round_trips
            await call()
            trips[name] = (wire.round_trips - before) / (_COUNTED * size)
    return trips


async def _busy() -> float:
    """Return the share of the processors' time, just now, that was not idle: what others take from the figures."""
    before = _ticks()
    await asyncio.sleep(_BUSY_SECONDS)
    spent = [late - early for early, late in zip(before, _ticks(), strict=True)]
    return 1 - sum(spent[_IDLE]) / max(sum(spent), 1)


def _ticks() -> list[int]:
    """Return what the processors spent their time with since the machine started, by kind."""
    _, *kinds = _PROCESSORS.read_text(encoding="ascii").splitlines()[0].split()
    return [int(ticks) for ticks in kinds[:8]]


async def _size(dsn: str) -> Size:
    async with _connected(dsn) as owner:
        row = await owner.fetchrow(_SIZE)
    return Size(*row) if row else Size(0, 0, 0)


async def _proof(dsn: str) -> str:
    """Check every invariant of the ledger and say how many hold. Raises ``BenchError`` if one is broken."""
    began = time.monotonic()
    async with _connected(dsn) as owner:
        await owner.execute("set work_mem = '256MB'")
        findings = await verify(owner)
        movements = await owner.fetchval("select count(*) from ledger.movement")
    broken = [finding for finding in findings if finding.status is Status.BROKEN]
    if broken:
        raise BenchError(f"The books are not sound: {broken}")
    held = sum(finding.status is Status.OK for finding in findings)
    return (
        f"Books of {movements:,} movements: {held} invariants hold, none is broken "
        f"(checked in {time.monotonic() - began:.0f} s)."
    )


@asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(dsn, server_settings={"jit": "off"})
    try:
        yield connection
    finally:
        await connection.close()
