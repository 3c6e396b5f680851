import asyncio
from uuid import uuid4

import asyncpg
import pytest

import ledger
from core.clock import now
from ledger import Group, Movement
from tests.ledger.ledger_helpers import at_once, group, new_clearing, new_till, opened, pending


@pytest.fixture
def dsn(shared_dsn: str) -> str:
    return shared_dsn


async def test_statement_has_a_line_per_version_with_the_balance_after_it(connection: asyncpg.Connection) -> None:
    clearing, creator, fees = await opened(connection, new_clearing(), pending(), new_till())
    reference = uuid4()
    await ledger.post(
        [
            group((clearing, creator, 100)),
            Group(
                str(uuid4()),
                (Movement(creator, fees, 30, "fee", reference), Movement(clearing, creator, 5, "bonus")),
            ),
        ],
        on=connection,
    )
    lines = await ledger.statement(creator, on=connection)
    assert [(line.version, line.amount, line.balance, line.kind, line.counterparty) for line in lines] == [
        (1, 100, 100, "test", clearing),
        (2, -30, 70, "fee", fees),
        (3, 5, 75, "bonus", clearing),
    ]
    assert [line.reference for line in lines] == [None, reference, None]
    assert lines[1].group_id == lines[2].group_id != lines[0].group_id
    assert (await ledger.balances([creator], on=connection))[creator] == ledger.Balance(75, 0, 75, 3)


async def test_statement_is_read_in_pages(connection: asyncpg.Connection) -> None:
    clearing, creator, fees = await opened(connection, new_clearing(), pending(), new_till())
    batch = [group((clearing, creator, 10), (creator, fees, 1)) for _ in range(20)]
    await ledger.post(batch, on=connection)
    whole = await ledger.statement(creator, on=connection, limit=1000)
    pages, after = [], None
    while page := await ledger.statement(creator, on=connection, after=after, limit=7):
        pages += page
        after = page[-1].position
    assert pages == whole
    assert [line.version for line in pages] == list(range(1, 41))
    assert await ledger.statement(999_999, on=connection) == []


ROWS_READ = """
select coalesce(sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)), 0)::int
from pg_stat_xact_user_tables where schemaname = 'ledger' and relname like 'movement%'
"""


@pytest.mark.parametrize("analysed", [False, True])
async def test_statement_of_a_long_history_reads_only_its_page(
    connection: asyncpg.Connection, owner: asyncpg.Connection, analysed: bool
) -> None:
    clearing, creator = await opened(connection, new_clearing(), pending())
    for _ in range(6):
        await ledger.post([group((clearing, creator, 1)) for _ in range(500)], on=connection)
    lines = await ledger.statement(creator, on=connection, limit=3000)
    if analysed:
        await owner.execute("analyze ledger.movement")

    async def read(account: int, after: int, limit: int) -> int:
        """How many rows of movements are read for a page."""
        async with connection.transaction():
            before: int = await connection.fetchval(ROWS_READ)
            position = lines[after].position
            assert len(await ledger.statement(account, on=connection, after=position, limit=limit)) == limit
            rows: int = await connection.fetchval(ROWS_READ) - before
        return rows

    for account in (creator, clearing):
        assert await read(account, 0, 2000) >= 2000  # so the rows that are read are counted
        assert [await read(account, after, 10) < 100 for after in (0, 1500, 2900)] == [True] * 3


async def test_statement_between_two_moments(connection: asyncpg.Connection) -> None:
    """The first moment is included, the second is not; numbers and balances are those of the whole."""
    clearing, creator = await opened(connection, new_clearing(), pending())
    for _ in range(6):
        await ledger.post([group((clearing, creator, 7)) for _ in range(2)], on=connection)
    lines = await ledger.statement(creator, on=connection)
    since, until = lines[4].posted_at, lines[8].posted_at
    assert await ledger.statement(creator, on=connection, since=since) == lines[4:]
    assert await ledger.statement(creator, on=connection, until=until) == lines[:8]
    assert await ledger.statement(creator, on=connection, since=since, until=until) == lines[4:8]
    assert (
        await ledger.statement(creator, on=connection, since=since, until=until, after=lines[5].position)
        == lines[6:8]
    )
    assert (
        await ledger.statement(creator, on=connection, since=since, after=lines[1].position, limit=3) == lines[4:7]
    )
    assert await ledger.statement(creator, on=connection, since=until, until=since) == []
    assert [line async for line in ledger.stream(creator, on=connection, since=since, until=until)] == lines[4:8]


async def test_stream_has_every_line_of_a_long_history(connection: asyncpg.Connection) -> None:
    clearing, creator = await opened(connection, new_clearing(), pending())
    for _ in range(5):
        await ledger.post([group((clearing, creator, 1)) for _ in range(450)], on=connection)
    for account, amount in ((creator, 1), (clearing, -1)):
        lines = [line async for line in ledger.stream(account, on=connection)]
        assert [(line.version, line.balance) for line in lines] == [(n, n * amount) for n in range(1, 2251)]
        assert lines[-1].position == ledger.Position(lines[-1].posted_at, lines[-1].row, 2250)


async def test_nobody_waits_for_a_stream(connection: asyncpg.Connection, other: asyncpg.Connection) -> None:
    """However slowly it is read, and within a transaction as well."""
    clearing, creator = await opened(connection, new_clearing(), pending())
    await ledger.post([group((clearing, creator, 1)) for _ in range(3)], on=other)
    async with connection.transaction():
        lines = aiter(ledger.stream(clearing, on=connection))
        await anext(lines)
        await ledger.history(clearing, at=now(), on=connection)
        await ledger.history(creator, at=now(), on=connection)
        task: asyncio.Task[object] = asyncio.create_task(ledger.post([group((clearing, creator, 1))], on=other))
        await at_once(task)
        assert len([line async for line in lines]) == 2


async def test_assets_are_declared_with_their_scale(connection: asyncpg.Connection) -> None:
    found = await ledger.assets(on=connection)
    scales = {"USD": 2, "EUR": 2, "GBP": 2, "JPY": 0, "KRW": 0, "KWD": 3, "BHD": 3, "TND": 3, "JOD": 3, "OMR": 3}
    assert {code: found[code].scale for code in scales} == scales
    assert found["CHF"] == ledger.Asset(756, "CHF", 2, "fiat")
    assert all(asset.code == code for code, asset in found.items())
