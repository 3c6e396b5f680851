"""Money over lines: what goes back for how many of which line, out of whose part of the payment.

Pure but for the reading of shares. The order's lock and its payment's are the caller's.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from models.database import Connection
from services import payment_shares
from services.fold import Of
from services.order_state import Item, Line, Order, Part


async def left_of(payment: Any, *, on: Connection) -> Mapping[UUID, int]:
    """Return what is left of each creator's part of a captured and locked payment, in minor units."""
    shares = await payment_shares.load([payment], on=on)
    parts = payment_shares.parts_of(payment, int(payment["captured"]), shares.get(payment["id"], ()))
    return {part.creator_id: part.left.gross for part in parts}


def take_back(
    order: Order,
    refund_id: UUID,
    lines: Sequence[tuple[Line, int]],
    shipping_of: Collection[UUID],
    left: Mapping[UUID, int],
) -> list[Of]:
    """Take so many of each line, and the shipping of parts, as refunded; return what comes out of whose part.

    ``left`` is the most that can come out of each creator's part: where what the lines cost is more than that,
    the last ones get less. The order has the refund's items then; what comes to nothing has none.
    """
    quantities = {line.id: quantity for line, quantity in lines if quantity}
    of = []
    for part in order.parts:
        creator_id = UUID(int=part.row["creator_id"].int)
        most = left.get(creator_id, 0)
        amount = tax = 0
        for line in part.lines:
            if line.id in quantities:
                price, share = _take_line(order, refund_id, line, quantities[line.id], most - amount)
                amount, tax = amount + price, tax + share
        if part.id in shipping_of:
            price, share = _take_shipping(order, refund_id, part, most - amount)
            amount, tax = amount + price, tax + share
        if amount:
            of.append(Of(creator_id, amount, tax))
    return of


def _take_line(order: Order, refund_id: UUID, line: Line, quantity: int, most: int) -> tuple[int, int]:
    price, tax = line.price_of(quantity)
    price = min(price, most)
    tax = min(tax, price)
    line.refunded, line.changed = line.refunded + quantity, True
    line.refunded_amount += price
    line.refunded_tax += tax
    if price:
        order.items.append(Item(refund_id, order.id, line.id, None, quantity, price, tax))
    return price, tax


def _take_shipping(order: Order, refund_id: UUID, part: Part, most: int) -> tuple[int, int]:
    price, tax = part.shipping_left
    price = min(price, most)
    tax = min(tax, price)
    if price:
        part.shipping_refunded_amount += price
        part.shipping_refunded_tax += tax
        part.changed = True
        order.items.append(Item(refund_id, order.id, None, part.id, 0, price, tax))
    return price, tax
