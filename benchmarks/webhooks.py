"""What webhooks cost, from the receipt to the push, on the real processes: ``python -m benchmarks.webhooks``.

Web process, worker and PostgreSQL (durable, with the settings of development) share this machine with the load
generator. Every answer is checked and everything received is counted: a wrong one ends the run with a sentence
and without figures. Receipt may cost less than the bare insert it is measured against: what comes in while a
statement is under way is stored by the next one, together. ``--quick`` takes some 30 seconds and is for tuning.
The last line of a run that went well is ``RESULT`` and JSON.
"""

import argparse
import signal
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NoReturn

import asyncpg
import orjson
import uvloop

from app.postgres import PostgresUnavailable
from app.settings import Settings
from benchmarks import environment, processes, webhooks_floor
from benchmarks.busy import busy
from benchmarks.environment import NotDurableError
from benchmarks.load import Flood, LoadError, connected, flood
from benchmarks.operations import WrongAnswerError, supporters
from benchmarks.processes import Place, Process, ProcessError
from benchmarks.rush import RushError, ensure_balance, ensure_books
from benchmarks.saying import say, say_target
from benchmarks.webhooks_bench import Bench, Effort, ensure_well, until_at_work, worker
from benchmarks.webhooks_burst import burst
from benchmarks.webhooks_live import receipt, webhook_to_push
from benchmarks.webhooks_signed import PATH

ACCEPT_TARGET: Final = 0.8
DEFAULT: Final = Effort(5, 3.0, 32, 2_500, 3, 150, 15.0, 300, 15)
QUICK: Final = Effort(3, 1.0, 32, 2_500, 1, 150, 4.0, 200, 25)

_NAME: Final = "comptoir-benchmark"
_CREATOR: Final = "nonesuch_ceramics"
_MOST_PER_SECOND: Final = 20_000
_WARM_UP_SECONDS: Final = 1.0
_WAITING: Final = """
    select count(*) as stored, count(distinct event_id) as events from inbox_events where state = 'PENDING'
"""


