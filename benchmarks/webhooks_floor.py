"""The floor of a webhook: a bare route that stores the body in one durable insert, and believes everything.

Run by the benchmark as ``python -m benchmarks.webhooks_floor PORT DSN`` with the loop, the HTTP parser and the
number of connections of the real server. One insert per request, no signature, no JSON, no middleware.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

import asyncpg
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from benchmarks.floor import POOL_SIZE, keep_as_it_is

TABLE: Final = """
    create table inbox (
        id bigint generated always as identity primary key, provider text not null, event_id text not null,
        type text not null, body bytea not null, state text not null, attempts int not null,
        due_at timestamptz not null, received_at timestamptz not null,
        constraint event_is_stored_once unique (provider, event_id)
    )
"""
_INSERT: Final = """
    insert into inbox (provider, event_id, type, body, state, attempts, due_at, received_at)
    values ('sandbox', $1, 'payment.succeeded', $2, 'PENDING', 0, $3, $3)
"""


def application(dsn: str) -> Starlette:
    """Return the application; its table has been made."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with asyncpg.create_pool(dsn, min_size=1, max_size=POOL_SIZE, reset=keep_as_it_is) as pool:
            app.state.pool = pool
            yield

    async def insert(request: Request) -> Response:
        body = await request.body()
        event_id = request.headers["webhook-id"]
        await request.app.state.pool.execute(_INSERT, event_id, body, datetime.now(UTC))
        return PlainTextResponse("ok\n")

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
        proxy_headers=False,
    )


if __name__ == "__main__":
    main()
