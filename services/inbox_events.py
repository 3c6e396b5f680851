"""Reading the inbox: the facts an event states, what has to be looked up for it, and whether it is for us."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import structlog

from models.database import Connection
from providers.payments.base import Event, Fact, Foreign, LookUp, WebhookRejected
from services.engine import Engine

# Its account may be of an onboarding of ours whose answer is still on its way: that is waited for, some minutes.
ACCOUNT_ATTEMPTS: Final = 8

_ACCOUNTS: Final = """
    select provider_reference from payout_accounts where provider = $1 and provider_reference = any($2::text[])
"""
_FOREIGN: Final = {
    Foreign.VERSION: "FOREIGN VERSION: it is of another version of the provider's API than the one spoken here",
    Foreign.MODE: "FOREIGN MODE: it is of another mode, live or test, than ours",
    Foreign.ACCOUNT: "FOREIGN ACCOUNT: it is of a connected account that no creator here has",
}

log = structlog.get_logger(__name__)


class Verdict(Enum):
    """What becomes of an event that was not settled.

    LATER: it is tried again, and given up after so many attempts. AWAY: it is tried again for as long as it takes,
    because the provider could not be asked. DEAD: it is given up. QUARANTINED: it is not for us.
    """

    LATER = "LATER"
    AWAY = "AWAY"
    DEAD = "DEAD"
    QUARANTINED = "QUARANTINED"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why something was not settled, without anything that somebody sent, and what becomes of it."""

    error: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Said:
    """An event's row and what it says: facts, and what it tells too little of."""

    row: Any
    facts: tuple[Fact, ...]
    look_ups: frozenset[LookUp]


async def read(
    engine: Engine, connection: Connection, rows: Sequence[Any]
) -> tuple[list[Said], list[tuple[Any, Failure]]]:
    """Return what events say, and those that say nothing to us.

    One statement, and only when some of them are of connected accounts.
    """
    events: list[tuple[Any, Event]] = []
    failed: list[tuple[Any, Failure]] = []
    for row in rows:
        event = _decoded(engine, row)
        if isinstance(event, Failure):
            failed.append((row, event))
        elif event.foreign is not None:
            failed.append((row, Failure(_FOREIGN[event.foreign], Verdict.QUARANTINED)))
        else:
            events.append((row, event))
    known: Collection[str] = ()
    if accounts := {event.account for _, event in events if event.account is not None}:
        found = await connection.fetch(_ACCOUNTS, engine.provider.name, list(accounts))
        known = {row["provider_reference"] for row in found}
    said: list[Said] = []
    for row, event in events:
        if event.account is not None and event.account not in known:
            last = row["attempts"] + 1 >= ACCOUNT_ATTEMPTS
            verdict = Verdict.QUARANTINED if last else Verdict.LATER
            failed.append((row, Failure(_FOREIGN[Foreign.ACCOUNT], verdict)))
            continue
        one = _translated(engine, row, event)
        if isinstance(one, Failure):
            failed.append((row, one))
        else:
            said.append(one)
    return said, failed


def _decoded(engine: Engine, row: Any) -> Event | Failure:
    try:
        return engine.provider.decode(bytes(row["body"]))
    except WebhookRejected as rejected:
        return Failure(f"untranslatable: {rejected}", Verdict.DEAD)
    except Exception as error:
        log.exception("webhook could not be decoded", trace_id=row["trace_id"], event_id=row["event_id"])
        return _mistaken(error)


def _translated(engine: Engine, row: Any, event: Event) -> Said | Failure:
    facts: list[Fact] = []
    look_ups: set[LookUp] = set()
    try:
        for one in engine.provider.translate(event):
            if isinstance(one, LookUp):
                look_ups.add(one)
            else:
                facts.append(one)
    except WebhookRejected as rejected:
        return Failure(f"untranslatable: {rejected}", Verdict.DEAD)
    except Exception as error:
        log.exception("webhook could not be translated", trace_id=row["trace_id"], event_id=row["event_id"])
        return _mistaken(error)
    return Said(row, tuple(facts), frozenset(look_ups))


def _mistaken(error: Exception) -> Failure:
    # An adapter's mistake: the same bytes will meet it again, until somebody has mended it.
    return Failure(f"untranslatable: {kind(error)}", Verdict.DEAD)


def kind(error: Exception) -> str:
    """Name an error without its text, which may hold what somebody sent."""
    return type(error).__name__