def main() -> None:
    """Measure and print; exit with 1 and a sentence when anything goes wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.webhooks")
    parser.add_argument("--quick", action="store_true", help="short rounds, for tuning")
    effort = QUICK if parser.parse_args().quick else DEFAULT
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, _end)
    try:
        with (
            TemporaryDirectory(prefix="comptoir-bench-") as folder,
            processes.own_place(Path(folder), {}) as place,
        ):
            result = uvloop.run(_measure(place, effort))
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


async def _measure(place: Place, effort: Effort) -> dict[str, float]:
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
        bench = await _bench(effort, place, connection, port)
        with worker(bench):
            await until_at_work(bench)
            result = await webhook_to_push(bench)
            result |= await receipt(bench)
        result |= await _accept_vs_floor(bench, web)
        result |= await burst(bench)
        ensure_well(web)
        await ensure_balance(connection, bench.creator_id)
        say(f"\n{await ensure_books(connection)} invariants of the ledger hold, none is broken.")
        say(f"All took {time.monotonic() - began:.0f} s.")
    return result


async def _bench(
    effort: Effort, place: Place, connection: "asyncpg.Connection[asyncpg.Record]", port: int
) -> Bench:
    # The web process has made its keys in this folder by now.
    settings = Settings(_env_file=None, jwks_url="", state_directory=place.folder / "state")
    creator_id = await connection.fetchval("select id from creators where handle = $1", _CREATOR)
    if creator_id is None:
        raise WrongAnswerError(f"The creator {_CREATOR} was not seeded.")
    (payer, *_) = supporters(settings, creator_id, 1)
    async with connected(port, 1) as connections:
        await payer.tip(connections)  # who pays is known from their first tip on
    payer_id = await connection.fetchval("select id from users where subject = 'supporter-0'")
    postmaster = processes.postmaster_of(connection.get_server_pid())
    return Bench(effort, place, connection, port, settings, creator_id, payer_id, postmaster)


# Receipt, against the floor -------------------------------------------------------------------------------


async def _accept_vs_floor(bench: Bench, web: Process) -> dict[str, float]:
    effort = bench.effort
    say(
        f"\nSigned webhooks taken (verified, stored, 200) against a bare durable insert each, no worker, "
        f"{effort.connections} connections"
    )
    port = processes.free_port()
    admin = await asyncpg.connect(bench.place.floor_dsn)
    await admin.execute(webhooks_floor.TABLE)
    ours: list[float] = []
    floors: list[float] = []
    with _floor(bench.place, port) as floor:
        sides = [(ours, bench.port, web, PATH), (floors, port, floor, "/")]
        for _, at, _, path in sides:
            await _flood(bench, at, path, _WARM_UP_SECONDS)
        for number in range(effort.rounds):
            idle = busy()
            costs: list[str] = []
            # Each side begins every other round.
            for rates, at, process, path in sides[:: 1 if number % 2 else -1]:
                before = _used(bench, process)
                done = await _flood(bench, at, path, effort.flood_seconds)
                python, postgres = (
                    (late - early) * 1e6 / len(done.answers)
                    for early, late in zip(before, _used(bench, process), strict=True)
                )
                rates.append(done.per_second)
                costs.append(f"{process.name} {python:.0f} + {postgres:.0f}")
            say(
                f"  round {number + 1}: {ours[-1]:7.0f} webhooks/s {floors[-1]:7.0f} floor/s "
                f"= {ours[-1] / floors[-1]:.3f}; CPU, Python + PostgreSQL: {', '.join(costs)} microseconds each; "
                f"before, {idle:.0%} busy with something else"
            )
    await admin.close()
    waiting = await bench.connection.fetchrow(_WAITING)
    if waiting is None or waiting["stored"] != waiting["events"]:
        raise WrongAnswerError("An event was stored twice.")
    # They are of payments nobody knows: a worker would try them for days.
    await bench.connection.execute("delete from inbox_events where state = 'PENDING'")
    await bench.connection.execute("vacuum (analyze) inbox_events")
    ratio = statistics.median(one / other for one, other in zip(ours, floors, strict=True))
    say_target("  median of the rounds' ratios", ratio, ratio >= ACCEPT_TARGET, f"≥ {ACCEPT_TARGET}", 3)
    return {
        "accept_vs_floor": round(ratio, 4),
        "accept_per_s": round(statistics.median(ours), 1),
        "accept_floor_per_s": round(statistics.median(floors), 1),
    }


@contextmanager
def _floor(place: Place, port: int) -> Iterator[Process]:
    process = Process(place, "floor", "benchmarks.webhooks_floor", str(port), place.floor_dsn)
    try:
        process.wait_until_answering(f"http://127.0.0.1:{port}/")
        yield process
        process.ensure_alive()
    finally:
        process.stop()


def _used(bench: Bench, process: Process) -> tuple[float, float]:
    return processes.cpu_seconds(process.pid), processes.postgres_cpu_seconds(bench.postmaster)


async def _flood(bench: Bench, port: int, path: str, seconds: float) -> Flood:
    requests = bench.signer.strangers(int(seconds * _MOST_PER_SECOND), path)
    counted = await _stored(bench) if path != "/" else 0
    done = await flood(port, iter(requests), connections=bench.effort.connections, seconds=seconds)
    if any(answer.status != 200 for answer in done.answers):
        raise WrongAnswerError("Not every webhook was taken.")
    if path != "/" and await _stored(bench) - counted != len(done.answers):
        raise WrongAnswerError("What was answered 200 and what was stored are not the same number.")
    return done


async def _stored(bench: Bench) -> int:
    count: int = await bench.connection.fetchval("select count(*) from inbox_events")
    return count


def _fail(error: BaseException) -> NoReturn:
    sys.stderr.write(f"benchmark: {type(error).__name__}: {error}\n")
    sys.exit(1)


def _end(*_: object) -> NoReturn:
    sys.exit(143)


if __name__ == "__main__":
    main()
