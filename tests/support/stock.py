"""Variants, places and orders without a server: what stock is tested with where nothing else matters."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import asyncpg

from core.clock import now
from core.ids import uuid7
from models.database import Connection, Database
from services import stock, stock_reservations
from services.engine import Engine
from services.reconciliation.differences import Difference
from services.reconciliation.frame import BEGINNING, Snapshot
from services.reconciliation.stock import find_stock
from services.stock_reservations import Wanted


@dataclass
class StockScene:
    """One creator with places and variants, and orders of them. What orders do is called as their service does it."""

    engine: Engine
    owner: asyncpg.Connection
    user: UUID = field(default_factory=uuid7)
    creator: UUID = field(default_factory=uuid7)
    product: UUID = field(default_factory=uuid7)

    async def open(self) -> None:
        """Make the creator and their product."""
        at = now()
        await self.owner.execute(
            "insert into users (id, issuer, subject, created_at) values ($1, 'test', $2, $3)",
            self.user,
            str(self.user),
            at,
        )
        await self.owner.execute(
            "insert into creators (id, user_id, handle, display_name, plan, state, created_at, updated_at) "
            "values ($1, $2, $3, 'Fable', 'standard', 'active', $4, $4)",
            self.creator,
            self.user,
            f"fable_{self.creator.hex[-8:]}",
            at,
        )
        await self.owner.execute(
            "insert into products (id, creator_id, title, price, currency, state, created_at, updated_at) "
            "values ($1, $2, 'A thing', 500, 'USD', 'active', $3, $3)",
            self.product,
            self.creator,
            at,
        )

    async def location(self, name: str = "Here", position: int = 0, state: str = "active") -> UUID:
        """Make a place; return its id."""
        key = uuid7()
        await self.owner.execute(
            "insert into stock_locations (id, creator_id, name, position, state, created_at, updated_at) "
            "values ($1, $2, $3, $4, $5, $6, $6)",
            key,
            self.creator,
            name,
            position,
            state,
            now(),
        )
        return key

    async def variant(self, stocked: dict[UUID, int] | None = None, *, tracked: bool = True) -> UUID:
        """Make a variant, with so many of it at each place; return its id."""
        key = uuid7()
        await self.owner.execute(
            "insert into product_variants (id, product_id, position, choices, state, stock_tracked, created_at, "
            "updated_at) values ($1, $2, 0, array[$3], 'active', $4, $5, $5)",
            key,
            self.product,
            str(key),
            tracked,
            now(),
        )
        for location, quantity in (stocked or {}).items():
            await self.within(
                lambda on, place=location, many=quantity: stock.receive(key, place, many, on=on, at=now())
            )
        return key

    async def line(self, variant: UUID, quantity: int = 1, *, status: str = "PENDING") -> UUID:
        """Make an order of one line, with a payment that waits; return the line's id."""
        order, part, line, payment, rule = uuid7(), uuid7(), uuid7(), uuid7(), uuid7()
        at, total = now(), Decimal(500 * quantity)
        await self.owner.execute(
            "insert into fee_rules (id, kind, currency, plan, percent_basis_points, fixed, maturity_delay_seconds, "
            "valid_from, created_at) values ($1, 'purchase', 'USD', $2, 0, 0, 0, $3, $3)",
            rule,
            str(rule),
            at,
        )
        await self.owner.execute(
            "insert into payments (id, kind, creator_id, currency, gross, fixed_fee, fee, tax, net, fee_rule_id, "
            "maturity_delay_seconds, provider, status, sequence, authorized, captured, reconciling, created_at, "
            "updated_at) values ($1, 'purchase', $2, 'USD', $3, 0, 0, 0, $3, $4, 0, 'sandbox', 'PENDING', 1, 0, 0, "
            "false, $5, $5)",
            payment,
            self.creator,
            total,
            rule,
            at,
        )
        await self.owner.execute(
            "insert into orders (id, payment_id, origin, status, sequence, currency, subtotal, discount, shipping, "
            "tax, total, created_at, updated_at) values ($1, $2, 'CART', $3, 1, 'USD', $4, 0, 0, 0, $4, $5, $5)",
            order,
            payment,
            status,
            total,
            at,
        )
        await self.owner.execute(
            "insert into order_parts (id, order_id, creator_id, subtotal, discount, tax, total, created_at) "
            "values ($1, $2, $3, $4, 0, 0, $4, $5)",
            part,
            order,
            self.creator,
            total,
            at,
        )
        await self.owner.execute(
            "insert into order_lines (id, order_id, part_id, position, product_id, variant_id, title, "
            "requires_shipping, quantity, unit_price, subtotal, discount, tax_basis_points, tax_inclusive, tax, "
            "total) values ($1, $2, $3, 0, $4, $5, 'A thing', false, $6, 500, $7, 0, 0, true, 0, $7)",
            line,
            order,
            part,
            self.product,
            variant,
            quantity,
            total,
        )
        return line

    async def lines(self, variant: UUID, number: int, quantity: int = 1) -> list[UUID]:
        """Make so many orders of one line each."""
        return [await self.line(variant, quantity) for _ in range(number)]

    # What orders do -----------------------------------------------------------------------------------------

    async def within(self, act: Callable[[Connection], Awaitable[Any]], engine: Engine | None = None) -> Any:
        """Do something in a transaction of its own."""
        async with (engine or self.engine).database.transaction() as transaction:
            return await act(transaction.connection)

    async def of_orders(
        self, lines: Sequence[UUID], act: Callable[[Connection], Awaitable[Any]], engine: Engine | None = None
    ) -> Any:
        """Do something while the orders of lines are locked."""
        async with (engine or self.engine).database.transaction() as transaction:
            await transaction.connection.execute(
                "select 1 from orders where id in (select order_id from order_lines where id = any($1::uuid[])) "
                "order by id for no key update",
                lines,
            )
            return await act(transaction.connection)

    async def reserve(
        self,
        variant: UUID,
        line: UUID,
        quantity: int = 1,
        *,
        seconds: float | None = 900,
        engine: Engine | None = None,
    ) -> None:
        """Hold so many for a line, for so long from now; None: without end."""
        expires_at = None if seconds is None else now() + timedelta(seconds=seconds)
        wanted = [Wanted(line, variant, quantity)]
        await self.within(
            lambda on: stock_reservations.reserve(wanted, expires_at=expires_at, on=on, at=now()), engine
        )

    async def take(self, *lines: UUID, engine: Engine | None = None) -> dict[UUID, int]:
        """Pay the orders of lines, and sell what is held for them; return what was lost."""

        async def act(on: Connection) -> dict[UUID, int]:
            lost = await stock_reservations.take(lines, on=on, at=now())
            await on.execute(
                "update orders set status = 'PAID', paid_at = $2, number = coalesce(number, floor(random() * 1e15)) "
                "where id in (select order_id from order_lines where id = any($1::uuid[]))",
                lines,
                now(),
            )
            return dict(lost)

        taken: dict[UUID, int] = await self.of_orders(lines, act, engine)
        return taken

    async def release(self, *lines: UUID, engine: Engine | None = None) -> None:
        """Cancel the orders of lines, and give back what is held for them."""
        await self.of_orders(lines, lambda on: stock_reservations.release(lines, on=on, at=now()), engine)

    async def hold_again(self, *lines: UUID, expires_at: datetime | None, engine: Engine | None = None) -> None:
        """Hold lines until another moment."""
        await self.of_orders(
            lines, lambda on: stock_reservations.hold_again(lines, expires_at=expires_at, on=on, at=now()), engine
        )

    # What is looked at --------------------------------------------------------------------------------------

    async def level(self, variant: UUID, location: UUID) -> tuple[int, int]:
        """Return how many there are, and how many of them are reserved."""
        row = await self.owner.fetchrow(
            "select on_hand, reserved from stock_levels where variant_id = $1 and location_id = $2",
            variant,
            location,
        )
        assert row is not None
        return row["on_hand"], row["reserved"]

    async def states(self, line: UUID) -> list[tuple[str, int]]:
        """Return a line's reservations: the state and the quantity of each, the oldest first."""
        rows = await self.owner.fetch(
            "select state, quantity from stock_reservations where line_id = $1 order by id", line
        )
        return [(row["state"], row["quantity"]) for row in rows]

    async def movements(self, variant: UUID) -> list[tuple[str, int, int]]:
        """Return what changed a variant's levels: why, and by how much, the oldest first."""
        rows = await self.owner.fetch(
            "select m.kind, m.on_hand, m.reserved from stock_movements m join stock_levels s on s.id = m.level_id "
            "where s.variant_id = $1 order by m.id",
            variant,
        )
        return [(row["kind"], row["on_hand"], row["reserved"]) for row in rows]

    async def differences(self) -> list[Difference]:
        """Return what the reconciliation finds wrong with stock."""
        async with self.owner.transaction(isolation="repeatable_read", readonly=True):
            at = now()
            snapshot = Snapshot(self.engine, BEGINNING, at, at, at, connection=self.owner)
            return [each async for each in find_stock(snapshot)]


def engine_on(database: Database) -> Engine:
    """Return as much of an engine as stock works with."""
    return cast("Engine", SimpleNamespace(database=database))


@asynccontextmanager
async def open_stock(dsn: str) -> AsyncIterator[StockScene]:
    """Open a scene on a fresh database, and see at its end that stock is sound."""
    owner = await asyncpg.connect(dsn)
    database = await Database.connect(dsn)
    try:
        scene = StockScene(engine_on(database), owner)
        await scene.open()
        yield scene
    finally:
        await database.close()
        await owner.close()
