"""Migrating gives the tables that the models describe, any number of times, to a role that can do little."""

import asyncio
import os
import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import asyncpg
import pytest
from tortoise import Tortoise
from tortoise.migrations.autodetector import MigrationAutodetector

from app.migrate import migrate
from app.postgres import Lease
from models.config import migration_config
from models.database import APP_ROLE
from tests.models.test_constraints import MODELS
from tests.support.processes import Nursery, Process, environment

_SQL_TYPES: Final = {
    "UUID": "uuid",
    "TEXT": "text",
    "INT": "integer",
    "BIGINT": "bigint",
    "SMALLINT": "smallint",
    "BOOL": "boolean",
    "TIMESTAMPTZ": "timestamp with time zone",
    "DATE": "date",
    "BYTEA": "bytea",
    "JSONB": "jsonb",
    "DECIMAL(38,0)": "numeric(38,0)",
    "xid8": "xid8",
    "text[]": "text[]",
    "uuid[]": "uuid[]",
    "tsvector": "tsvector",
}
_COLUMNS: Final = """
    select attname as name, format_type(atttypid, atttypmod) as type, not attnotnull as nullable
    from pg_attribute where attrelid = $1::regclass and attnum > 0 and not attisdropped
"""
_TABLES: Final = """
    select n.nspname || '.' || c.relname as name, n.nspname as schema from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    where n.nspname in ('public', 'ledger', 'sandbox') and c.relkind in ('r', 'p')
    order by 1
"""


@pytest.fixture
async def empty(lease: Lease) -> AsyncIterator[str]:
    """An empty database."""
    admin = await asyncpg.connect(lease.dsn("postgres"))
    name = f"empty_{os.getpid()}"
    await admin.execute(f"create database {name}")
    yield lease.dsn(name)
    await admin.execute(f"drop database {name} with (force)")
    await admin.close()


@pytest.fixture
async def app_role(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection as the application has them."""
    connection = await asyncpg.connect(dsn, server_settings={"role": APP_ROLE})
    yield connection
    await connection.close()


async def test_models_say_nothing_that_no_migration_does(dsn: str) -> None:
    config = migration_config(dsn)
    with warnings.catch_warnings():
        # Packages whose tables are SQL alone have migrations and no models.
        warnings.filterwarnings("ignore", message="Module .* has no models", category=RuntimeWarning)
        await Tortoise.init(config=config, init_connections=False)
        try:
            changes = await MigrationAutodetector(Tortoise.apps, config["apps"]).changes()
        finally:
            await Tortoise.close_connections()

    assert [operation for writer in changes for operation in writer.operations] == []


@pytest.mark.parametrize("table", MODELS)
async def test_columns_are_those_of_the_model(owner: asyncpg.Connection, table: str) -> None:
    fields = [field for field in MODELS[table]._meta.fields_map.values() if field.has_db_field]
    declared = {
        field.source_field or field.model_field_name: (
            _SQL_TYPES[field.get_for_dialect("postgres", "SQL_TYPE")],
            field.null,
        )
        for field in fields
    }

    rows = await owner.fetch(_COLUMNS, f"public.{table}")

    assert {row["name"]: (row["type"], row["nullable"]) for row in rows} == declared


async def test_migrating_again_changes_nothing(dsn: str, owner: asyncpg.Connection) -> None:
    before = await owner.fetch("select app, name, applied_at from tortoise_migrations order by id")
    applied: list[str] = []

    await migrate(dsn, applied.append)

    assert applied == []
    assert await owner.fetch("select app, name, applied_at from tortoise_migrations order by id") == before


async def test_three_who_migrate_at_once_apply_each_migration_once(
    empty: str, forks: Nursery, tmp_path: Path
) -> None:
    processes = [
        Process(f"migrate-{number}", ["migrate"], environment(empty, tmp_path), tmp_path / f"{number}.log", forks)
        for number in range(3)
    ]
    for process in processes:
        process.start()
    try:
        ended = await asyncio.gather(*(process.ended() for process in processes))
    finally:
        for process in processes:
            await process.kill()

    assert ended == [0, 0, 0], "\n".join(process.said for process in processes)
    said = [process.said for process in processes]
    assert sum("Applied" in text for text in said) == 1, said
    assert sum("up to date" in text for text in said) == 2, said
    connection = await asyncpg.connect(empty)
    try:
        names = await connection.fetch("select app, name from tortoise_migrations")
        assert len(names) == len(set(names)) > 0
        assert await connection.fetchval("select count(*) from relay_position") == 1
    finally:
        await connection.close()


async def test_application_can_neither_delete_nor_truncate_anything(
    owner: asyncpg.Connection, app_role: asyncpg.Connection
) -> None:
    tables = [row["name"] for row in await owner.fetch(_TABLES)]
    assert len(tables) > 20
    for table in tables:
        for statement in (f"delete from {table}", f"truncate {table}"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await app_role.execute(statement)
    for privilege in ("DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"):
        sql = "select $1::text where has_table_privilege($2, $1, $3)"
        held = [table for table in tables if await owner.fetchval(sql, table, APP_ROLE, privilege)]
        assert held == [], privilege


@pytest.mark.parametrize("table", ["payment_events", "tips", "fee_rules", "tortoise_migrations"])
async def test_application_cannot_change_what_only_grows(app_role: asyncpg.Connection, table: str) -> None:
    column = await app_role.fetchval(
        "select attname from pg_attribute where attrelid = $1::regclass and attnum = 1", table
    )
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app_role.execute(f"update {table} set {column} = {column}")


async def test_not_even_the_owner_changes_a_payment_event(owner: asyncpg.Connection) -> None:
    await owner.execute("set session_replication_role = replica")
    await owner.execute(
        "insert into payment_events (payment_id, sequence, status, at) "
        "values (gen_random_uuid(), 1, 'CREATED', now())"
    )
    await owner.execute("set session_replication_role = origin")
    for statement in (
        "update payment_events set status = 'FAILED'",
        "delete from payment_events",
        "truncate payment_events",
    ):
        with pytest.raises(asyncpg.RaiseError, match="only grows"):
            await owner.execute(statement)


async def test_application_cannot_write_the_ledger_itself(
    owner: asyncpg.Connection, app_role: asyncpg.Connection
) -> None:
    tables = [row["name"] for row in await owner.fetch(_TABLES) if row["schema"] == "ledger"]
    assert {"ledger.account", "ledger.movement", "ledger.request", "ledger.asset"} <= set(tables)
    for table in tables:
        column = await owner.fetchval(
            "select attname from pg_attribute where attrelid = $1::regclass and attnum = 2", table
        )
        for statement in (f"insert into {table} default values", f"update {table} set {column} = {column}"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await app_role.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "create table public.mine (id int)",
        "create table ledger.mine (id int)",
        "create schema mine",
        "alter table public.payments add column mine int",
        "alter table public.payments drop constraint captured_within_gross",
        "alter table public.payment_events disable trigger all",
        "drop table public.tips",
        "create index mine on public.payments (fee)",
        "create or replace function public.refuse_change() returns trigger language plpgsql as 'begin return new; end'",
        "insert into public.tortoise_migrations (app, name, applied_at) values ('models', '0003_mine', now())",
        "insert into public.relay_position (id, assigned, published) values (1, 0, 0)",
        "set session_replication_role = replica",
    ],
)
async def test_application_cannot_migrate(app_role: asyncpg.Connection, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app_role.execute(statement)


async def test_application_reads_which_migrations_were_applied(app_role: asyncpg.Connection) -> None:
    assert await app_role.fetchval("select count(*) from tortoise_migrations") > 0
