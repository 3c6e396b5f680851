import asyncio
import warnings
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
from tortoise import Tortoise
from tortoise.migrations.api.migrate import migrate as run_migrations

import ledger
from app.migrate import migrate
from app.postgres import Lease
from ledger import AccountKind, Balance, Group, Movement, PastBalance, Posted, Refusal, Refused, Status, chart
from models.config import migration_config
from models.database import APP_ROLE
from tests.ledger.ledger_helpers import do, operating, posted
from tests.support.databases import copy_of, fresh_database

PACKAGE = Path(ledger.__file__).parent

# What is in books_of_0001.sql.
CREATOR = UUID("01943665-a800-7000-8000-00000000000a")
PAYMENT = UUID("01943665-a800-7000-8000-00000000000b")
ACCOUNTS = {
    **{chart.creator(AccountKind(kind), "USD", CREATOR): id_ for kind, id_ in (("available", 1), ("pending", 2))},
    chart.creator(AccountKind.RESERVE, "USD", CREATOR): 3,
    **{chart.platform(AccountKind(kind), "USD"): id_ for kind, id_ in (("fees", 4), ("provider_fees", 5))},
    chart.platform(AccountKind.TAX_PAYABLE, "USD"): 6,
    chart.with_provider(AccountKind.BALANCE, "USD", "sandbox"): 7,
    chart.with_provider(AccountKind.CLEARING, "USD", "sandbox"): 8,
}
AVAILABLE, PENDING, RESERVE, FEES, PROVIDER_FEES, TAX, BALANCE, CLEARING = range(1, 9)
SECONDS = [datetime(2025, 1, 5, 12, 0, second, tzinfo=UTC) for second in range(5)]
GROUPS = [
    Group(
        f"capture:{PAYMENT}",
        (
            Movement(CLEARING, PENDING, 85, "capture.net", PAYMENT),
            Movement(CLEARING, FEES, 10, "capture.fee", PAYMENT),
            Movement(CLEARING, TAX, 5, "capture.tax", PAYMENT),
        ),
        effective_at=SECONDS[0],
    ),
    operating(
        Movement(BALANCE, CLEARING, 100, "charge.gross"),
        Movement(PROVIDER_FEES, BALANCE, 3, "charge.provider_fee"),
        key="charge:sandbox:txn_1",
    ),
    operating(
        Movement(PENDING, AVAILABLE, 80, "earning.available", PAYMENT),
        Movement(PENDING, RESERVE, 5, "earning.reserve", PAYMENT),
        key=f"earning:{PAYMENT}",
    ),
    operating(Movement(AVAILABLE, CLEARING, 1000, "payout.asked"), key="payout:1"),
]
OLD_ROWS = """
select (id, asset_id, owner, provider, kind, code, posted, held_out, held_in, credit_limit, guarded, version,
    lock_rank, state, opened_at, posted_at)::text as row
from ledger.account where id <= 8
union all
select (tenant, key, body_hash, group_id, outcome, account, missing, movements, decided_at, xid)::text
from ledger.request
union all
select (id, group_id, asset_id, kind, debit, credit, amount, reference, debit_after, credit_after, debit_version,
    credit_version, posted_at, effective_at, xid)::text
from ledger.movement
order by row
"""


async def migrate_to_the_first(dsn: str) -> None:
    """Bring an empty database to where the first migration left it, with something in its books."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Module .* has no models", category=RuntimeWarning)
        await run_migrations(config=migration_config(dsn), app_labels=["ledger"], target="ledger.0001_tables")
    await Tortoise.close_connections()
    connection = await asyncpg.connect(dsn)
    async with connection.transaction():
        await connection.execute(Path(__file__).with_name("books_of_0001.sql").read_text())
    await connection.close()


@pytest.fixture(scope="module")
def first(lease: Lease) -> str:
    """The name of a database as the first migration left it."""
    lease.ensure_database("books_of_0001")
    asyncio.run(migrate_to_the_first(lease.dsn("books_of_0001")))
    return "books_of_0001"


@pytest.fixture
async def old_dsn(lease: Lease, first: str) -> AsyncIterator[str]:
    async with fresh_database(lease, first) as dsn:
        yield dsn


@pytest.fixture(scope="module")
def brought_forward(lease: Lease, first: str) -> str:
    """The name of such a database at the present schema."""
    asyncio.run(migrate(copy_of(lease, first, "books_brought_forward")))
    return "books_brought_forward"


@pytest.fixture
async def old(lease: Lease, brought_forward: str) -> AsyncIterator[asyncpg.Connection]:
    """The application's connection to old books that were brought forward. They are sound afterwards."""
    async with fresh_database(lease, brought_forward) as dsn:
        connection = await asyncpg.connect(dsn, server_settings={"role": APP_ROLE})
        yield connection
        broken = [finding for finding in await ledger.verify(connection) if finding.status is Status.BROKEN]
        await connection.close()
        assert broken == []


