"""How many requests of a race were really under way at the same time."""

from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter


@dataclass(frozen=True, slots=True)
class Interval:
    """When one request was sent and when its answer was whole, in seconds of one monotonic clock."""

    sent: float
    answered: float


@dataclass(frozen=True, slots=True)
class Overlap:
    """How many requests there were, the most in flight at one moment, and how many overlapped another."""

    requests: int
    most_at_once: int
    overlapped: int


def overlap(intervals: Iterable[Interval]) -> Overlap:
    """Count what overlapped. A request sent in the very moment another one was answered did not overlap it."""
    ordered = sorted(intervals, key=attrgetter("sent", "answered"))
    overlapped = 0
    answered_last = float("-inf")
    for place, interval in enumerate(ordered):
        sent_next = ordered[place + 1].sent if place + 1 < len(ordered) else float("inf")
        overlapped += interval.sent < answered_last or sent_next < interval.answered
        answered_last = max(answered_last, interval.answered)
    return Overlap(len(ordered), _most_at_once(ordered), overlapped)


def _most_at_once(intervals: list[Interval]) -> int:
    # An answer in the moment of a request comes first: those two were not in flight together.
    steps = sorted(
        step
        for interval in intervals
        if interval.sent < interval.answered
        for step in ((interval.sent, 1), (interval.answered, -1))
    )
    most = flying = 0
    for _, change in steps:
        flying += change
        most = max(most, flying)
    return most
