"""Where to measure, and how long."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from ledger.connections import Pool

ACCOUNTS: Final = 1_000
"""How many accounts the transfers go between, each of them drawn as often as any other."""

AMOUNT: Final = 5

CLIENTS: Final = 8
"""How many post one by one at the same time: about where F1 is fastest on two cores."""

BATCH_CLIENTS: Final = 1
"""How many post batches at the same time: where F2 is fastest, because each batch locks most of the accounts."""

CALLERS: Final = 200
"""How many wait for the batcher at the same time."""

SERVER_SETTINGS: Final = {
    # A checkpoint would fall into one measurement and spare another.
    "max_wal_size": "8GB",
    "checkpoint_timeout": "1h",
}
"""How the server is to be started, beside what is said about durability: not at all, which is on."""


@dataclass(frozen=True, slots=True)
class Place:
    """A PostgreSQL of this machine that nobody else works with, reached as superuser through its Unix socket.

    ``ledger_dsn`` leads to a migrated database with empty books, ``floor_dsn`` to an empty database.
    ``open_pool`` opens so many connections as the application's writing ones are. ``describe`` returns lines on
    machine and database and raises where that is not durable; ``fdatasync_milliseconds`` says how long it takes
    to make a page durable where the database lies. ``folder`` is for scripts and a socket: its path is short.
    """

    ledger_dsn: str
    floor_dsn: str
    folder: Path
    open_pool: Callable[[str, int], Awaitable[Pool]]
    describe: Callable[["asyncpg.Connection[asyncpg.Record]"], Awaitable[Sequence[str]]]
    fdatasync_milliseconds: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured in how many rounds. ``seconds`` is for whatever runs by the clock."""

    rounds: int
    seconds: int
    batches_of_100: int
    batches_of_500: int
    lone_transfers: int


DEFAULT: Final = Effort(rounds=5, seconds=2, batches_of_100=200, batches_of_500=60, lone_transfers=1_000)
QUICK: Final = Effort(rounds=1, seconds=1, batches_of_100=100, batches_of_500=30, lone_transfers=500)
