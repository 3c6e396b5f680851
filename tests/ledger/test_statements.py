from uuid import uuid4

import asyncpg

import ledger
from ledger import Group, Movement
from tests.ledger.ledger_helpers import CLEARING, FEES, group, opened, pending


async def test_statement_has_a_line_per_version_with_the_balance_after_it(connection: asyncpg.Connection) -> None:
    clearing, creator, fees = await opened(connection, CLEARING, pending(), FEES)
    reference = uuid4()
    await ledger.post(
        [
            group((clearing, creator, 100)),
            Group("k", (Movement(creator, fees, 30, "fee", reference), Movement(clearing, creator, 5, "bonus"))),
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
    clearing, creator, fees = await opened(connection, CLEARING, pending(), FEES)
    batch = [group((clearing, creator, 10), (creator, fees, 1)) for _ in range(20)]
    await ledger.post(batch, on=connection)
    whole = await ledger.statement(creator, on=connection, limit=1000)
    pages, after = [], 0
    while page := await ledger.statement(creator, on=connection, after_version=after, limit=7):
        pages += page
        after = page[-1].version
    assert pages == whole
    assert [line.version for line in pages] == list(range(1, 41))
    assert await ledger.statement(999_999, on=connection) == []


async def test_statement_of_a_long_history_reads_only_its_page(
    connection: asyncpg.Connection, owner: asyncpg.Connection
) -> None:
    clearing, creator = await opened(connection, CLEARING, pending())
    for _ in range(10):
        await ledger.post([group((clearing, creator, 1)) for _ in range(500)], on=connection)
    await owner.execute("analyze ledger.movement")
    plan = await connection.fetchval(
        "explain (analyze, format json) select * from ledger.entry"
        " where account = $1 and version > 4000 order by version limit 10",
        creator,
    )
    assert '"Sort"' not in plan
    assert "Seq Scan" not in plan


async def test_assets_are_declared_with_their_scale(connection: asyncpg.Connection) -> None:
    found = await ledger.assets(on=connection)
    scales = {"USD": 2, "EUR": 2, "GBP": 2, "JPY": 0, "KRW": 0, "KWD": 3, "BHD": 3, "TND": 3, "JOD": 3, "OMR": 3}
    assert {code: found[code].scale for code in scales} == scales
    assert found["CHF"] == ledger.Asset(756, "CHF", 2, "fiat")
    assert all(asset.code == code for code, asset in found.items())