async def test_old_rows_stay_as_they_were(old_dsn: str) -> None:
    connection = await asyncpg.connect(old_dsn)
    before = await connection.fetch(OLD_ROWS)
    await connection.close()
    await migrate(old_dsn)
    connection = await asyncpg.connect(old_dsn)
    assert len(before) == 8 + 4 + 7
    assert await connection.fetch(OLD_ROWS) == before
    await connection.close()


async def test_old_books_are_read_as_new_ones(old: asyncpg.Connection) -> None:
    assert await ledger.balances([AVAILABLE, CLEARING], on=old) == {
        AVAILABLE: Balance(80, 0, 80, 1),
        CLEARING: Balance(0, 0, 0, 4),
    }
    lines = await ledger.statement(CLEARING, on=old)
    assert [
        (line.version, line.kind, line.amount, line.balance, line.counterparty, line.row) for line in lines
    ] == [
        (1, "capture.net", -85, -85, PENDING, CLEARING),
        (2, "capture.fee", -10, -95, FEES, CLEARING),
        (3, "capture.tax", -5, -100, TAX, CLEARING),
        (4, "charge.gross", 100, 0, BALANCE, CLEARING),
    ]
    assert await ledger.history(PENDING, version=2, on=old) == PastBalance(5, 2, SECONDS[3])
    assert await ledger.history(PENDING, at=SECONDS[2], on=old) == PastBalance(85, 1, SECONDS[1])
    assert await ledger.history(CLEARING, at=SECONDS[1], on=old) == PastBalance(-100, 3, SECONDS[1])


async def test_old_accounts_are_the_same_and_the_platforms_have_stripes(old: asyncpg.Connection) -> None:
    assert await ledger.find(ACCOUNTS, on=old) == ACCOUNTS
    before = await old.fetch("select id, code, stripe_of, stripe from ledger.account order by id")
    assert await ledger.ensure(ACCOUNTS, on=old) == ACCOUNTS
    assert await old.fetch("select id, code, stripe_of, stripe from ledger.account order by id") == before
    for spec, account in ACCOUNTS.items():
        stripes = sorted(row["stripe"] for row in before if row["stripe_of"] == account)
        assert stripes == ([*range(1, ledger.STRIPES)] if spec.striped else []), spec.code


@pytest.mark.parametrize("together", [True, False])
async def test_old_keys_answer_as_they_did(old: asyncpg.Connection, *, together: bool) -> None:
    if together:
        outcomes = await ledger.post(GROUPS, on=old)
    else:
        outcomes = [(await ledger.post([group], on=old))[0] for group in GROUPS]
    *done, refused = outcomes
    assert refused == Refused(Refusal.INSUFFICIENT_FUNDS, account=AVAILABLE, missing=920, replayed=True)
    for number, outcome in enumerate(done, 1):
        assert isinstance(outcome, Posted)
        assert (outcome.group_id.int & 0xF, outcome.posted_at, outcome.replayed) == (number, SECONDS[number], True)
    earning = done[2]
    assert isinstance(earning, Posted)
    assert [(line.debit, line.credit, line.amount) for line in earning.movements] == [
        (PENDING, AVAILABLE, 80),
        (PENDING, RESERVE, 5),
    ]
    assert earning.after[PENDING] == ledger.AccountAfter(0, 3)
    assert await old.fetchval("select count(*) from ledger.request") == 4


async def test_old_keys_are_taken(old: asyncpg.Connection) -> None:
    for group in GROUPS:
        outcome = await do(old, Movement(CLEARING, PENDING, 1, "test"), key=group.key)
        assert outcome == Refused(Refusal.KEY_REUSED)


async def test_old_accounts_and_movements_go_on(old: asyncpg.Connection) -> None:
    await posted(old, Movement(AVAILABLE, CLEARING, 30, "test"))
    capture = await old.fetchval("select group_id from ledger.request where key = $1", GROUPS[0].key)
    (fee,) = await old.fetch(
        "select id from ledger.movement where group_id = $1 and kind = 'capture.fee'", capture
    )
    await posted(old, ledger.Reversal(fee["id"], None, "capture.fee.reversed"))
    lines = await ledger.statement(CLEARING, on=old)
    assert [(line.version, line.amount, line.balance) for line in lines[4:]] == [(5, 30, 30), (6, 10, 40)]
    # A new movement goes through a stripe, the reversal of an old one through the account's own row.
    assert [line.row == CLEARING for line in lines[5:]] == [True]
    again = await do(old, ledger.Reversal(fee["id"], 1, "capture.fee.reversed"))
    assert again == Refused(Refusal.REVERSAL_EXCEEDED, account=FEES, missing=1)


