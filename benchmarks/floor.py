"""The floor: a bare route that reads JSON and does one durable insert. What a tip is compared with.

Run by the benchmark as ``python -m benchmarks.floor PORT DSN`` with the loop and the HTTP parser of the real
server, the real server's number of connections to PostgreSQL, and like it without a reset between requests.
"""

import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import asyncpg
import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

POOL_SIZE: Final = 16
TABLE: Final = """
    create table floor (
        id uuid primary key, message text not null, amount numeric(38, 0) not null, data jsonb not null,
        created_at timestamptz not null
    )
"""
_INSERT: Final = "insert into floor (id, message, amount, data, created_at) values ($1, $2, $3, $4, $5)"


async def keep_as_it_is(_: Any) -> None:
    """Stand in for the reset of a connection that goes back to its pool."""


def application(dsn: str) -> Starlette:
    """Return the application; its table has been made."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with asyncpg.create_pool(dsn, min_size=1, max_size=POOL_SIZE, reset=keep_as_it_is) as pool:
            app.state.pool = pool
            yield

    async def insert(request: Request) -> Response:
        body = orjson.loads(await request.body())
        await request.app.state.pool.execute(
            _INSERT,
            uuid.UUID(body["id"]),
            body["message"],
            Decimal(body["amount"]),
            orjson.dumps(body["data"]).decode(),
            datetime.now(UTC),
        )
        return Response(b'{"stored":true}', media_type="application/json")

    return Starlette(routes=[Route("/", insert, methods=["POST"])], lifespan=lifespan)


def main() -> None:
    port, dsn = sys.argv[1:]
    uvicorn.run(
        application(dsn),
        host="127.0.0.1",
        port=int(port),
        loop="uvloop",
        http="httptools",
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
    )


if __name__ == "__main__":
    main()
