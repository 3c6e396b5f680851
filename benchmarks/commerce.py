"""What a list of products and a guest's checkout cost, on the real processes: ``python -m benchmarks.commerce``.

Web process, worker and PostgreSQL (durable, with the settings of development) share this machine with the load
generator. Every answer is checked: a wrong one ends the run with a sentence and without figures. The list is
measured in turns with its floor, stock Strawberry that answers the same query from memory: machines are noisy, and
both sides of a ratio have to have had the same noise. ``--quick`` takes half a minute and is for tuning. The last
line of a run that went well is ``RESULT`` and JSON.
"""

import argparse
import asyncio
import signal
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NoReturn
from uuid import UUID

import asyncpg
import orjson
import uvloop

from app.postgres import PostgresUnavailable
from app.settings import Settings
from benchmarks import environment, processes
from benchmarks.commerce_bench import CONNECTIONS, NAME, Bench, Effort, cpu, repeat, split, sql_of
from benchmarks.commerce_shop import (
    CHECKOUT_REQUESTS,
    buy,
    ensure_page,
    ensure_product,
    list_request,
    open_shop,
    product_request,
)
from benchmarks.environment import NotDurableError
from benchmarks.load import Connections, LoadError, connected
from benchmarks.operations import WrongAnswerError
from benchmarks.processes import Place, Process, ProcessError
from benchmarks.rush import RushError, ensure_books
from benchmarks.saying import say, say_target
from benchmarks.statements import LOG_LINE_PREFIX
from core import ids
from core.ids import Noun

LIST_SQL_TARGET: Final = 5
CHECKOUT_SQL_TARGET: Final = 40
LIST_CPU_TARGET_MILLISECONDS: Final = 30
CHECKOUT_CPU_TARGET_MILLISECONDS: Final = 120
FLOOR_RATIO_TARGET: Final = 2.4

DEFAULT: Final = Effort(rounds=7, lists=300, products=600, checkouts=60)
QUICK: Final = Effort(rounds=3, lists=100, products=200, checkouts=20)

_SHIRTS: Final = 40
_STOCK: Final = 100_000
_COUNTED: Final = 50
_SETTLED_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.05
_UNSETTLED: Final = """
    select exists (select from orders where id = any($1::uuid[]) and paid_at is null)
        or exists (select from sandbox.event where next_attempt_at is not null)
        or exists (select from inbox_events where state = 'PENDING')
"""


