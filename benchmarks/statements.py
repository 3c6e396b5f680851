"""Counting SQL statements from PostgreSQL's own log."""

import asyncio
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import asyncpg

_PREFIX: Final = "%m [%p] %q<%a> "
_ON: Final = (
    f"alter system set log_line_prefix = '{_PREFIX}'",
    "alter system set log_min_duration_statement = 0",
    "alter system set log_parameter_max_length = 0",
)
_OFF: Final = tuple(
    f"alter system reset {name}"
    for name in ("log_line_prefix", "log_min_duration_statement", "log_parameter_max_length")
)
_RECORD: Final = re.compile(
    r"^\S+ \S+ \S+ \[\d+\] <(?P<who>[^>]*)> LOG:  duration: (?P<ms>[\d.]+) ms  (?:execute [^:]+|statement): (?P<sql>.*)$"
)
_CONTINUED: Final = "\t"
_SETTLE_SECONDS: Final = 0.3
_SHOWN: Final = 60
_FRAMES: Final = {"BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE"}


@dataclass(frozen=True, slots=True)
class Executed:
    """How often one statement was executed and how long that took in all."""

    count: float
    milliseconds: float

    @property
    def each(self) -> float:
        return self.milliseconds / self.count if self.count else 0.0


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
        found: defaultdict[str, list[float]] = defaultdict(list)
        who, milliseconds, lines = "", 0.0, list[str]()

        def finish() -> None:
            if lines and who != self._own_name:
                found[_normalised(lines)].append(milliseconds)

        for line in text.splitlines():
            if line.startswith(_CONTINUED):
                if lines:
                    lines.append(line)
                continue
            finish()
            record = _RECORD.match(line)
            lines = [record["sql"]] if record else []
            if record:
                who, milliseconds = record["who"], float(record["ms"])
        finish()
        return {sql: Executed(len(times), sum(times)) for sql, times in found.items()}

    async def _set(self, statements: tuple[str, ...]) -> None:
        for statement in statements:
            await self._connection.execute(statement)
        await self._connection.execute("select pg_reload_conf()")
        await asyncio.sleep(_SETTLE_SECONDS)


def without_idle(busy: Mapping[str, Executed], idle: Mapping[str, Executed], share: float) -> dict[str, Executed]:
    """Return what was executed beyond ``share`` times what is executed by polling while nothing happens."""
    nothing = Executed(0, 0)
    left: dict[str, Executed] = {}
    for sql, executed in busy.items():
        polled = idle.get(sql, nothing)
        count = executed.count - polled.count * share
        if count > 0:
            left[sql] = Executed(count, max(0.0, executed.milliseconds - polled.milliseconds * share))
    return left


def is_frame(sql: str) -> bool:
    """Whether a statement only begins or ends a transaction or a savepoint."""
    return sql.split(" ", 1)[0].rstrip(";").upper() in _FRAMES


def shown(sql: str) -> str:
    """Return a statement short enough for a line."""
    return sql[:_SHOWN]


def _normalised(lines: list[str]) -> str:
    text = " ".join(" ".join(lines).split())
    return re.sub(r"__asyncpg_savepoint_\w+__|\"__asyncpg\w*\"", "…", text)
