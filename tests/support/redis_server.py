"""A Redis for tests, to be stopped and started again."""

import signal
import subprocess  # ruff: ignore[suspicious-subprocess-import] - Redis is a program
from pathlib import Path

from tests.support.world import free_port


class RedisServer:
    """A Redis on a free port that keeps nothing on disk."""

    def __init__(self, home: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._home = home
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; what it held before is gone."""
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._home), "--save", ""]
        self._process = subprocess.Popen(["redis-server", *arguments], stdout=subprocess.DEVNULL)

    def kill(self) -> None:
        """End it at once; a second time is allowed."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=30)
            self._process = None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        if self._process is not None:
            self._process.send_signal(number)
