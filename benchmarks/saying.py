"""How benchmarks say what they found."""

import math
from collections.abc import Sequence


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


def say_target(what: str, value: float, met: bool, target: str, digits: int) -> None:
    """Print a figure and whether it meets its target."""
    say(f"{what}: {value:.{digits}f} ({'meets' if met else 'MISSES'} the target {target})")


def say_percentiles(what: str, values: Sequence[float]) -> None:
    """Print the percentiles of times in milliseconds."""
    p50, p95, p99 = (percentile(values, rank) for rank in (50, 95, 99))
    say(f"  {what:18} p50 {p50:7.1f}  p95 {p95:7.1f}  p99 {p99:7.1f}  most {max(values):7.1f} ms")


def percentile(values: Sequence[float], rank: float) -> float:
    """Return the smallest value that ``rank`` per cent of the values do not exceed."""
    return sorted(values)[math.ceil(len(values) * rank / 100) - 1]
