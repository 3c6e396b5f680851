"""Migrations: numbered ones once, functions and missing partitions every time, one process at a time."""

import asyncio
import warnings
from collections.abc import Callable
from typing import Final

import asyncpg
from tortoise import Tortoise
from tortoise.migrations.api.migrate import migrate as run_migrations

import ledger
from models import functions_sql
from models.config import migration_config

_LOCK: Final = 7_362_801_554_001
_POLL_SECONDS: Final = 0.1

Progress = Callable[[str], object]


async def migrate(dsn: str, progress: Progress = lambda _: None) -> None:
    """Bring a database to the present schema. Safe to run from many processes at once: the others wait.

    ``progress`` is told the name of each migration that is applied.
    """
    connection = await asyncpg.connect(dsn)
    try:
        # Polled, not waited for: a waiting statement would hold back vacuum and the relay's horizon.
        while not await connection.fetchval("select pg_try_advisory_lock($1)", _LOCK):
            await asyncio.sleep(_POLL_SECONDS)

        def tell(event: str, app: str, name: str) -> None:
            if event == "apply_start":
                progress(f"{app}.{name}")

        try:
            with warnings.catch_warnings():
                # Packages whose tables are SQL alone have migrations and no models.
                warnings.filterwarnings("ignore", message="Module .* has no models", category=RuntimeWarning)
                await run_migrations(config=migration_config(dsn), progress=tell)
        finally:
            await Tortoise.close_connections()
        async with connection.transaction():
            await connection.execute(ledger.functions_sql())
            await connection.execute(functions_sql())
        await ledger.create_partitions(on=connection)
    finally:
        await connection.close()
