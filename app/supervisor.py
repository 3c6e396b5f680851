"""Background tasks: kept running, and seen when they are not."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import structlog

from models.database import DATABASE_ERRORS

_FIRST_DELAY_SECONDS: Final = 0.1
_LONGEST_DELAY_SECONDS: Final = 5.0

log = structlog.get_logger(__name__)


class Supervisor:
    """Runs named tasks for ever: one that fails is started again, after a growing delay.

    ``failing`` names those that ended with an error the last time; ``/health/ready`` tells.
    """

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []
        self.failing: dict[str, str] = {}

    def start(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Start a task and keep it running."""
        self._tasks.append(asyncio.get_running_loop().create_task(self._keep(name, run), name=name))

    async def _keep(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        delay = _FIRST_DELAY_SECONDS
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                await run()
                return
            except asyncio.CancelledError:
                raise
            except Exception as error:
                if loop.time() - began > _LONGEST_DELAY_SECONDS:
                    delay = _FIRST_DELAY_SECONDS
                self.failing[name] = type(error).__name__
                # An outage is no riddle: a line says it. Anything else is shown with where it happened.
                trace = None if isinstance(error, DATABASE_ERRORS) else error
                log.error("background task failed", task=name, error=type(error).__name__, exc_info=trace)
            await asyncio.sleep(delay)
            delay = min(delay * 2, _LONGEST_DELAY_SECONDS)
            loop.call_later(1.0, self.failing.pop, name, None)

    async def stop(self) -> None:
        """Cancel all tasks and wait for them to end."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class Pacer:
    """How long a poller sleeps: hardly while there is work, ever longer when there is none, woken at once."""

    def __init__(self, *, shortest: float = 0.002, longest: float = 0.025) -> None:
        self._shortest = shortest
        self._longest = longest
        self._delay = shortest
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """End the present or the next sleep."""
        self._woken.set()

    async def pause(self, *, worked: bool) -> None:
        """Sleep as long as is due; ``worked`` says whether there was anything to do."""
        self._delay = self._shortest if worked else min(self._delay * 1.5, self._longest)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), self._delay)
        self._woken.clear()
