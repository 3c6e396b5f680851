"""Who takes part in a race: one connection, one credential, and what was answered to it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar
from uuid import uuid4

import orjson

from races.overlap import Interval
from races.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")

MOST_AT_ONCE: Final = 60
_POLL_SECONDS: Final = 0.1


class RaceError(Exception):
    """A race that did not hold, or could not be run; the message says what was seen."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One error of a payload."""

    code: str
    kind: str
    data: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.kind} {self.code}"


@dataclass(frozen=True, slots=True)
class Reply:
    """What a mutation answered: its objects, or why not."""

    payload: dict[str, Any]
    refusals: tuple[Refusal, ...]

    @property
    def refused(self) -> str | None:
        """The code of the first refusal."""
        return self.refusals[0].code if self.refusals else None

    def done(self, what: str) -> dict[str, Any]:
        """Return the payload. Raises ``RaceError`` if it was refused."""
        if self.refusals:
            raise RaceError(f"{what} was refused: {', '.join(map(str, self.refusals))}")
        return self.payload


@dataclass
class Meter:
    """When each request of the race proper was under way; setting up and judging are not counted."""

    intervals: list[Interval] = field(default_factory=list)
    is_running: bool = False

    @contextmanager
    def running(self) -> "Iterator[None]":
        """Count what is sent meanwhile."""
        self.is_running = True
        try:
            yield
        finally:
            self.is_running = False


class Caller:
    """Somebody with a connection of their own."""

    def __init__(self, url: str, meter: Meter, token: str | None = None) -> None:
        self._wire = Wire(url)
        self._meter = meter
        self.token = token

    async def ready(self) -> None:
        """Connect, so that a race does not begin with that. Raises ``WireError``."""
        await self._wire.open()

    async def read(self, query: str, *, token: str | None = None, **variables: Any) -> dict[str, Any]:
        """Run an operation and return its data. Raises ``RaceError`` and ``WireError``."""
        body = orjson.dumps({"query": query, "variables": variables})
        answer = await self._wire.post(body, token or self.token)
        if self._meter.is_running:
            self._meter.intervals.append(answer.interval)
        try:
            told = orjson.loads(answer.body)
        except orjson.JSONDecodeError:
            told = {}
        if not isinstance(told, dict) or told.get("errors") or not told.get("data"):
            shown = answer.body[:600].decode(errors="replace")
            raise RaceError(f"the server answered {answer.status}: {shown}")
        data: dict[str, Any] = told["data"]
        return data

    async def do(self, mutation: str, *, key: str | None = None, token: str | None = None, **given: Any) -> Reply:
        """Run a mutation whose one field takes ``$input``, by default under a key of its own.

        Raises ``RaceError`` and ``WireError``.
        """
        data = await self.read(mutation, token=token, input={"idempotencyKey": key or new_key(), **given})
        (payload,) = data.values()
        return Reply(payload, tuple(_refusal(error) for error in payload["errors"]))

    def close(self) -> None:
        """Hang up."""
        self._wire.close()


def new_key() -> str:
    """Return a fresh idempotency key."""
    return str(uuid4())


def _refusal(error: dict[str, Any]) -> Refusal:
    data = {name: value for name, value in error.items() if name not in {"code", "__typename"}}
    return Refusal(error["code"], error["__typename"], data)


async def together(
    meter: Meter, callers: Sequence[Caller], starts: Sequence[Callable[[], Awaitable[T]]]
) -> list[T]:
    """Connect everybody, then let all start in the same moment; return what each came to, in order.

    Raises ``RaceError`` and ``WireError``.
    """
    if len(starts) > MOST_AT_ONCE:
        raise RaceError(f"{len(starts)} at once are more than {MOST_AT_ONCE}")
    # An event wakes all who wait for it in one turn of the loop; a barrier lets them through one by one.
    go = asyncio.Event()
    for caller in callers:
        await caller.ready()

    async def run(start: Callable[[], Awaitable[T]]) -> T:
        await go.wait()
        return await start()

    with meter.running():
        # Everybody finishes, whatever becomes of one: what was under way is counted.
        running = asyncio.gather(*(run(start) for start in starts), return_exceptions=True)
        await asyncio.sleep(0)
        go.set()
        ended = await running
    failures = [end for end in ended if isinstance(end, BaseException)]
    if failures:
        raise failures[0]
    return [end for end in ended if not isinstance(end, BaseException)]


async def until(look: Callable[[], Awaitable[T | None]], seconds: float, complaint: Callable[[], str]) -> T:
    """Look again and again until something is found. Raises ``RaceError`` with the complaint."""
    deadline = time.monotonic() + seconds
    while True:
        found = await look()
        if found is not None:
            return found
        if time.monotonic() > deadline:
            raise RaceError(f"{complaint()} within {seconds:.0f} s")
        await asyncio.sleep(_POLL_SECONDS)


def expect(condition: bool, complaint: str) -> None:
    """Raise ``RaceError`` unless a condition holds."""
    if not condition:
        raise RaceError(complaint)
