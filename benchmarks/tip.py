"""What a tip costs, from the request to the books, measured on the real processes: ``python -m benchmarks.tip``.

Web process, worker and PostgreSQL (durable, with the settings of development) share this machine with the load
generator. Every answer is checked: a wrong one ends the run with a sentence and without figures. The last line
of a run that went well is ``RESULT`` and JSON.
"""

import asyncio
import signal
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NoReturn
from uuid import UUID

import asyncpg
import orjson
import uvloop

from app.postgres import PostgresUnavailable
from app.settings import Settings
from benchmarks import environment, floor, processes
from benchmarks.environment import NotDurableError
from benchmarks.live import Watcher
from benchmarks.load import Connections, LoadError, connected, flood, post
from benchmarks.operations import Supporter, WrongAnswerError, created_payment, supporters
from benchmarks.processes import Place, Process, ProcessError
from benchmarks.rush import RushError, ensure_balance, ensure_books, rush
from benchmarks.saying import percentile, say, say_percentiles, say_target
from benchmarks.statements import LOG_LINE_PREFIX, Executed, Statements, is_frame, shown, without_idle
from core import ids
from core.ids import Noun, uuid7

ROUNDS: Final = 3
CONNECTIONS: Final = 32
FLOOD_SECONDS: Final = 4.0
WARM_UP_SECONDS: Final = 1.5
RUSH_TIPS: Final = 10_000
WAY_TIPS: Final = 200
WAY_CONNECTIONS: Final = 8
LIVE_TIPS_PER_SECOND: Final = 50
LIVE_TIPS: Final = 600
LIVE_CONNECTIONS: Final = 16
WATCHERS: Final = 8
IDLE_SECONDS: Final = 2.0
STATEMENTS_SHOWN: Final = 36

FLOOR_RATIO_TARGET: Final = 0.25
SETTLED_TARGET: Final = 3_000
PUSH_P99_TARGET_MILLISECONDS: Final = 100

_NAME: Final = "comptoir-benchmark"
_CREATOR: Final = "fable_radio"
_RUSH_CREATOR: Final = "nonesuch_ceramics"
_SETTLED_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.05
_SUCCEEDED_ALONE: Final = ("payment.succeeded",)
_BOTH: Final = ("payment.succeeded", "charge.updated")

_UNDER_WAY: Final = """
    select exists (select from sandbox.event where next_attempt_at is not null)
        or exists (select from inbox_events where state = 'PENDING')
"""
_COUNT_SUCCEEDED: Final = "select count(*) from payments where id = any($1::uuid[]) and status = 'SUCCEEDED'"
_LAST_RECEIPT: Final = "select coalesce(max(id), 0) from inbox_events"
_RECEIPTS: Final = """
    select convert_from(body, 'UTF8')::json #>> '{data,object,reference}' as payment, received_at, processed_at
    from inbox_events where id > $1 and type = 'payment.succeeded'
"""


@dataclass(frozen=True, slots=True)
class Bench:
    """What every measurement works with."""

    place: Place
    connection: "asyncpg.Connection[asyncpg.Record]"
    port: int
    creator_id: UUID
    supporters: Sequence[Supporter]


def main() -> None:
    """Measure and print; exit with 1 and a sentence when anything goes wrong."""
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, _end)
    try:
        with (
            TemporaryDirectory(prefix="comptoir-bench-") as folder,
            processes.own_place(Path(folder), {"log_line_prefix": LOG_LINE_PREFIX}) as place,
        ):
            result = uvloop.run(_measure(place))
    except BaseExceptionGroup as failed:
        first: BaseException = failed
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        _fail(first)
    except (
        *(LoadError, NotDurableError, ProcessError, PostgresUnavailable, RushError, WrongAnswerError),
        *(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError),
    ) as error:
        _fail(error)
    except KeyboardInterrupt:
        sys.exit(130)
    print(f"RESULT {orjson.dumps(result).decode()}")


def _fail(error: BaseException) -> NoReturn:
    sys.stderr.write(f"benchmark: {type(error).__name__}: {error}\n")
    sys.exit(1)


def _end(*_: object) -> NoReturn:
    sys.exit(143)


