"""The command: ``python -m races``. See docs/races.md."""

import argparse
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, NoReturn

import uvloop

from app.postgres import PostgresUnavailable
from benchmarks.processes import ProcessError
from races import payments, stock
from races.caller import RaceError
from races.overlap import overlap
from races.servers import Servers, own_servers
from races.track import Track
from races.wire import WireError

Race = Callable[[Track], Awaitable[str]]

RACES: Final[Mapping[str, Race]] = {
    "last-unit": stock.last_unit,
    "same-payment": payments.same_payment,
    "two-tabs": payments.two_tabs,
    "one-use-code": stock.one_use_code,
    "licence-pool": stock.licence_pool,
    "refunds": payments.refunds,
    "cancel-or-pay": payments.cancel_or_pay,
    "stock-edits": stock.stock_edits,
    "two-creators": payments.two_creators,
}
_OF_TWO: Final = frozenset({"two-creators"})
_NAME_WIDTH: Final = max(map(len, RACES))


def main() -> None:
    """Run the races and print a line for each; exit with 1 if one did not hold."""
    asked = _arguments()
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, _end)
    began = time.monotonic()
    try:
        count, failed = _race(asked)
    except (PostgresUnavailable, ProcessError, RaceError, WireError, OSError) as error:
        sys.stderr.write(f"races: {type(error).__name__}: {error}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    if failed:
        _say(f"of {count} races did not hold: {', '.join(failed)}")
        sys.exit(1)
    _say(f"all {count} races held ({time.monotonic() - began:.0f} s)")


def _race(asked: argparse.Namespace) -> tuple[int, list[str]]:
    """Run what is asked for; return how many races that were, and the names of those that did not hold."""
    with _raced_against(asked) as (urls, tokens, servers):
        names: list[str] = asked.only or list(RACES)
        if len(tokens) == 1:
            _say("two-creators is left out: it needs a second --token, of another user")
            names = [name for name in names if name not in _OF_TWO]
        failed = uvloop.run(_run(names, asked.repeat, Track(urls, tokens, asked.method)))
        if servers is not None:
            failed += _proved(servers)
    return len(names) * asked.repeat, failed


def _proved(servers: Servers) -> list[str]:
    """Have the books prove themselves and say so; return what did not."""
    try:
        servers.prove()
    except RaceError as error:
        _say(str(error))
        return ["the books afterwards"]
    _say("comptoir ledger verify and comptoir doctor find nothing wrong")
    return []


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m races",
        description="Race buyers, creators and tabs against each other over HTTP. Without --url against servers "
        "of its own, which it starts and stops.",
    )
    parser.add_argument("--url", action="append", help="a server; several are asked in turn")
    parser.add_argument("--token", action="append", help="an access token of a creator-to-be; a second for two")
    parser.add_argument("--method", default="tok_success", help="a payment method that succeeds")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="run all of them N times")
    parser.add_argument("--only", action="append", choices=list(RACES), help="only this one; may be repeated")
    asked = parser.parse_args()
    if bool(asked.url) != bool(asked.token):
        parser.error("--url needs --token, and --token needs --url")
    if asked.repeat < 1:
        parser.error("--repeat is at least 1")
    return asked


@contextmanager
def _raced_against(
    asked: argparse.Namespace,
) -> Iterator[tuple[Sequence[str], Sequence[str], Servers | None]]:
    """Return the servers' addresses and the creators' tokens, and the servers if they are of our own."""
    if asked.url:
        yield asked.url, asked.token, None
        return
    _say("starting PostgreSQL, Redis, two web processes and two workers")
    with own_servers() as servers:
        yield servers.urls, servers.tokens, servers


async def _run(names: Sequence[str], repeat: int, course: Track) -> list[str]:
    """Run the races so many times; return the names of those that did not hold."""
    failed = []
    for turn in range(repeat):
        if repeat > 1:
            _say(f"round {turn + 1} of {repeat}")
        held = {name: await _one(name, Track(course.urls, course.tokens, course.method)) for name in names}
        failed += [name for name in names if not held[name]]
    return failed


async def _one(name: str, track: Track) -> bool:
    """Run one race, say what came of it, and tell whether it held."""
    held, began = True, time.monotonic()
    try:
        came = await RACES[name](track)
    except (RaceError, WireError) as error:
        held, came = False, str(error)
    except (KeyError, TypeError, ValueError) as error:
        held, came = False, f"what was answered is not what was asked for: {error!r}"
    counted, seconds = overlap(track.meter.intervals), time.monotonic() - began
    _say(
        f"{name:{_NAME_WIDTH}}  {'ok    ' if held else 'FAILED'}  {counted.requests:4} requests, "
        f"{counted.most_at_once:2} at once, {counted.overlapped:4} overlapped  {seconds:4.1f} s  {came}"
    )
    try:
        await track.clear()
    except (RaceError, WireError) as error:
        _say(f"{name:{_NAME_WIDTH}}  could not take off sale what it sold: {error}")
        held = False
    finally:
        track.close()
    return held


def _say(line: str) -> None:
    print(line, flush=True)


def _end(*_: object) -> NoReturn:
    sys.exit(143)


if __name__ == "__main__":
    main()
