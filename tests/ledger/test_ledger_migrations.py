import asyncio
from pathlib import Path

import asyncpg

import ledger
from app.migrate import migrate
from app.postgres import Lease

PACKAGE = Path(ledger.__file__).parent


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
    role = (PACKAGE / "migrations" / "0001_role.sql").read_text()
    tables = (PACKAGE / "migrations" / "0001_tables.sql").read_text()

    async def migrate(name: str) -> None:
        connection = await asyncpg.connect(lease.dsn(name))
        async with connection.transaction():
            await connection.execute(tables)
            await connection.execute(role)
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
