"""Look-ups: what events tell too little of is asked for at the provider, outside any transaction.

Whoever asks has claimed the events for a while; one that dies leaves them to come back when that is over.
"""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Final

import structlog

from core.clock import now
from providers.payments.base import Fact, LookUp, ProviderError, ProviderErrorCode
from services.calls import claimed_until
from services.engine import Engine
from services.inbox_events import Failure, Verdict, kind

Answer = tuple[Fact, ...] | Failure
Answers = Mapping[LookUp, Answer]

_AT_ONCE: Final = 8
# However many there are: whoever dies must not hold up what they claimed for long.
_MOST_CALLS: Final = 8

# The provider is away, which is no event's fault: it is asked again for as long as it takes.
_AWAY: Final = frozenset({ProviderErrorCode.UNAVAILABLE, ProviderErrorCode.RATE_LIMITED})

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Waiting:
    """What events, by their numbers in the inbox, tell too little of, and until when they are claimed."""

    events: Mapping[int, frozenset[LookUp]]
    until: datetime


def together(waiting: Sequence[Waiting]) -> Waiting | None:
    """Return events that were claimed one by one as if they had been claimed together."""
    if not waiting:
        return None
    events = {event_id: wanted for one in waiting for event_id, wanted in one.events.items()}
    return Waiting(events, min(one.until for one in waiting))


def claim(engine: Engine, at: datetime, number: int) -> datetime:
    """Return until when whoever asks for so many objects has their events to themselves."""
    # One more than they make one after the other: others may have to be asked for first.
    calls = 1 + ceil(number / _AT_ONCE)
    return claimed_until(engine, at, calls=min(calls, _MOST_CALLS))


def told(wanted: Collection[LookUp], answers: Answers) -> dict[LookUp, tuple[Fact, ...]] | Failure:
    """Return the facts that answer an event's look-ups, or why they are not known; being away goes first."""
    found: dict[LookUp, tuple[Fact, ...]] = {}
    failures: list[Failure] = []
    for look_up in wanted:
        answer = answers[look_up]
        if isinstance(answer, Failure):
            failures.append(answer)
        else:
            found[look_up] = answer
    return max(failures, key=lambda failure: failure.verdict is Verdict.AWAY) if failures else found


async def ask(engine: Engine, wanted: Collection[LookUp], until: datetime) -> Answers:
    """Ask the provider for objects, a few at once and each once; raises nothing the provider did.

    There is no answer for what there was no time to ask before the claim ends. A provider that is found to be away
    is not asked for the rest in vain: that has the same answer.
    """
    answers: dict[LookUp, Answer] = {}
    away: list[Failure] = []
    last = until - engine.provider_timeout

    async def some(left: Iterator[LookUp]) -> None:
        for look_up in left:
            if away or now() >= last:
                return
            answer = answers[look_up] = await _ask(engine, look_up)
            if isinstance(answer, Failure) and answer.verdict is Verdict.AWAY:
                away.append(answer)

    left = iter(wanted)
    async with asyncio.TaskGroup() as group:
        for _ in range(min(_AT_ONCE, len(wanted))):
            group.create_task(some(left))
    if away:
        answers = {look_up: answers.get(look_up, away[0]) for look_up in wanted}
    return answers


async def _ask(engine: Engine, look_up: LookUp) -> Answer:
    try:
        return tuple(await engine.provider.fetch(look_up.subject, look_up.provider_reference))
    except ProviderError as error:
        verdict = Verdict.AWAY if error.code in _AWAY else Verdict.LATER
        return Failure(f"look-up: {error.code.value}", verdict)
    except Exception as error:
        # An adapter's mistake over one object is none of the others'.
        log.exception("provider's answer could not be read", subject=look_up.subject.value)
        return Failure(f"look-up: {kind(error)}", Verdict.LATER)
