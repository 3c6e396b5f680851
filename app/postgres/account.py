"""Whom the server's programs run as. PostgreSQL refuses root, so root lends it another user."""

import ctypes
import os
import pwd
import signal
import subprocess  # ruff: ignore[suspicious-subprocess-import] - the launcher's purpose
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_NOBODY = 65534
_PR_SET_PDEATHSIG = 1
_CLONE_NEWUSER = 0x10000000


@dataclass(frozen=True)
class Account:
    """A user and group by number; without numbers, the user who invoked us."""

    uid: int | None = None
    gid: int | None = None

    @classmethod
    def for_data(cls, homes: Sequence[Path]) -> "Account":
        """The account for a server: ours, or as root that of the data's owner, or else nobody's."""
        if os.geteuid() != 0:
            return cls()
        for home in homes:
            owner = home.stat()
            if owner.st_uid != 0:
                return cls(owner.st_uid, owner.st_gid)
        return cls(_NOBODY, _NOBODY)

    def run(self, *command: str, stdin: str = "", named: bool = False) -> subprocess.CompletedProcess[str]:
        """Run a program to its end, its output captured together.

        ``named`` is for programs that ask for the name of their user, as initdb does: a number without a name
        (usual in containers) is shown to the program as another number, if the kernel allows it.
        """
        return subprocess.run(  # ruff: ignore[subprocess-without-shell-equals-true] - programs that binaries.py found
            command,
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            cwd="/",
            env=_environment(),
            user=self.uid,
            group=self.gid,
            extra_groups=self._no_groups,
            preexec_fn=self._borrow_name() if named else None,
        )

    def start(self, *command: str, output: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start a program that is told to stop (SIGINT) when our process ends, however it ends.

        Call it from the main thread: the kernel watches the calling thread, not the process.
        """
        return subprocess.Popen(  # ruff: ignore[subprocess-without-shell-equals-true] - a program that binaries.py found
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=_environment(),
            user=self.uid,
            group=self.gid,
            extra_groups=self._no_groups,
            # Runs after the change of user, which would clear it; the keeper has no other threads.
            preexec_fn=_die_with_parent(),  # ruff: ignore[subprocess-popen-preexec-fn]
        )

    def can_enter(self, folder: Path) -> bool:
        return self.run("/bin/sh", "-c", 'cd "$1"', "sh", str(folder)).returncode == 0

    def can_execute(self, program: str) -> bool:
        try:
            return self.run(program, "--version").returncode == 0
        except PermissionError:
            return False

    def own(self, path: Path) -> Path:
        """Give a path to this account, for its eyes only."""
        path.chmod(0o700 if path.is_dir() else 0o600)
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)
        return path

    def _borrow_name(self) -> Callable[[], None] | None:
        uid = os.geteuid() if self.uid is None else self.uid
        gid = os.getegid() if self.gid is None else self.gid
        names = {entry.pw_uid for entry in pwd.getpwall() if entry.pw_uid}
        if sys.platform != "linux" or uid in names or not names:
            return None
        shown = max(names)
        unshare = ctypes.CDLL(None).unshare
        maps = {"setgroups": "deny", "uid_map": f"{shown} {uid} 1", "gid_map": f"{shown} {gid} 1"}

        def arrange() -> None:
            if unshare(_CLONE_NEWUSER) == 0:
                for name, text in maps.items():
                    Path("/proc/self", name).write_text(text, "ascii")

        return arrange

    @property
    def _no_groups(self) -> list[int] | None:
        return None if self.uid is None else []


def _environment() -> dict[str, str]:
    """Ours without what would redirect PostgreSQL's programs (PGHOST, PGDATA…), speaking English."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return kept | {"LC_ALL": "C"}


def _die_with_parent() -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def arrange() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
        if os.getppid() != parent:
            os._exit(1)

    return arrange
