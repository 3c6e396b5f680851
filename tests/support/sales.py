"""Orders made as buyers make them, and what tests of their later life ask about them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.client import Client
from core.ids import Noun, encode
from core.viewer import Viewer
from services import charging
from tests.api.shop import settle
from tests.support.carts import HOME, Market
from tests.support.world import World, running_world


@dataclass(frozen=True)
class Ordered:
    """An order that was made, with its ids as clients know them."""

    key: UUID
    id: str
    payment: str | None
    payment_key: UUID | None
    token: str
    sales: dict[str, str]
    lines: dict[UUID, str]
    """The line of each variant."""


@dataclass(frozen=True)
class Store(Market):
    """A world without worker and deliveries, in which orders are made by guests."""

    async def order(self, lines: dict[UUID, int], *, address: Any = HOME, **more: Any) -> Ordered:
        """Order so many of each variant as a guest; nothing is paid yet."""
        cart, viewer = await self.cart(lines, address=address, **more)
        done = await self.check_out(cart, viewer)
        payment = done.payment
        rows = await self.rows(
            "select a.id, c.handle from order_parts a join creators c on c.id = a.creator_id where a.order_id = $1",
            done.order_id,
        )
        found = await self.rows("select id, variant_id from order_lines where order_id = $1", done.order_id)
        return Ordered(
            key=done.order_id,
            id=encode(Noun.ORDER, done.order_id),
            payment=None if payment is None else encode(Noun.PAYMENT, payment["id"]),
            payment_key=None if payment is None else payment["id"],
            token=self.engine.guests.issue_for_cart(cart),
            sales={row["handle"]: encode(Noun.SALE, row["id"]) for row in rows},
            lines={row["variant_id"]: encode(Noun.ORDER_LINE, row["id"]) for row in found},
        )

    async def confirm(self, ordered: Ordered, method: str = "tok_success") -> charging.Answer:
        """Confirm an order's payment; nothing is settled yet."""
        assert ordered.payment_key is not None
        command = charging.Confirm(ordered.payment_key, method, None, str(ordered.payment_key))
        return await charging.confirm(self.engine, Viewer(payment_id=ordered.payment_key), command)

    async def paid(self, lines: dict[UUID, int], **more: Any) -> Ordered:
        """Order and pay so many of each variant."""
        ordered = await self.order(lines, **more)
        if ordered.payment is not None:
            await self.confirm(ordered)
            await settle(self.world)
        return ordered

    def guest(self, ordered: Ordered) -> Client:
        """Return the client of who bought it."""
        return self.world.client_with(ordered.token)

    async def status(self, ordered: Ordered) -> str:
        """Return where an order stands, as the database has it."""
        return str(await self.world.scalar("select status from orders where id = $1", ordered.key))

    async def kinds(self, ordered: Ordered) -> list[str]:
        """Return what became of an order, and prove that it was numbered without gaps and sent out."""
        rows = await self.rows("select * from order_events where order_id = $1 order by sequence", ordered.key)
        assert [row["sequence"] for row in rows] == list(range(1, len(rows) + 1))
        left = await self.rows(
            "select sequence, status from outbox_events where order_id = $1 order by sequence", ordered.key
        )
        assert [tuple(row) for row in left] == [(row["sequence"], row["status"]) for row in rows]
        last = await self.world.scalar("select (sequence, status)::text from orders where id = $1", ordered.key)
        assert last == f"({rows[-1]['sequence']},{rows[-1]['status']})"
        return [row["kind"] for row in rows]

    async def line(self, ordered: Ordered, variant: UUID) -> dict[str, int]:
        """Return what became of so many of a variant."""
        (row,) = await self.rows(
            "select fulfilled, canceled, returned, refunded, refunded_amount::bigint as amount, "
            "refunded_tax::bigint as tax from order_lines where order_id = $1 and variant_id = $2",
            ordered.key,
            variant,
        )
        return dict(row)

    async def rows(self, sql: str, *parameters: Any) -> list[Any]:
        """Return rows of the database."""
        return await self.engine.database.reader.fetch(sql, *parameters)


@asynccontextmanager
async def open_store(dsn: str) -> AsyncIterator[Store]:
    """Run a store in which nothing happens by itself."""
    async with running_world(dsn, worker=False, deliveries=False) as world:
        yield Store(world)


def some(ordered: Ordered, variant: UUID, quantity: int) -> list[dict[str, Any]]:
    """Return so many of one variant's line as an input names them."""
    return [{"lineId": ordered.lines[variant], "quantity": quantity}]


__all__ = ["HOME", "Ordered", "Store", "World", "open_store", "some"]
