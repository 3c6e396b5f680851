"""The stand-in's own time: it stands still until something happens, and is moved by hand."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class Clock:
    """``now`` is in whole seconds since 1970, as all of Stripe's times are."""

    def __init__(self) -> None:
        self._ahead = 0
        self._agenda: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self.now = int(time.time())

    @property
    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.now, UTC)

    def tick(self) -> None:
        """Let a second go by, or as many as the real time is ahead: no two things happen in one second."""
        self.now = max(self.now + 1, int(time.time()) + self._ahead)

    def at(self, moment: int, action: Callable[[], None]) -> None:
        """Do something when its time comes."""
        self._count += 1
        self._agenda.append((moment, self._count, action))

    def pass_time(self, by: timedelta) -> None:
        """Let time go by, and all that falls due in it happen, each at its own moment."""
        seconds = int(by.total_seconds())
        until = self.now + seconds
        self._ahead += seconds
        while self._agenda and (first := min(self._agenda))[0] <= until:
            self._agenda.remove(first)
            self.now = max(self.now + 1, first[0])
            first[2]()
        self.now = max(self.now, until)
