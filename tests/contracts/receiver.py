"""A webhook endpoint over real HTTP that remembers what it was sent and answers as it is told."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import orjson


@dataclass(frozen=True, slots=True)
class Received:
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def type(self) -> str:
        return str(orjson.loads(self.body)["type"])


@dataclass(slots=True)
class Receiver:
    """``status`` is asked for each webhook; None leaves it without an answer."""

    status: Callable[[Received], int | None] = lambda _: 200
    received: list[Received] = field(default_factory=list)
    url: str = ""
    _connections: set[asyncio.StreamWriter] = field(default_factory=set)
    _arrival: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def has(self, count: int, *, within_seconds: float = 5) -> list[Received]:
        """Wait for so many webhooks, and a little longer for those that should not come."""
        async with asyncio.timeout(within_seconds), self._arrival:
            await self._arrival.wait_for(lambda: len(self.received) >= count)
        await asyncio.sleep(0.05)
        return self.received

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            while await self._answer(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        lines = head.rstrip().split("\r\n")[1:]
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        webhook = Received(headers, await reader.readexactly(int(headers["content-length"])))
        async with self._arrival:
            self.received.append(webhook)
            self._arrival.notify_all()
        if (status := self.status(webhook)) is None:
            await reader.read()
            return False
        writer.write(f"HTTP/1.1 {status} Told\r\ncontent-length: 0\r\n\r\n".encode())
        await writer.drain()
        return True

    def hang_up(self) -> None:
        for writer in self._connections:
            writer.close()


@asynccontextmanager
async def receiving(receiver: Receiver, port: int = 0) -> AsyncGenerator[Receiver]:
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", port)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/webhooks/sandbox"
    try:
        yield receiver
    finally:
        server.close()
        receiver.hang_up()
        await asyncio.sleep(0)
