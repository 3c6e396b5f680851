"""What a run of the hammer is told, and how its processes reach the database."""

import asyncio
import json
import secrets
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from typing import Final, Self, TypeVar

import asyncpg

from core.ids import uuid7
from ledger.connections import Pool

CONNECTIONS: Final = 6
"""How many connections each process has."""

PATIENCE_SECONDS: Final = 45.0
"""How long a server that is away is waited for."""

_FIRST_PAUSE_SECONDS: Final = 0.02
_LONGEST_PAUSE_SECONDS: Final = 0.5
_STATEMENT_SECONDS: Final = 30

LOST: Final = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.TooManyConnectionsError,
)
"""What is raised when a connection, a backend or the server is gone: the outcome of the call is not known."""

ResultT = TypeVar("ResultT")


class HammerError(Exception):
    """The run could not be brought to its end; the message is a sentence that says why."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A run: ``processes`` that post for ``seconds`` with the rights of ``role``, under the keys of one tenant.

    ``folder`` is for the processes' logs. ``run`` tells this run's keys from those of all others.
    """

    dsn: str
    role: str
    seconds: float
    processes: int
    seed: int
    folder: Path
    run: str

    @classmethod
    def of(
        cls, *, dsn: str, role: str, seconds: float, processes: int, folder: Path, seed: int | None = None
    ) -> Self:
        """Return a plan with a name of its own, and a seed if none was chosen."""
        chosen = secrets.randbits(32) if seed is None else seed
        return cls(dsn, role, seconds, processes, chosen, folder, uuid7().hex)

    @property
    def tenant(self) -> str:
        """Whose keys the run's are."""
        return f"hammer:{self.run}"

    def log(self, number: int) -> Path:
        """Return where a process logs what it asks and what it is answered."""
        return self.folder / f"process-{number}.log"

    def errors(self, number: int) -> Path:
        """Return where a process writes what it dies of."""
        return self.folder / f"process-{number}.err"

    def dumps(self, number: int) -> bytes:
        """Return the line by which a process is told what to do. It may hold a password: not for arguments."""
        return json.dumps({**asdict(self), "folder": str(self.folder), "number": number}).encode() + b"\n"

    @classmethod
    def loads(cls, line: bytes) -> tuple[Self, int]:
        """Return what :meth:`dumps` wrote: the plan, and which of its processes this is."""
        told = json.loads(line)
        number = told.pop("number")
        return cls(**{**told, "folder": Path(told["folder"])}), number

    def remove_logs(self) -> None:
        """Delete the folder with all that was logged."""
        shutil.rmtree(self.folder, ignore_errors=True)

    async def open_pool(self, size: int) -> Pool:
        """Open connections as the application has them, waiting a while for a server that is away."""
        return await patiently(
            lambda: asyncpg.create_pool(
                self.dsn,
                min_size=0,
                max_size=size,
                command_timeout=_STATEMENT_SECONDS,
                server_settings={
                    "application_name": "comptoir hammer",
                    "role": self.role,
                    "timezone": "UTC",
                    "jit": "off",
                },
            )
        )


async def patiently(
    act: Callable[[], Awaitable[ResultT]], lost: Callable[[BaseException], object] = lambda _: None
) -> ResultT:
    """Do something that can be done again, until it is done or the server has been away for too long.

    ``lost`` is told each time that a connection was lost. Raises what was raised last.
    """
    deadline = monotonic() + PATIENCE_SECONDS
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            return await act()
        except LOST as error:
            lost(error)
            if monotonic() > deadline:
                raise
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