async def _measure(place: Place) -> dict[str, float]:
    began = time.monotonic()
    for command in ("migrate", "seed"):
        processes.run(place, command)
    async with AsyncExitStack() as stack:
        connection = await asyncpg.connect(place.dsn, server_settings={"application_name": _NAME})
        stack.push_async_callback(connection.close)
        for line in await environment.describe(connection, place.folder):
            say(line)
        port = processes.free_port()
        web = stack.enter_context(processes.web(place, port))
        bench = await _bench(place, connection, port)
        # The floods come last: what vacuuming after them costs is no tip's.
        with processes.worker(place, port) as worker:
            await _whole_way(bench, WAY_TIPS // 4)
            result = await _webhook_to_push(bench)
            result |= await _cpu_per_tip(bench, web, worker)
            result |= await _sql_per_tip(bench)
            _ensure_well(worker)
        result |= await _tip_create_vs_floor(bench)
        with processes.worker(place, port) as worker:
            result |= await _settled_tips_per_second(bench)
            _ensure_well(worker)
        _ensure_well(web)
        for handle in (_CREATOR, _RUSH_CREATOR):
            await ensure_balance(connection, await _creator_id(connection, handle))
        say(f"\n{await ensure_books(connection)} invariants of the ledger hold, none is broken.")
        say(f"All took {time.monotonic() - began:.0f} s.")
    return result


def _ensure_well(process: Process) -> None:
    """Fail if a process has ended, and show what it warned of."""
    process.ensure_alive()
    for warning in process.warnings()[:5]:
        say(f"  said by {process.name}: {warning}")


async def _bench(place: Place, connection: "asyncpg.Connection[asyncpg.Record]", port: int) -> Bench:
    # The web process has made its keys in this folder by now.
    settings = Settings(_env_file=None, jwks_url="", state_directory=place.folder / "state")
    creator_id = await _creator_id(connection, _CREATOR)
    return Bench(place, connection, port, creator_id, supporters(settings, creator_id, CONNECTIONS))


async def _creator_id(connection: "asyncpg.Connection[asyncpg.Record]", handle: str) -> UUID:
    value: UUID | None = await connection.fetchval("select id from creators where handle = $1", handle)
    if value is None:
        raise WrongAnswerError(f"The creator {handle} was not seeded.")
    return value


# tipCreate, against the floor -----------------------------------------------------------------------------


async def _tip_create_vs_floor(bench: Bench) -> dict[str, float]:
    say(f"\ntipCreate against a bare durable insert, {CONNECTIONS} connections")
    port = processes.free_port()
    admin = await asyncpg.connect(bench.place.floor_dsn)
    await admin.execute(floor.TABLE)
    await admin.close()
    tips: list[float] = []
    floors: list[float] = []
    with processes.floor(bench.place, port):
        await _floor_per_second(port, WARM_UP_SECONDS)
        await _tips_per_second(bench, WARM_UP_SECONDS)
        for number in range(ROUNDS):
            floors.append(await _floor_per_second(port, FLOOD_SECONDS))
            tips.append(await _tips_per_second(bench, FLOOD_SECONDS))
            say(f"  round {number + 1}: {tips[-1]:7.0f} tips/s {floors[-1]:7.0f} floor/s")
    ratio = statistics.median(tips) / statistics.median(floors)
    say_target(
        "  median tips/s ÷ median floor/s", ratio, ratio >= FLOOR_RATIO_TARGET, f"≥ {FLOOR_RATIO_TARGET}", 3
    )
    return {
        "tip_create_vs_floor": round(ratio, 4),
        "tip_create_per_s": round(statistics.median(tips), 1),
        "floor_per_s": round(statistics.median(floors), 1),
    }


async def _tips_per_second(bench: Bench, seconds: float) -> float:
    # More than this machine could ever answer; built before the clock runs.
    givers = cycle(bench.supporters)
    requests = [next(givers).tip_create() for _ in range(int(seconds * 2_500))]
    done = await flood(bench.port, iter(requests), connections=CONNECTIONS, seconds=seconds)
    payments = {created_payment(answer) for answer in done.answers}
    if len(payments) != len(done.answers):
        raise WrongAnswerError("Two requests were answered with the same payment.")
    return done.per_second


async def _floor_per_second(port: int, seconds: float) -> float:
    requests = [_floor_request() for _ in range(int(seconds * 10_000))]
    done = await flood(port, iter(requests), connections=CONNECTIONS, seconds=seconds)
    if any(answer.status != 200 for answer in done.answers):
        raise WrongAnswerError("The floor did not store everything.")
    return done.per_second


def _floor_request() -> bytes:
    data = {"creator": str(uuid7()), "currency": "USD", "status": "PENDING", "fee": 25, "tax": 0, "net": 475}
    body = {"id": str(uuid7()), "message": "For the soup.", "amount": "500", "data": data}
    return post("/", orjson.dumps(body), {})


# Settlement in a rush -------------------------------------------------------------------------------------


async def _settled_tips_per_second(bench: Bench) -> dict[str, float]:
    say(f"\n{RUSH_TIPS:,} tips to one creator settled by one worker")
    connection = bench.connection
    creator_id = await _creator_id(connection, _RUSH_CREATOR)
    payer_id: UUID = await connection.fetchval("select id from users where subject = 'supporter-0'")
    both: list[float] = []
    alone: list[float] = []
    for number in range(ROUNDS):
        for settled, types in ((both, _BOTH), (alone, _SUCCEEDED_ALONE)):
            settled.append(await rush(connection, creator_id, payer_id, tips=RUSH_TIPS, event_types=types))
        say(f"  round {number + 1}: {both[-1]:7.0f} tips/s {alone[-1]:7.0f} without their charges")
    await ensure_books(connection)
    median = statistics.median(both)
    say_target("  median with both webhooks", median, median >= SETTLED_TARGET, f"≥ {SETTLED_TARGET}", 0)
    say(f"  median without the charges: {statistics.median(alone):.0f}")
    return {
        "settled_tips_per_s": round(median, 1),
        "settled_tips_per_s_without_charges": round(statistics.median(alone), 1),
    }


# The whole way --------------------------------------------------------------------------------------------


async def _whole_way(bench: Bench, tips: int) -> float:
    """Have so many tips given, confirmed and settled; return how many seconds that took."""
    givers = cycle(bench.supporters)
    numbers = iter(range(tips))
    payments: list[UUID] = []

    async def give(connections: Connections) -> None:
        for _ in numbers:
            giver = next(givers)
            payment = await giver.tip(connections)
            await giver.confirm(connections, payment)
            payments.append(_key(payment))

    began = time.perf_counter()
    async with connected(bench.port, WAY_CONNECTIONS) as connections, asyncio.TaskGroup() as group:
        for _ in range(WAY_CONNECTIONS):
            group.create_task(give(connections))
    deadline = time.monotonic() + _SETTLED_SECONDS
    while await bench.connection.fetchval(_UNDER_WAY):
        if time.monotonic() > deadline:
            raise WrongAnswerError(f"Not every webhook was settled within {_SETTLED_SECONDS:.0f} s.")
        await asyncio.sleep(_POLL_SECONDS)
    seconds = time.perf_counter() - began
    if await bench.connection.fetchval(_COUNT_SUCCEEDED, payments) != tips:
        raise WrongAnswerError("Not every confirmed payment has succeeded.")
    return seconds


def _key(payment: str) -> UUID:
    value = ids.decode(Noun.PAYMENT, payment)
    if value is None:
        raise WrongAnswerError(f"{payment} is no payment's id.")
    return value


async def _cpu_per_tip(bench: Bench, web: Process, worker: Process) -> dict[str, float]:
    say(f"\nCPU of {ROUNDS} times {WAY_TIPS} tips, created, confirmed, told by webhook and settled")
    postmaster = processes.postmaster_of(bench.connection.get_server_pid())

    def used() -> list[float]:
        own = [processes.cpu_seconds(process.pid) for process in (web, worker)]
        return [*own, processes.postgres_cpu_seconds(postmaster)]

    rounds: list[list[float]] = []
    for _ in range(ROUNDS):
        before = used()
        await _whole_way(bench, WAY_TIPS)
        rounds.append([(b - a) * 1000 / WAY_TIPS for a, b in zip(before, used(), strict=True)])
        say(f"  {_split(rounds[-1])}, ms per tip")
    before = used()
    await asyncio.sleep(IDLE_SECONDS)
    idle = [(b - a) * 1000 / IDLE_SECONDS for a, b in zip(before, used(), strict=True)]
    say(f"  {_split(idle)}, ms per second while nothing happens")
    median = statistics.median(map(sum, rounds))
    parts = [statistics.median(part) for part in zip(*rounds, strict=True)]
    say(f"  median: {median:.1f} ms per tip")
    return {
        "cpu_ms_per_tip": round(median, 2),
        "cpu_ms_per_tip_web": round(parts[0], 2),
        "cpu_ms_per_tip_worker": round(parts[1], 2),
        "cpu_ms_per_tip_postgres": round(parts[2], 2),
    }


def _split(parts: Sequence[float]) -> str:
    web, worker, postgres = parts
    return f"{sum(parts):6.1f} = web {web:.1f} + worker {worker:.1f} + PostgreSQL {postgres:.1f}"


async def _sql_per_tip(bench: Bench) -> dict[str, float]:
    say(f"\nSQL statements of {WAY_TIPS} such tips, by PostgreSQL's log, less what is polled while idle")
    say("  per tip: count, planning + execution")
    async with Statements(bench.connection, bench.place.server_log, _NAME) as statements:
        await statements.begin()
        await asyncio.sleep(IDLE_SECONDS)
        idle = await statements.executed()
        await statements.begin()
        seconds = await _whole_way(bench, WAY_TIPS)
        busy = await statements.executed()
    left = without_idle(busy, idle, seconds / IDLE_SECONDS)
    frames = _executions(left, frames=True)
    others = _executions(left, frames=False)
    for sql, executed in sorted(left.items(), key=lambda item: -item[1].count)[:STATEMENTS_SHOWN]:
        planning, milliseconds = executed.planning_milliseconds / WAY_TIPS, executed.milliseconds / WAY_TIPS
        say(f"  {executed.count / WAY_TIPS:6.2f}  {planning:6.2f} + {milliseconds:5.2f} ms  {shown(sql)}")
    polled = (_executions(idle, frames=True) + _executions(idle, frames=False)) / IDLE_SECONDS
    each, framed = others / WAY_TIPS, frames / WAY_TIPS
    say(f"  {each + framed:.1f} per tip = {each:.1f} and {framed:.1f} that begin or end transactions")
    say(f"  {polled:.0f} a second are polled while idle")
    return {
        "sql_per_tip": round((frames + others) / WAY_TIPS, 2),
        "sql_per_tip_without_transactions": round(others / WAY_TIPS, 2),
    }


def _executions(executed: Mapping[str, Executed], *, frames: bool) -> float:
    return sum(one.count for sql, one in executed.items() if is_frame(sql) == frames)


# From the webhook to the push -----------------------------------------------------------------------------


async def _webhook_to_push(bench: Bench) -> dict[str, float]:
    say(f"\nFrom the webhook to the push: {LIVE_TIPS_PER_SECOND} tips a second, every payment watched")
    first_receipt = await bench.connection.fetchval(_LAST_RECEIPT)
    created_at: dict[str, float] = {}
    async with AsyncExitStack() as stack:
        connections = await stack.enter_async_context(connected(bench.port, LIVE_CONNECTIONS))
        watchers = [
            (await stack.enter_async_context(Watcher(bench.port, giver.token)), giver)
            for giver in bench.supporters[:WATCHERS]
        ]
        began = asyncio.get_running_loop().time() + 0.1

        async def give(number: int, watcher: Watcher, giver: Supporter) -> None:
            await _sleep_until(began + number / LIVE_TIPS_PER_SECOND)
            sent_at = time.time()
            payment = await giver.tip(connections)
            created_at[payment] = sent_at
            await watcher.watch(payment)
            await giver.confirm(connections, payment)
            await watcher.until_succeeded(payment)

        async with asyncio.TaskGroup() as group:
            for number, (watcher, giver) in zip(range(LIVE_TIPS), cycle(watchers), strict=False):
                group.create_task(give(number, watcher, giver))
        pushed_at = {payment: at for watcher, _ in watchers for payment, at in watcher.pushed_at.items()}
    receipts = {
        UUID(row["payment"]): (row["received_at"].timestamp(), row["processed_at"].timestamp())
        for row in await bench.connection.fetch(_RECEIPTS, first_receipt)
    }
    if len(pushed_at) != LIVE_TIPS or len(receipts) != LIVE_TIPS:
        raise WrongAnswerError(f"{len(receipts)} webhooks and {len(pushed_at)} pushes for {LIVE_TIPS} tips.")
    times = [(created_at[payment], *receipts[_key(payment)], at) for payment, at in pushed_at.items()]
    to_push = [(at - received) * 1000 for _, received, _, at in times]
    if min(to_push) < 0:
        raise WrongAnswerError("A payment succeeded before its webhook came.")
    say_percentiles("webhook → settled", [(settled - received) * 1000 for _, received, settled, _ in times])
    say_percentiles("settled → push", [(at - settled) * 1000 for _, _, settled, at in times])
    say_percentiles("webhook → push", to_push)
    say_percentiles("create → push", [(at - created) * 1000 for created, _, _, at in times])
    p99 = percentile(to_push, 99)
    met = p99 < PUSH_P99_TARGET_MILLISECONDS
    say_target("  webhook → push, p99", p99, met, f"< {PUSH_P99_TARGET_MILLISECONDS} ms", 1)
    return {
        "webhook_to_push_p50_ms": round(percentile(to_push, 50), 2),
        "webhook_to_push_p99_ms": round(p99, 2),
    }


async def _sleep_until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - asyncio.get_running_loop().time()))


if __name__ == "__main__":
    main()
