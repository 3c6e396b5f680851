"""One kept HTTP/1.1 connection that says exactly when a request was sent and when its answer was whole.

A client for people would do; but what it does between being called and writing to the socket would count as
overlap, and that is what races are measured by.
"""

import asyncio
import ssl
import time
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, cast
from urllib.parse import urlsplit

import httptools
import httpx

from races.overlap import Interval

_ANSWER_SECONDS: Final = 60.0


class WireError(Exception):
    """No answer: the connection broke, or nothing came in time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, and when."""

    status: int
    body: bytes
    interval: Interval


@cache
def _certificates() -> ssl.SSLContext:
    return httpx.create_ssl_context()


class Wire:
    """A connection to one server: one request at a time, opened when it is needed."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or parts.hostname is None:
            raise WireError(f"{url} is not an http or https address.")
        self._host = parts.hostname
        self._tls = parts.scheme == "https"
        self._port = parts.port or (443 if self._tls else 80)
        self._path = f"{parts.path.rstrip('/')}/graphql"
        self._authority = parts.netloc.rpartition("@")[2]
        self._protocol: _Protocol | None = None

    async def open(self) -> None:
        """Connect, unless it is connected. Raises ``WireError``."""
        if self._protocol is not None and self._protocol.is_open:
            return
        try:
            _, self._protocol = await asyncio.get_running_loop().create_connection(
                _Protocol, self._host, self._port, ssl=_certificates() if self._tls else None
            )
        except OSError as error:
            raise WireError(f"{self._authority} does not answer: {error}") from error

    async def post(self, body: bytes, token: str | None) -> Answer:
        """Send an operation and return its answer. Raises ``WireError``.

        What a server hung up on before it said anything is sent once more: operations carry their keys.
        """
        request = self._request(body, token)
        for attempt in (1, 2):
            await self.open()
            protocol = self._protocol
            if protocol is None:
                raise WireError("The connection is gone.")
            try:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    return await protocol.ask(request)
            except TimeoutError:
                self.close()
                raise WireError(f"No answer came within {_ANSWER_SECONDS:.0f} s.") from None
            except ConnectionError as error:
                if attempt > 1 or protocol.answers_began:
                    raise WireError(f"The connection was lost: {error}") from error
        raise AssertionError("not reached")

    def close(self) -> None:
        """Hang up."""
        if self._protocol is not None:
            self._protocol.close()

    def _request(self, body: bytes, token: str | None) -> bytes:
        lines = [
            f"POST {self._path} HTTP/1.1",
            f"host: {self._authority}",
            "accept: application/json",
            "content-type: application/json",
            f"content-length: {len(body)}",
            *([] if token is None else [f"authorization: Bearer {token}"]),
        ]
        return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + body


class _Protocol(asyncio.Protocol):
    """The bytes of one connection. What httptools calls is named as it wants it."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Answer] | None = None
        self._parser: Any = None
        self._parts: list[bytes] = []
        self._sent = 0.0
        self.answers_began = False

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, request: bytes) -> Answer:
        """Send a request and return its answer. Raises ``ConnectionError``."""
        if self._transport is None:
            raise ConnectionResetError("closed by the server")
        self._parser, self._parts, self.answers_began = httptools.HttpResponseParser(self), [], False
        waiting: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting = waiting
        self._sent = time.monotonic()
        self._transport.write(request)
        return await waiting

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's by behaviour, not by class.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._fail(ConnectionResetError(str(exc or "closed by the server")))

    def data_received(self, data: bytes) -> None:
        self.answers_began = True
        if self._waiting is None:
            self.close()  # nobody asked
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(ConnectionAbortedError(f"what came is not HTTP ({error})"))

    def on_body(self, data: bytes) -> None:
        self._parts.append(data)

    def on_message_complete(self) -> None:
        answered = time.monotonic()
        waiting, self._waiting = self._waiting, None
        if not self._parser.should_keep_alive():
            self.close()
        if waiting is not None and not waiting.done():
            status = self._parser.get_status_code()
            waiting.set_result(Answer(status, b"".join(self._parts), Interval(self._sent, answered)))

    def _fail(self, error: ConnectionError) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_exception(error)
