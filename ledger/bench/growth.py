"""What a transfer costs in a ledger of ten million movements, beside one of ten thousand."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import unquote, urlsplit

import asyncpg

from ledger.bench.books import MONEY, Books
from ledger.bench.figures import Figures
from ledger.bench.pgbench import Pgbench, id_prefix
from ledger.bench.place import ACCOUNTS, AMOUNT, Effort, Place

SMALL: Final = 10_000
LARGE: Final = 10_000_000

_CHUNK: Final = 500_000
_FILLERS: Final = 2
_WARM_UP_SECONDS: Final = 1
_WARM_UP_BATCHES: Final = 10

# As superuser and without triggers, foreign keys among them: it writes history as ledger.post would have written
# it. Movement i goes from account i to account i + 1 (modulo the number of accounts), a microsecond after the one
# before it. So in each turn an account is first credited and then debited, except for the first one.
_SESSION: Final = {"session_replication_role": "replica", "synchronous_commit": "off", "jit": "off"}
_BOOKS: Final = """
    select min(id) as first, max(posted_at) as since, min(asset_id) as asset
    from ledger.account where kind = 'pending'
"""
_REQUESTS: Final = """
    insert into ledger.request (tenant, key, body_hash, group_id, outcome, movements, decided_at)
    select 'platform', $1::text || (1008000000000000000 + i), sha256(int8send(i)),
        ($1::text || (1008000000000000000 + i))::uuid, 'posted', 1, $2::timestamptz + i * interval '1 microsecond'
    from generate_series($3::bigint, $4::bigint) as i
"""
_MOVEMENTS: Final = """
    insert into ledger.movement (
        id, group_id, asset_id, kind, debit, credit, amount,
        debit_after, credit_after, debit_version, credit_version, posted_at, effective_at
    )
    select id, id, $6::int, 'bench.transfer', $5::bigint + debit, $5::bigint + credit, $8::int,
        $9::bigint - case debit when 0 then $8::int else 0 end,
        $9::bigint + case credit when 0 then 0 else $8::int end,
        2 * turn + case debit when 0 then 2 else 3 end,
        2 * turn + case credit when 0 then 3 else 2 end,
        posted_at, posted_at
    from generate_series($3::bigint, $4::bigint) as i
    cross join lateral (
        select ($1::text || (1008000000000000000 + i))::uuid as id, i % $7::int as debit,
            (i + 1) % $7::int as credit, i / $7::int as turn,
            $2::timestamptz + i * interval '1 microsecond' as posted_at
    ) as movement
"""
_ACCOUNTS: Final = """
    update ledger.account
    set
        version = version + 2 * $1::bigint / $4::int,
        posted_at = $2::timestamptz + interval '1 microsecond'
            * ($1::bigint - case id when $3::bigint then 1 else $4::int - (id - $3::bigint) end)
    where kind = 'pending'
"""


class Grown:
    """Two copies of the books, made while they are empty; one of them is filled."""

    def __init__(self, place: Place, say: Callable[[str], object]) -> None:
        self._place = place
        self._say = say
        self._template = _renamed(place.ledger_dsn, "_small")
        self._small = _renamed(place.ledger_dsn, "_smallest")
        self._large = _renamed(place.ledger_dsn, "_large")

    @property
    def copies(self) -> list[str]:
        """The databases that were posted to, for proof."""
        return [self._small, self._large]

    async def copy(self) -> None:
        """Copy the books; nobody may be connected to them."""
        for copy in (self._template, self._large):
            await self._copy(self._place.ledger_dsn, copy)

    async def measure(self, pgbench: Pgbench, clients: int, effort: Effort) -> Figures:
        """Fill the books and measure in turn."""
        await fill(self._template, SMALL)
        began = time.monotonic()
        await fill(self._large, LARGE)
        self._say(f"  {LARGE:,} movements were made in {time.monotonic() - began:.0f} s")
        figures = Figures()
        async with self._opened(self._large) as large:
            for number in range(effort.rounds):
                await self._copy(self._template, self._small)
                async with self._opened(self._small) as small:
                    sizes = {"small": small, "large": large}
                    for books in sizes.values():
                        await books.single(pgbench, clients, _WARM_UP_SECONDS)
                        await books.batches(500, _WARM_UP_BATCHES, connections=1)
                    for name, books in sizes.items():
                        single = await books.single(pgbench, clients, effort.seconds)
                        figures.add({f"single_{name}": single.per_second})
                    for name, books in sizes.items():
                        batch = await books.batches(500, effort.batches_of_500, connections=1)
                        figures.add({f"batch500_{name}": batch.per_second})
                    await small.ensure_complete()
                self._say(f"  round {number + 1} of {effort.rounds}")
            await large.ensure_complete()
        return figures

    async def _copy(self, dsn: str, copy: str) -> None:
        connection = await asyncpg.connect(self._place.floor_dsn)
        await connection.execute(f'drop database if exists "{_name(copy)}"')
        await connection.execute(f'create database "{_name(copy)}" template "{_name(dsn)}"')
        await connection.close()

    @asynccontextmanager
    async def _opened(self, dsn: str) -> AsyncIterator[Books]:
        async with await self._place.open_pool(dsn, 1) as pool:
            yield await Books.reopen(dsn, pool)


async def fill(dsn: str, movements: int) -> None:
    """Put so many movements (whole turns of the accounts) into books that were only funded so far.

    What :func:`ledger.verify` checks holds afterwards.
    """
    owner = await asyncpg.connect(dsn, server_settings=_SESSION)
    first, since, asset = tuple(await owner.fetchrow(_BOOKS) or ())
    prefix = id_prefix()
    chunks = iter(range(0, movements, _CHUNK))

    async def fill_chunks() -> None:
        connection = await asyncpg.connect(dsn, server_settings=_SESSION)
        for start in chunks:
            given = (prefix, since, start, min(start + _CHUNK, movements) - 1)
            async with connection.transaction():
                await connection.execute(_REQUESTS, *given)
                await connection.execute(_MOVEMENTS, *given, first, asset, ACCOUNTS, AMOUNT, MONEY)
        await connection.close()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(_FILLERS):
            tasks.create_task(fill_chunks())
    await owner.execute(_ACCOUNTS, movements, since, first, ACCOUNTS)
    # What would otherwise be done in the middle of a measurement.
    await owner.execute("vacuum analyze")
    await owner.execute("checkpoint")
    await owner.close()


def _renamed(dsn: str, suffix: str) -> str:
    return urlsplit(dsn)._replace(path=f"{urlsplit(dsn).path}{suffix}").geturl()


def _name(dsn: str) -> str:
    return unquote(urlsplit(dsn).path.removeprefix("/"))
