"""Counting SQL statements from PostgreSQL's own log."""

import asyncio
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import asyncpg

LOG_LINE_PREFIX: Final = "%m [%p] %q<%a> "
"""What the server has to be started with."""
_ON: Final = (
    "alter system set log_min_duration_statement = 0",
    "alter system set log_parameter_max_length = 0",
)
_OFF: Final = tuple(
    f"alter system reset {name}" for name in ("log_min_duration_statement", "log_parameter_max_length")
)
_RECORD: Final = re.compile(
    r"^\S+ \S+ \S+ \[\d+\] <(?P<who>[^>]*)> LOG:  duration: (?P<ms>[\d.]+) ms  "
    r"(?P<step>parse|bind|execute|statement)(?: [^:]+)?: (?P<sql>.*)$"
)
_CONTINUED: Final = "\t"
_PLANNING: Final = ("parse", "bind")
_SETTLE_SECONDS: Final = 0.3
_SHOWN: Final = 60
_FRAMES: Final = {"BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE"}


@dataclass(frozen=True, slots=True)
class Executed:
    """How often one statement was executed, and how long it took in all to plan and to execute it."""

    count: float
    planning_milliseconds: float
    milliseconds: float

    def minus(self, other: "Executed", share: float) -> "Executed":
        """Return what is left without a share of another."""
        return Executed(
            max(0.0, self.count - other.count * share),
            max(0.0, self.planning_milliseconds - other.planning_milliseconds * share),
            max(0.0, self.milliseconds - other.milliseconds * share),
        )


class Statements:
    """What PostgreSQL executed since ``begin``, by statement. Everybody's but the benchmark's own."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]", log: Path, own_name: str) -> None:
        self._connection = connection
        self._log = log
        self._own_name = own_name
        self._offset = 0

    async def __aenter__(self) -> Self:
        await self._set(_ON)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._set(_OFF)

    async def begin(self) -> None:
        """Forget what was executed until now."""
        await asyncio.sleep(_SETTLE_SECONDS)
        self._offset = self._log.stat().st_size

    async def executed(self) -> Mapping[str, Executed]:
        """Return what was executed since ``begin``."""
        with self._log.open("rb") as file:
            file.seek(self._offset)
            text = file.read().decode(errors="replace")
        found: defaultdict[str, list[float]] = defaultdict(lambda: [0, 0.0, 0.0])
        for who, step, milliseconds, sql in _records(text):
            if who != self._own_name:
                totals = found[sql]
                if step in _PLANNING:
                    totals[1] += milliseconds
                else:
                    totals[0] += 1
                    totals[2] += milliseconds
        return {sql: Executed(*totals) for sql, totals in found.items() if totals[0]}

    async def _set(self, statements: tuple[str, ...]) -> None:
        for statement in statements:
            await self._connection.execute(statement)
        await self._connection.execute("select pg_reload_conf()")
        await asyncio.sleep(_SETTLE_SECONDS)


def without_idle(busy: Mapping[str, Executed], idle: Mapping[str, Executed], share: float) -> dict[str, Executed]:
    """Return what was executed beyond ``share`` times what is executed by polling while nothing happens."""
    nothing = Executed(0, 0, 0)
    left = {sql: executed.minus(idle.get(sql, nothing), share) for sql, executed in busy.items()}
    return {sql: executed for sql, executed in left.items() if executed.count}


def is_frame(sql: str) -> bool:
    """Whether a statement only begins or ends a transaction or a savepoint."""
    return sql.split(" ", 1)[0].rstrip(";").upper() in _FRAMES


def shown(sql: str) -> str:
    """Return a statement short enough for a line."""
    return sql[:_SHOWN]


def _records(text: str) -> Iterator[tuple[str, str, float, str]]:
    """Yield who took which step of which statement, and how many milliseconds that took."""
    record: re.Match[str] | None = None
    lines: list[str] = []
    for line in (*text.splitlines(), ""):
        if line.startswith(_CONTINUED):
            lines.append(line)
            continue
        if record is not None:
            yield record["who"], record["step"], float(record["ms"]), _normalised([record["sql"], *lines])
        record, lines = _RECORD.match(line), []


def _normalised(lines: list[str]) -> str:
    text = " ".join(" ".join(lines).split())
    return re.sub(r"__asyncpg_savepoint_\w+__|\"__asyncpg\w*\"", "…", text)
