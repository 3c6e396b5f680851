"""A burst of webhooks: all received, then settled by one worker, with none lost."""

import asyncio
import random
import statistics
import time
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import orjson

from benchmarks.load import Connections, connected
from benchmarks.operations import WrongAnswerError
from benchmarks.rush import charge_silently
from benchmarks.saying import say
from benchmarks.webhooks_bench import PATIENCE_SECONDS, POLL_SECONDS, Bench, polls, until_at_work, worker

TOLD: Final = """
    select payment_id, id, type, convert_to(body::text, 'UTF8') as body from sandbox.event
    where payment_id = any($1::text[]) order by created_at, id
"""
_LAST: Final = "select coalesce(max(id), 0) from inbox_events"
_HOLD_BACK: Final = "update inbox_events set due_at = 'infinity' where id > $1 and state = 'PENDING'"
_RELEASE: Final = "update inbox_events set due_at = $2 where id > $1 and state = 'PENDING'"
_LEFT: Final = "select count(*) from inbox_events where id > $1 and state = 'PENDING' and due_at < 'infinity'"
_DRAINED: Final = """
    select count(*) as events, count(*) filter (where state = 'DONE' and attempts = 0) as done,
        max(processed_at) as at
    from inbox_events where id > $1
"""
_SUCCEEDED: Final = """
    select count(*) from payments where id = any($1::uuid[]) and status = 'SUCCEEDED' and captured = gross
"""
_POSTED: Final = "select count(*) from ledger.request where outcome = 'posted' and key = any($1::text[])"


async def burst(bench: Bench) -> dict[str, float]:
    """Measure what is received and what one worker drains, in events a second. Raises ``WrongAnswerError``."""
    effort = bench.effort
    say(f"\nA burst of {2 * effort.burst_payments:,} webhooks of payments, then drained by one worker")
    received: list[float] = []
    drained: list[float] = []
    last = await bench.connection.fetchval(_LAST)
    for number in range(effort.burst_rounds):
        keys, requests, groups = await _told(bench, effort.burst_payments)
        random.Random(number).shuffle(requests)
        seconds = await _send_all(bench, requests)
        received.append(len(requests) / seconds)
        await bench.connection.execute(_HOLD_BACK, last)
        with worker(bench):
            await until_at_work(bench)
            at = await bench.connection.fetchval("select clock_timestamp()")
            await bench.connection.execute(_RELEASE, last, at)
            released = await bench.connection.fetchval("select clock_timestamp()")
            await _until_empty(bench, last)
        row = await bench.connection.fetchrow(_DRAINED, last)
        found = dict(row or {})
        # One more: the worker's first, by which we knew that it works.
        if (found["events"], found["done"]) != (len(requests) + 1, len(requests) + 1):
            raise WrongAnswerError(f"Of {len(requests)} webhooks not every one was settled, once: {found}.")
        if await bench.connection.fetchval(_SUCCEEDED, keys) != len(keys):
            raise WrongAnswerError("Not every payment of the burst has succeeded.")
        if await bench.connection.fetchval(_POSTED, groups) != len(groups):
            raise WrongAnswerError("Not every capture and charge of the burst was posted.")
        drained.append(len(requests) / (found["at"] - released).total_seconds())
        say(f"  round {number + 1}: received {received[-1]:7.0f}/s, drained {drained[-1]:7.0f}/s, none lost")
        last = await bench.connection.fetchval(_LAST)
    return {
        "burst_received_per_s": round(statistics.median(received), 1),
        "drain_per_s": round(statistics.median(drained), 1),
    }


async def _told(bench: Bench, payments: int) -> tuple[list[UUID], list[bytes], list[str]]:
    """Charge fresh payments silently; return their ids, the signed webhooks, and what they will have posted."""
    keys, references = await charge_silently(bench.connection, bench.creator_id, bench.payer_id, payments)
    rows = await bench.connection.fetch(TOLD, references)
    if len(rows) != 2 * payments:
        raise WrongAnswerError(f"The sandbox tells {len(rows)} events of {payments} payments.")
    requests = [bench.signer.request(row["body"], row["id"]) for row in rows]
    charges = [orjson.loads(row["body"])["data"]["object"] for row in rows if row["type"] == "charge.updated"]
    groups = [f"capture:{key}" for key in keys]
    groups += [f"charge:sandbox:{charge['balance_transaction']}" for charge in charges]
    return keys, requests, groups


async def _send_all(bench: Bench, requests: Sequence[bytes]) -> float:
    """Send all requests on so many connections; return how many seconds that took."""
    left = iter(requests)
    statuses: list[int] = []

    async def keep_sending(connections: Connections) -> None:
        for request in left:
            answer = await connections.ask(request)
            statuses.append(answer.status)

    async with connected(bench.port, bench.effort.connections) as connections:
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(bench.effort.connections):
                group.create_task(keep_sending(connections))
        seconds = time.perf_counter() - began
    if statuses != [200] * len(requests):
        raise WrongAnswerError("Not every webhook of the burst was taken.")
    return seconds


async def _until_empty(bench: Bench, last: int) -> None:
    for _ in polls():
        await asyncio.sleep(POLL_SECONDS)
        if not await bench.connection.fetchval(_LEFT, last):
            return
    raise WrongAnswerError(f"The inbox was not empty after {PATIENCE_SECONDS:.0f} s.")
