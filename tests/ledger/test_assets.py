"""What amounts are amounts of."""

import asyncio
import secrets
import string
from uuid import uuid4

import asyncpg
import pytest

import ledger
from ledger import Asset, AssetMismatchError
from tests.ledger.ledger_helpers import opened, posted, posted_balances, snapshot, wallet


@pytest.fixture
def dsn(shared_dsn: str) -> str:
    return shared_dsn


def new_code() -> str:
    return "".join(secrets.choice(string.ascii_uppercase) for _ in range(12))


async def test_declared_asset_can_be_posted(connection: asyncpg.Connection) -> None:
    code = new_code()
    with pytest.raises(ledger.UnknownAssetError):
        await opened(connection, wallet(code))
    asset = await ledger.declare_asset(code, 18, "token", on=connection)
    assert (asset.code, asset.scale, asset.kind) == (code, 18, "token")
    assert (await ledger.assets(on=connection))[code] == asset
    debt, ana = await opened(
        connection, ledger.chart.creator(ledger.AccountKind.OWED, code, uuid4()), wallet(code)
    )
    await posted(connection, ledger.Movement(debt, ana, 10**36, "test"))
    assert await posted_balances(connection, debt, ana) == [-(10**36), 10**36]


async def test_assets_of_ones_own_are_numbered_after_the_currencies(connection: asyncpg.Connection) -> None:
    declared = [await ledger.declare_asset(new_code(), 0, "points", on=connection) for _ in range(3)]
    numbers = [asset.id for asset in declared]
    assert numbers == list(range(numbers[0], numbers[0] + 3))
    assert numbers[0] > 1000


async def test_asset_is_declared_once(connection: asyncpg.Connection) -> None:
    code = new_code()
    first = await ledger.declare_asset(code, 8, "token", on=connection)
    dollars = Asset(840, "USD", 2, "fiat")
    before = await snapshot(connection)
    assert await ledger.declare_asset(code, 8, "token", on=connection) == first
    assert await ledger.declare_asset("USD", 2, "fiat", on=connection) == dollars
    for name, scale, kind in ((code, 6, "token"), (code, 8, "points"), ("USD", 3, "fiat"), ("JPY", 0, "token")):
        with pytest.raises(AssetMismatchError, match=name):
            await ledger.declare_asset(name, scale, kind, on=connection)
    assert await snapshot(connection) == before


@pytest.mark.parametrize(
    ("code", "scale", "kind"),
    [
        ("usd2", 2, "fiat"),
        ("X", 2, "fiat"),
        ("2USD", 2, "fiat"),
        ("A" * 13, 2, "fiat"),
        ("", 2, "fiat"),
        ("GOLD BAR", 2, "token"),
        ("GOLD", -1, "token"),
        ("GOLD", 31, "token"),
        ("GOLD", 40_000, "token"),
        ("GOLD", 2, "metal"),
        ("GOLD", 2, ""),
    ],
)
async def test_what_cannot_be_an_asset_is_refused(
    connection: asyncpg.Connection, code: str, scale: int, kind: str
) -> None:
    before = await snapshot(connection)
    with pytest.raises(ValueError, match="cannot be declared"):
        await ledger.declare_asset(code, scale, kind, on=connection)
    assert await snapshot(connection) == before


async def test_assets_declared_by_twenty_at_once_are_told_apart(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    codes = [new_code() for _ in range(10)]

    async def declare(code: str) -> Asset:
        async with pool.acquire() as mine:
            return await ledger.declare_asset(code, 2, "token", on=mine)

    declared = await asyncio.gather(*(declare(code) for code in codes * 2))
    assert declared[:10] == declared[10:]
    assert len({asset.id for asset in declared}) == 10
    found = await ledger.assets(on=connection)
    assert [found[code] for code in codes] == declared[:10]
