"""Purchases: one product bought now. Its stock is reserved at once, and released when the payment is cancelled."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from core.clock import now
from core.errors import ErrorCode, Refused, not_found
from core.ids import uuid7
from core.money import Money, money
from core.viewer import Viewer
from models.database import Connection, Transaction, fetch_one
from services import payments
from services.creators import creator_not_active
from services.engine import Engine
from services.fees import ensure_chargeable, ensure_split
from services.paging import Page, PageQuery, fetch_page
from services.products import product_not_active
from services.requests import Request, once

# The condition stands in the update itself: of two buyers of the last one, the second finds no row.
_RESERVE: Final = """
    update products set stock = stock - 1, updated_at = $2
    where id = $1 and state = 'active' and (stock is null or stock > 0)
    returning creator_id, title, price, currency, manual_capture, stock is not null as limited
"""
_SELLER: Final = """
    select c.id, c.user_id, c.state, s.* from creators c
    left join lateral fee_split('purchase', $2, c.plan, $3, $4) s on true
    where c.id = $1
"""
_BUY: Final = f"""
    with draft as (
        select $1::uuid as id, 'purchase' as kind, $2::uuid as creator_id, $3::uuid as payer_id, $4 as currency,
            $5::numeric as gross, $6::numeric as fixed_fee, $7::numeric as fee, $8::numeric as tax,
            $9::numeric as net, $10::uuid as rule_id, $11::int as maturity_delay_seconds, $12 as provider,
            $13::timestamptz as calling_until, $14::timestamptz as at, $19::boolean as manual_capture
    ),
    {payments.CREATE_PAYMENT}
    insert into purchases (id, payment_id, product_id, creator_id, buyer_id, title, stock_reserved, created_at)
    select $15, id, $16, creator_id, payer_id, $17, $18, created_at from payment
"""  # ruff: ignore[hardcoded-sql-expression] - made of constants
_RELEASE: Final = """
    with due as (
        select id, product_id from purchases
        where payment_id = any($1::uuid[]) and stock_reserved and stock_released_at is null
    ),
    released as (
        update purchases p set stock_released_at = $2 from due where p.id = due.id returning due.product_id
    )
    update products set stock = stock + r.number, updated_at = $2
    from (select product_id, count(*)::int as number from released group by product_id) r
    where products.id = r.product_id and products.stock is not null
"""
_LOCK_PRODUCTS: Final = """
    select 1 from products where id in (select product_id from purchases where payment_id = any($1::uuid[]))
    order by id for no key update
"""
_READ_PURCHASES: Final = """
    select u.*, p.status, p.gross, p.net, p.currency, c.user_id as creator_user_id
    from purchases u join payments p on p.id = u.payment_id join creators c on c.id = u.creator_id
"""
_READ_BY_ID: Final = f"{_READ_PURCHASES} where u.id = any($1::uuid[])"
_READ_BY_PAYMENT: Final = f"{_READ_PURCHASES} where u.payment_id = any($1::uuid[])"


@dataclass(frozen=True, slots=True)
class Buy:
    """Buy one of a product at its price."""

    product_id: UUID
    key: str


@dataclass(frozen=True, slots=True)
class Bought:
    """A purchase's id with its payment's row as it is now."""

    purchase_id: UUID
    payment: Any
    replayed: bool


async def buy(engine: Engine, viewer: Viewer, command: Buy) -> Bought:
    """Reserve one of a product, record its purchase and start the payment.

    Exactly once per ``command.key``.
    Errors: NOT_FOUND, PRODUCT_NOT_ACTIVE, OUT_OF_STOCK, SELF_PURCHASE, CREATOR_NOT_ACTIVE,
    CURRENCY_NOT_SUPPORTED, AMOUNT_TOO_SMALL, IDEMPOTENCY_KEY_REUSED.
    """
    request = Request.of(viewer, "purchaseCreate", command.key, {"product": command.product_id})
    purchase_id, payment_id = uuid7(), uuid7()

    async def act(transaction: Transaction) -> dict[str, UUID]:
        connection = transaction.connection
        at = now()
        product = await connection.fetchrow(_RESERVE, command.product_id, at)
        if product is None:
            raise await _why_not(connection, command.product_id)
        price = money(product["price"], product["currency"])
        seller = await fetch_one(connection, _SELLER, product["creator_id"], price.currency.code, price.minor, at)
        try:
            _ensure_sold(engine, viewer, price, seller)
        except Refused as refused:
            # Whatever it is about, the product is all that the buyer named.
            raise refused.at("productId") from None
        await connection.execute(
            _BUY,
            payment_id,
            product["creator_id"],
            viewer.user_id,
            price.currency.code,
            price.minor,
            seller["fixed"],
            seller["fee"],
            seller["tax"],
            seller["net"],
            seller["rule_id"],
            seller["maturity_delay_seconds"],
            engine.provider.name,
            at + engine.provider_timeout,
            at,
            purchase_id,
            command.product_id,
            product["title"],
            product["limited"],
            product["manual_capture"],
        )
        return {"purchase": purchase_id, "payment": payment_id}

    outcome = await once(engine, request, act)
    row = await payments.resume(engine, outcome.ids["payment"], fresh=not outcome.replayed)
    return Bought(outcome.ids["purchase"], row, outcome.replayed)


async def release_stock(payment_ids: Sequence[UUID], *, on: Connection) -> None:
    """Give back what cancelled payments had reserved, once each. Their payments are locked."""
    await on.execute(_LOCK_PRODUCTS, payment_ids)
    await on.execute(_RELEASE, payment_ids, now())


async def of_buyer(engine: Engine, user_id: UUID, query: PageQuery) -> Page:
    """Page through what a user bought."""
    return await fetch_page(
        engine.database.reader,
        "purchases of a buyer",
        f"{_READ_PURCHASES} where u.buyer_id = $1",
        (user_id,),
        query,
    )


async def by_id(engine: Engine, ids: Sequence[UUID]) -> list[Any]:
    """Read purchases with their payment's status and amounts. Says nothing about who may see them."""
    return await engine.database.reader.fetch(_READ_BY_ID, ids)


async def by_payment(engine: Engine, payment_ids: Sequence[UUID]) -> list[Any]:
    """Read the purchases that payments are for."""
    return await engine.database.reader.fetch(_READ_BY_PAYMENT, payment_ids)


def _ensure_sold(engine: Engine, viewer: Viewer, price: Money, seller: Any) -> None:
    ensure_chargeable(engine, price)
    if viewer.user_id is not None and seller["user_id"] == viewer.user_id:
        raise Refused(ErrorCode.SELF_PURCHASE, "A creator cannot buy from themselves.")
    if seller["state"] != "active":
        raise creator_not_active()
    ensure_split(seller)


async def _why_not(connection: Connection, product_id: UUID) -> Refused:
    row = await connection.fetchrow("select state, stock from products where id = $1", product_id)
    if row is None:
        return not_found("product", "productId")
    if row["state"] != "active":
        return product_not_active()
    return Refused(
        ErrorCode.OUT_OF_STOCK,
        "This product is sold out. One comes back if another buyer's payment is cancelled.",
        path=("productId",),
        data={"available": 0},
    )
