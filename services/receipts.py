"""Receipts: what a paid order says of itself to whoever holds its link."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from core.errors import ErrorCode, Refused
from services.engine import Engine

_PURPOSE: Final = "receipt"
_LIFETIME: Final = timedelta(days=30)
_READ_ORDER: Final = """
    select o.*, p.status as payment_status, p.reason as payment_reason
    from orders o left join payments p on p.id = o.payment_id
    where o.id = $1 and o.paid_at is not null
"""
_READ_PARTS: Final = """
    select a.*, c.display_name from order_parts a join creators c on c.id = a.creator_id
    where a.order_id = $1 order by a.id
"""
_READ_LINES: Final = "select * from order_lines where order_id = $1 order by position, id"
_READ_DISCOUNTS: Final = "select title, code, amount from order_discounts where order_id = $1 order by id"
_READ_REFUNDS: Final = "select amount, status, created_at from refunds where payment_id = $1 order by id"


@dataclass(frozen=True, slots=True)
class TaxLine:
    """The tax of one rate over a whole order. Minor units; ``base`` is what was taxed, without the tax."""

    name: str | None
    basis_points: int
    base: int
    tax: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """An order as its receipt shows it: rows of the order, its parts, lines, discounts and refunds."""

    order: Any
    parts: Sequence[Any]
    lines: Sequence[Any]
    discounts: Sequence[Any]
    refunds: Sequence[Any]
    taxes: Sequence[TaxLine]


def link(engine: Engine, order: Any) -> str | None:
    """Return the address of an order's receipt, good for thirty days; None until the order is paid."""
    if order["paid_at"] is None:
        return None
    token, _ = engine.links.issue(_PURPOSE, order["id"], _LIFETIME)
    return f"{engine.links.base_url.rstrip('/')}/receipts/{token}"


async def open_link(engine: Engine, token: str) -> Receipt:
    """Return the receipt a link is for, as it is now, all of it of one moment. Errors: LINK_INVALID."""
    order_id, _ = engine.links.read(_PURPOSE, token)
    return await read(engine, order_id)


async def read(engine: Engine, order_id: UUID) -> Receipt:
    """Return the receipt of a paid order. Says nothing about who may see it. Errors: LINK_INVALID."""
    async with (
        engine.database.reader.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        order = await connection.fetchrow(_READ_ORDER, order_id)
        if order is None:
            raise Refused(ErrorCode.LINK_INVALID, "There is no receipt here. Ask for a new link.")
        parts = await connection.fetch(_READ_PARTS, order_id)
        lines = await connection.fetch(_READ_LINES, order_id)
        discounts = await connection.fetch(_READ_DISCOUNTS, order_id)
        refunds = (
            await connection.fetch(_READ_REFUNDS, order["payment_id"]) if order["payment_id"] is not None else []
        )
    return Receipt(order, parts, lines, discounts, refunds, taxes_of(lines, parts))


def taxes_of(lines: Sequence[Any], parts: Sequence[Any]) -> list[TaxLine]:
    """Return what of an order's total is tax, rate by rate, the highest first."""
    found: dict[tuple[str | None, int], tuple[int, int]] = {}
    taxed = [(row["tax_name"], row["tax_basis_points"], row["total"], row["tax"]) for row in lines]
    taxed += [
        (row["shipping_tax_name"], row["shipping_tax_basis_points"], row["shipping_total"], row["shipping_tax"])
        for row in parts
    ]
    for name, basis_points, total, tax in taxed:
        if tax:
            base, sum_of_tax = found.get((name, basis_points), (0, 0))
            found[name, basis_points] = base + int(total - tax), sum_of_tax + int(tax)
    return [
        TaxLine(name, basis_points, base, tax)
        for (name, basis_points), (base, tax) in sorted(
            found.items(), key=lambda each: (-each[0][1], each[0][0] or "")
        )
    ]
