"""Real web and worker processes that a test may kill at any moment.

They are forked from one process that has imported everything already, so that starting one takes a fraction of
a second instead of seconds; each then runs the command line as ``python -m app`` does. Whatever is still
running when the test ends, or when the test run itself is killed, is killed too.
"""

import asyncio
import gc
import importlib
import itertools
import json
import os
import select
import signal
import ssl
import subprocess  # ruff: ignore[suspicious-subprocess-import] - starts our own program
import sys
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import asyncpg
import httpx

from app.client import Client
from app.settings import CHECKOUT, Settings
from tests.support.world import World, free_port

PATIENCE_SECONDS: Final = 20
_LAST_WORDS: Final = 6_000
_IMPORTED: Final = ("app.asgi", "app.cli", "app.database", "app.logs", "app.server", "app.worker", "uvloop")


# Nobody speaks TLS here, and reading the certificate store costs more than a request.
PLAIN: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class ProcessFailed(Exception):  # ruff: ignore[error-suffix-on-exception-name] - reads as what happened
    """A process did not do what it was started for; the message ends with what it wrote."""


def environment(dsn: str, state: Path, **settings: Any) -> dict[str, str]:
    """Return the environment of a process: ours without any setting but those given."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    given = {
        "DATABASE_URL": dsn,
        "COMPTOIR_STATE_DIRECTORY": str(state),
        "PYTHONPATH": str(CHECKOUT),
        **{name.upper(): str(value) for name, value in settings.items() if value is not None},
    }
    return {**kept, **given}


# The test's side ------------------------------------------------------------------------------------------


class Nursery:
    """The process that others are forked from."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.processes"],
            cwd=CHECKOUT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def fork(self, order: dict[str, Any]) -> int:
        """Start a process and return its id."""
        return self._ask({"fork": order})

    def reap(self, pid: int) -> int:
        """Return the exit status of a process that has ended; negative is the signal that ended it."""
        return self._ask({"reap": pid})

    def close(self) -> None:
        """Kill whatever still runs, and wait for it."""
        self._process.communicate()

    def _ask(self, question: dict[str, Any]) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise ProcessFailed("the process that starts the others is gone")
        return int(answer)


@contextmanager
def nursery() -> Iterator[Nursery]:
    """Have processes forked, and see that none outlives this."""
    opened = Nursery()
    try:
        yield opened
    finally:
        opened.close()


@dataclass
class Process:
    """A web process or a worker. ``fault`` names a place in ``tests.faults.places`` where it kills itself."""

    name: str
    arguments: list[str]
    environment: dict[str, str]
    output: Path
    nursery: Nursery
    fault: str | None = None
    port: int | None = None
    pid: int = 0
    status: int | None = None
    _handle: int = -1

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def said(self) -> str:
        """The end of what it wrote to its standard output and error."""
        return self.output.read_text(errors="replace")[-_LAST_WORDS:] if self.output.exists() else ""

    def start(self) -> None:
        """Start it; whether it is ready is another question."""
        order = {
            "arguments": self.arguments,
            "environment": self.environment,
            "output": str(self.output),
            "fault": self.fault,
        }
        self.pid, self.status = self.nursery.fork(order), None
        self._handle = os.pidfd_open(self.pid)

    async def ready(self) -> None:
        """Wait until a web process says that it can do its work. Raises ``ProcessFailed``."""
        async with httpx.AsyncClient(timeout=5, verify=PLAIN) as http:
            deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
            while True:
                with suppress(httpx.TransportError):
                    if (await http.get(f"{self.url}/health/ready")).status_code == 200:
                        return
                if self.has_ended() or asyncio.get_running_loop().time() > deadline:
                    raise ProcessFailed(f"{self.name} is not ready (status {self.status}):\n{self.said}")
                await asyncio.sleep(0.01)

    async def health(self) -> dict[str, Any]:
        """Return what a web process says of itself."""
        async with httpx.AsyncClient(timeout=5, verify=PLAIN) as http:
            answer: dict[str, Any] = (await http.get(f"{self.url}/health/ready")).json()
            return answer

    def has_ended(self) -> bool:
        """Tell whether it is no more."""
        if self._handle >= 0 and select.select([self._handle], [], [], 0)[0]:
            self._reap()
        return self.status is not None

    async def ended(self, seconds: float = PATIENCE_SECONDS) -> int:
        """Wait until it has ended by itself; return its exit status. Raises ``ProcessFailed``."""
        if self.status is None:
            gone = asyncio.Event()
            loop = asyncio.get_running_loop()
            loop.add_reader(self._handle, gone.set)
            try:
                async with asyncio.timeout(seconds):
                    await gone.wait()
            except TimeoutError:
                raise ProcessFailed(f"{self.name} has not ended:\n{self.said}") from None
            finally:
                loop.remove_reader(self._handle)
            self._reap()
        assert self.status is not None
        return self.status

    async def kill(self) -> None:
        """Kill it outright (SIGKILL) and wait until it is gone."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """Ask it to end (SIGTERM) and wait until it has."""
        await self._end(signal.SIGTERM)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, as SIGSTOP and SIGCONT."""
        signal.pidfd_send_signal(self._handle, number)

    async def restart(self) -> None:
        """Start it again, without the fault it had, once it has ended."""
        assert self.status is not None, "it still runs"
        self.fault = None
        self.start()
        if self.port is not None:
            await self.ready()

    async def _end(self, how: signal.Signals) -> None:
        if self.status is None and self.pid:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, how)
            await self.ended()

    def _reap(self) -> None:
        self.status = self.nursery.reap(self.pid)
        os.close(self._handle)
        self._handle = -1


