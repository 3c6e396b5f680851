"""Figures of several rounds, the ratios within them, and the bars they are held against."""

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

FAST_DISK_MILLISECONDS: Final = 0.3
"""Below this, fdatasync is so short that it hides little of what a transfer costs beside it."""


@dataclass(frozen=True, slots=True)
class Timed:
    """How many transfers a second, and the seconds that each call took (none where pgbench called)."""

    per_second: float
    seconds: tuple[float, ...] = ()

    def milliseconds(self, rank: float) -> float:
        """Return the time that ``rank`` per cent of the calls did not exceed."""
        return sorted(self.seconds)[math.ceil(len(self.seconds) * rank / 100) - 1] * 1000


@dataclass(slots=True)
class Figures:
    """What was measured, by name: one value per round."""

    rounds: dict[str, list[float]] = field(default_factory=dict)

    def add(self, measured: Mapping[str, float]) -> None:
        """Note a round's values."""
        for name, value in measured.items():
            self.rounds.setdefault(name, []).append(value)

    def median(self, name: str) -> float:
        """Return the median of the rounds."""
        return statistics.median(self.rounds[name])

    def range(self, name: str) -> tuple[float, float]:
        """Return the lowest and the highest round."""
        return min(self.rounds[name]), max(self.rounds[name])

    def ratios(self, name: str, to: str) -> list[float]:
        """Return the ratio within each round: what disturbed one of the two disturbed the other as well."""
        return [value / other for value, other in zip(self.rounds[name], self.rounds[to], strict=True)]


@dataclass(frozen=True, slots=True)
class Bar:
    """What a figure has to reach, or (``at_most``) may not exceed."""

    key: str
    target: float
    remark: str = ""
    at_most: bool = False

    def line(self, value: float, width: int) -> str:
        """Say whether a value reaches it, and by how much it does not."""
        met = value <= self.target if self.at_most else value >= self.target
        verdict = "reached" if met else f"MISSED by {abs(value - self.target):.3f}"
        sign = "≤" if self.at_most else "≥"
        return f"  {self.key:{width}} {value:9.3f}   {sign} {self.target}{self.remark}: {verdict}"


def bars(fdatasync_milliseconds: float) -> list[Bar]:
    """Return the bars for a disk as fast as that."""
    fast = fdatasync_milliseconds < FAST_DISK_MILLISECONDS
    return [
        Bar("single_vs_f1", 0.6, " on a fast disk") if fast else Bar("single_vs_f1", 0.9, " on a slow disk"),
        Bar("batch500_vs_f2", 0.3, ", aiming at 0.5"),
        Bar("hot_vs_uniform", 1.0),
        Bar("batcher_hot_vs_f1_hot", 5.0),
        Bar("growth_single", 1.2, at_most=True),
        Bar("growth_batch500", 1.2, at_most=True),
    ]
