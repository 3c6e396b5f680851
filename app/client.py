"""A small GraphQL client over HTTP and WebSocket that knows nothing of this server but its endpoint."""

import asyncio
import functools
import itertools
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self

import httpx
import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol


@functools.cache
def _certificates() -> ssl.SSLContext:
    """Return what servers are trusted by; reading the certificate store takes longer than most requests."""
    return httpx.create_ssl_context()


class GraphQLFailed(Exception):  # ruff: ignore[error-suffix-on-exception-name] - an answer
    """The server answered with top-level errors; ``errors`` holds them."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__("; ".join(str(error.get("message")) for error in errors))
        self.errors = errors


class Client:
    """Queries and mutations over HTTP, subscriptions over ``graphql-transport-ws``."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url.rstrip("/")
        self.token = token
        self._http = httpx.AsyncClient(timeout=30, verify=_certificates())

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.token is None else {"authorization": f"Bearer {self.token}"}

    async def post(self, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> httpx.Response:
        """Send an operation and return the answer as it came."""
        return await self._http.post(f"{self.url}/graphql", json=body, headers={**self.headers, **(headers or {})})

    async def full(self, query: str, **variables: Any) -> dict[str, Any]:
        """Run an operation and return the whole answer: data, errors and extensions."""
        response = await self.post({"query": query, "variables": variables})
        answer: dict[str, Any] = response.json()
        return answer

    async def run(self, query: str, **variables: Any) -> dict[str, Any]:
        """Run an operation and return its data. Raises ``GraphQLFailed``."""
        answer = await self.full(query, **variables)
        if answer.get("errors"):
            raise GraphQLFailed(answer["errors"])
        data: dict[str, Any] = answer["data"]
        return data

    @asynccontextmanager
    async def socket(self) -> AsyncGenerator["Socket", None]:
        """Open a WebSocket and authenticate it."""
        async with Socket(self.url, self.token) as opened:
            yield opened

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class Socket:
    """One WebSocket with any number of subscriptions. Lost with its connection; open another to resume."""

    def __init__(self, url: str, token: str | None, headers: Mapping[str, str] | None = None) -> None:
        self._url = url.replace("http", "ws", 1) + "/graphql"
        self._token = token
        self._headers = dict(headers or {})
        self._ids = itertools.count(1)
        self._queues: dict[str, asyncio.Queue[dict[str, Any] | None]] = {}
        self._connection: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._connection = await connect(
            self._url,
            subprotocols=[Subprotocol("graphql-transport-ws")],
            additional_headers=self._headers,
            compression=None,
        )
        payload = {} if self._token is None else {"Authorization": f"Bearer {self._token}"}
        try:
            await self.send({"type": "connection_init", "payload": payload})
            answer = orjson.loads(await self._connection.recv())
        except BaseException:
            await self._connection.close()
            raise
        if answer["type"] != "connection_ack":
            raise GraphQLFailed([{"message": f"expected connection_ack, not {answer['type']}"}])
        self._reader = asyncio.get_running_loop().create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.drop()

    @property
    def connection(self) -> ClientConnection:
        """The connection itself."""
        if self._connection is None:
            raise RuntimeError("the socket is not open")
        return self._connection

    async def send(self, message: Mapping[str, Any]) -> None:
        """Send a message of the protocol."""
        await self.connection.send(orjson.dumps(message).decode())

    async def subscribe(self, query: str, **variables: Any) -> "Stream":
        """Start a subscription."""
        key = str(next(self._ids))
        queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._queues[key] = queue
        await self.send({"id": key, "type": "subscribe", "payload": {"query": query, "variables": variables}})
        return Stream(queue)

    async def drop(self) -> None:
        """Let the connection go, as a phone in a tunnel does: without a word to the server's subscriptions."""
        if self._reader is not None:
            self._reader.cancel()
        if self._connection is not None:
            self._connection.transport.abort()
            await self._connection.wait_closed()

    async def _read(self) -> None:
        try:
            async for text in self.connection:
                message = orjson.loads(text)
                if message["type"] == "ping":
                    await self.send({"type": "pong"})
                elif message.get("id") in self._queues:
                    self._queues[message["id"]].put_nowait(message)
        finally:
            for queue in self._queues.values():
                queue.put_nowait(None)


class Stream:
    """The messages of one subscription."""

    def __init__(self, queue: asyncio.Queue[dict[str, Any] | None]) -> None:
        self._queue = queue

    async def next(self, seconds: float = 10) -> dict[str, Any]:
        """Return the data of the next message.

        Raises ``GraphQLFailed`` for an error, ``StopAsyncIteration`` at the end, ``ConnectionError`` when the
        connection is gone and ``TimeoutError`` when nothing comes within ``seconds``.
        """
        message = await asyncio.wait_for(self._queue.get(), seconds)
        if message is None:
            raise ConnectionError("the connection is gone")
        if message["type"] == "complete":
            raise StopAsyncIteration
        payload = message["payload"]
        errors = payload if message["type"] == "error" else payload.get("errors")
        if errors:
            raise GraphQLFailed(errors)
        data: dict[str, Any] = payload["data"]
        return data
