"""Holds: money set aside first and moved later, or not."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from ledger.connections import Connection
from ledger.groups import Capture, Group, Hold, Increment, Operation, Outcome, Release
from ledger.posting import PLATFORM, post
from ledger.whole import whole

EXPIRY_BATCH: Final = 500

_HOLDS: Final = """
select id, debit, credit, kind, reference, amount, captured, released, expires_at, placed_at, ended_at, ending
from ledger.hold where id = any ($1::uuid[])
"""


@dataclass(frozen=True, slots=True)
class HoldState:
    """A hold as it stands. Amounts are in the asset's smallest unit; ``open`` is what is left of it.

    ``ending`` is None while something is left, then captured, released or expired, since ``ended_at``.
    """

    id: UUID
    debit: int
    credit: int
    kind: str
    reference: UUID | None
    amount: int
    captured: int
    released: int
    expires_at: datetime | None
    placed_at: datetime
    ended_at: datetime | None
    ending: str | None

    @property
    def open(self) -> int:
        """What can still be captured or released."""
        return self.amount - self.captured - self.released


async def hold(key: str, operation: Hold, *, on: Connection, tenant: str = PLATFORM) -> Outcome:
    """Set money aside, once per key. As :func:`ledger.post` of a group of one.

    Refused: INSUFFICIENT_FUNDS, HOLD_EXPIRED (before it began), HOLD_EXISTS, and what a movement is refused for.
    """
    return await _post(key, operation, on, tenant)


async def capture(
    key: str,
    hold_id: UUID,
    amount: int | None = None,
    *,
    kind: str,
    reference: UUID | None = None,
    final: bool = False,
    on: Connection,
    tenant: str = PLATFORM,
) -> Outcome:
    """Pay out a part of a hold, or all that is left of it, once per key; ``final`` releases the rest.

    Refused: UNKNOWN_HOLD, HOLD_ENDED, HOLD_EXPIRED, HOLD_EXCEEDED (``missing``: by how much).
    """
    return await _post(key, Capture(hold_id, amount, kind, reference, final), on, tenant)


async def increment(key: str, hold_id: UUID, amount: int, *, on: Connection, tenant: str = PLATFORM) -> Outcome:
    """Set more money aside under an open hold, once per key.

    Refused: UNKNOWN_HOLD, HOLD_ENDED, HOLD_EXPIRED, INSUFFICIENT_FUNDS.
    """
    return await _post(key, Increment(hold_id, amount), on, tenant)


async def release(
    key: str, hold_id: UUID, amount: int | None = None, *, on: Connection, tenant: str = PLATFORM
) -> Outcome:
    """Make a part of a hold available again, or all that is left of it, once per key.

    Refused: UNKNOWN_HOLD, HOLD_ENDED, HOLD_EXCEEDED (``missing``: by how much).
    """
    return await _post(key, Release(hold_id, amount), on, tenant)


async def holds(hold_ids: Iterable[UUID], *, on: Connection) -> dict[UUID, HoldState]:
    """Return holds by their ids. An id that is no hold's is left out."""
    rows = await on.fetch(_HOLDS, list(hold_ids))
    return {
        row["id"]: HoldState(
            **{**row, **{name: whole(row[name]) for name in ("amount", "captured", "released")}},
        )
        for row in rows
    }


async def expire_holds(*, on: Connection, limit: int = EXPIRY_BATCH) -> int:
    """Make available again what is left of up to ``limit`` holds whose time is over; return how many there were.

    Nothing can be captured from them anyway. Any number of processes may sweep at once.
    """
    return int(await on.fetchval("select ledger.expire_holds($1)", limit))


async def _post(key: str, operation: Operation, on: Connection, tenant: str) -> Outcome:
    (outcome,) = await post([Group(key, (operation,))], on=on, tenant=tenant)
    return outcome
