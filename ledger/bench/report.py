"""What a benchmark says: tables, ratios, and the bars."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Final, Self

from ledger.bench.figures import Figures, bars
from ledger.bench.growth import LARGE, SMALL
from ledger.bench.place import BATCH_CLIENTS, CALLERS, CLIENTS

Say = Callable[[str], object]

_WIDTH: Final = 62
_RATES: Final = {
    "f0": f"F0      an inserted row per commit, {CLIENTS} clients",
    "f1": f"F1      a transfer per commit, {CLIENTS} clients",
    "single": f"ours    ledger.transfer through pgbench, {CLIENTS} clients",
    "api": f"ours    post() of one, {CLIENTS} connections of asyncpg",
    "f1_hot": f"F1-hot  a transfer per commit to one account, {CLIENTS} clients",
    "celebrity": f"ours    the batcher, {CALLERS} callers, to one account",
    "f2_100": f"F2      100 transfers per commit, {BATCH_CLIENTS} client",
    "batch100": f"ours    ledger.post of 100 through pgbench, {BATCH_CLIENTS} client",
    "api100": f"ours    post() of 100, {BATCH_CLIENTS} connection of asyncpg",
    "f2_500": f"F2      500 transfers per commit, {BATCH_CLIENTS} client",
    "batch500": f"ours    ledger.post of 500 through pgbench, {BATCH_CLIENTS} client",
    "api500": f"ours    post() of 500, {BATCH_CLIENTS} connection of asyncpg",
    "hot500": "ours    the same to one account",
}
_TIMES: Final = {
    "fdatasync": "fdatasync of 8 KiB",
    "p50": "a lone transfer through post(), nothing else going on: p50",
    "p99": "  p99",
    "caller_p50": f"a transfer through the batcher, {CALLERS} callers: p50",
    "caller_p99": "  p99",
    "api500_p50": "post() of 500: p50",
    "hot500_p50": "  to one account",
}
_RATIOS: Final = {
    "single_vs_f1": ("single", "f1"),
    "batch100_vs_f2": ("batch100", "f2_100"),
    "batch500_vs_f2": ("batch500", "f2_500"),
    "api_single_vs_f1": ("api", "f1"),
    "api_batch500_vs_f2": ("api500", "f2_500"),
    "hot_vs_uniform": ("hot500", "api500"),
    "batcher_hot_vs_f1_hot": ("celebrity", "f1_hot"),
}
_GROWTH: Final = {
    "single_small": f"ledger.transfer through pgbench, {SMALL:,} movements",
    "single_large": f"  {LARGE:,} movements",
    "batch500_small": f"post() of 500, {SMALL:,} movements",
    "batch500_large": f"  {LARGE:,} movements",
}


@dataclass(frozen=True, slots=True)
class Size:
    """How many movements there are, and how many bytes all tables and indexes of the ledger take."""

    movements: int
    bytes: int
    request_bytes: int

    def __sub__(self, earlier: Self) -> "Size":
        """Return what came between."""
        return Size(
            self.movements - earlier.movements,
            self.bytes - earlier.bytes,
            self.request_bytes - earlier.request_bytes,
        )


def say_rounds(figures: Figures, grew: Size, say: Say) -> dict[str, float]:
    """Say what the rounds measured and return the keys of the last line that come from them."""
    ratios = {key: figures.ratios(name, to) for key, (name, to) in _RATIOS.items()}
    per_movement = grew.bytes / grew.movements
    say("\nTransfers a second: median, lowest to highest round")
    _say_table(figures, _RATES, 0, say)
    say("\nMilliseconds: median, lowest to highest round")
    _say_table(figures, _TIMES, 3, say)
    say("\nRatios within a round: median, lowest to highest")
    for key, values in ratios.items():
        say(f"  {key:{_WIDTH}} {median(values):9.3f}   {min(values):9.3f} to {max(values):.3f}")
    low, high = figures.range("busy")
    say(f"\nBetween the measurements the processors were {low:.0%} to {high:.0%} busy with something else")
    say(
        f"Bytes per movement, with all indexes: {per_movement:.0f}, "
        f"of which {grew.request_bytes / grew.movements:.0f} are the key and its answer"
    )
    return {
        "fdatasync_ms": round(figures.median("fdatasync"), 4),
        **{key: round(median(values), 4) for key, values in ratios.items()},
        "p50_ms": round(figures.median("p50"), 4),
        "p99_ms": round(figures.median("p99"), 4),
        "bytes_per_movement": round(per_movement, 1),
    }


def say_round_trips(trips: Mapping[str, float], say: Say) -> dict[str, float]:
    """Say how many round trips a transfer takes, and return the keys."""
    say("Round trips per transfer, counted on the wire: " + ", ".join(f"{n} {t:g}" for n, t in trips.items()))
    return {f"round_trips_{name}": trips[name] for name in ("single", "batch500")}


def say_growth(figures: Figures, say: Say) -> dict[str, float]:
    """Say what a large ledger costs beside a small one, and return the keys."""
    say("Transfers a second: median, lowest to highest round")
    _say_table(figures, _GROWTH, 0, say)
    ratios = {of: figures.ratios(f"{of}_small", f"{of}_large") for of in ("single", "batch500")}
    return {f"growth_{of}": round(median(values), 4) for of, values in ratios.items()}


def say_bars(result: Mapping[str, float], say: Say) -> None:
    """Say of each bar whether it was reached."""
    say("\nBars")
    for bar in bars(result["fdatasync_ms"]):
        if bar.key in result:
            say(bar.line(result[bar.key], _WIDTH))


def _say_table(figures: Figures, titles: Mapping[str, str], digits: int, say: Say) -> None:
    for name, title in titles.items():
        low, high = figures.range(name)
        say(f"  {title:{_WIDTH}} {figures.median(name):9,.{digits}f}   {low:9,.{digits}f} to {high:,.{digits}f}")
