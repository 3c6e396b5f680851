from dataclasses import replace
from uuid import UUID, uuid4

import asyncpg
import pytest

import ledger
from ledger import AccountKind, AccountMismatchError, Accounts, AccountSpec, UnknownAssetError, chart
from tests.ledger.ledger_helpers import CLEARING, FEES, new_clearing, opened, pending, snapshot

OWNER = UUID("01890a5d-ac96-774b-bcce-b302099a8057")


@pytest.fixture
def dsn(shared_dsn: str) -> str:
    return shared_dsn


def every_spec(asset: str = "USD") -> list[AccountSpec]:
    return [
        AccountSpec(
            kind,
            asset,
            owner=OWNER if kind in chart.PERSONAL_KINDS else None,
            provider="sandbox" if kind in chart.PROVIDER_KINDS else None,
        )
        for kind in AccountKind
    ]


async def test_every_kind_can_be_opened_and_is_guarded_as_the_chart_says(connection: asyncpg.Connection) -> None:
    ids = await ledger.ensure(every_spec(), on=connection)
    rows = await connection.fetch(
        "select id, code, guarded, lock_rank, posted, state from ledger.account where id = any ($1::bigint[])",
        list(ids.values()),
    )
    assert {tuple(row) for row in rows} == {
        (ids[spec], spec.code, spec.guarded, spec.lock_rank, 0, "open") for spec in every_spec()
    }
    guarded = {spec.kind for spec in every_spec() if spec.guarded}
    assert guarded == {"wallet", "gift_card", "pending", "available", "reserve", "payout"}


def test_codes_are_readable() -> None:
    assert [spec.code for spec in (pending(OWNER), FEES, CLEARING)] == [
        f"creator:{OWNER}:pending:USD",
        "platform:fees:USD",
        "sandbox:clearing:USD",
    ]


def test_accounts_that_everybody_touches_are_locked_last() -> None:
    assert pending().lock_rank < FEES.lock_rank < CLEARING.lock_rank


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (AccountKind.PENDING, {}),
        (AccountKind.FEES, {"owner": OWNER}),
        (AccountKind.CLEARING, {}),
        (AccountKind.FEES, {"provider": "sandbox"}),
    ],
)
def test_name_that_cannot_be_an_accounts_is_refused(kind: AccountKind, names: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=kind):
        AccountSpec(kind, "USD", **names)


async def test_opening_again_returns_the_same_ids(connection: asyncpg.Connection) -> None:
    first = await ledger.ensure(every_spec(), on=connection)
    assert await ledger.ensure([*every_spec(), *every_spec()], on=connection) == first
    assert await ledger.ensure([], on=connection) == {}


async def test_undeclared_asset_is_refused(connection: asyncpg.Connection) -> None:
    before = await snapshot(connection)
    with pytest.raises(UnknownAssetError, match="XXX"):
        await ledger.ensure([pending(asset="XXX")], on=connection)
    assert await snapshot(connection) == before


async def test_code_of_another_is_refused(connection: asyncpg.Connection, owner: asyncpg.Connection) -> None:
    taken, wanted = new_clearing(), new_clearing()
    (account,) = await opened(connection, taken)
    await owner.execute(
        "update ledger.account set code = $1 || substring(code from '#.*|$') where id = $2 or stripe_of = $2",
        wanted.code,
        account,
    )
    before = await snapshot(connection)
    with pytest.raises(AccountMismatchError, match=wanted.code):
        await opened(connection, wanted)
    assert await snapshot(connection) == before


async def test_transaction_that_could_roll_back_is_refused(connection: asyncpg.Connection) -> None:
    async with connection.transaction():
        with pytest.raises(RuntimeError, match="commit of their own"):
            await ledger.ensure([FEES], on=connection)


async def test_creators_account_without_a_guard_cannot_be_opened(connection: asyncpg.Connection) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="not an account as its kind available says"):
        await connection.fetch(
            "select * from ledger.open_accounts($1, $2, $3, $4, $5, $6, $7, $8)",
            ["x"], ["USD"], [uuid4()], [None], ["available"], [False], [0], [False],
        )  # fmt: skip


async def test_find_only_reads(connection: asyncpg.Connection) -> None:
    ids = await ledger.ensure([FEES], on=connection)
    before = await snapshot(connection)
    assert await ledger.find([FEES, new_clearing(), pending()], on=connection) == ids
    assert await snapshot(connection) == before


async def test_ids_are_asked_for_once(pool: asyncpg.Pool) -> None:
    accounts = Accounts(pool)
    creator = pending()
    first = await accounts.ids([creator, FEES])
    await pool.close()
    assert await accounts.ids([FEES, creator, FEES]) == first


async def test_failed_opening_is_not_remembered(pool: asyncpg.Pool, owner: asyncpg.Connection) -> None:
    accounts = Accounts(pool)
    gold = replace(FEES, asset="GOLD")
    with pytest.raises(UnknownAssetError):
        await accounts.ids([gold])
    await owner.execute("insert into ledger.asset values (1001, 'GOLD', 0, 'points')")
    assert list(await accounts.ids([gold])) == [gold]


async def test_same_owner_kind_and_asset_is_one_account(owner: asyncpg.Connection) -> None:
    await opened(owner, FEES)
    with pytest.raises(asyncpg.UniqueViolationError, match="one_account_per_owner_kind_and_asset"):
        await owner.execute(
            "insert into ledger.account (asset_id, kind, code, guarded, lock_rank)"
            " values (840, 'fees', 'x', false, 0)"
        )


async def test_balance_of_nothing_is_left_out(connection: asyncpg.Connection) -> None:
    (fees,) = await opened(connection, FEES)
    found = await ledger.balances([fees, 999_999], on=connection)
    assert found == {fees: ledger.Balance(posted=0, held=0, available=0, version=0)}
    assert await ledger.find([pending(uuid4())], on=connection) == {}