async def test_old_functions_are_gone(old: asyncpg.Connection) -> None:
    names = await old.fetch("select proname from pg_proc where pronamespace = 'ledger'::regnamespace order by 1")
    assert len(names) == len({row["proname"] for row in names})
    assert (
        await old.fetchval("select count(*) from ledger.open_accounts($1, $1, '{}', $1, $1, '{}', '{}', '{}')", [])
        == 0
    )


async def test_old_movements_have_the_first_partition_and_new_ones_of_this_month_too(
    old: asyncpg.Connection,
) -> None:
    new = await posted(old, Movement(CLEARING, AVAILABLE, 1, "test"))
    rows = await old.fetch("select tableoid::regclass::text as partition, group_id from ledger.movement")
    assert {row["partition"] for row in rows} == {"ledger.movement_first"}
    assert new.group_id in {row["group_id"] for row in rows}


async def test_first_partition_ends_after_the_latest_movement(old_dsn: str) -> None:
    """The clock of whoever posted it may have run ahead."""
    connection = await asyncpg.connect(old_dsn)
    year, month = await connection.fetchrow(
        "select extract(year from t)::int, extract(month from t)::int from (values (now() + interval '40 days')) as v (t)"
    )
    ahead = int(datetime(year, month, 10, tzinfo=UTC).timestamp() * 1000)
    end = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    await connection.execute("set session_replication_role = replica")
    await connection.execute(
        "update ledger.movement set id = $1 where kind = 'earning.reserve'",
        UUID(f"{ahead:012x}70008000000000000017"),
    )
    await connection.close()
    await migrate(old_dsn)
    connection = await asyncpg.connect(old_dsn)
    bound = await connection.fetchval(
        "select pg_get_expr(relpartbound, oid) from pg_class where oid = 'ledger.movement_first'::regclass"
    )
    prefix = f"{int(end.timestamp() * 1000):012x}"
    assert f"TO ('{prefix[:8]}-{prefix[8:]}-0000-0000-000000000000')" in bound
    first_month = await connection.fetchval(
        "select min(relid::regclass::text) from pg_partition_tree('ledger.movement')"
        " where relid::regclass::text ~ '_\\d{4}_\\d{2}$'"
    )
    assert first_month == f"ledger.movement_{end:%Y_%m}"
    assert [f.number for f in await ledger.verify(connection) if f.status is Status.BROKEN] == []
    await connection.close()


async def test_migrations_apply_twice(dsn: str, connection: asyncpg.Connection) -> None:
    await migrate(dsn)
    assert await connection.fetchval("select count(*) from ledger.asset where code = 'USD'") == 1


async def test_functions_can_be_applied_again(owner: asyncpg.Connection) -> None:
    for _ in range(3):
        await owner.execute(ledger.functions_sql())


async def test_databases_of_one_cluster_can_migrate_at_once(lease: Lease, template: str) -> None:
    """The role belongs to the cluster; here it is there already, and each database has to be content with it."""
    names = [f"at_once_{n}" for n in range(3)]
    for name in names:
        await asyncio.to_thread(lease.ensure_database, name)
    scripts = [
        (PACKAGE / "migrations" / f"{name}.sql").read_text()
        for name in ("0001_tables", "0001_assets", "0001_role", "0002_tables")
    ]

    async def migrate(name: str) -> None:
        connection = await asyncpg.connect(lease.dsn(name))
        async with connection.transaction():
            for script in scripts:
                await connection.execute(script)
        await connection.close()

    await asyncio.gather(*(migrate(name) for name in names))


async def test_no_search_path_leaks(dsn: str, owner: asyncpg.Connection) -> None:
    assert await owner.fetchval("show search_path") == '"$user", public'
    # Had the path leaked, the tables of the business would have landed beside the ledger's.
    assert await owner.fetchval("select to_regclass('public.payments')") is not None
    assert await owner.fetchval("select to_regclass('ledger.payments')") is None
    scripts = [*PACKAGE.rglob("*.sql")]
    assert len(scripts) > 10
    for script in scripts:
        for line in script.read_text().splitlines():
            assert not line.startswith("set search_path") or line == "set search_path = ledger, pg_temp", script
