"""Servers of one's own for races: PostgreSQL, Redis, two web processes and two workers, on loopback alone."""

import os
import shutil
import subprocess  # ruff: ignore[suspicious-subprocess-import] - runs what is raced against
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from app.settings import Settings
from benchmarks import processes
from benchmarks.processes import Place, Process, ProcessError
from core.ids import uuid7
from core.scopes import PERSONAL_SCOPES
from races.caller import RaceError

WEBS: Final = 2
WORKERS: Final = 2
CREATORS: Final = 2
_REDIS_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Servers:
    """What was started: where it answers, and the access tokens of its creators."""

    place: Place
    urls: tuple[str, ...]
    tokens: tuple[str, ...]

    def prove(self) -> None:
        """Have the ledger prove itself and the books compared with the provider. Raises ``RaceError``."""
        for command in (("ledger", "verify"), ("doctor", "--grace", "0s")):
            try:
                processes.run(self.place, *command)
            except ProcessError as error:
                raise RaceError(str(error)) from None


@contextmanager
def own_servers() -> Iterator[Servers]:
    """Start everything; it is gone afterwards. Raises ``ProcessError`` and ``RaceError``."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="comptoir-races-")))
        place = stack.enter_context(processes.own_place(folder, {}))
        for command in ("migrate", "seed"):
            processes.run(place, command)
        redis_url = stack.enter_context(_redis(folder))
        ports = [processes.free_port() for _ in range(WEBS)]
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        started = []
        for number, (port, url) in enumerate(zip(ports, urls, strict=True)):
            web = Process(place, f"web-{number}", "app", "serve", "--port", str(port), REDIS_URL=redis_url)
            stack.callback(web.stop)
            web.wait_until_answering(f"{url}/health/ready")
            started.append(web)
        for number in range(WORKERS):
            # The webhooks of the sandbox go to one web process by one worker, and to the other by the other.
            told = f"{urls[number % WEBS]}/webhooks/sandbox"
            worker = Process(
                place, f"worker-{number}", "app", "worker", REDIS_URL=redis_url, COMPTOIR_WEBHOOK_URL=told
            )
            stack.callback(worker.stop)
            started.append(worker)
        yield Servers(place, tuple(urls), _tokens(place))  # ruff: ignore[fallible-context-manager] - what failed says more
        for process in started:
            process.ensure_alive()


def _tokens(place: Place) -> tuple[str, ...]:
    # The web processes have made their keys in this folder by now.
    settings = Settings(_env_file=None, jwks_url="", state_directory=place.folder / "state")
    return tuple(
        settings.development.token(
            issuer=settings.issuer,
            audience=settings.jwt_audience,
            subject=f"race-creator-{uuid7().hex}",
            scopes=PERSONAL_SCOPES,
        )
        for _ in range(CREATORS)
    )


@contextmanager
def _redis(folder: Path) -> Iterator[str]:
    """Return the address of a Redis of one's own, or the one of REDIS_URL where none is installed."""
    program = shutil.which("redis-server")
    if program is None:
        if "REDIS_URL" not in os.environ:
            raise RaceError("two web processes need a Redis: install redis-server, or set REDIS_URL")
        yield os.environ["REDIS_URL"]
        return
    port = processes.free_port()
    server = subprocess.Popen(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(_REDIS_SECONDS)
