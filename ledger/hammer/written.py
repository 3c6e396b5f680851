"""What stands in the books under a key, and whether it is what was asked."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from ledger.connections import Pool
from ledger.groups import (
    AccountAfter,
    Capture,
    Group,
    Hold,
    Increment,
    Movement,
    Operation,
    PostedMovement,
    Recovery,
    Release,
    Reversal,
)
from ledger.whole import whole

_REQUESTS: Final = """
    select key, body_hash, group_id, outcome, account, missing, movements, hold_entries, decided_at
    from ledger.request where tenant = $1 and key = any ($2::text[])
"""
_MOVEMENTS: Final = """
    select movement.*, original_id
    from ledger.movement
    left join ledger.reversal on reversal.movement_id = movement.id
    where group_id = any ($1::uuid[])
"""
_HOLD_ENTRIES: Final = "select * from ledger.hold_entry where group_id = any ($1::uuid[]) order by hold_id, number"


@dataclass(frozen=True, slots=True)
class Written:
    """A key's answer as it is stored, with the rows of its group's movements and entries in holds."""

    body_hash: bytes
    group_id: UUID
    outcome: str
    account: int | None
    missing: int | None
    promised: tuple[int, int]
    decided_at: datetime
    movements: Sequence[asyncpg.Record]
    hold_entries: Sequence[asyncpg.Record]

    def posted_movements(self) -> set[PostedMovement]:
        """Return the movements as an outcome tells them."""
        return {
            PostedMovement(
                row["id"],
                row["debit"],
                row["credit"],
                whole(row["amount"]),
                AccountAfter(whole(row["debit_after"]), row["debit_version"]),
                AccountAfter(whole(row["credit_after"]), row["credit_version"]),
            )
            for row in self.movements
        }


async def written(keys: Iterable[str], *, tenant: str, on: Pool) -> dict[str, Written]:
    """Return what stands under keys; one that nothing was decided for is left out."""
    requests = await on.fetch(_REQUESTS, tenant, list(keys))
    groups = [row["group_id"] for row in requests]
    movements = _by_group(await on.fetch(_MOVEMENTS, groups))
    entries = _by_group(await on.fetch(_HOLD_ENTRIES, groups))
    return {
        row["key"]: Written(
            row["body_hash"],
            row["group_id"],
            row["outcome"],
            row["account"],
            None if row["missing"] is None else whole(row["missing"]),
            (row["movements"], row["hold_entries"]),
            row["decided_at"],
            movements[row["group_id"]],
            entries[row["group_id"]],
        )
        for row in requests
    }


def _by_group(rows: Iterable[asyncpg.Record]) -> defaultdict[UUID, list[asyncpg.Record]]:
    found: defaultdict[UUID, list[asyncpg.Record]] = defaultdict(list)
    for row in rows:
        found[row["group_id"]].append(row)
    return found


def difference(group: Group, found: Written, accounts: Mapping[int, int]) -> str | None:
    """Return how what stands in the books differs from what was asked; None: it is wholly there.

    ``accounts`` has the account of each row. An operation's movements are known by their kind, ``hammer.`` and
    its place in the group.
    """
    if (len(found.movements), len(found.hold_entries)) != found.promised:
        return f"{len(found.movements)} movements and {len(found.hold_entries)} entries of {found.promised}"
    if found.outcome != "posted":
        return None if found.promised == (0, 0) else "it was refused, and yet there are movements"
    effective_at = group.effective_at or found.decided_at
    if any((row["posted_at"], row["effective_at"]) != (found.decided_at, effective_at) for row in found.movements):
        return "a movement has another time"
    movements: defaultdict[str, list[asyncpg.Record]] = defaultdict(list)
    for row in found.movements:
        movements[row["kind"]].append(row)
    entries: defaultdict[UUID, list[asyncpg.Record]] = defaultdict(list)
    for row in found.hold_entries:
        entries[row["hold_id"]].append(row)
    for index, operation in enumerate(group.operations):
        rows = movements.pop(f"hammer.{index}", [])
        hold = _hold(operation)
        if not _is_done(operation, rows, [] if hold is None else entries.pop(hold, []), accounts):
            return f"{operation} became {[dict(row) for row in rows]}"
    return f"there is more than was asked for: {movements or entries}" if movements or entries else None


def _hold(operation: Operation) -> UUID | None:
    match operation:
        case Hold(hold) | Capture(hold) | Increment(hold) | Release(hold):
            return hold
    return None


def _is_done(
    operation: Operation,
    rows: Sequence[asyncpg.Record],
    entries: Sequence[asyncpg.Record],
    accounts: Mapping[int, int],
) -> bool:
    ways = [(accounts[row["debit"]], accounts[row["credit"]]) for row in rows]
    amounts = [whole(row["amount"]) for row in rows]
    events = [(row["event"], whole(row["amount"])) for row in entries]
    reference = getattr(operation, "reference", None)
    if any(row["reference"] != reference for row in rows):
        return False
    match operation:
        case Movement(debit, credit, amount, _, _, None):
            return ways == [(debit, credit)] and amounts == [amount]
        case Movement(debit, credit, amount, _, _, shortfall):
            return sum(amounts) == amount and {*ways} <= {(debit, credit), (shortfall, credit)} and len(ways) <= 2
        case Recovery(debit, credit):
            return not ways or ways == [(debit, credit)]
        case Reversal(original, amount):
            return [row["original_id"] for row in rows] == [original] and amounts == [amount or amounts[0]]
        case Capture(_, amount, _, _, final):
            captured = [("captured", amount or amounts[0])] if amounts else []
            return (
                len(amounts) == 1
                and events[:1] == captured
                and captured[0][1] == amounts[0]
                and entries[0]["movement_id"] == rows[0]["id"]
                and (len(events) == 1 or (final and len(events) == 2 and events[1][0] == "released"))
            )
        case Hold(_, _, _, amount):
            return not rows and events == [("placed", amount)]
        case Increment(_, amount):
            return not rows and events == [("incremented", amount)]
        case Release(_, amount):
            return not rows and len(events) == 1 and events[0] == ("released", amount or events[0][1])
