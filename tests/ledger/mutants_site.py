"""A database with a mutated ledger, and the means to find out what is wrong with it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, TypeVar
from uuid import uuid4

import asyncpg

from ledger import (
    STRIPES,
    AccountKind,
    Capture,
    Group,
    Hold,
    Movement,
    Operation,
    Posted,
    Release,
    Reversal,
    chart,
)
from models.database import APP_ROLE
from tests.ledger.oracle_audit import FAR, Audit

POLL_SECONDS = 0.002
Thing = TypeVar("Thing")


class Books(NamedTuple):
    """Fresh accounts of one asset: two with stripes, three guarded ones, and a debt."""

    audit: Audit
    clearing: int
    connected: int
    a: int
    b: int
    c: int
    owed: int


@dataclass(frozen=True)
class Site:
    """A database, with its owner's connections and two of the application's that post through stripes of their own."""

    owner: asyncpg.Connection
    second_owner: asyncpg.Connection
    connections: tuple[asyncpg.Connection, asyncpg.Connection]
    _tasks: list["asyncio.Task[object]"] = field(default_factory=list)

    async def books(self, *, asset: str = "USD", funds: int = 100) -> Books:
        """Open fresh accounts, of which the guarded ones have the funds, and stripes of both connections."""
        name = uuid4()
        audit = Audit(self.connections, self.owner, tenant=str(name))
        # Those with a lower rank in the order of locking have higher ids.
        clearing, connected = await audit.open(
            *(
                chart.with_provider(kind, asset, str(name))
                for kind in (AccountKind.CLEARING, AccountKind.CONNECTED)
            )
        )
        kinds = (AccountKind.AVAILABLE, AccountKind.PENDING, AccountKind.RESERVE, AccountKind.OWED)
        accounts = await audit.open(*(chart.creator(kind, asset, name) for kind in kinds))
        books = Books(audit, clearing, connected, *sorted(accounts[:3]), accounts[3])
        if funds:
            for by in (0, 1):
                sales = (
                    Movement(clearing, account, funds // 2, "sale") for account in (books.a, books.b, books.c)
                )
                await audit.do(*sales, by=by)
        return books

    def beside(self, call: Coroutine[object, object, Thing]) -> "asyncio.Task[Thing]":
        """Start something that will have to wait."""
        task = asyncio.get_running_loop().create_task(call)
        self._tasks.append(task)
        return task

    async def leave(self) -> None:
        """Wait for nothing any more."""
        for connection in (*self.connections, self.owner, self.second_owner):
            connection.terminate()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def waits(self, task: "asyncio.Task[Thing]", connection: asyncpg.Connection) -> bool:
        """Tell whether what a connection was asked waits for somebody else's lock, rather than being done."""
        while not task.done():
            if await self.second_owner.fetchval(
                "select cardinality(pg_blocking_pids($1)) > 0", connection.get_server_pid()
            ):
                return True
            await asyncio.sleep(POLL_SECONDS)
        return False

    async def is_locked(self, account: int) -> bool:
        """Tell whether somebody holds the lock of an account."""
        found = await self.second_owner.fetchval(
            "select id from ledger.account where id = $1 for no key update skip locked", account
        )
        return found is None

    async def clock(self) -> datetime:
        moment: datetime = await self.second_owner.fetchval("select clock_timestamp()")
        return moment


def group(*operations: Operation, key: str | None = None) -> Group:
    return Group(key or str(uuid4()), operations)


def pay(debit: int, credit: int, amount: int) -> Movement:
    return Movement(debit, credit, amount, "payment")


def hold(debit: int, credit: int, amount: int) -> Hold:
    return Hold(uuid4(), debit, credit, amount, "hold", None, FAR)


async def compare(*several: Books) -> None:
    """Compare all that there is and was of some books."""
    for books in several:
        await books.audit.compare()
        await books.audit.compare_history()


WAYS = ("alone", "in a batch", "each")


def batched(way: str, group: Group, neighbour: Operation) -> list[Group]:
    """Return a batch with a plain group in it that is posted in one of the three ways there are.

    Alone; with another plain one; or with one that is not, so that one group is judged after the other.
    """
    if way == "alone":
        return [group]
    if way == "each" and isinstance(neighbour, Movement):
        neighbour = Hold(uuid4(), neighbour.debit, neighbour.credit, neighbour.amount, "hold")
    return [group, Group(str(uuid4()), (neighbour,))]


async def one_of_everything(site: Site) -> None:
    """Fill the books, so that there is something of everything, posted in every way."""
    foreign = await site.books(asset="JPY", funds=0)
    await foreign.audit.set_credit_limit(foreign.a, 5)
    audit, clearing, connected, a, b, c, _ = await site.books()
    sale, _ = await audit.post(
        group(pay(clearing, a, 40), pay(clearing, connected, 2)), group(pay(clearing, b, 1))
    )
    assert isinstance(sale, Posted)
    first, second, third, fourth = (hold(*rows, 10) for rows in ((a, b), (b, c), (b, c), (clearing, c)))
    for operation in (
        first, second, third, fourth, Capture(second.id, None, "capture"), Release(third.id),
        Reversal(sale.movements[0].id, 5, "reversal"), pay(a, b, 10**9), pay(a, b, 1),
    ):  # fmt: skip
        await audit.do(operation)
    await audit.post(
        group(Capture(first.id, 3, "capture"), pay(a, b, 10**9)), group(Capture(first.id, 2, "capture"))
    )
    await audit.do(pay(clearing, a, 1))
    await audit.let_time_pass(fourth.id)
    await audit.expire()


Scenario = Callable[[Site], Awaitable[None]]


@asynccontextmanager
async def opened(dsn: str, statement_timeout: str) -> AsyncIterator[Site]:
    """Connect to a database. What waits or runs for ever is found out by the time that a statement may take."""
    settings = {"statement_timeout": statement_timeout, "deadlock_timeout": "100ms"}
    owner, second_owner = [await asyncpg.connect(dsn, server_settings=settings) for _ in range(2)]
    found: dict[int, asyncpg.Connection] = {}
    while len(found) < 2:
        connection = await asyncpg.connect(dsn, server_settings=settings | {"role": APP_ROLE})
        stripe = connection.get_server_pid() % STRIPES
        # Stripe 0 is the account's own row: who posts there does not show whether the others are looked at.
        if stripe == 0 or found.setdefault(stripe, connection) is not connection:
            await connection.close()
    site = Site(owner, second_owner, tuple(found.values()))
    try:
        yield site
    finally:
        await site.leave()