def main() -> None:
    """Measure and print; exit with 1 and a sentence when anything goes wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.commerce")
    parser.add_argument("--quick", action="store_true", help="short rounds, for tuning")
    effort = QUICK if parser.parse_args().quick else DEFAULT
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, _end)
    try:
        with (
            TemporaryDirectory(prefix="comptoir-bench-") as folder,
            processes.own_place(Path(folder), {"log_line_prefix": LOG_LINE_PREFIX}) as place,
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


def _fail(error: BaseException) -> NoReturn:
    sys.stderr.write(f"benchmark: {type(error).__name__}: {error}\n")
    sys.exit(1)


def _end(*_: object) -> NoReturn:
    sys.exit(143)


async def _measure(place: Place, effort: Effort) -> dict[str, float]:
    began = time.monotonic()
    for command in ("migrate", "seed"):
        processes.run(place, command)
    async with AsyncExitStack() as stack:
        connection = await asyncpg.connect(place.dsn, server_settings={"application_name": NAME})
        stack.push_async_callback(connection.close)
        for line in await environment.describe(connection, place.folder):
            say(line)
        port, floor_port = processes.free_port(), processes.free_port()
        web = stack.enter_context(processes.web(place, port))
        worker = stack.enter_context(processes.worker(place, port))
        floor = stack.enter_context(_floor(place, floor_port))
        shop = await stack.enter_async_context(connected(port, CONNECTIONS))
        memory = await stack.enter_async_context(connected(floor_port, CONNECTIONS))
        # The web process has made its keys in this folder by now.
        settings = Settings(_env_file=None, jwks_url="", state_directory=place.folder / "state")
        shirts = await open_shop(shop, settings, _SHIRTS, _STOCK)
        # As autovacuum does within a minute. What is empty yet is left out: plans for nothing are bad for more.
        await connection.execute("analyze creators, products, product_variants, variant_prices, stock_levels")
        postmaster = processes.postmaster_of(connection.get_server_pid())
        bench = Bench(effort, place, connection, web, worker, postmaster, shop, shirts)
        result = await _list(bench, memory, floor)
        result |= await _product(bench)
        result |= await _checkout(bench)
        for process in (web, worker):
            process.ensure_alive()
            for warning in process.warnings()[:5]:
                say(f"  said by {process.name}: {warning}")
        say(f"\n{await ensure_books(connection)} invariants of the ledger hold, none is broken.")
        say(f"All took {time.monotonic() - began:.0f} s.")
    return result


@contextmanager
def _floor(place: Place, port: int) -> Iterator[Process]:
    process = Process(place, "list-floor", "benchmarks.commerce_floor", str(port))
    try:
        process.wait_until_answering(f"http://127.0.0.1:{port}/")
        yield process
        process.ensure_alive()
    finally:
        process.stop()


# Reading --------------------------------------------------------------------------------------------------


async def _list(bench: Bench, memory: Connections, floor: Process) -> dict[str, float]:
    count = bench.effort.lists
    say(f"\nA page of 20 products, each with 3 variants and its creator, {count} times a round")
    ours, theirs = list_request(), list_request("/")
    _ensure_alike(ensure_page(await bench.shop.ask(ours)), ensure_page(await memory.ask(theirs)))

    async def look() -> None:
        ensure_page(await bench.shop.ask(ours))

    async def look_at_floor() -> None:
        ensure_page(await memory.ask(theirs))

    await repeat(look, count // 3)
    await repeat(look_at_floor, count // 3)
    rounds: list[list[float]] = []
    floors: list[float] = []
    for number in range(bench.effort.rounds):
        rounds.append(await cpu(bench, look, count))
        before = processes.cpu_seconds(floor.pid)
        await repeat(look_at_floor, count)
        floors.append((processes.cpu_seconds(floor.pid) - before) * 1000 / count)
        say(f"  round {number + 1}: {split(rounds[-1])}, floor {floors[-1]:.2f}, ms per list")
    total = statistics.median(map(sum, rounds))
    web = statistics.median(parts[0] for parts in rounds)
    ratio = web / statistics.median(floors)
    sql = await sql_of(bench, look, _COUNTED)
    met = total <= LIST_CPU_TARGET_MILLISECONDS
    say_target("  CPU, ms", total, met, f"≤ {LIST_CPU_TARGET_MILLISECONDS}", 2)
    met = ratio <= FLOOR_RATIO_TARGET
    say_target("  web process ÷ stock Strawberry from memory", ratio, met, f"≤ {FLOOR_RATIO_TARGET}", 2)
    say_target("  statements", sql, sql <= LIST_SQL_TARGET, f"≤ {LIST_SQL_TARGET}", 2)
    return {
        "list20_cpu_ms": round(total, 2),
        "list20_web_cpu_ms": round(web, 2),
        "list20_sql": round(sql, 2),
        "list20_vs_strawberry_floor": round(ratio, 3),
        "list20_floor_cpu_ms": round(statistics.median(floors), 2),
    }


async def _product(bench: Bench) -> dict[str, float]:
    count = bench.effort.products
    say(f"\nOne product with 3 variants and its creator, {count} times a round")
    shirt = bench.shirts[0]
    request = product_request(shirt)

    async def look() -> None:
        ensure_product(await bench.shop.ask(request), shirt)

    await repeat(look, count // 3)
    rounds = []
    for number in range(bench.effort.rounds):
        rounds.append(await cpu(bench, look, count))
        say(f"  round {number + 1}: {split(rounds[-1])}, ms per product")
    sql = await sql_of(bench, look, _COUNTED)
    return {
        "product_cpu_ms": round(statistics.median(map(sum, rounds)), 2),
        "product_sql": round(sql, 2),
    }


def _ensure_alike(ours: object, theirs: object) -> None:
    """Check that the floor answers with the same shape. Raises ``WrongAnswerError``."""
    if _shape(ours) != _shape(theirs):
        raise WrongAnswerError(f"The floor answers with another shape: {_shape(ours)} and {_shape(theirs)}")


def _shape(value: object) -> object:
    if isinstance(value, dict):
        return {name: _shape(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_shape(one) for one in value]
    return type(value).__name__


# Buying ---------------------------------------------------------------------------------------------------


async def _checkout(bench: Bench) -> dict[str, float]:
    count = bench.effort.checkouts
    say(f"\nA guest's cart, its order and its payment by {CHECKOUT_REQUESTS} requests, {count} times a round")

    async def check_out(times: int) -> None:
        orders: list[UUID] = []

        async def one() -> None:
            number = len(orders) % len(bench.shirts)
            order = ids.decode(Noun.ORDER, await buy(bench.shop, bench.shirts[number].variants[:1]))
            if order is None:
                raise WrongAnswerError("An order has no id.")
            orders.append(order)

        await repeat(one, times)
        deadline = time.monotonic() + _SETTLED_SECONDS
        while await bench.connection.fetchval(_UNSETTLED, orders):
            if time.monotonic() > deadline:
                raise WrongAnswerError(f"Not every order was paid within {_SETTLED_SECONDS:.0f} s.")
            await asyncio.sleep(_POLL_SECONDS)

    await check_out(count)
    await bench.connection.execute("analyze")
    rounds: list[list[float]] = []
    for number in range(bench.effort.rounds):
        before = bench.used()
        await check_out(count)
        rounds.append([(b - a) * 1000 / count for a, b in zip(before, bench.used(), strict=True)])
        say(f"  round {number + 1}: {split(rounds[-1])}, ms per order")
    total = statistics.median(map(sum, rounds))
    sql = await sql_of(bench, lambda: check_out(count), 1, each=count)
    say("  the same one by one, so that nothing is settled together with others")
    alone = await sql_of(bench, lambda: check_out(1), count // 2)
    met = total <= CHECKOUT_CPU_TARGET_MILLISECONDS
    say_target("  CPU, ms", total, met, f"≤ {CHECKOUT_CPU_TARGET_MILLISECONDS}", 1)
    say_target("  statements", sql, sql <= CHECKOUT_SQL_TARGET, f"≤ {CHECKOUT_SQL_TARGET}", 1)
    return {
        "checkout_cpu_ms": round(total, 2),
        "checkout_sql": round(sql, 2),
        "checkout_sql_alone": round(alone, 2),
        "checkout_requests": CHECKOUT_REQUESTS,
    }


if __name__ == "__main__":
    main()
