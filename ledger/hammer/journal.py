"""What a process has asked and what it was answered, in a file that outlives it.

A question is in the file before it is sent, an answer once it has arrived, each by one write, which a kill of the
process cannot undo. The file is made durable several times a second.
"""

import asyncio
import os
import pickle  # ruff: ignore[suspicious-pickle-import] - written and read by one run, in a folder of its own
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self, TypeAlias

from ledger.groups import Outcome
from ledger.hammer.asks import Ask

_LENGTH_BYTES: Final = 4
_DURABLE_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Asked:
    """A call that is about to be made: number ``number`` of its process."""

    number: int
    asks: tuple[Ask, ...]


@dataclass(frozen=True, slots=True)
class Answered:
    """The outcomes of a call, in order, after so many attempts: all but the last ended with a lost connection."""

    number: int
    attempts: int
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True, slots=True)
class Happened:
    """Something to be counted: ``what`` so many ``times``, with the reason where it is a bad thing."""

    what: str
    times: int = 1
    why: str = ""


Record: TypeAlias = Asked | Answered | Happened


class Journal:
    """Writes records to the end of a file."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, record: Record) -> None:
        """Write a record; it is there whatever becomes of this process."""
        body = pickle.dumps(record, pickle.HIGHEST_PROTOCOL)
        left = memoryview(len(body).to_bytes(_LENGTH_BYTES, "big") + body)
        while left:
            left = left[os.write(self._file, left) :]

    async def keep_durable(self) -> None:
        """Make what was written durable, again and again, until cancelled."""
        while True:
            await asyncio.to_thread(os.fdatasync, self._file)
            await asyncio.sleep(_DURABLE_SECONDS)

    def close(self) -> None:
        """Make everything durable and let go of the file."""
        os.fdatasync(self._file)
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def records(path: Path) -> Iterator[Record]:
    """Yield a file's records in order; a last one of which a part is missing was never acted upon."""
    if not path.exists():
        return
    with path.open("rb") as file:
        while len(length := file.read(_LENGTH_BYTES)) == _LENGTH_BYTES:
            body = file.read(int.from_bytes(length, "big"))
            if len(body) < int.from_bytes(length, "big"):
                return
            yield pickle.loads(body)  # ruff: ignore[suspicious-pickle-usage] - as above
