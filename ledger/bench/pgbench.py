"""PostgreSQL's own load generator: what the floors are measured with, and a single transfer beside them."""

import asyncio
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from ledger.bench.errors import BenchError
from ledger.connections import Connection

SCRIPTS: Final = Path(__file__).parent / "scripts"

_BINARIES: Final = "select setting from pg_config where name = 'BINDIR'"
_CLIENT_SETTINGS: Final = "select name, setting from pg_settings where source = 'client' order by name"
_THREADS: Final = 2
_DONE: Final = re.compile(r"^number of transactions actually processed: (\d+)", re.MULTILINE)
_RATE: Final = re.compile(r"^tps = ([\d.]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Flood:
    """What a run of pgbench did: how many transactions in all, and how many a second once it was connected."""

    transactions: int
    per_second: float


@dataclass(frozen=True, slots=True)
class Pgbench:
    """The program that came with a server."""

    program: Path

    @classmethod
    async def of(cls, server: Connection) -> Self:
        """Find the program of a server of this machine; needs a superuser. Raises ``BenchError``."""
        folder = Path(await server.fetchval(_BINARIES))
        if not os.access(folder / "pgbench", os.X_OK):
            raise BenchError(f"There is no pgbench in {folder}: install PostgreSQL's contrib programs.")
        return cls(folder / "pgbench")

    async def run(
        self,
        dsn: str,
        script: str,
        *,
        clients: int,
        seconds: int,
        settings: Mapping[str, str],
        variables: Mapping[str, object],
    ) -> Flood:
        """Run a script over and over, prepared once per client. Raises ``BenchError`` if any of it fails.

        ``settings`` are the sessions' parameters. ``variables`` are known to the script as ``:name``, and so is
        ``:prefix`` (see :func:`id_prefix`).
        """
        given = {"n": 0, "prefix": id_prefix(), **variables}
        process = await asyncio.create_subprocess_exec(
            self.program,
            "--no-vacuum",
            "--protocol=prepared",
            f"--file={SCRIPTS / script}",
            f"--client={clients}",
            f"--jobs={min(clients, _THREADS)}",
            f"--time={seconds}",
            *(f"--define={name}={value}" for name, value in given.items()),
            dsn,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=_environment(settings),
        )
        try:
            output, errors = (stream.decode(errors="replace") for stream in await process.communicate())
        except BaseException:
            process.kill()
            await process.wait()
            raise
        done, rate = _DONE.search(output), _RATE.search(output)
        if process.returncode != 0 or done is None or rate is None:
            lines = errors.strip().splitlines() or output.strip().splitlines() or [""]
            telling = [line for line in lines if "ERROR:" in line or "FATAL:" in line]
            raise BenchError(f"pgbench ended {script} with {process.returncode}: {(telling or lines)[0]}")
        return Flood(int(done[1]), float(rate[1]))


def id_prefix() -> str:
    """Return the first 13 digits of a UUIDv7 of now.

    A caller makes ids in its own process, so they may cost the server nothing, and pgbench can only count. The
    19 decimal digits of the scripts' ``:id`` serve as the other hexadecimal ones; the fourth is the variant. A
    thousand ids are free behind each, and those of up to 64 clients grow side by side, as time makes them.
    """
    return f"{time.time_ns() // 1_000_000:012x}7"


async def session_settings(connection: Connection) -> dict[str, str]:
    """Return what a connection was given when it was opened, for sessions of pgbench that are like it."""
    given = {row["name"]: row["setting"] for row in await connection.fetch(_CLIENT_SETTINGS)}
    return {name: value for name, value in given.items() if name not in {"application_name", "client_encoding"}}


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    escaped = {name: value.replace("\\", "\\\\").replace(" ", "\\ ") for name, value in settings.items()}
    return kept | {"LC_ALL": "C", "PGOPTIONS": " ".join(f"-c {name}={value}" for name, value in escaped.items())}
