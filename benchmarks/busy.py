"""How busy the machine is with something else: what others take from a benchmark's figures."""

import time
from pathlib import Path
from typing import Final

_PROCESSORS: Final = Path("/proc/stat")
_IDLE: Final = 3
_SECONDS: Final = 0.3


def busy() -> float:
    """Return the share of the processors' time, just now, that was not idle. Call it while nothing is measured."""
    before = _ticks()
    time.sleep(_SECONDS)
    spent = [late - early for early, late in zip(before, _ticks(), strict=True)]
    return 1 - spent[_IDLE] / max(sum(spent), 1)


def _ticks() -> list[int]:
    """Return what the processors spent their time with since the machine started, by kind."""
    _, *kinds = _PROCESSORS.read_text(encoding="ascii").splitlines()[0].split()
    return [int(ticks) for ticks in kinds[:8]]
