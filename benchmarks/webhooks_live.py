"""Single webhooks on a quiet machine: how long the answer takes, and how long until a watcher is told."""

import asyncio
import itertools
import random
import time
from contextlib import AsyncExitStack
from typing import Final

import orjson

from benchmarks.live import Watcher
from benchmarks.load import connected
from benchmarks.operations import WrongAnswerError, supporters
from benchmarks.rush import charge_silently
from benchmarks.saying import percentile, say, say_percentiles
from benchmarks.webhooks_bench import Bench
from benchmarks.webhooks_burst import TOLD
from core import ids
from core.ids import Noun

WATCHERS: Final = 8
_WARM_UP: Final = 20


async def receipt(bench: Bench) -> dict[str, float]:
    """Measure the answer at a moderate rate, which no answer slows down. Raises ``WrongAnswerError``."""
    effort = bench.effort
    count = int(effort.receipts_per_second * effort.receipt_seconds)
    say(f"\nThe answer to a webhook, {effort.receipts_per_second} a second at random moments, the worker at work")
    requests = [
        bench.signer.request(body, event_id)
        for number in range(count)
        for event_id in (f"evt_{time.time_ns()}_{number}",)
        for body in (orjson.dumps({"id": event_id, "type": "nothing.known", "livemode": False, "data": {}}),)
    ]
    chance = random.Random(count)
    gaps = (chance.expovariate(effort.receipts_per_second) for _ in range(count))
    moments = list(itertools.accumulate(gaps))
    times: list[float] = []
    statuses: list[int] = []
    async with connected(bench.port, effort.connections) as connections:
        began = time.perf_counter() + 0.1

        async def send(request: bytes, due: float) -> None:
            # Timed from the moment it was due: a server that is late is late for all who wait.
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            statuses.append((await connections.ask(request)).status)
            times.append((time.perf_counter() - due) * 1000)

        async with asyncio.TaskGroup() as group:
            for request, moment in zip(requests, moments, strict=True):
                group.create_task(send(request, began + moment))
    if statuses != [200] * count:
        raise WrongAnswerError("Not every webhook was taken.")
    say_percentiles("webhook → 200", times)
    return {
        "receipt_p50_ms": round(percentile(times, 50), 2),
        "receipt_p99_ms": round(percentile(times, 99), 2),
    }


async def webhook_to_push(bench: Bench) -> dict[str, float]:
    """Measure from sending a webhook to SUCCEEDED at a watcher. Raises ``WrongAnswerError``."""
    effort = bench.effort
    say(
        f"\nFrom the webhook to the push: {effort.pushes} payments watched over WebSocket, "
        f"{effort.pushes_per_second} webhooks a second"
    )
    await _pushes(bench, _WARM_UP)
    times = await _pushes(bench, effort.pushes)
    say_percentiles("webhook → push", times)
    return {
        "webhook_to_push_p50_ms": round(percentile(times, 50), 2),
        "webhook_to_push_p99_ms": round(percentile(times, 99), 2),
    }


async def _pushes(bench: Bench, count: int) -> list[float]:
    """Return how many milliseconds each of so many payments took."""
    keys, references = await charge_silently(bench.connection, bench.creator_id, bench.payer_id, count)
    told = await bench.connection.fetch(TOLD, references)
    bodies = {row["payment_id"]: (row["id"], row["body"]) for row in told if row["type"] == "payment.succeeded"}
    (payer, *_) = supporters(bench.settings, bench.creator_id, 1)
    sent_at: dict[str, float] = {}
    async with AsyncExitStack() as stack:
        connections = await stack.enter_async_context(connected(bench.port, bench.effort.connections))
        watchers = [await stack.enter_async_context(Watcher(bench.port, payer.token)) for _ in range(WATCHERS)]
        began = asyncio.get_running_loop().time() + 0.2

        async def one(number: int, watcher: Watcher) -> None:
            payment = ids.encode(Noun.PAYMENT, keys[number])
            event_id, body = bodies[references[number]]
            await asyncio.sleep(
                max(0.0, began + number / bench.effort.pushes_per_second - asyncio.get_running_loop().time())
            )
            await watcher.watch(payment)
            request = bench.signer.request(body, event_id)
            sent_at[payment] = time.time()
            answer = await connections.ask(request)
            if answer.status != 200:
                raise WrongAnswerError(f"A webhook was answered {answer.status}.")
            await watcher.until_succeeded(payment)

        async with asyncio.TaskGroup() as group:
            for number, watcher in zip(range(count), itertools.cycle(watchers), strict=False):
                group.create_task(one(number, watcher))
        pushed_at = {payment: at for watcher in watchers for payment, at in watcher.pushed_at.items()}
    if len(pushed_at) != count:
        raise WrongAnswerError(f"{len(pushed_at)} pushes for {count} payments.")
    return [(at - sent_at[payment]) * 1000 for payment, at in pushed_at.items()]
