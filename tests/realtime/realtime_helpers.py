"""What the tests of feeds share: writers of events, and patience."""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import asyncpg

from core.clock import now
from core.ids import uuid7
from models.database import Connection, Database

CREATOR: Final = UUID(int=7)
FEE_RULE: Final = UUID(int=8)
PATIENCE_SECONDS: Final = 10


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something to become true; fail after some seconds."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0.002)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Payments:
    """Writes payments and their events as the use cases do."""

    dsn: str
    database: Database

    async def create(self, creator_id: UUID) -> UUID:
        """Make a payment without events. Whom it refers to is left out, and not looked for."""
        payment_id = uuid7()
        owner = await asyncpg.connect(self.dsn)
        await owner.execute("set session_replication_role = replica")
        await owner.execute(
            """
            insert into creators (id, user_id, handle, display_name, plan, state, created_at, updated_at)
            values ($1, $1, $3, 'Somebody', 'standard', 'active', $2, $2)
            on conflict do nothing
            """,
            creator_id,
            now(),
            f"c{creator_id.hex[-20:]}",
        )
        await owner.execute(
            """
            insert into fee_rules (id, kind, plan, percent_basis_points, fixed, maturity_delay_seconds, valid_from,
                created_at)
            values ($1, 'tip', 'standard', 1000, 0, 0, now(), now())
            on conflict do nothing
            """,
            FEE_RULE,
        )
        await owner.execute(
            """
            insert into payments (id, kind, creator_id, currency, gross, fixed_fee, fee, tax, net, fee_rule_id,
                maturity_delay_seconds, provider, status, sequence, authorized, captured, reconciling,
                created_at, updated_at)
            values ($1, 'tip', $2, 'EUR', 500, 0, 50, 0, 450, $4, 0, 'sandbox', 'CREATED', 0, 0, 0, false, $3, $3)
            """,
            payment_id,
            creator_id,
            now(),
            FEE_RULE,
        )
        await owner.close()
        return payment_id

    async def append(
        self, connection: Connection, payment_id: UUID, status: str = "PENDING", *, in_activity: bool = True
    ) -> int:
        """Change a payment's status in the caller's transaction; return the event's sequence number."""
        return await connection.fetchval(
            """
            with payment as (
                update payments set sequence = sequence + 1, status = $2 where id = $1
                returning id, sequence, status, creator_id
            ),
            event as (
                insert into payment_events (payment_id, sequence, status, at)
                select id, sequence, status, now() from payment
            )
            insert into outbox_events (payment_id, sequence, status, at, creator_id, in_activity)
            select id, sequence, status, now(), creator_id, $3 from payment
            returning sequence
            """,
            payment_id,
            status,
            in_activity,
        )

    async def change(self, payment_id: UUID, status: str = "PENDING", *, in_activity: bool = True) -> int:
        """Change a payment's status in a transaction of its own."""
        async with self.database.transaction() as transaction:
            return await self.append(transaction.connection, payment_id, status, in_activity=in_activity)
