"""Databases for tests."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from app.postgres import Lease

_numbers = itertools.count(1)


@asynccontextmanager
async def fresh_database(lease: Lease, template: str) -> AsyncIterator[str]:
    """Copy a database and yield the copy's address; it is gone afterwards."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    admin = await asyncpg.connect(lease.dsn("postgres"))
    try:
        await admin.execute(f"create database {name} template {template}")
        yield lease.dsn(name)
        await admin.execute(f"drop database {name} with (force)")
    finally:
        await admin.close()


def copy_of(lease: Lease, template: str, name: str) -> str:
    """Make a copy of a database and return its address."""

    async def copy() -> None:
        connection = await asyncpg.connect(lease.dsn("postgres"))
        await connection.execute(f"create database {name} template {template}")
        await connection.close()

    asyncio.run(copy())
    return lease.dsn(name)
