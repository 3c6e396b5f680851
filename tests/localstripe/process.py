"""localstripe as a process of its own, run by a Python of its own: nothing of it is ever imported here."""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from app.settings import CHECKOUT

PYTHON: Final = CHECKOUT / ".venv" / "localstripe" / "bin" / "python"
_SITE: Final = Path(__file__).resolve().parent / "loopback"
_RUNNING: Final = re.compile(rb"Running on http://127\.0\.0\.1:(\d+)")
_PATIENCE_SECONDS: Final = 60


@asynccontextmanager
async def running_localstripe() -> AsyncIterator[str]:
    """Start localstripe with nothing in it on a free port of the loopback address; give its address."""
    assert PYTHON.exists(), "localstripe is not installed: run `make localstripe`."
    process = await asyncio.create_subprocess_exec(
        str(PYTHON),
        *("-m", "localstripe", "--from-scratch", "--port", "0"),
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(_SITE), "PYTHONUNBUFFERED": "1"},
        cwd="/",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said: list[bytes] = []
    assert process.stdout is not None
    reading = None
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while True:
                line = await process.stdout.readline()
                said.append(line)
                assert line, f"localstripe has ended:\n{b''.join(said).decode()}"
                if found := _RUNNING.search(line):
                    break
        reading = asyncio.create_task(process.stdout.read())  # a pipe that nobody reads would stop it
        yield f"http://127.0.0.1:{int(found[1])}"
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        if reading is not None:
            await reading
