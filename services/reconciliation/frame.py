"""What every check works with: what is judged, and the one snapshot it is read from."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg

from models.database import Connection
from services.engine import Engine

BEGINNING: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""Before anything: from here on is all there is."""

PATIENCE_SECONDS: Final = 3600.0
"""How long a statement over all of history may take."""
_PREFETCH_ROWS: Final = 500


@dataclass(frozen=True, slots=True)
class Limits:
    """How long what is under way may take before it is taken for stuck."""

    call: timedelta = timedelta(minutes=15)
    """A call to the provider, or the look-up of how it ended."""
    payer: timedelta = timedelta(days=1)
    """A payer who is asked to authenticate."""
    processing: timedelta = timedelta(days=7)
    """A payment the provider works on: some methods take days."""
    charge: timedelta = timedelta(hours=1)
    """The balance transaction of a captured payment."""
    refund: timedelta = timedelta(days=14)
    """A refund on its way to the payer."""
    dispute: timedelta = timedelta(days=14)
    """The end of a dispute, after the last day to answer."""
    step: timedelta = timedelta(days=1)
    """A step of a payout: the transfer to the connected account, or the payout from there."""
    payout: timedelta = timedelta(days=14)
    """A payout on its way to the bank."""
    event: timedelta = timedelta(minutes=15)
    """An event in the inbox."""
    outbox: timedelta = timedelta(minutes=15)
    """A change of status in the outbox."""
    clearing: timedelta = timedelta(days=7)
    """Money in clearing."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One comparison. ``at`` is the moment of the business it is made at.

    Rows that changed before ``since`` are left out. What the provider said, or our books wrote, after
    ``judged_until`` is too young to be judged: the other side may be on its way. ``posted_until`` is the same
    moment by the database's clock.
    """

    engine: Engine
    since: datetime
    at: datetime
    judged_until: datetime
    posted_until: datetime
    limits: Limits = field(default_factory=Limits)

    @property
    def provider(self) -> str:
        """The name of the provider the books are compared with."""
        return self.engine.provider.name

    @property
    def whole(self) -> bool:
        """Whether everything is compared, from the beginning on."""
        return self.since <= BEGINNING


@dataclass(frozen=True, slots=True)
class Snapshot(Frame):
    """A comparison together with the connection of its one snapshot, in which all tables agree."""

    connection: Connection = field(kw_only=True)

    async def rows(self, statement: str, *parameters: Any) -> AsyncIterator[asyncpg.Record]:
        """Stream a statement's rows, a few at a time, however long it takes."""
        cursor = self.connection.cursor(statement, *parameters, prefetch=_PREFETCH_ROWS, timeout=PATIENCE_SECONDS)
        async for row in cursor:
            yield row
