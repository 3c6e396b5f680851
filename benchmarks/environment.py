"""Where a benchmark ran: what its figures can be compared with."""

import os
import platform
import statistics
import time
from pathlib import Path
from typing import Final

import asyncpg

_WRITES: Final = 200
_PAGE: Final = b"\0" * 8192
_DURABLE: Final = ("fsync", "synchronous_commit", "full_page_writes")


class NotDurableError(Exception):
    """PostgreSQL answers before what it wrote is safe: figures would be worth nothing."""


async def describe(connection: "asyncpg.Connection[asyncpg.Record]", folder: Path) -> list[str]:
    """Return lines on the machine and the database. Raises ``NotDurableError``."""
    settings = {name: await connection.fetchval(f"show {name}") for name in (*_DURABLE, "server_version")}
    if any(settings[name] != "on" for name in _DURABLE):
        raise NotDurableError(f"PostgreSQL is not durable: {settings}.")
    cores = len(os.sched_getaffinity(0))
    load = os.getloadavg()[0]
    return [
        f"{cores} cores ({_processor()}), load {load:.1f} at the start, {platform.system()} {platform.release()}",
        f"Python {platform.python_version()}, PostgreSQL {settings['server_version']}, durable",
        f"fdatasync of 8 KiB: {fdatasync_milliseconds(folder):.2f} ms (median of {_WRITES})",
    ]


def fdatasync_milliseconds(folder: Path) -> float:
    """Return how long it takes to make a page of a file durable in a folder's file system."""
    path = folder / "fdatasync"
    times = []
    with path.open("wb", buffering=0) as file:
        for _ in range(_WRITES):
            file.write(_PAGE)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - began)
    path.unlink()
    return statistics.median(times) * 1000


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()
