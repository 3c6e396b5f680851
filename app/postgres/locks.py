"""File locks (flock) that the kernel releases when their holder ends, even by kill -9."""

import fcntl
import os
import time
from pathlib import Path
from typing import Self

_POLL_SECONDS = 0.02


class FileLock:
    """One opening of a lock file: closing it releases it; forked children hold it too."""

    def __init__(self, path: Path) -> None:
        # Python makes the descriptor non-inheritable: programs that we start do not hold the lock.
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CREAT, 0o600)

    def try_take(self, *, shared: bool = False) -> bool:
        try:
            fcntl.flock(self._descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def take(self, deadline: float, *, shared: bool = False) -> Self:
        """Wait for the lock until ``time.monotonic()`` reaches ``deadline``.

        Raises:
            TimeoutError: somebody else kept it.
        """
        while not self.try_take(shared=shared):
            if time.monotonic() > deadline:
                raise TimeoutError("another process holds the lock")
            time.sleep(_POLL_SECONDS)
        return self

    def let_go(self) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def is_held(path: Path) -> bool:
    """Whether some process holds the lock exclusively."""
    with FileLock(path) as lock:
        return not lock.try_take(shared=True)
