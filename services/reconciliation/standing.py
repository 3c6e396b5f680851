"""What is under way: whether the provider says the same of it, and whether it takes longer than it may."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from providers.payments.base import Fact, ProviderError, ProviderErrorCode
from services.fold import Contradiction
from services.reconciliation.differences import About, Difference
from services.reconciliation.frame import Frame, Snapshot
from services.reconciliation.nouns import NOUNS, OpenNoun

_ASKED: Final = 1_000
"""How many of each noun are asked about, those that changed last first."""
_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True)
class UnderWay:
    """Something that has not ended. ``calling``: somebody is talking to the provider about it right now."""

    noun: OpenNoun
    row: asyncpg.Record
    calling: bool


@dataclass(slots=True)
class Listed:
    """What is under way, and how much of it is not listed, because there is so much."""

    under_way: list[UnderWay]
    left_out: int = 0


async def listed(snapshot: Snapshot) -> Listed:
    """List what is under way and old enough to be judged."""
    found = Listed([])
    for noun in NOUNS:
        total = 0
        number = 0
        async for row in snapshot.rows(
            noun.statement, snapshot.provider, snapshot.since, snapshot.judged_until, _ASKED
        ):
            total, number = row["total"], number + 1
            calling_until = row["calling_until"]
            calling = noun.is_call(row) and calling_until is not None and calling_until > snapshot.at
            found.under_way.append(UnderWay(noun, row, calling))
        found.left_out += total - number
    return found


async def find_standing(frame: Frame, found: Listed) -> AsyncIterator[Difference]:
    """Ask the provider for each, outside of any transaction. Raises ``ProviderError``."""
    for start in range(0, len(found.under_way), _AT_ONCE):
        batch = found.under_way[start : start + _AT_ONCE]
        for difference in await asyncio.gather(*(_judge(frame, item) for item in batch)):
            if difference is not None:
                yield difference


async def _judge(frame: Frame, item: UnderWay) -> Difference | None:
    noun, row = item.noun, item.row
    about = About.ours(noun.about, row["id"])
    look_ups = noun.look_ups(row)
    facts: list[Fact] = []
    if not item.calling:
        try:
            for look_up in look_ups:
                if look_up.provider_reference is not None:
                    facts += await frame.engine.provider.fetch(look_up.subject, look_up.provider_reference)
                elif look_up.reference is not None:
                    facts += await frame.engine.provider.find(look_up.subject, look_up.reference)
        except ProviderError as error:
            if error.code is not ProviderErrorCode.NOT_FOUND:
                raise
            sentence = f"It is {row['status']}, and the provider knows nothing of {_references(row)}."
            return Difference(noun.unknown, about, sentence)
    old_enough = all(fact.at <= frame.judged_until for fact in facts)
    try:
        told = noun.differs(row, facts) if old_enough else None
        if told is not None:
            # It may have been settled since it was listed.
            fresh = await frame.engine.database.reader.fetchrow(noun.read, row["id"])
            told = noun.differs(fresh, facts)
    except Contradiction as contradiction:
        return Difference(noun.outdated, about, f"It is {row['status']}. {contradiction}")
    if told is not None:
        sentence = f"It is {row['status']}, and the provider says {told}."
        return Difference(noun.outdated, about, sentence, remedies=look_ups)
    limit = noun.limit(frame.limits, row)
    if limit is not None and row["status_at"] < frame.at - limit:
        return Difference(
            noun.stuck,
            about,
            f"It has been {row['status']} since {row['status_at']:%Y-%m-%d %H:%M} UTC, {_provider_says(facts)}.",
        )
    return None


def _provider_says(facts: Sequence[Fact]) -> str:
    return "and the provider says the same" if facts else "and the provider has nothing of it"


def _references(row: Any) -> str:
    names = [row["provider_reference"], row.get("transfer_reference")]
    return " and ".join(name for name in names if name) or "it"
