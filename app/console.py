"""What every command shares: where it writes, how it fails, and how it reaches settings and database."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NoReturn

from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from app.settings import Settings

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def fail(message: str, status: int = 1) -> NoReturn:
    """Print one sentence and exit; status 2 is for what was asked wrongly."""
    err.print(f"[red]comptoir:[/] {escape(message)}", soft_wrap=True)
    sys.exit(status)


def load_settings(**overrides: Any) -> Settings:
    """Return the settings in force, those that were given before all others."""
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given).checked()
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        name = ".".join(str(part) for part in first["loc"]).upper()
        fail(f"The setting {name} is not usable: {first['msg']}.")


@contextmanager
def reached_database(settings: Settings) -> Iterator[str]:
    """Yield the URI of the database, which answers."""
    from app.database import open_database

    with ExitStack() as stack:
        with err.status("Reaching the database…"):
            dsn = stack.enter_context(open_database(settings))
        # Outside the status, which would go on turning while the command runs.
        yield dsn  # ruff: ignore[unnecessary-assign-before-yield] - as the line above says


def ensure_migrated(dsn: str) -> None:
    """Fail unless the tables are there."""
    import asyncpg

    async def missing() -> bool:
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetchval("select to_regclass('public.outbox_events')") is None
        finally:
            await connection.close()

    if asyncio.run(missing()):
        fail("The database is empty. Run `comptoir migrate` first.")
