"""The processes under test: PostgreSQL, the web process, the worker and the floor; and what CPU they take."""

import os
import signal
import socket
import subprocess  # ruff: ignore[suspicious-subprocess-import] - runs what is measured
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from app.postgres import Cluster
from app.settings import CHECKOUT

DATABASE: Final = "comptoir_benchmark"
FLOOR_DATABASE: Final = "comptoir_floor"

_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 15.0
_POLL_SECONDS: Final = 0.02
_TROUBLE: Final = ("[warning", "[error", "[critical", "Traceback")
_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")


class ProcessError(Exception):
    """A process did not start, or ended; the message holds the end of its log."""


@dataclass(frozen=True, slots=True)
class Place:
    """A benchmark's own database server and folder, and the environment that leads to them."""

    folder: Path
    dsn: str
    floor_dsn: str
    server_log: Path
    environment: dict[str, str]


@contextmanager
def own_place(folder: Path, settings: Mapping[str, str]) -> Iterator[Place]:
    """Start a PostgreSQL of one's own, durable as it is by default; it is gone afterwards."""
    # Root's server runs as another user, who must pass through.
    folder.chmod(0o711)
    cluster = Cluster(folder / "postgres", settings=settings)
    with ExitStack() as stack:
        stack.callback(cluster.remove)
        lease = stack.enter_context(cluster.lease())
        for name in (DATABASE, FLOOR_DATABASE):
            lease.ensure_database(name)
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("COMPTOIR_", "PG")) and name not in {"DATABASE_URL", "REDIS_URL"}
        }
        environment = {
            **kept,
            "PYTHONPATH": str(CHECKOUT),
            "DATABASE_URL": lease.dsn(DATABASE),
            "COMPTOIR_ENVIRONMENT": "development",
            "COMPTOIR_STATE_DIRECTORY": str(folder / "state"),
        }
        log = cluster.directory / "postgres.log"
        yield Place(folder, lease.dsn(DATABASE), lease.dsn(FLOOR_DATABASE), log, environment)


class Process:
    """A process under test. Its output goes to a file of its own."""

    def __init__(self, place: Place, name: str, *command: str, **environment: str) -> None:
        self.name = name
        self._log = place.folder / f"{name}.log"
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=place.folder,
                env={**place.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def ensure_alive(self) -> None:
        """Raise ``ProcessError`` if it has ended."""
        status = self._process.poll()
        if status is not None:
            raise ProcessError(f"The process {self.name} ended with {status}: {self._end_of_log()}")

    def wait_until_answering(self, url: str) -> None:
        """Wait until an address answers 200. Raises ``ProcessError``."""
        deadline = time.monotonic() + _START_SECONDS
        with httpx.Client(trust_env=False, timeout=2) as client:
            while time.monotonic() < deadline:
                self.ensure_alive()
                try:
                    if client.get(url).status_code < httpx.codes.INTERNAL_SERVER_ERROR:
                        return
                except httpx.HTTPError:
                    pass
                time.sleep(_POLL_SECONDS)
        raise ProcessError(f"The process {self.name} did not become ready: {self._end_of_log()}")

    def stop(self) -> None:
        """End it and wait until it is gone; a second time is allowed."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def warnings(self) -> list[str]:
        """Return the lines of its log that report trouble."""
        lines = self._log.read_text(errors="replace").splitlines()
        return [line for line in lines if any(mark in line for mark in _TROUBLE)]

    def _end_of_log(self) -> str:
        return self._log.read_text(errors="replace").strip()[-2000:]


@contextmanager
def web(place: Place, port: int) -> Iterator[Process]:
    """Run the web process."""
    process = Process(place, "web", "app", "serve", "--port", str(port))
    try:
        process.wait_until_answering(f"http://127.0.0.1:{port}/health/ready")
        yield process
        process.ensure_alive()
    finally:
        process.stop()


@contextmanager
def worker(place: Place, port: int) -> Iterator[Process]:
    """Run a worker; the sandbox sends its webhooks to the web process on ``port``."""
    process = Process(place, "worker", "app", "worker", COMPTOIR_PORT=str(port))
    try:
        yield process
        process.ensure_alive()
    finally:
        process.stop()


@contextmanager
def floor(place: Place, port: int) -> Iterator[Process]:
    """Run the bare route."""
    process = Process(place, "floor", "benchmarks.floor", str(port), place.floor_dsn)
    try:
        process.wait_until_answering(f"http://127.0.0.1:{port}/")
        yield process
        process.ensure_alive()
    finally:
        process.stop()


def run(place: Place, *command: str) -> None:
    """Run one of the program's commands to its end. Raises ``ProcessError``."""
    done = subprocess.run(
        [sys.executable, "-m", "app", *command],
        cwd=place.folder,
        env=place.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ProcessError(f"comptoir {' '.join(command)} failed: {(done.stdout + done.stderr).strip()[-2000:]}")


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# CPU ------------------------------------------------------------------------------------------------------


def postmaster_of(backend_pid: int) -> int:
    """Return the PostgreSQL server's first process, the parent of its backends."""
    return int(_stat(backend_pid)[1])


def cpu_seconds(pid: int) -> float:
    """Return the user and system time of a process and of its children that have ended, since its start."""
    return sum(map(int, _stat(pid)[11:15])) / _TICKS_PER_SECOND


def postgres_cpu_seconds(postmaster: int) -> float:
    """Return the time of a PostgreSQL server: its first process, its ended and its living children."""
    total = cpu_seconds(postmaster)
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                stat = _stat(int(entry.name))
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(stat[1]) == postmaster:
                total += sum(map(int, stat[11:15])) / _TICKS_PER_SECOND
    return total


def _stat(pid: int) -> list[str]:
    """Return the fields of a process behind its name: state, parent, …; user and system time are 11 to 14."""
    text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    return text[text.rindex(")") + 2 :].split()
