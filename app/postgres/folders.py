"""Where the data, the socket and, if need be, a copy of the programs live.

Normally inside the cluster's directory. Root lends the server another user, who may be unable to enter that
directory (under a 0700 home, say) or to execute the programs of a virtual environment there: both then move
to a folder of their own below ``/var/tmp``. Permissions of folders that are not ours are never changed.
"""

import hashlib
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from app.postgres.account import Account
from app.postgres.binaries import Binaries
from app.postgres.errors import PostgresUnavailable

# A socket's path holds 107 bytes on Linux and 103 on macOS.
_SOCKET_PATH_BYTES = 103

# World-writable both: private_folder makes and checks what is ours there.
_LASTING = Path("/var/tmp")  # ruff: ignore[hardcoded-temp-file]
_SHORT = Path("/tmp")  # ruff: ignore[hardcoded-temp-file]


def settle(directory: Path, available: list[Binaries]) -> tuple[Account, Path, Binaries]:
    """Choose the server's account, the folder of its data and the programs, in that order.

    Data that exists decides the version, so that another PostgreSQL installed later does not hide it.
    """
    account = Account.for_data(_homes(directory))
    base = directory
    if not account.can_enter(directory):
        base = private_folder(_LASTING, directory)
        _tell(f"PostgreSQL's data lives in {base}, because user {account.uid} cannot enter {directory}.")
        account = Account.for_data(_homes(base))
    binaries = _choose(base, available)
    home = base / str(binaries.major)
    home.mkdir(mode=0o700, exist_ok=True)
    return account, account.own(home), _executable(binaries, account, directory)


def sockets(directory: Path, home: Path, account: Account) -> Path:
    """Make the private folder of the server's socket, below ``/tmp`` where its path would be too long."""
    folder = home / "run"
    if len(os.fsencode(folder / ".s.PGSQL.65535")) > _SOCKET_PATH_BYTES:
        folder = private_folder(_SHORT, directory) / "run"
    folder.mkdir(mode=0o700, exist_ok=True)
    return account.own(folder)


def private_folder(parent: Path, directory: Path) -> Path:
    """Make, or find again, the folder of a cluster inside a world-writable one.

    Raises:
        PostgresUnavailable: the name is taken by somebody else, or others may write there.
    """
    folder = _private_name(parent, directory)
    # Root's is passed through by the server's user, who owns what is his inside.
    mode = 0o711 if os.geteuid() == 0 else 0o700
    try:
        folder.mkdir(mode=mode)
        folder.chmod(mode)
    except FileExistsError:
        found = folder.lstat()
        writable = stat.S_IMODE(found.st_mode) & 0o022
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or writable:
            raise PostgresUnavailable(
                f"{folder} exists but is not a private folder of this user: remove it, or set DATABASE_URL."
            ) from None
    return folder


def remove(directory: Path) -> None:
    """Delete everything of a cluster."""
    for folder in (directory, _private_name(_LASTING, directory), _private_name(_SHORT, directory)):
        if folder.exists():
            shutil.rmtree(folder)


def _private_name(parent: Path, directory: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:10]
    return parent / f"comptoir-{os.geteuid()}-{digest}"


def _homes(base: Path) -> list[Path]:
    """The folders of data in use so far, one per major version."""
    return [version.parents[1] for version in base.glob("*/data/PG_VERSION")]


def _choose(base: Path, available: list[Binaries]) -> Binaries:
    by_major = {binaries.major: binaries for binaries in reversed(available)}
    kept = {home.name: (home / "data").stat().st_mtime for home in _homes(base)}
    usable = [major for major in by_major if str(major) in kept]
    if usable:
        return by_major[max(usable, key=lambda major: kept[str(major)])]
    for major in kept:
        _tell(f"Data of PostgreSQL {major} stays unused in {base / major}: its programs are not at hand.")
    return available[0]


def _executable(binaries: Binaries, account: Account, directory: Path) -> Binaries:
    """The programs, or a copy of the wheel's where the server's user cannot execute them."""
    if account.can_execute(binaries.program("postgres")):
        return binaries
    if not binaries.from_wheel:
        raise PostgresUnavailable(
            f"User {account.uid} cannot execute the programs in {binaries.folder}: "
            "open the folder to that user, or set DATABASE_URL."
        )
    package = binaries.folder.parents[1]
    built = (binaries.folder / "postgres").stat()
    identity = f"{binaries.folder}:{built.st_mtime_ns}:{built.st_size}"
    base = private_folder(_LASTING, directory)
    copy = base / f"programs-{hashlib.sha256(identity.encode()).hexdigest()[:10]}"
    if not copy.exists():
        _tell(f"PostgreSQL's programs are copied to {base}, because user {account.uid} cannot execute them.")
        for outdated in base.glob("programs-*"):
            shutil.rmtree(outdated)
        # The libraries keep their place beside the package: the programs look for them there.
        sources = (package / binaries.folder.parent.name, package.with_name(f"{package.name}.libs"))
        _copy([(source, source.relative_to(package.parent)) for source in sources], copy)
    return Binaries(copy / binaries.folder.relative_to(package.parent), binaries.major, from_wheel=True)


def _copy(pairs: Iterable[tuple[Path, Path]], target: Path) -> None:
    """Copy folders below ``target``, which appears complete or not at all."""
    unfinished = Path(tempfile.mkdtemp(prefix="programs-unfinished-", dir=target.parent))
    for source, place in pairs:
        if source.exists():
            unneeded = shutil.ignore_patterns("*.a", "include")
            shutil.copytree(source, unfinished / place, symlinks=True, ignore=unneeded)
    for path in [unfinished, *unfinished.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
    unfinished.rename(target)


def _tell(sentence: str) -> None:
    sys.stderr.write(f"comptoir: {sentence}\n")
