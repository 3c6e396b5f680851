"""Payments watched over WebSocket: when each was pushed as SUCCEEDED."""

import asyncio
import time
from types import TracebackType
from typing import Any, Final, Self

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from benchmarks.operations import PAYMENT_STATUS, WrongAnswerError

_ANSWER_SECONDS: Final = 20.0


class Watcher:
    """One connection of ``graphql-transport-ws`` that watches up to 100 payments.

    ``pushed_at`` has the time of day at which each payment's SUCCEEDED arrived.
    """

    def __init__(self, port: int, token: str) -> None:
        self._url = f"ws://127.0.0.1:{port}/graphql"
        self._token = token
        self._connection: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._snapshots: dict[str, asyncio.Future[None]] = {}
        self._finished: dict[str, asyncio.Future[None]] = {}
        self.pushed_at: dict[str, float] = {}

    async def __aenter__(self) -> Self:
        self._connection = await connect(
            self._url, subprotocols=[Subprotocol("graphql-transport-ws")], compression=None, proxy=None
        )
        await self._send({"type": "connection_init", "payload": {"Authorization": f"Bearer {self._token}"}})
        answer = orjson.loads(await self._connection.recv())
        if answer["type"] != "connection_ack":
            raise WrongAnswerError(f"A WebSocket was not let in: {answer}.")
        self._reader = asyncio.get_running_loop().create_task(self._read(self._connection))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._reader is not None:
            self._reader.cancel()
        if self._connection is not None:
            await self._connection.close()

    async def watch(self, payment: str) -> None:
        """Subscribe to a payment; return when its snapshot is here. Raises ``WrongAnswerError``."""
        loop = asyncio.get_running_loop()
        self._finished[payment] = loop.create_future()
        snapshot = self._snapshots[payment] = loop.create_future()
        given = {"query": PAYMENT_STATUS, "variables": {"payment": payment}}
        await self._send({"id": payment, "type": "subscribe", "payload": given})
        await self._wait(snapshot, f"No snapshot of {payment} came.")

    async def until_succeeded(self, payment: str) -> None:
        """Wait until a watched payment's SUCCEEDED is here. Raises ``WrongAnswerError``."""
        await self._wait(self._finished[payment], f"SUCCEEDED of {payment} was not pushed.")

    async def _wait(self, future: asyncio.Future[None], message: str) -> None:
        try:
            await asyncio.wait_for(future, _ANSWER_SECONDS)
        except TimeoutError:
            raise WrongAnswerError(message) from None

    async def _send(self, message: dict[str, Any]) -> None:
        if self._connection is None:
            raise RuntimeError("the connection is not open")
        await self._connection.send(orjson.dumps(message).decode())

    async def _read(self, connection: ClientConnection) -> None:
        failed: Exception = WrongAnswerError("A WebSocket was closed.")
        try:
            async for text in connection:
                await self._take(orjson.loads(text), time.time())
        except Exception as error:  # ruff: ignore[blind-except] - handed to whoever waits
            failed = error
        for future in (*self._snapshots.values(), *self._finished.values()):
            if not future.done():
                future.set_exception(failed)
                future.exception()  # heard, even if nobody waits for this one

    async def _take(self, message: dict[str, Any], arrived_at: float) -> None:
        if message["type"] == "ping":
            await self._send({"type": "pong"})
            return
        if message["type"] != "next" or message["payload"].get("errors"):
            raise WrongAnswerError(f"A subscription failed: {message}.")
        payment: str = message["id"]
        update = message["payload"]["data"]["paymentStatus"]
        if update["kind"] == "SNAPSHOT":
            _finish(self._snapshots[payment])
        elif update["event"]["status"] == "SUCCEEDED":
            self.pushed_at[payment] = arrived_at
            _finish(self._finished[payment])


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():  # whoever waited may have given up
        future.set_result(None)
