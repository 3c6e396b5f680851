"""What every measurement of the webhooks works with."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import asyncpg
import orjson

from app.settings import Settings
from benchmarks import processes
from benchmarks.load import connected
from benchmarks.operations import WrongAnswerError
from benchmarks.processes import Place, Process
from benchmarks.saying import say
from benchmarks.webhooks_signed import Signer

PATIENCE_SECONDS: Final = 60.0
POLL_SECONDS: Final = 0.02


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured."""

    rounds: int
    flood_seconds: float
    connections: int
    burst_payments: int
    burst_rounds: int
    receipts_per_second: int
    receipt_seconds: float
    pushes: int
    pushes_per_second: int


@dataclass(frozen=True, slots=True)
class Bench:
    """The processes, a connection of the owner, and who pays whom."""

    effort: Effort
    place: Place
    connection: "asyncpg.Connection[asyncpg.Record]"
    port: int
    settings: Settings
    creator_id: UUID
    payer_id: UUID
    postmaster: int

    @property
    def signer(self) -> Signer:
        return Signer(self.settings.webhook_secrets[0])


@contextmanager
def worker(bench: Bench) -> Iterator[Process]:
    """Run a worker that proves to be well at the end."""
    with processes.worker(bench.place, bench.port) as process:
        yield process  # ruff: ignore[fallible-context-manager] - what failed says more than its warnings
        ensure_well(process)


def ensure_well(process: Process) -> None:
    """Fail if a process has ended, and show what it warned of."""
    process.ensure_alive()
    for warning in process.warnings()[:5]:
        say(f"  said by {process.name}: {warning}")


async def until_at_work(bench: Bench) -> None:
    """Wait until the worker has settled an event that says nothing."""
    event_id = f"evt_{time.time_ns()}"
    body = orjson.dumps({"id": event_id, "type": "nothing.known", "livemode": False, "data": {}})
    async with connected(bench.port, 1) as connections:
        answer = await connections.ask(bench.signer.request(body, event_id))
    if answer.status != 200:
        raise WrongAnswerError(f"A webhook was answered {answer.status}.")
    sql = "select state from inbox_events where event_id = $1"
    for _ in polls():
        if await bench.connection.fetchval(sql, event_id) == "DONE":
            return
        await asyncio.sleep(POLL_SECONDS)
    raise WrongAnswerError("The worker does not work.")


def polls() -> Iterator[None]:
    """Yield again and again until patience is at its end."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        yield
