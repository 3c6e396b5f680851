import asyncio
from pathlib import Path

import asyncpg
from private_postgres import apply_migrations, dsn_of, make_database

import ledger

PACKAGE = Path(ledger.__file__).parent


async def test_migrations_apply_twice(cluster: str, dsn: str, connection: asyncpg.Connection) -> None:
    name = dsn.split("/")[3].split("?", maxsplit=1)[0]
    await apply_migrations(cluster, name)
    assert await connection.fetchval("select count(*) from ledger.asset where code = 'USD'") == 1


async def test_functions_can_be_applied_again(owner: asyncpg.Connection) -> None:
    for _ in range(3):
        await owner.execute(ledger.functions_sql())


async def test_databases_of_one_cluster_can_migrate_at_once(cluster: str, template: str) -> None:
    """The role belongs to the cluster; here it is there already, and each database has to be content with it."""
    names = [f"at_once_{n}" for n in range(3)]
    for name in names:
        await make_database(cluster, name)
    role = (PACKAGE / "migrations" / "0001_role.sql").read_text()
    tables = (PACKAGE / "migrations" / "0001_tables.sql").read_text()

    async def migrate(name: str) -> None:
        connection = await asyncpg.connect(dsn_of(cluster, name))
        async with connection.transaction():
            await connection.execute(tables)
            await connection.execute(role)
        await connection.close()

    await asyncio.gather(*(migrate(name) for name in names))


async def test_no_search_path_leaks(dsn: str, owner: asyncpg.Connection) -> None:
    assert await owner.fetchval("show search_path") == '"$user", public'
    # The one table there is the migrations' own list of what was applied.
    assert await owner.fetchval("select count(*) from pg_tables where schemaname = 'public'") == 1
    scripts = [*PACKAGE.rglob("*.sql")]
    assert len(scripts) > 10
    for script in scripts:
        for line in script.read_text().splitlines():
            assert not line.startswith("set search_path") or line == "set search_path = ledger, pg_temp", script
