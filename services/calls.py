"""Calls to the provider: how long one is anybody's, and when to ask again about what stands still."""

from datetime import datetime, timedelta
from typing import Final

from services.engine import Engine

# Providers may forget an idempotency key after a day; then the same call would no longer be the same.
RESEND_WITHIN: Final = timedelta(hours=23)
RAREST_LOOK_UP: Final = timedelta(days=1)
_MARGIN: Final = timedelta(seconds=5)


def claimed_until(engine: Engine, at: datetime, *, calls: int = 1) -> datetime:
    """Return until when whoever begins a call now has it to themselves; ``calls`` may have to be made.

    Longer than the provider may take to answer, so that a call that is on its way is never doubled.
    """
    return at + calls * engine.provider_timeout + _MARGIN


def patience(stood_still: timedelta, soonest: timedelta) -> timedelta:
    """Return how long to wait before the provider is asked again: the longer it has stood still, the longer.

    What nobody will ever finish must not crowd out the rest, and yet is asked for once a day.
    """
    return max(soonest, min(stood_still / 2, RAREST_LOOK_UP))