@dataclass
class Deployment(World):
    """Web processes and workers of one database, as a client and the database's owner see them."""

    engine: Any = None
    app: Any = None
    nursery: Any = None
    pool: Any = None
    common: dict[str, Any] = field(default_factory=dict)
    processes: list[Process] = field(default_factory=list)
    _numbers: Any = field(default_factory=itertools.count)
    _known: dict[tuple[str, str], Client] = field(default_factory=dict)

    def client_of(self, user: str, process: Process | None = None) -> Client:
        """Return a user's client of a process, or of the one at ``url``; the same each time."""
        url = process.url if process else self.url
        if (user, url) not in self._known:
            self._known[user, url] = self.client(user)
            self._known[user, url].url = url
        return self._known[user, url]

    async def scalar(self, sql: str, *parameters: Any) -> Any:
        """Return one value from the database."""
        return await self.pool.fetchval(sql, *parameters)

    async def web(self, *, port: int | None = None, fault: str | None = None, wait: bool = True) -> Process:
        """Start a web process, by default on the port that ``url`` names."""
        chosen = port or self.settings.port
        process = self._process("web", ["serve", "--port", str(chosen)], fault, chosen)
        process.start()
        if wait:
            await process.ready()
        return process

    def worker(self, *, deliver_to: int | None = None, fault: str | None = None) -> Process:
        """Start a worker; the sandbox's webhooks go to the port named, or to the one of ``url``."""
        url = f"http://127.0.0.1:{deliver_to or self.settings.port}/webhooks/sandbox"
        process = self._process("worker", ["worker"], fault, None, comptoir_webhook_url=url)
        process.start()
        return process

    async def hours_pass(self) -> None:
        """Let whatever waits for a later moment be due now: calls to look up, webhooks to send or settle again."""
        for statement in (
            "update payments set calling_until = now() where calling_until is not null",
            "update inbox_events set due_at = now() where state = 'PENDING'",
            "update sandbox.event set next_attempt_at = now() where next_attempt_at is not null",
        ):
            done = False
            while not done:
                # The processes write the same rows meanwhile, in an order of their own.
                with suppress(asyncpg.DeadlockDetectedError):
                    await self.pool.execute(statement)
                    done = True

    @property
    def report(self) -> str:
        """What the processes wrote last, for the message of a failure."""
        return "\n".join(
            f"--- {process.name} (status {process.status}) ---\n{process.said}" for process in self.processes
        )

    def _process(
        self, kind: str, arguments: list[str], fault: str | None, port: int | None, **settings: Any
    ) -> Process:
        name = f"{kind}-{next(self._numbers)}"
        state = self.settings.state_directory
        process = Process(
            name,
            arguments,
            environment(self.dsn, state, **{**self.common, **settings}),
            state / f"{name}.log",
            self.nursery,
            fault,
            port,
        )
        self.processes.append(process)
        return process


@asynccontextmanager
async def deployment(
    nursery: Nursery, dsn: str, *, redis_url: str | None = None, **settings: Any
) -> AsyncIterator[Deployment]:
    """Prepare a database's processes, none of them started yet; kill at the end what still runs."""
    with TemporaryDirectory(prefix="comptoir-state-") as folder:
        chosen = Settings(_env_file=None, port=free_port(), state_directory=Path(folder))
        # The key of tokens and webhooks is made here, once for all.
        _ = chosen.development
        common = {
            "comptoir_provider_timeout_seconds": 1,
            "comptoir_settle_grace_seconds": 0.5,
            "redis_url": redis_url,
            **{f"comptoir_{name}": value for name, value in settings.items()},
        }
        pool = await asyncpg.create_pool(dsn, min_size=0, max_size=4)
        made = Deployment(
            dsn, f"http://127.0.0.1:{chosen.port}", chosen, nursery=nursery, pool=pool, common=common
        )
        try:
            yield made
        finally:
            for process in made.processes:
                await process.kill()
            # Shown when the test fails.
            sys.stdout.write(made.report)
            for client in made.clients:
                await client.close()
            await pool.close()


# The nursery's side ---------------------------------------------------------------------------------------


def _run(order: dict[str, Any]) -> None:
    """Become the process that was ordered; never returns."""
    status = 1
    try:
        os.setsid()
        output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.environ.clear()
        os.environ.update(order["environment"])
        os.chdir(order["environment"]["COMPTOIR_STATE_DIRECTORY"])
        sys.argv = ["comptoir", *order["arguments"]]
        if order["fault"] is not None:
            from tests.faults.places import prepare

            prepare(order["fault"])
        from app.cli import main

        main()
        status = 0
    except SystemExit as ending:
        status = ending.code if isinstance(ending.code, int) else 1
    except BaseException:  # ruff: ignore[blind-except] - whatever it was, it must not go on as the nursery
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _serve() -> None:
    """Fork and reap as told, until there is nobody to tell."""
    for module in _IMPORTED:
        importlib.import_module(module)
    # Nobody waits a second here for what a worker looks after now and then.
    sys.modules["app.worker"]._SWEEP_SECONDS = 0.1  # type: ignore[attr-defined]
    # What was imported stays shared with those who are forked.
    gc.collect()
    gc.freeze()
    children: set[int] = set()
    try:
        while line := sys.stdin.readline():
            question = json.loads(line)
            if "fork" in question:
                pid = os.fork()
                if pid == 0:
                    _run(question["fork"])
                children.add(pid)
                answer = pid
            else:
                _, status = os.waitpid(question["reap"], 0)
                children.discard(question["reap"])
                answer = os.waitstatus_to_exitcode(status)
            print(answer, flush=True)  # ruff: ignore[print] - the answer
    finally:
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


if __name__ == "__main__":
    _serve()
