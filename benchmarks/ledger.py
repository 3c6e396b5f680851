"""What a transfer costs in the books, beside the least it could cost: ``python -m benchmarks.ledger``.

Starts a PostgreSQL of its own, durable, and has ``ledger.bench`` measure there. ``--quick`` takes some 20 seconds
and is for tuning; GROWTH=1 in the environment adds what ten million movements in the table change. The last line
of a run that went well is ``RESULT`` and JSON.
"""

import argparse
import os
import signal
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

import asyncpg
import orjson
import uvloop

from app.migrate import migrate
from app.postgres import PostgresUnavailable
from benchmarks import environment, processes
from benchmarks.environment import NotDurableError
from ledger import bench
from ledger.connections import Pool
from models.database import Database


def main() -> None:
    """Measure and print; exit with 1 and a sentence when anything goes wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ledger")
    parser.add_argument("--quick", action="store_true", help="one short round, for tuning")
    quick = parser.parse_args().quick
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, _end)
    try:
        with (
            TemporaryDirectory(prefix="comptoir-bench-") as folder,
            processes.own_place(Path(folder), bench.SERVER_SETTINGS) as place,
        ):
            result = uvloop.run(_measure(place, quick=quick, with_growth=os.environ.get("GROWTH") == "1"))
    except BaseExceptionGroup as failed:
        first: BaseException = failed
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        _fail(first)
    except (
        *(bench.BenchError, NotDurableError, PostgresUnavailable),
        *(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError),
    ) as error:
        _fail(error)
    except KeyboardInterrupt:
        sys.exit(130)
    print(f"RESULT {orjson.dumps(result).decode()}")


async def _measure(place: processes.Place, *, quick: bool, with_growth: bool) -> dict[str, float]:
    await migrate(place.dsn)
    return await bench.measure(
        bench.Place(
            ledger_dsn=place.dsn,
            floor_dsn=place.floor_dsn,
            folder=place.folder,
            open_pool=_writing_connections,
            describe=partial(_describe, place.folder),
            fdatasync_milliseconds=partial(environment.fdatasync_milliseconds, place.folder),
        ),
        bench.QUICK if quick else bench.DEFAULT,
        partial(print, flush=True),
        with_growth=with_growth,
    )


async def _writing_connections(dsn: str, size: int) -> Pool:
    database = await Database.connect(dsn, readers=1, writers=size)
    await database.reader.close()
    return database.writer


async def _describe(folder: Path, connection: "asyncpg.Connection[asyncpg.Record]") -> list[str]:
    return await environment.describe(connection, folder)


def _fail(error: BaseException) -> NoReturn:
    sys.stderr.write(f"benchmark: {type(error).__name__}: {error}\n")
    sys.exit(1)


def _end(*_: object) -> NoReturn:
    sys.exit(143)


if __name__ == "__main__":
    main()
