"""Reversals: what was posted sent back, linked to what it undoes, and never more than that."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Final
from uuid import UUID

from ledger.connections import Connection
from ledger.groups import Group, Outcome, Refusal, Refused, Reversal
from ledger.posting import PLATFORM, post

# The last movement first: what one of them brought in is there when an earlier one is sent back.
_MOVEMENTS: Final = """
select group_id, id, kind, reference from ledger.movement
where group_id = any ($1::uuid[])
order by group_id, id desc
"""
_GROUPS: Final = """
select key, group_id from ledger.request
where tenant = $1 and key = any ($2::text[]) and outcome = 'posted'
"""


async def groups_by_key(keys: Iterable[str], *, on: Connection, tenant: str = PLATFORM) -> dict[str, UUID]:
    """Return the ids of the groups that were posted under keys; a key without one is left out."""
    rows = await on.fetch(_GROUPS, tenant, list(keys))
    return {row["key"]: row["group_id"] for row in rows}


async def reversals_of(
    group_ids: Iterable[UUID], *, kind: str | None = None, reference: UUID | None = None, on: Connection
) -> dict[UUID, tuple[Reversal, ...]]:
    """Return what sends back each movement of groups, or what is left of it, by group.

    ``kind`` names the lines on the statements and ``reference`` what they are about; without a kind they are
    named after those that they undo: ``capture.net`` by ``capture.net.reversed``.
    """
    found: defaultdict[UUID, list[Reversal]] = defaultdict(list)
    for row in await on.fetch(_MOVEMENTS, list(group_ids)):
        line = (f"{row['kind']}.reversed", row["reference"]) if kind is None else (kind, reference)
        found[row["group_id"]].append(Reversal(row["id"], None, *line))
    return {group_id: tuple(reversals) for group_id, reversals in found.items()}


async def reversal(
    key: str,
    of: UUID,
    *,
    kind: str | None = None,
    reference: UUID | None = None,
    effective_at: datetime | None = None,
    on: Connection,
) -> Group | None:
    """Return the group that sends back each movement of another one, or what is left of it.

    ``of`` is that group's id; ``kind`` and ``reference`` are as for :func:`reversals_of`. None: there is no such
    group, or nothing moved in it.
    """
    operations = (await reversals_of([of], kind=kind, reference=reference, on=on)).get(of)
    return None if operations is None else Group(key, operations, effective_at)


async def reverse(
    key: str,
    of: UUID,
    *,
    kind: str | None = None,
    reference: UUID | None = None,
    effective_at: datetime | None = None,
    on: Connection,
    tenant: str = PLATFORM,
) -> Outcome:
    """Send back every movement of a group, or what is left of it, once per key.

    Refused: UNKNOWN_MOVEMENT (there is no such group), REVERSAL_EXCEEDED (one of them has been sent back
    already), INSUFFICIENT_FUNDS (who got it has not got it any more).
    """
    group = await reversal(key, of, kind=kind, reference=reference, effective_at=effective_at, on=on)
    if group is None:
        return Refused(Refusal.UNKNOWN_MOVEMENT)
    (outcome,) = await post([group], on=on, tenant=tenant)
    return outcome
