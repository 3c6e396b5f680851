"""Which database a command works on: the one it is told, or this checkout's own."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg
import structlog

from app.postgres import Cluster, Lease, PostgresUnavailable
from app.settings import Settings

_NAME: Final = "comptoir"
_PATIENCE_SECONDS: Final = 10.0
_WATCH_SECONDS: Final = 1.0

log = structlog.get_logger(__name__)


class DatabaseUnavailableError(Exception):
    """The database cannot be reached; the message says which and what to do."""


@contextmanager
def open_database(settings: Settings) -> Iterator[str]:
    """Yield the URI of a database that answers, starting this checkout's own where none is named.

    The checkout's server runs as long as any command uses it. Raises ``DatabaseUnavailableError`` and
    ``app.postgres.PostgresUnavailable``.
    """
    if settings.database_url is not None:
        dsn = settings.database_url.get_secret_value()
        asyncio.run(_wait_for(dsn))
        yield dsn
        return
    with Cluster(settings.state_directory / "postgres").lease() as lease:
        lease.ensure_database(_NAME)
        ended = threading.Event()
        threading.Thread(target=_keep_running, args=(lease, ended), daemon=True).start()
        try:
            yield lease.dsn(_NAME)
        finally:
            ended.set()


def _keep_running(lease: Lease, ended: threading.Event) -> None:
    """Start a server that died again, as a service manager would."""
    while not ended.wait(_WATCH_SECONDS):
        try:
            lease.ensure_running()
        except PostgresUnavailable as unavailable:
            log.error("PostgreSQL is gone and does not start", reason=str(unavailable))


async def _wait_for(dsn: str) -> None:
    """Wait a little for a server that is just starting, as in a composition of containers."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            connection = await asyncpg.connect(dsn, timeout=5)
        except (OSError, asyncpg.PostgresError, ValueError) as error:
            final = not isinstance(error, (OSError, asyncpg.CannotConnectNowError))
            if final or time.monotonic() > deadline:
                raise DatabaseUnavailableError(
                    f"The database of DATABASE_URL does not answer ({type(error).__name__}). Check the address, "
                    "the credentials and that the server runs."
                ) from error
            await asyncio.sleep(0.3)
        else:
            await connection.close()
            return
