"""A lean HTTP/1.1 client on raw asyncio: kept connections, prebuilt requests, nothing parsed but the frame.

The client shares its cores with what it measures, so every microsecond it takes is missing there.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self, cast

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_HEADER_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length:"
_ANSWER_SECONDS: Final = 30.0


class LoadError(Exception):
    """An answer that is no answer: the connection broke, or nothing came in time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, as it came."""

    status: int
    body: bytes


def post(path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """Return a POST of JSON as it goes over the wire."""
    lines = [
        f"POST {path} HTTP/1.1",
        "host: 127.0.0.1",
        "content-type: application/json",
        f"content-length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode("ascii") + _HEADER_END + body


class Connection(asyncio.Protocol):
    """One kept connection: one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._waiting: asyncio.Future[Answer] | None = None
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def open(cls, port: int) -> Self:
        """Connect to a server on this machine."""
        _, connection = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return connection

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    async def ask(self, request: bytes) -> Answer:
        """Send a request and return its answer. Raises ``LoadError``."""
        if self._transport is None:
            raise LoadError("The server closed the connection.")
        self._waiting = self._loop.create_future()
        self._transport.write(request)
        return await self._waiting

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's by behaviour, not by class.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._fail(LoadError(f"The connection was lost: {exc or 'closed by the server'}."))

    def data_received(self, data: bytes) -> None:
        received = self._received + data if self._received else data
        end = received.find(_HEADER_END)
        if end < 0:
            self._received = received
            return
        head = received[:end].lower()
        at = head.find(_LENGTH)
        if at < 0:
            self._fail(LoadError("An answer came without its length."))
            return
        start = end + len(_HEADER_END)
        length = int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0])
        if len(received) < start + length:
            self._received = received
            return
        self._received = b""
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(Answer(int(head[9:12]), received[start : start + length]))

    def _fail(self, error: LoadError) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_exception(error)


class Connections:
    """A few connections that are lent out in turn, so that none idles; whoever asks waits for a free one."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: asyncio.Queue[Connection] = asyncio.Queue()

    async def open(self, count: int) -> None:
        """Add so many connections."""
        for _ in range(count):
            self._idle.put_nowait(await Connection.open(self._port))

    async def ask(self, request: bytes) -> Answer:
        """Send a request on any connection and return its answer. Raises ``LoadError``."""
        connection = await self._idle.get()
        try:
            if not connection.is_open:
                connection = await Connection.open(self._port)  # the server ends what has idled for seconds
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await connection.ask(request)
        except TimeoutError:
            raise LoadError(f"No answer came within {_ANSWER_SECONDS:.0f} s.") from None
        finally:
            self._idle.put_nowait(connection)

    def close(self) -> None:
        """Close the connections; nobody asks any more."""
        while not self._idle.empty():
            self._idle.get_nowait().close()


@asynccontextmanager
async def connected(port: int, count: int) -> "AsyncIterator[Connections]":
    """Open ``count`` connections."""
    opened = Connections(port)
    try:
        await opened.open(count)
        yield opened
    finally:
        opened.close()


@dataclass(frozen=True, slots=True)
class Flood:
    """How a closed loop went: every answer, and from the first request to the last answer."""

    answers: list[Answer]
    seconds: float

    @property
    def per_second(self) -> float:
        return len(self.answers) / self.seconds


async def flood(port: int, requests: Iterator[bytes], *, connections: int, seconds: float) -> Flood:
    """Keep so many connections busy for a while: each sends its next request once it has its answer.

    Raises ``LoadError`` when a connection breaks, an answer stays away or the requests run out.
    """
    answers: list[Answer] = []
    opened = [await Connection.open(port) for _ in range(connections)]
    began = time.perf_counter()
    deadline = began + seconds

    async def keep_busy(connection: Connection) -> None:
        while time.perf_counter() < deadline:
            request = next(requests, None)
            if request is None:
                raise LoadError("More requests were answered than had been prepared.")
            answers.append(await connection.ask(request))

    try:
        async with asyncio.timeout(seconds + _ANSWER_SECONDS), asyncio.TaskGroup() as group:
            for connection in opened:
                group.create_task(keep_busy(connection))
    except TimeoutError:
        raise LoadError(f"An answer stayed away for {_ANSWER_SECONDS:.0f} s.") from None
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    finally:
        for connection in opened:
            connection.close()
    return Flood(answers, time.perf_counter() - began)
