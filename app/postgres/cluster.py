"""A PostgreSQL server shared by every process that works with one directory.

The first process starts it, every process holds a lease, and it stops shortly after the last lease has ended.
"""

import os
import signal
import subprocess  # ruff: ignore[suspicious-subprocess-import] - starts the keeper
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self
from urllib.parse import quote

from app.postgres import folders
from app.postgres.account import Account
from app.postgres.binaries import Binaries, available
from app.postgres.errors import PostgresUnavailable
from app.postgres.locks import FileLock, is_held
from app.postgres.server import ALREADY_KEPT, Files, Plan, Server

_TIMEOUT_SECONDS = 60.0
_POLL_SECONDS = 0.02
_IDENTIFIER_BYTES = 63


class Lease:
    """The right to use the server, which runs at least until ``close`` or the end of this process."""

    def __init__(self, cluster: "Cluster", server: Server, files: Files, users: FileLock) -> None:
        self._cluster = cluster
        self._server = server
        self._files = files
        self._users = users

    def dsn(self, database: str) -> str:
        """The address of a database through the Unix socket, for asyncpg, psql and everything of libpq."""
        folder = quote(self._server.sockets)
        return f"postgresql://comptoir@/{quote(database, safe='')}?host={folder}&port={self._server.port}"

    def loopback_dsn(self, database: str) -> str:
        """The address of a database through 127.0.0.1, with its password: for tools that know no sockets."""
        password = quote(Path(self._server.password).read_text(encoding="utf-8"), safe="")
        return f"postgresql://comptoir:{password}@127.0.0.1:{self._server.port}/{quote(database, safe='')}"

    def ensure_running(self) -> None:
        """Start the server again if it has died, where it listened before if that can be; otherwise do nothing.

        Raises:
            PostgresUnavailable: it does not start.
        """
        self._server = self._cluster.server()

    def ensure_database(self, name: str) -> None:
        """Make an empty UTF-8 database unless it exists; any number of processes may ask at once.

        Raises:
            ValueError: the name is empty or longer than PostgreSQL's 63 bytes.
            PostgresUnavailable: the server refused.
        """
        if not 0 < len(name.encode()) <= _IDENTIFIER_BYTES:
            raise ValueError("a database's name has 1 to 63 bytes")
        statement = (
            "SELECT format('CREATE DATABASE %I TEMPLATE template0', :'name')"
            " WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'name') \\gexec\n"
        )
        psql = [f"{self._server.programs}/psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-v", f"name={name}"]
        with FileLock(self._files.databases).take(time.monotonic() + _TIMEOUT_SECONDS):
            made = Account().run(*psql, self.dsn("postgres"), stdin=statement)
        if made.returncode:
            raise PostgresUnavailable(f"The database {name} could not be made: {made.stdout.strip()}")

    def drop_database(self, name: str) -> None:
        """Delete a database with all that is in it, whoever is connected; none of that name is fine.

        Raises:
            PostgresUnavailable: the server refused.
        """
        psql = [f"{self._server.programs}/psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-v", f"name={name}"]
        statement = 'DROP DATABASE IF EXISTS :"name" WITH (FORCE);\n'
        dropped = Account().run(*psql, self.dsn("postgres"), stdin=statement)
        if dropped.returncode:
            raise PostgresUnavailable(f"The database {name} could not be dropped: {dropped.stdout.strip()}")

    def close(self) -> None:
        """Give the lease back; a second time is allowed."""
        self._users.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Cluster:
    """A server whose data persists below ``directory``, one folder per major version.

    ``binaries`` and ``settings`` (PostgreSQL's parameters) count for whoever starts the server; a server that
    runs already is shared as it is.
    """

    def __init__(
        self, directory: Path, *, binaries: Binaries | None = None, settings: Mapping[str, str] | None = None
    ) -> None:
        self.directory = directory.resolve()
        self._binaries = binaries
        self._settings = dict(settings or {})
        self._files = Files(self.directory)

    def lease(self) -> Lease:
        """Share the server, starting it if it does not run. Blocks; use it as a context manager or close it.

        Raises:
            PostgresUnavailable: no programs, no place, or PostgreSQL refused; the text says which.
        """
        deadline = time.monotonic() + _TIMEOUT_SECONDS
        try:
            return self._lease(deadline)
        except OSError as error:
            where = self.directory
            raise PostgresUnavailable(f"PostgreSQL cannot be started in {where}: {error}.") from error

    def stop(self) -> None:
        """Stop the server now, whoever uses it, and wait for it. Without a server, do nothing."""
        server = self._running()
        if server:
            os.kill(server.keeper, signal.SIGTERM)
            while is_held(self._files.keeping):
                time.sleep(_POLL_SECONDS)

    def remove(self) -> None:
        """Stop the server and delete the directory with all data, wherever the data lives."""
        self.stop()
        folders.remove(self.directory)

    def _lease(self, deadline: float) -> Lease:
        self._make_directory()
        users = FileLock(self._files.using)
        try:
            # Waits while a keeper stops its server. From here on, none will.
            users.take(deadline, shared=True)
            server = self._server(deadline)
        except BaseException:
            users.close()
            raise
        return Lease(self, server, self._files, users)

    def _make_directory(self) -> None:
        if not self.directory.exists():
            self.directory.mkdir(parents=True, exist_ok=True)
            # Root's server runs as another user, who must pass through.
            self.directory.chmod(0o711 if os.geteuid() == 0 else 0o700)

    def _running(self) -> Server | None:
        # This order: a description that is read while its keeper lives is that keeper's.
        server = Server.read(self._files.server)
        return server if server and is_held(self._files.keeping) else None

    def server(self) -> Server:
        """The running server, started if it does not run; for those who hold a lease.

        Raises:
            PostgresUnavailable: it does not start.
        """
        try:
            return self._server(time.monotonic() + _TIMEOUT_SECONDS)
        except OSError as error:
            raise PostgresUnavailable(f"PostgreSQL cannot be started in {self.directory}: {error}.") from error

    def _server(self, deadline: float) -> Server:
        server = self._running()
        if server:
            return server
        with FileLock(self._files.starting).take(deadline):
            started = False
            while True:
                server = self._running()
                if server:
                    return server
                if not is_held(self._files.keeping):
                    if started:
                        raise PostgresUnavailable(f"PostgreSQL did not start: {self._reason()}")
                    started = self._start_keeper()
                if time.monotonic() > deadline:
                    raise TimeoutError(f"not ready after {_TIMEOUT_SECONDS:.0f} s, see {self._files.log}")
                time.sleep(_POLL_SECONDS)

    def _start_keeper(self) -> bool:
        """Start a keeper; false if another one turned out to live."""
        choice = [self._binaries] if self._binaries else available()
        account, home, binaries = folders.settle(self.directory, choice)
        place = folders.sockets(self.directory, home, account)
        plan = Plan(self.directory, binaries.folder, home, place, account, self._settings)
        log = self._files.log
        if log.exists():
            log.replace(log.with_suffix(".previous.log"))
        with log.open("ab") as output:
            ended = subprocess.run(  # ruff: ignore[subprocess-without-shell-equals-true] - our own module
                [sys.executable, "-m", "app.postgres.keeper", plan.dumps()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=Path(__file__).parents[2],
                start_new_session=True,
                check=False,
            )
        if ended.returncode not in {0, ALREADY_KEPT}:
            raise PostgresUnavailable(f"PostgreSQL's keeper did not start: {self._reason()}")
        return ended.returncode == 0

    def _reason(self) -> str:
        lines = self._files.log.read_text(errors="replace").splitlines() or [""]
        telling = [line for line in lines if "FATAL" in line or "error:" in line]
        return f"{(telling or lines[-1:])[0].strip()} (the whole log: {self._files.log})"


def for_checkout(root: Path) -> Cluster:
    """The cluster of a checkout, whose data lives in ``var/postgres``."""
    return Cluster(root / "var" / "postgres")
