"""Python reads this as it starts localstripe: it stays on this machine, leaves no file, and ends with who started it.

By itself it listens on every address of the machine, and writes all it knows into one file below /tmp, whoever else
does so too.
"""

import builtins
import os
import socket
import sys
import threading
from typing import Any

_STORE = "/tmp/localstripe.pickle"  # ruff: ignore[hardcoded-temp-file] - kept from being written


class Loopback(socket.socket):
    """A socket that listens on the loopback address only."""

    def __init__(self, family: int = -1, *arguments: Any, **named: Any) -> None:
        super().__init__(socket.AF_INET if family == socket.AF_INET6 else family, *arguments, **named)

    def bind(self, address: Any) -> None:
        """Bind to a port; whatever the address is, it is this machine's own."""
        super().bind(("127.0.0.1", address[1]))


def _end_with_the_starter() -> None:
    sys.stdin.buffer.read()  # whoever started it holds the other end
    os._exit(0)


_open = builtins.open


def _opened(file: Any, *arguments: Any, **named: Any) -> Any:
    return _open(os.devnull if file == _STORE else file, *arguments, **named)


socket.socket = Loopback  # type: ignore[misc]
builtins.open = _opened
threading.Thread(target=_end_with_the_starter, daemon=True).start()
