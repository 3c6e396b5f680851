"""Things to buy and orders of them, written straight into the database: for tests of what comes after buying."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from core.clock import now
from core.ids import uuid7
from models.database import Connection
from services import access

_NUMBER: Final = "update order_counter set last_number = last_number + 1 where id = 1 returning last_number"


@dataclass(frozen=True)
class Made:
    """An order's ids: of itself, its part, its line, and its payment where it has one."""

    order: UUID
    part: UUID
    line: UUID
    payment: UUID | None


async def insert(connection: Connection, table: str, **row: Any) -> UUID:
    """Insert a row and return its id: a fresh one unless it is given."""
    row.setdefault("id", uuid7())
    columns = ", ".join(f'"{name}"' for name in row)
    marks = ", ".join(f"${place}" for place in range(1, len(row) + 1))
    await connection.execute(f"insert into {table} ({columns}) values ({marks})", *row.values())
    found: UUID = row["id"]
    return found


async def make_variant(
    connection: Connection,
    creator: UUID,
    *,
    stock: int | None = None,
    price: int = 1_000,
    product_id: UUID | None = None,
    **variant: Any,
) -> UUID:
    """Offer a product with one variant, and so many of it at the creator's main location; return the variant's id.

    ``variant``: columns of ``product_variants``, such as ``licence_policy``.
    """
    at = now()
    times = {"created_at": at, "updated_at": at}
    product = await insert(
        connection,
        "products",
        id=product_id or uuid7(),
        creator_id=creator,
        title="A digital thing",
        price=Decimal(price),
        currency="USD",
        state="active",
        **times,
    )
    made = await insert(
        connection,
        "product_variants",
        product_id=product,
        position=0,
        state="active",
        stock_tracked=stock is not None,
        **variant,
        **times,
    )
    await insert(connection, "variant_prices", variant_id=made, currency="USD", amount=Decimal(price))
    if stock is not None:
        location = await main_location(connection, creator)
        await insert(
            connection, "stock_levels", variant_id=made, location_id=location, on_hand=stock, updated_at=at
        )
    return made


async def main_location(connection: Connection, creator: UUID) -> UUID:
    """Return a creator's first location; one is made where there is none."""
    at = now()
    found: UUID | None = await connection.fetchval(
        "select id from stock_locations where creator_id = $1 order by position, id limit 1", creator
    )
    return found or await insert(
        connection,
        "stock_locations",
        creator_id=creator,
        name="Main",
        position=0,
        state="active",
        created_at=at,
        updated_at=at,
    )


async def make_order(
    connection: Connection,
    creator: UUID,
    variant: UUID,
    quantity: int = 1,
    *,
    paid: bool = True,
    price: int = 0,
    buyer: UUID | None = None,
    cart: UUID | None = None,
    granted: bool = True,
) -> Made:
    """Order so many of a variant, in one part and one line.

    A price of 0 needs no payment; with another there is one, which nobody has confirmed. ``granted``: what is paid
    has its files and keys as well.
    """
    at = now()
    payment = None if price == 0 else await _payment(connection, price * quantity)
    total = Decimal(price * quantity)
    amounts = {"subtotal": total, "discount": Decimal(0), "tax": Decimal(0), "total": total}
    order = await insert(
        connection,
        "orders",
        cart_id=cart,
        payment_id=payment,
        buyer_id=buyer,
        buyer_key=None if buyer is None else f"user:{buyer}",
        origin="CART",
        number=await connection.fetchval(_NUMBER) if paid else None,
        status="FULFILLED" if paid else "PENDING",
        sequence=1,
        currency="USD",
        shipping=Decimal(0),
        created_at=at,
        updated_at=at,
        paid_at=at if paid else None,
        **amounts,
    )
    part = await insert(connection, "order_parts", order_id=order, creator_id=creator, created_at=at, **amounts)
    line = await insert(
        connection,
        "order_lines",
        order_id=order,
        part_id=part,
        position=0,
        product_id=await connection.fetchval("select product_id from product_variants where id = $1", variant),
        variant_id=variant,
        title="A digital thing",
        requires_shipping=False,
        quantity=quantity,
        unit_price=Decimal(price),
        tax_basis_points=0,
        tax_inclusive=True,
        fulfilled=quantity if paid else 0,
        **amounts,
    )
    if paid and granted:
        await access.grant([line], on=connection, at=at)
    return Made(order, part, line, payment)


async def make_cart(connection: Connection, buyer: UUID | None = None) -> UUID:
    """Make an empty cart."""
    at = now()
    return await insert(connection, "carts", buyer_id=buyer, currency="USD", created_at=at, updated_at=at)


async def _payment(connection: Connection, gross: int) -> UUID:
    at = now()
    payment = uuid7()
    return await insert(
        connection,
        "payments",
        id=payment,
        kind="purchase",
        currency="USD",
        gross=Decimal(gross),
        fixed_fee=Decimal(0),
        fee=Decimal(0),
        tax=Decimal(0),
        net=Decimal(gross),
        maturity_delay_seconds=0,
        provider="sandbox",
        provider_reference=str(payment),
        status="CREATED",
        sequence=1,
        authorized=Decimal(0),
        captured=Decimal(0),
        reconciling=False,
        created_at=at,
        updated_at=at,
    )
