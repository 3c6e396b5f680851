"""The HTTP client that events are sent with."""

import asyncio
from typing import Final

import httpx

CONCURRENCY: Final = 32
ATTEMPT_SECONDS: Final = 10


def http_client() -> httpx.AsyncClient:
    """Return a client fit for ``deliver``: a kept connection for each of 32 requests at once, and no proxy."""
    return httpx.AsyncClient(transport=_Connections(CONCURRENCY), timeout=ATTEMPT_SECONDS, trust_env=False)


class _Connections(httpx.AsyncBaseTransport):
    """Gives each request a transport of one connection.

    httpcore searches its pool of n connections some n² times a request: 32 in one pool send 450 events a
    second, 32 pools of one 1,450.
    """

    def __init__(self, count: int) -> None:
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=1)
        tls = httpx.create_ssl_context(trust_env=False)  # made once: each reads the certificate store
        self._all = [httpx.AsyncHTTPTransport(verify=tls, limits=limits) for _ in range(count)]
        # Last in, first out: what was used just now is the likeliest to be connected still.
        self._idle: asyncio.LifoQueue[httpx.AsyncHTTPTransport] = asyncio.LifoQueue()
        for transport in self._all:
            self._idle.put_nowait(transport)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        transport = await self._idle.get()
        try:
            response = await transport.handle_async_request(request)
            await response.aread()  # the connection is free once the whole answer is here
        finally:
            self._idle.put_nowait(transport)
        return response

    async def aclose(self) -> None:
        for transport in self._all:
            await transport.aclose()
