"""The keeper: a small process that runs PostgreSQL for as long as anybody uses it.

Started detached by the first user. It holds ``keeper.lock`` while it lives and watches ``users.lock``, which
every user holds shared: the kernel lets go of a user's lock however that user ends. If the keeper itself is
killed, the kernel stops PostgreSQL, and the next user starts both again.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess  # ruff: ignore[suspicious-subprocess-import] - runs PostgreSQL
import sys
import time
from contextlib import suppress
from pathlib import Path

from app.postgres.locks import FileLock
from app.postgres.server import ALREADY_KEPT, Files, Plan, Server

_TICK_SECONDS = 0.5
_GRACE_SECONDS = 1.0
_STOP_SECONDS = 30.0
_ATTEMPTS = 3

_SETTINGS = {
    "max_connections": "200",
    "shared_buffers": "256MB",
    # An open transaction that nobody continues would hold back every feed that reads by the horizon.
    "idle_in_transaction_session_timeout": "60s",
    "listen_addresses": "127.0.0.1",
    "unix_socket_permissions": "0700",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u@%d ",
}


def main() -> int:
    """Become the keeper of the plan given as the only argument.

    Returns to the caller when the lock is held: the caller may wait for us and be sure that a keeper lives.
    """
    plan = Plan.loads(sys.argv[1])
    lock = FileLock(Files(plan.directory).keeping)
    try:
        # Users who look whether a keeper lives hold it for an instant.
        lock.take(time.monotonic() + 1)
    except TimeoutError:
        return ALREADY_KEPT
    if os.fork():
        os._exit(0)
    os.chdir("/")
    try:
        _keep(plan)
    except (OSError, RuntimeError) as error:
        sys.stderr.write(f"keeper: error: {error}\n")
        return 1
    return 0


def _keep(plan: Plan) -> None:
    files = Files(plan.directory)
    files.server.unlink(missing_ok=True)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    postgres: subprocess.Popen[bytes] | None = None
    users = FileLock(files.using)
    try:
        _end_predecessor(plan.data)
        _initialise(plan)
        postgres, port = _start(plan)
        Server(os.getpid(), port, str(plan.sockets), str(plan.programs), str(plan.password)).write(files.server)
        _wait_for_the_last_user(users, postgres)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        files.server.unlink(missing_ok=True)
        if postgres:
            _stop(postgres)
        with suppress(OSError):
            plan.sockets.rmdir()
            plan.sockets.parent.rmdir()
        # ``users`` stays locked until this process is gone: who comes now waits, and then starts another.


def _wait_for_the_last_user(users: FileLock, postgres: subprocess.Popen[bytes]) -> None:
    """Return, holding ``users`` exclusively, when nobody has held it for the time of grace."""
    idle_since: float | None = None
    while True:
        with suppress(subprocess.TimeoutExpired):
            code = postgres.wait(_TICK_SECONDS)
            raise RuntimeError(f"PostgreSQL ended by itself with code {code}")
        if not users.try_take():
            idle_since = None
        elif idle_since is None:
            users.let_go()
            idle_since = time.monotonic()
        elif time.monotonic() - idle_since < _GRACE_SECONDS:
            users.let_go()
        else:
            return


def _initialise(plan: Plan) -> None:
    """Make the data directory if there is none; a half-made one is never taken for one."""
    if (plan.data / "PG_VERSION").exists():
        return
    plan.password.write_text(secrets.token_urlsafe(24))
    plan.account.own(plan.password)
    for abandoned in plan.home.glob("data.*"):
        shutil.rmtree(abandoned, ignore_errors=True)
    unfinished = plan.home / f"data.{os.getpid()}"
    made = plan.account.run(
        str(plan.programs / "initdb"),
        f"--pgdata={unfinished}",
        "--username=comptoir",
        f"--pwfile={plan.password}",
        "--encoding=UTF8",
        # The same order and case rules on every machine and version.
        "--locale=C",
        "--auth-local=trust",  # whoever reaches the private folder of the socket is the owner or root
        "--auth-host=scram-sha-256",
        "--no-instructions",
        *(["--no-sync"] if plan.settings.get("fsync") == "off" else []),
        named=True,
    )
    sys.stderr.write(made.stdout)
    if made.returncode:
        raise RuntimeError("initdb could not make the data directory")
    unfinished.rename(plan.data)


def _start(plan: Plan) -> tuple[subprocess.Popen[bytes], int]:
    """Start PostgreSQL and wait until it accepts connections.

    Several attempts: a port may be taken in the meantime, and the processes of a server that was killed need
    a moment to notice.
    """
    for attempt in range(_ATTEMPTS):
        time.sleep(0.3 * attempt)
        # First where it listened last: users whose server died find it again at the address they know.
        port = _free_port(_last_port(plan) if attempt == 0 else None)
        postgres = plan.account.start(*_command(plan, port), output=sys.stderr.buffer)
        if _is_ready(plan, postgres):
            plan.last_port.write_text(str(port))
            return postgres, port
    raise RuntimeError("PostgreSQL did not start")


def _command(plan: Plan, port: int) -> list[str]:
    quoted = str(plan.sockets).replace('"', '""')
    settings = _SETTINGS | plan.settings | {"port": str(port), "unix_socket_directories": f'"{quoted}"'}
    options = [f"--{name}={value}" for name, value in settings.items()]
    return [str(plan.programs / "postgres"), "-D", str(plan.data), *options]


def _is_ready(plan: Plan, postgres: subprocess.Popen[bytes]) -> bool:
    """Wait until PostgreSQL ends or writes "ready" as its file's eighth line, where pg_ctl reads it."""
    while postgres.poll() is None:
        lines = _postmaster_file(plan.data)
        if lines[:1] == [str(postgres.pid)] and len(lines) > 7 and lines[7].strip() == "ready":
            return True
        time.sleep(0.02)
    return False


def _stop(postgres: subprocess.Popen[bytes]) -> None:
    postgres.send_signal(signal.SIGINT)
    try:
        postgres.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        postgres.send_signal(signal.SIGQUIT)
        postgres.wait()


def _end_predecessor(data: Path) -> None:
    """End the server of a keeper that was killed, and forget a number that is no server's of this data."""
    lines = _postmaster_file(data)
    if not lines:
        return
    pid = int(lines[0])
    deadline = time.monotonic() + _STOP_SECONDS
    while _runs_on(pid, data) and time.monotonic() < deadline:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)
        time.sleep(0.05)
    if not _runs_on(pid, data):
        (data / "postmaster.pid").unlink(missing_ok=True)


def _postmaster_file(data: Path) -> list[str]:
    try:
        return (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []


def _runs_on(pid: int, data: Path) -> bool:
    """Whether a process is a server of this data directory: a number may belong to another one by now."""
    if not Path("/proc/self").exists():
        listed = subprocess.run(  # ruff: ignore[subprocess-without-shell-equals-true] - a number
            ["/bin/ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
        return f"-D {data}" in listed.stdout
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return os.fsencode(data) in arguments


def _last_port(plan: Plan) -> int | None:
    try:
        return int(plan.last_port.read_text())
    except (FileNotFoundError, ValueError):
        return None


def _free_port(wanted: int | None) -> int:
    """Return the wanted port if it is free, otherwise any other."""
    for candidate in [wanted, 0] if wanted else [0]:
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", candidate))
            port: int = probe.getsockname()[1]
            return port
    raise RuntimeError("no port is free on 127.0.0.1")


if __name__ == "__main__":
    sys.exit(main())
