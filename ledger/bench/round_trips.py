"""Round trips, counted where they happen: on the wire between this process and PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

from ledger.bench.errors import BenchError

_CHUNK = 1 << 16


@dataclass(slots=True)
class Wire:
    """A way to a database that counts. ``round_trips``: how often a client spoke after the server had answered."""

    dsn: str
    round_trips: int = 0


@asynccontextmanager
async def counted(dsn: str, folder: Path) -> AsyncIterator[Wire]:
    """Open a Unix socket in ``folder`` that leads to the server of ``dsn``, itself one with a Unix socket."""
    asked = urlsplit(dsn)
    query = parse_qs(asked.query)
    try:
        host, port = query["host"][0], query["port"][0]
    except KeyError:
        raise BenchError("Round trips are counted on a Unix socket, and the server's address has none.") from None
    wire = Wire(asked._replace(query=f"host={quote(str(folder))}&port={port}").geturl())
    serving: set[asyncio.Task[None]] = set()

    async def serve(from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        if task := asyncio.current_task():
            serving.add(task)
        from_server, to_server = await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        client_speaks = False

        async def ask() -> None:
            nonlocal client_speaks
            while data := await from_client.read(_CHUNK):
                wire.round_trips += not client_speaks
                client_speaks = True
                to_server.write(data)
            to_server.close()

        async def answer() -> None:
            nonlocal client_speaks
            while data := await from_server.read(_CHUNK):
                client_speaks = False
                to_client.write(data)
            to_client.close()

        await asyncio.gather(ask(), answer())

    async with await asyncio.start_unix_server(serve, folder / f".s.PGSQL.{port}"):
        yield wire
    await asyncio.gather(*serving)
