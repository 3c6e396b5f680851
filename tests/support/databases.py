"""Databases for tests."""

import asyncio

import asyncpg

from app.postgres import Lease


def copy_of(lease: Lease, template: str, name: str) -> str:
    """Make a copy of a database and return its address."""

    async def copy() -> None:
        connection = await asyncpg.connect(lease.dsn("postgres"))
        await connection.execute(f"create database {name} template {template}")
        await connection.close()

    asyncio.run(copy())
    return lease.dsn(name)
