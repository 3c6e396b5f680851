"""One of the hammer's processes: asks whatever it thinks of, and writes down every question and every answer."""

import asyncio
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from random import Random
from time import monotonic
from typing import Final, TypeVar

import asyncpg

from ledger.accounts import (
    AccountNotEmptyError,
    CreditLimitInUseError,
    close_account,
    reopen_account,
    set_credit_limit,
)
from ledger.connections import Connection, Pool
from ledger.groups import Group, Outcome
from ledger.hammer.accounts import Books
from ledger.hammer.asks import Ask, wrong
from ledger.hammer.journal import Answered, Asked, Happened, Journal
from ledger.hammer.plan import CONNECTIONS, LOST, Plan, patiently
from ledger.hammer.reader import Reader
from ledger.hammer.traffic import Traffic
from ledger.holds import expire_holds
from ledger.poster import Poster
from ledger.posting import post

_BATCH_CALLERS: Final = 3
_POSTER_CALLERS: Final = 12
_UPKEEP_SECONDS: Final = 0.1
_LARGEST_LIMIT: Final = 5_000

ResultT = TypeVar("ResultT")


def main() -> None:
    """Do as the first line of standard input says, until its time is over or whoever wrote it is gone."""
    plan, number = Plan.loads(sys.stdin.buffer.readline())
    asyncio.run(_run(plan, number))


async def _run(plan: Plan, number: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def wait_for_the_end() -> None:
        # Not through sys.stdin, which Python wants to close at the end, while this is still reading.
        os.read(0, 1)
        loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    pool = await plan.open_pool(CONNECTIONS)
    try:
        books = await patiently(lambda: Books.find(pool))
        with Journal(plan.log(number)) as journal:
            await Process(plan, number, pool, books, journal, stop).work()
    finally:
        pool.terminate()


class Process:
    """Keeps all connections of ``pool`` busy for the seconds of its plan, or until ``stop`` is set."""

    def __init__(
        self, plan: Plan, number: int, pool: Pool, books: Books, journal: Journal, stop: asyncio.Event
    ) -> None:
        self._pool = pool
        self._tenant = plan.tenant
        self._books = books
        self._journal = journal
        self._stop = stop
        self._deadline = monotonic() + plan.seconds
        self._chance = Random(f"{plan.seed}:{number}:upkeep")
        self._traffic = Traffic(plan, number, books)
        self._reader = Reader(books, Random(f"{plan.seed}:{number}:reader"))
        self._poster = Poster(pool, tenant=plan.tenant)
        self._numbers = count(1)

    async def work(self) -> None:
        """Ask until the time is over, and wait for the last answers."""
        durable = asyncio.create_task(self._journal.keep_durable())
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(_BATCH_CALLERS):
                    group.create_task(self._regularly(self._ask_batch))
                for _ in range(_POSTER_CALLERS):
                    group.create_task(self._regularly(self._ask_alone))
                group.create_task(self._regularly(self._read))
                group.create_task(self._regularly(self._upkeep, _UPKEEP_SECONDS))
        finally:
            durable.cancel()
            await asyncio.gather(durable, return_exceptions=True)

    async def _regularly(self, step: Callable[[], Awaitable[None]], pause: float = 0) -> None:
        while monotonic() < self._deadline and not self._stop.is_set():
            await step()
            await asyncio.sleep(pause)

    async def _ask_batch(self) -> None:
        async def send(groups: Sequence[Group]) -> Sequence[Outcome]:
            async with self._pool.acquire() as connection:
                return await post(groups, on=connection, tenant=self._tenant)

        await self._ask(self._traffic.batch(), send)

    async def _ask_alone(self) -> None:
        async def send(groups: Sequence[Group]) -> Sequence[Outcome]:
            return [await self._poster.post(group) for group in groups]

        await self._ask((self._traffic.one(),), send)

    async def _ask(
        self, asks: tuple[Ask, ...], send: Callable[[Sequence[Group]], Awaitable[Sequence[Outcome]]]
    ) -> None:
        """Ask, and again with the same keys for as long as connections are lost; judge the answers."""
        number = next(self._numbers)
        attempts = 0

        async def attempt() -> Sequence[Outcome]:
            nonlocal attempts
            attempts += 1
            return await send([ask.group for ask in asks])

        self._journal.write(Asked(number, asks))
        outcomes = await self._survive(attempt)
        if outcomes is None:
            return
        self._journal.write(Answered(number, attempts, tuple(outcomes)))
        for ask, outcome in zip(asks, outcomes, strict=True):
            fault = wrong(ask, outcome, attempts)
            if fault:
                self._journal.write(Happened("wrong answers", why=f"{ask.kind} {ask.group}: {outcome}: {fault}"))
            self._traffic.answered(ask, outcome)

    async def _read(self) -> None:
        async def look() -> Sequence[str]:
            async with self._pool.acquire() as connection:
                return await self._reader.look(connection)

        faults = await self._survive(look)
        if faults is not None:
            self._journal.write(Happened("reads"))
            for fault in faults:
                self._journal.write(Happened("wrong readings", why=fault))

    async def _upkeep(self) -> None:
        """Expire holds as a worker does; close, reopen and limit accounts."""

        async def look_after() -> int:
            async with self._pool.acquire() as connection:
                await self._change_an_account(connection)
                return await expire_holds(on=connection)

        expired = await self._survive(look_after)
        if expired:
            self._journal.write(Happened("holds expired", expired))

    async def _change_an_account(self, connection: Connection) -> None:
        try:
            await self._changed(connection)
        except (AccountNotEmptyError, CreditLimitInUseError):
            self._journal.write(Happened("account changes refused"))
        else:
            self._journal.write(Happened("account changes"))

    async def _changed(self, connection: Connection) -> None:
        closing = self._chance.choice(self._books.closing)
        match self._chance.randrange(4):
            case 0:
                await close_account(closing, on=connection)
            case 1:
                limit = self._chance.randint(0, _LARGEST_LIMIT)
                await set_credit_limit(self._chance.choice(self._books.guarded), limit, on=connection)
            case _:
                await reopen_account(closing, on=connection)

    async def _survive(self, act: Callable[[], Awaitable[ResultT]]) -> ResultT | None:
        """Do something that can be done again; whatever fails is written down, and None is returned."""
        try:
            return await patiently(act, lambda error: self._failed("connections lost", error))
        except asyncpg.DeadlockDetectedError as error:
            self._failed("deadlocks", error)
        except LOST as error:
            self._failed("calls given up", error)
        except Exception as error:  # ruff: ignore[blind-except] - whatever it is, it is to be told at the end
            self._failed("errors", error)
        return None

    def _failed(self, what: str, error: BaseException) -> None:
        self._journal.write(Happened(what, why=f"{type(error).__name__}: {error}"))
