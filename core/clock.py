"""The one place that reads the wall clock, and moves business time ahead of it where that is allowed."""

from datetime import UTC, datetime, timedelta

_ahead = timedelta(0)


def now() -> datetime:
    """Return the present moment of the business, aware and in UTC.

    It is the wall clock's, except in development on the sandbox, whose clock can be moved forward: what waits
    for days there waits no longer.
    """
    return wall() + _ahead


def wall() -> datetime:
    """Return the moment of the wall clock, aware and in UTC: for what others date, such as signatures."""
    return datetime.now(UTC)


def set_ahead(ahead: timedelta) -> None:
    """Put this process's business time so far ahead of the wall clock.

    Raises ValueError for a time behind it.
    """
    global _ahead  # ruff: ignore[global-statement] - a process has one clock
    if ahead < timedelta(0):
        raise ValueError("Business time is never behind the wall clock.")
    _ahead = ahead
