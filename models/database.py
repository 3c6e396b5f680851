"""Connections to PostgreSQL: one pool that can only read, one that writes, and transactions handed down."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import asyncpg
import orjson
from tortoise.backends.asyncpg.client import TransactionWrapper

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
PoolOrConnection: TypeAlias = (
    "asyncpg.Pool[asyncpg.Record] | asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"
)

DATABASE_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
"""What asyncpg raises when the server is away or goes away; the third when it goes in the middle of an answer."""

APP_ROLE = "comptoir_app"
"""The database role the application acts as; migrations grant it what it needs and no more."""


# Statements that write find their rows by key, and each is prepared once per connection. A plan made while the
# tables are small would read them whole for as long as it is kept, and a plan made anew for every call costs as
# much as the call.
_WRITER_SETTINGS: Final = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}


_STATEMENT_SECONDS: Final = 20


class OrmConnection(TransactionWrapper):
    """Lets models write on a connection whose transaction is ours: pass it as ``using_db``."""

    def __init__(self, connection: Connection) -> None:
        # Whether it came from a pool or not makes no difference to the statements models send.
        self._connection = cast("asyncpg.Connection[asyncpg.Record]", connection)
        self._lock = asyncio.Lock()
        self.log = logging.getLogger("tortoise.db_client")
        self.connection_name = "write"
        self.transaction = None
        self._finalized = False


@dataclass(frozen=True, slots=True)
class Transaction:
    """An open transaction, passed down explicitly to whatever writes in it."""

    connection: Connection

    @property
    def orm(self) -> OrmConnection:
        """The same connection for models: ``model.save(using_db=transaction.orm)``."""
        return OrmConnection(self.connection)


async def _keep_as_it_is(_: Any) -> None:
    """Stand in for the pool's reset on release: nothing here leaves state behind, and it costs a round trip."""


class Database:
    """The process's connections. ``reader`` refuses to write; ``writer`` is for transactions."""

    def __init__(self, reader: Pool, writer: Pool) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, dsn: str, *, readers: int = 8, writers: int = 16, role: str = APP_ROLE) -> "Database":
        """Open both pools. Raises ``OSError`` or ``asyncpg.PostgresError`` when the server cannot be reached."""
        reader = await _pool(dsn, readers, {"role": role, "default_transaction_read_only": "on"})
        try:
            writer = await _pool(dsn, writers, {"role": role, **_WRITER_SETTINGS})
        except BaseException:
            await reader.close()
            raise
        return cls(reader, writer)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Open a transaction: committed when the block ends well, rolled back otherwise."""
        async with self.writer.acquire() as connection, connection.transaction():
            yield Transaction(connection)

    async def close(self) -> None:
        """Close both pools, waiting for what is under way."""
        await self.reader.close()
        await self.writer.close()


async def fetch_one(on: PoolOrConnection, statement: str, *parameters: Any) -> asyncpg.Record:
    """Run a statement that always gives a row, and return its first."""
    row = await on.fetchrow(statement, *parameters)
    if row is None:
        raise LookupError("a statement that always gives a row gave none")
    return row


async def _pool(dsn: str, size: int, settings: dict[str, str]) -> Pool:
    return await asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=size,
        reset=_keep_as_it_is,
        # A connection that went dead without a word would hold up whoever waits for it, for minutes.
        command_timeout=_STATEMENT_SECONDS,
        # Compiling a statement costs more than any statement here takes.
        server_settings={"application_name": "comptoir", "timezone": "UTC", "jit": "off", **settings},
    )


def jsonb(value: Any) -> str:
    """Return a value as the text of a jsonb parameter; ids and moments are written as text."""
    return orjson.dumps(value, default=str).decode()
