"""Running the web process: its socket, its server, and a worker beside it if asked for."""

import asyncio
import os
import signal
import socket
import subprocess  # ruff: ignore[suspicious-subprocess-import] - starts this very program
import sys
from collections.abc import Callable
from typing import Final

import structlog
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.asgi import NoRedisError, application
from app.settings import Settings

MAXIMUM_MESSAGE_BYTES: Final = 64 * 1024
_GRACE_SECONDS: Final = 5
_PARENT_POLL_SECONDS: Final = 0.5

log = structlog.get_logger(__name__)


class PortTakenError(Exception):
    """The port is in use; the message says what to do."""


def listen(settings: Settings) -> socket.socket:
    """Bind the socket of the web process. Raises ``PortTakenError``."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise PortTakenError(
            f"Cannot listen on {settings.host} port {settings.port} ({error.strerror}). Stop what uses it, or "
            "choose another with --port."
        ) from error
    listener.set_inheritable(True)
    return listener


def serve(settings: Settings, dsn: str, listener: socket.socket, ready: Callable[[], object]) -> bool:
    """Serve until a signal ends it; return whether it ever started. Raises ``NoRedisError``."""
    app = _Startup(application(settings, dsn))
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        ws_max_size=MAXIMUM_MESSAGE_BYTES,
        ws_per_message_deflate=False,
        ws_ping_interval=20,
        ws_ping_timeout=20,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
    )
    server = _Server(config, ready)
    try:
        server.run(sockets=[listener])
    except SystemExit:
        # How uvicorn ends when the application does not start; by then it has said why, or we know.
        if app.refusal is not None:
            raise app.refusal from None
    return server.started


class _Startup:
    """The application, but that a refusal to start is kept for the command line instead of logged at length."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.refusal: NoRedisError | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return
        failed: list[Message] = []

        async def hold_failure(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed":
                failed.append(message)
            else:
                await send(message)

        try:
            await self._app(scope, receive, hold_failure)
        except NoRedisError as refusal:
            self.refusal = refusal
            await send({"type": "lifespan.startup.failed", "message": ""})
        except BaseException:
            for message in failed:
                await send(message)
            raise


class _Server(uvicorn.Server):
    """Says when it is ready."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], object]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then tell."""
        await super().startup(sockets)
        if self.started:
            self._ready()


class WorkerProcess:
    """A worker beside a development server, started again should it die."""

    def __init__(self) -> None:
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "app", "worker", "--parent", str(os.getpid())]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL)  # ruff: ignore[subprocess-without-shell-equals-true] - our own program

    def check(self) -> None:
        """Start the worker again if it has ended."""
        if self._process.poll() is not None:
            log.warning("worker ended, starting it again", status=self._process.returncode)
            self._process = self._start()

    def stop(self) -> None:
        """Have the worker finish and wait for it."""
        self._process.terminate()
        try:
            self._process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


async def until_signal(parent: int | None, stop: asyncio.Event) -> None:
    """Set ``stop`` on SIGTERM or SIGINT, or when the parent that was named is gone."""
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    while parent is not None and not stop.is_set():
        if os.getppid() != parent:
            stop.set()
        await asyncio.sleep(_PARENT_POLL_SECONDS)
