"""Purchases: so many of one product bought at once, without a cart. Each is an order of one part and one line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from core.clock import now
from core.errors import ErrorCode, Refused, not_found
from core.ids import uuid7
from core.money import Money
from core.viewer import Viewer
from models.database import Transaction
from services import addresses, baskets, checkouts
from services.baskets import MOST_OF_ONE, Basket, BasketLine
from services.checkouts import Placing
from services.engine import Engine
from services.paging import Page, PageQuery, fetch_page
from services.requests import Request, once_named

_PRODUCT: Final = """
    select p.state, p.currency, c.user_id as creator_user_id,
        array(select v.id from product_variants v where v.product_id = p.id and v.state = 'active' limit 2)
            as variants,
        exists (select from product_variants v where v.product_id = p.id and v.id = $2) as is_its_own
    from products p join creators c on c.id = p.creator_id
    where p.id = $1
"""
# A purchase that costs nothing has no payment, and is as good as paid.
_READ_PURCHASES: Final = """
    select o.id, o.payment_id, o.buyer_id, o.currency, o.total as gross, o.created_at, l.product_id, l.title,
        a.creator_id, coalesce(p.net, 0) as net, coalesce(p.status, 'SUCCEEDED') as status,
        c.user_id as creator_user_id
    from orders o
    join order_lines l on l.order_id = o.id
    join order_parts a on a.id = l.part_id
    join creators c on c.id = a.creator_id
    left join payments p on p.id = o.payment_id
    where o.origin = 'PURCHASE'
"""
_READ_BY_ID: Final = f"{_READ_PURCHASES} and o.id = any($1::uuid[])"
_READ_BY_PAYMENT: Final = f"{_READ_PURCHASES} and o.payment_id = any($1::uuid[])"


@dataclass(frozen=True, slots=True)
class Buy:
    """Buy some of a product at its price. ``variant_id`` may be left out where it has but one.

    ``expected`` is what the buyer was shown for all of them. ``email`` is where a guest is written to.
    """

    product_id: UUID
    key: str
    variant_id: UUID | None = None
    quantity: int = 1
    expected: Money | None = None
    email: str | None = None


@dataclass(frozen=True, slots=True)
class Bought:
    """A purchase's id, which is its order's, with its payment's row as it is now; None if it costs nothing."""

    purchase_id: UUID
    payment: Any
    replayed: bool


async def buy(engine: Engine, viewer: Viewer, command: Buy) -> Bought:
    """Reserve some of a product, make an order of it and start the payment.

    Exactly once per ``command.key``.
    Errors: NOT_FOUND, PRODUCT_NOT_ACTIVE, VARIANT_NOT_AVAILABLE, NOT_RELEASED, OUT_OF_STOCK, SELF_PURCHASE,
    CREATOR_NOT_ACTIVE, BUYER_LIMIT_EXCEEDED, EMAIL_NEEDED, ADDRESS_NEEDED (what is shipped takes a cart),
    PRICE_CHANGED, CURRENCY_NOT_SUPPORTED, AMOUNT_TOO_SMALL, INPUT_INVALID, IDEMPOTENCY_KEY_REUSED.
    """
    request = Request.of(viewer, "purchaseCreate", command.key, _body(command))
    try:
        basket = await _basket(engine, viewer, command)
    except Refused:
        earlier = await request.earlier(engine)
        if earlier is None:
            raise
        done = await checkouts.completed(engine, earlier, None)
        return Bought(done.order_id, done.payment, done.replayed)
    priced = await baskets.price(engine, basket, now())
    placing = Placing.of(priced, "PURCHASE")

    async def act(transaction: Transaction) -> Mapping[str, UUID]:
        try:
            _ensure_as_asked(viewer, command, priced)
            await checkouts.place(engine, priced, placing, on=transaction.connection, at=now())
        except Refused as refused:
            # Whatever it is about, the product is all that the buyer named, unless they named a price.
            path = "expectedPrice" if refused.code is ErrorCode.PRICE_CHANGED else "productId"
            raise refused.at(path) from None
        return placing.ids

    outcome = await once_named(engine, request, placing.ids, act)
    done = await checkouts.completed(engine, outcome, priced)
    return Bought(done.order_id, done.payment, done.replayed)


def _ensure_as_asked(viewer: Viewer, command: Buy, priced: baskets.Priced) -> None:
    """Refuse what stands in the way of buying it, another price than was expected, and what nobody could open."""
    if priced.problems:
        raise priced.problems[0]
    if command.expected is not None:
        checkouts.ensure_expected(priced, command.expected)
    if not priced.totals.total and not viewer.is_signed_in:
        # There is no payment, and so no token for it: nothing would open what was bought.
        raise _invalid("This costs nothing. Sign in, or put it in a cart, whose token opens it.", "productId")


async def of_buyer(engine: Engine, user_id: UUID, query: PageQuery) -> Page:
    """Page through what a user bought."""
    return await fetch_page(
        engine.database.reader, "purchases of a buyer", f"{_READ_PURCHASES} and o.buyer_id = $1", (user_id,), query
    )


async def by_id(engine: Engine, ids: Sequence[UUID]) -> list[Any]:
    """Read purchases with their payment's status and amounts. Says nothing about who may see them."""
    return await engine.database.reader.fetch(_READ_BY_ID, ids)


async def by_payment(engine: Engine, payment_ids: Sequence[UUID]) -> list[Any]:
    """Read the purchases that payments are for."""
    return await engine.database.reader.fetch(_READ_BY_PAYMENT, payment_ids)


def _body(command: Buy) -> dict[str, Any]:
    """Return what was sent; what a client does not send is not told from what it could not send before."""
    body: dict[str, Any] = {"product": command.product_id}
    if command.variant_id is not None:
        body["variant"] = command.variant_id
    if command.quantity != 1:
        body["quantity"] = command.quantity
    if command.expected is not None:
        body["expected"] = [command.expected.minor, command.expected.currency.code]
    if command.email is not None:
        body["email"] = command.email
    return body


async def _basket(engine: Engine, viewer: Viewer, command: Buy) -> Basket:
    """Return the one thing that is bought. Errors: NOT_FOUND, INPUT_INVALID."""
    if not 1 <= command.quantity <= MOST_OF_ONE:
        raise _invalid(f"A quantity is a number from 1 to {MOST_OF_ONE}.", "quantity")
    email = None if command.email is None else addresses.checked_email(command.email, "email")
    product = await engine.database.reader.fetchrow(_PRODUCT, command.product_id, command.variant_id)
    hidden = product is not None and product["state"] == "draft" and product["creator_user_id"] != viewer.user_id
    if product is None or hidden:
        raise not_found("product", "productId")
    if command.variant_id is not None and not product["is_its_own"]:
        raise not_found("variant", "variantId")
    variants = product["variants"]
    if command.variant_id is None and len(variants) > 1:
        raise _invalid("This product comes in several forms. Say which by variantId.", "variantId")
    # Where there is none left to buy, whatever it is called is not there.
    variant_id = command.variant_id or (variants[0] if variants else command.product_id)
    return Basket(
        currency=command.expected.currency.code if command.expected else product["currency"],
        lines=(BasketLine(uuid7(), variant_id, command.quantity),),
        buyer_id=viewer.user_id,
        email=email,
        anonymous=True,
    )


def _invalid(message: str, *path: str) -> Refused:
    return Refused(ErrorCode.INPUT_INVALID, message, path=path)
