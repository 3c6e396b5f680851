"""Exchanges with a provider's HTTP interface: recorded to files, and played again to the adapter.

A recording is a list of requests, each with the answer it got, in the order of their arrival. The names we make
ourselves (UUIDs) are new in every run; when a request is played its own take the place of the recorded ones, in the
answer as well. What a test does to the provider by other ways (a lever) is recorded beside the requests.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

import httpx
import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
# When a test runs is nothing that a recording could know.
_MOMENT: Final = re.compile(r"created(\[\w+\])?|created_\w+")
_KEPT_REQUEST: Final = ("idempotency-key", "stripe-account", "stripe-version")
_KEPT_ANSWER: Final = ("content-type", "date", "request-id", "idempotent-replayed")


@dataclass(slots=True)
class Exchange:
    """A request and its answer; ``request`` and ``answer`` are what is compared and given back, as plain data."""

    request: dict[str, Any]
    answer: dict[str, Any]
    played: bool = False


@dataclass(slots=True)
class Recorder:
    """Passes every request on to ``upstream`` and remembers what was said."""

    upstream: str
    exchanges: list[Exchange] = field(default_factory=list)

    async def handle(self, request: Request) -> Response:
        body = await request.body()
        place = len(self.exchanges)
        self.exchanges.append(Exchange(_described(request, body), {}))
        headers = {
            name: value for name, value in request.headers.items() if name not in {"host", "content-length"}
        }
        async with httpx.AsyncClient() as client:
            answer = await client.request(
                request.method, f"{self.upstream}{_target(request)}", content=body, headers=headers
            )
        kept = {name: answer.headers[name] for name in _KEPT_ANSWER if name in answer.headers}
        self.exchanges[place].answer = {"status": answer.status_code, "headers": kept, "body": answer.json()}
        return Response(answer.content, answer.status_code, kept)

    def lever(self, name: str, answer: Any) -> None:
        """Remember what a lever gave back."""
        self.exchanges.append(Exchange({"lever": name}, {"body": answer}))

    def write(self, path: Path) -> None:
        """Write the recording, an exchange a line."""
        lines = [orjson.dumps({"request": each.request, "answer": each.answer}) for each in self.exchanges]
        path.write_bytes(b"\n".join([*lines, b""]))


@dataclass(slots=True)
class Player:
    """Answers every request as it was answered when it was recorded, each exchange once.

    ``strays`` are requests that the recording has not: they are answered with 501.
    """

    exchanges: list[Exchange]
    names: dict[str, str] = field(default_factory=dict)
    strays: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> "Player":
        """Read a recording."""
        lines = [orjson.loads(line) for line in path.read_bytes().splitlines()]
        return cls([Exchange(line["request"], line["answer"]) for line in lines])

    async def handle(self, request: Request) -> Response:
        asked = _described(request, await request.body())
        exchange = self._taken(asked)
        if exchange is None:
            self.strays.append(asked)
            error = {"type": "api_error", "code": "not_recorded"}
            return JSONResponse({"error": error}, 501)
        answer = exchange.answer
        text = orjson.dumps(answer["body"]).decode()
        text = _UUID.sub(lambda found: self.names.get(found[0], found[0]), text)
        headers = {name: value for name, value in answer["headers"].items() if name != "content-length"}
        return Response(text, answer["status"], headers)

    def lever(self, name: str) -> Any:
        """Return what a lever gave back when it was recorded."""
        for each in self.exchanges:
            if not each.played and each.request.get("lever") == name:
                each.played = True
                return each.answer["body"]
        raise LookupError(f"The recording has no more of the lever {name}.")

    def left(self) -> list[dict[str, Any]]:
        """Return the requests of the recording that were not made this time."""
        return [each.request for each in self.exchanges if not each.played]

    def _taken(self, asked: dict[str, Any]) -> Exchange | None:
        for each in self.exchanges:
            if each.played or "lever" in each.request:
                continue
            names = dict(self.names)
            if _same(each.request, asked, names):
                each.played = True
                self.names = names
                return each
        return None


@asynccontextmanager
async def served(handle: Callable[[Request], Awaitable[Response]]) -> AsyncIterator[str]:
    """Serve a recorder or a player on a free port of the loopback; yield its address."""
    app = Starlette(routes=[Route("/{path:path}", handle, methods=["GET", "POST", "DELETE"])])
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", lifespan="off", date_header=False)
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    try:
        while not server.started:
            await asyncio.sleep(0.005)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await running


def _target(request: Request) -> str:
    query = request.url.query
    return request.url.path + (f"?{query}" if query else "")


def _described(request: Request, body: bytes) -> dict[str, Any]:
    """Return a request as plain data: its parameters by name, sorted, so that their order does not matter."""
    if request.headers.get("content-type", "").startswith("application/json"):
        sent: Any = orjson.loads(body) if body else {}
    else:
        sent = sorted(parse_qsl(body.decode(), keep_blank_values=True))
    return {
        "method": request.method,
        "path": unquote(request.url.path),
        "query": [list(pair) for pair in sorted(parse_qsl(request.url.query, keep_blank_values=True))],
        "body": [list(pair) for pair in sent] if isinstance(sent, list) else sent,
        "headers": {name: request.headers[name] for name in _KEPT_REQUEST if name in request.headers},
    }


def _same(recorded: Any, asked: Any, names: dict[str, str]) -> bool:
    """Whether a request is a recorded one but for names of ours, which ``names`` gathers from it."""
    if isinstance(recorded, dict) and isinstance(asked, dict):
        return recorded.keys() == asked.keys() and all(
            _same(value, asked[name], names) for name, value in recorded.items()
        )
    if isinstance(recorded, list) and isinstance(asked, list):
        if len(recorded) != len(asked):
            return False
        if len(recorded) == 2 and isinstance(recorded[0], str) and _MOMENT.fullmatch(recorded[0]):
            return bool(recorded[0] == asked[0])
        return all(_same(one, other, names) for one, other in zip(recorded, asked, strict=True))
    if isinstance(recorded, str) and isinstance(asked, str):
        return _same_text(recorded, asked, names)
    return bool(recorded == asked)


def _same_text(recorded: str, asked: str, names: dict[str, str]) -> bool:
    old, new = _UUID.findall(recorded), _UUID.findall(asked)
    if len(old) != len(new) or _UUID.sub("", recorded) != _UUID.sub("", asked):
        return False
    taken = set(names.values())
    for one, other in zip(old, new, strict=True):
        if one not in names and other not in taken:
            names[one] = other
            taken.add(other)
        if names.get(one) != other:
            return False
    return True
