"""Checkout: an order is written with all that belongs to it, here and nowhere else, and its payment begun."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from core.clock import now
from core.errors import ErrorCode, Refused, not_found
from core.ids import uuid7
from core.money import Money
from core.orders import OrderEventKind, OrderStatus
from core.payments import PaymentKind
from core.viewer import Viewer
from models.database import Connection, Transaction, jsonb
from services import baskets, carts, order_events, order_settlement, payments, stock_reservations, usage
from services.baskets import Priced
from services.discounts import Rejected
from services.engine import Engine
from services.fees import amount_too_small, currency_not_supported
from services.order_events import Told
from services.requests import Outcome, Request, once_named
from services.stock_reservations import Wanted

_ATTEMPTS: Final = 10

# A cart is locked by what makes it another version: of several checkouts at once all but one find none.
_CHECK_OUT: Final = """
    update carts set version = version + 1, updated_at = $2 where id = $9 and version = $10 returning id
"""
_CLAIM: Final = """
    update carts set version = version + 1, updated_at = $3 where id = $1 and version = $2 returning id
"""
# Everything of an order but its reservations, in one round trip. What the platform keeps of each creator's part is
# reckoned here; a part that leaves its creator nothing, or that no rule speaks of, breaks a rule of the tables.
# Of a cart that is another version by now there is no order, and so its event breaks one as well.
_PLACE: Final = f"""
    with {order_events.TELL},
    checked_out as (
        {_CHECK_OUT}
    ),
    placed as (
        select * from jsonb_to_record($3::jsonb) as o (id uuid, cart_id uuid, cart_version int, payment_id uuid,
            buyer_id uuid, buyer_key text, email text, address jsonb, origin text, currency text, subtotal numeric,
            discount numeric, shipping numeric, tax numeric, total numeric, usage jsonb, manual_capture boolean)
        where o.cart_id is null or exists (select from checked_out)
    ),
    part as (
        select * from jsonb_to_recordset($4::jsonb) as p (id uuid, creator_id uuid, plan text, subtotal numeric,
            discount numeric, tax numeric, total numeric, shipping_method_id uuid, shipping_title text,
            shipping_price numeric, shipping_discount numeric, shipping_tax_name text,
            shipping_tax_basis_points int, shipping_tax_inclusive boolean, shipping_tax numeric,
            shipping_total numeric)
    ),
    split as (
        select p.id, p.creator_id, p.total as gross, p.tax + s.tax as tax, s.fixed, s.fee, s.net, s.rule_id,
            s.maturity_delay_seconds
        from placed o cross join part p
        left join lateral fee_split('purchase', o.currency, p.plan, p.total - p.tax, $2) s on true
        where p.total > 0
    ),
    sums as (
        select count(*) as creators, sum(gross) as gross, sum(fixed) as fixed, sum(fee) as fee, sum(tax) as tax,
            sum(net) as net, max(maturity_delay_seconds) as maturity_delay_seconds,
            (array_agg(creator_id))[1] as creator_id, (array_agg(rule_id))[1] as rule_id
        from split
    ),
    draft as (
        select o.payment_id as id, 'purchase' as kind,
            case when s.creators = 1 then s.creator_id end as creator_id,
            o.buyer_id as payer_id, o.currency, s.gross, s.fixed as fixed_fee, s.fee, s.tax, s.net,
            case when s.creators = 1 then s.rule_id end as rule_id, s.maturity_delay_seconds, $7::text as provider,
            $8::timestamptz as calling_until, $2::timestamptz as at, o.manual_capture
        from placed o cross join sums s where o.payment_id is not null
    ),
    {payments.CREATE_PAYMENT},
    share as (
        insert into payment_shares (id, payment_id, creator_id, gross, fixed_fee, fee, tax, net, fee_rule_id)
        select d.id, o.payment_id, d.creator_id, d.gross, d.fixed, d.fee, d.tax, d.net, d.rule_id
        from split d cross join placed o cross join sums s where s.creators > 1
    ),
    new_order as (
        insert into orders (id, cart_id, cart_version, payment_id, buyer_id, buyer_key, email, address, origin,
            status, sequence, currency, subtotal, discount, shipping, tax, total, usage, created_at, updated_at)
        select id, cart_id, cart_version, payment_id, buyer_id, buyer_key, email, address, origin, 'PENDING', 1,
            currency, subtotal, discount, shipping, tax, total, usage, $2, $2
        from placed
    ),
    new_part as (
        insert into order_parts (id, order_id, creator_id, subtotal, discount, tax, total, shipping_method_id,
            shipping_title, shipping_price, shipping_discount, shipping_tax_name, shipping_tax_basis_points,
            shipping_tax_inclusive, shipping_tax, shipping_total, created_at)
        select p.id, o.id, p.creator_id, p.subtotal, p.discount, p.tax, p.total, p.shipping_method_id,
            p.shipping_title, p.shipping_price, p.shipping_discount, p.shipping_tax_name,
            p.shipping_tax_basis_points, p.shipping_tax_inclusive, p.shipping_tax, p.shipping_total, $2
        from part p cross join placed o
    ),
    new_discount as (
        insert into order_discounts (id, order_id, discount_id, title, code, amount)
        select d.id, o.id, d.discount_id, d.title, d.code, d.amount
        from jsonb_to_recordset($6::jsonb) as d (id uuid, discount_id uuid, title text, code text, amount numeric)
        cross join placed o
    )
    insert into order_lines (id, order_id, part_id, position, product_id, variant_id, title, variant_title, sku,
        requires_shipping, quantity, unit_price, subtotal, discount, tax_name, tax_basis_points, tax_inclusive,
        tax, total)
    select l.id, o.id, l.part_id, l.position, l.product_id, l.variant_id, l.title, l.variant_title, l.sku,
        l.requires_shipping, l.quantity, l.unit_price, l.subtotal, l.discount, l.tax_name, l.tax_basis_points,
        l.tax_inclusive, l.tax, l.total
    from jsonb_to_recordset($5::jsonb) as l (id uuid, part_id uuid, position int, product_id uuid, variant_id uuid,
        title text, variant_title text, sku text, requires_shipping boolean, quantity int, unit_price numeric,
        subtotal numeric, discount numeric, tax_name text, tax_basis_points int, tax_inclusive boolean,
        tax numeric, total numeric)
    cross join placed o
"""  # ruff: ignore[hardcoded-sql-expression] - made of constants


@dataclass(frozen=True, slots=True)
class Complete:
    """Make an order of a cart, for as much as the buyer was shown."""

    cart_id: UUID
    expected_total: Money
    key: str


@dataclass(frozen=True, slots=True)
class Completed:
    """An order's id with its payment's row as it is now; None for an order that costs nothing."""

    order_id: UUID
    payment: Any
    replayed: bool


@dataclass(frozen=True, slots=True)
class Placing:
    """What an order is made of beside what was priced. ``payment_id`` None: it costs nothing."""

    order_id: UUID
    payment_id: UUID | None
    origin: str
    cart_id: UUID | None = None
    cart_version: int | None = None

    @classmethod
    def of(cls, priced: Priced, origin: str, cart: carts.Cart | None = None) -> "Placing":
        """Return one with new ids."""
        payment_id = uuid7() if priced.totals.total else None
        return cls(uuid7(), payment_id, origin, cart.id if cart else None, cart.version if cart else None)

    @property
    def ids(self) -> dict[str, UUID]:
        """The ids it makes, as they are stored with its request."""
        return {"order": self.order_id, **({"payment": self.payment_id} if self.payment_id else {})}


async def complete(engine: Engine, viewer: Viewer, command: Complete) -> Completed:
    """Make an order of a cart, reserve what is in it, and start the payment.

    Exactly once per cart as long as that order is not cancelled, whatever the key: a second tab gets the first
    one's order.
    Errors: NOT_FOUND, PRICE_CHANGED, every one a cart has among its ``problems``, IDEMPOTENCY_KEY_REUSED.
    """
    expected = command.expected_total
    body = {"cart": command.cart_id, "expected": expected.minor, "currency": expected.currency.code}
    request = Request.of(viewer, "checkoutComplete", command.key, body)
    for _ in range(_ATTEMPTS):
        cart = await carts.read(engine, viewer, command.cart_id)
        if cart is None:
            raise not_found("cart", "cartId")
        with suppress(_OvertakenError):
            if cart.order_id is not None:
                return await _join(engine, request, cart)
            return await _check_out(engine, request, cart, expected)
    raise Refused(
        ErrorCode.INPUT_INVALID,
        "This cart is being changed all the time. Read it again and send what it costs then.",
        path=("cartId",),
        transient=True,
    )


async def _join(engine: Engine, request: Request, cart: carts.Cart) -> Completed:
    """Answer with the order that the cart has already."""
    assert cart.order_id is not None  # ruff: ignore[assert] - the caller looked
    ids = {"order": cart.order_id, **({"payment": cart.payment_id} if cart.payment_id else {})}

    async def act(_: Transaction) -> Mapping[str, UUID]:
        return ids

    return await completed(engine, await once_named(engine, request, ids, act), None)


async def _check_out(engine: Engine, request: Request, cart: carts.Cart, expected: Money) -> Completed:
    priced = await baskets.price(engine, cart.basket, now())
    placing = Placing.of(priced, "CART", cart)

    async def act(transaction: Transaction) -> Mapping[str, UUID]:
        connection = transaction.connection
        try:
            if priced.problems:
                raise priced.problems[0]
            ensure_expected(priced, expected)
        except Refused as refused:
            if await connection.fetchval(_CLAIM, cart.id, cart.version, now()) is None:
                raise _OvertakenError from None
            raise refused.at(_path_of(refused)) from None
        try:
            await place(engine, priced, placing, on=connection, at=now())
        except Refused as refused:
            raise refused.at("cartId") from None
        return placing.ids

    outcome = await once_named(engine, request, placing.ids, act)
    return await completed(engine, outcome, priced)


def _path_of(refused: Refused) -> str:
    return "expectedTotal" if refused.code is ErrorCode.PRICE_CHANGED else "cartId"


async def completed(engine: Engine, outcome: Outcome, priced: Priced | None) -> Completed:
    """Go on with an order's payment after its commit: a new one is made known to the provider.

    ``priced`` is what was ordered, if it was ordered now.
    """
    # What was bought before there were orders was stored as a purchase; its order has the same UUID.
    order_id, payment_id = outcome.ids.get("order") or outcome.ids["purchase"], outcome.ids.get("payment")
    if payment_id is None:
        return Completed(order_id, None, outcome.replayed)
    if priced is None or outcome.replayed:
        row = await payments.resume(engine, payment_id)
    else:
        row = await payments.start(
            engine,
            payment_id,
            priced.totals.total,
            priced.basket.currency,
            PaymentKind.PURCHASE,
            manual_capture=priced.manual_capture,
        )
    return Completed(order_id, row, outcome.replayed)


def ensure_expected(priced: Priced, expected: Money) -> None:
    """Refuse what costs another amount than the buyer was shown: PRICE_CHANGED."""
    code = priced.basket.currency
    if (expected.minor, expected.currency.code) != (priced.totals.total, code):
        raise Refused(
            ErrorCode.PRICE_CHANGED,
            "This no longer costs what was expected. Show the buyer what it costs now, and ask again.",
            data={"now": priced.totals.total, "currency": code},
        )


async def place(engine: Engine, priced: Priced, placing: Placing, *, on: Connection, at: datetime) -> None:
    """Write an order: parts, lines, discounts, its payment with the shares of it, what it reserves and uses.

    In the caller's transaction, which a refusal has to undo. What costs nothing is paid with that.
    Errors: AMOUNT_TOO_SMALL (fees would leave a creator nothing), CURRENCY_NOT_SUPPORTED, OUT_OF_STOCK,
    DISCOUNT_REJECTED, BUYER_LIMIT_EXCEEDED.
    """
    parts = {part.creator_id: uuid7() for part in priced.totals.parts}
    rows = [row for row in priced.rows if row.variant is not None and row.amounts is not None]
    line_ids = [uuid7() for _ in rows]
    told = Told(placing.order_id, OrderEventKind.CREATED, OrderStatus.PENDING, sequence=1)
    try:
        await on.execute(
            _PLACE,
            order_events.told_of([told]),
            at,
            jsonb(_order(priced, placing)),
            jsonb(_parts(priced, parts)),
            jsonb(_lines(rows, line_ids, parts)),
            jsonb(_discounts(priced)),
            engine.provider.name,
            at + engine.provider_timeout,
            placing.cart_id,
            placing.cart_version,
        )
    except asyncpg.ForeignKeyViolationError as error:
        if error.table_name != "order_events":
            raise
        raise _OvertakenError from None
    except asyncpg.CheckViolationError as error:
        if error.constraint_name not in {"payment_amounts_are_sound", "share_amounts_are_sound"}:
            raise
        raise amount_too_small() from None
    except asyncpg.NotNullViolationError as error:
        if error.table_name not in {"payments", "payment_shares"}:
            raise
        raise currency_not_supported() from None
    wanted = [
        Wanted(line_id, row.variant.variant_id, row.line.quantity)
        for line_id, row in zip(line_ids, rows, strict=True)
        if row.variant is not None and row.variant.stock_tracked
    ]
    if wanted:
        await _reserve(wanted, on, at, at + engine.payment_expiry)
    if priced.uses:
        await _use(priced, on)
    if placing.payment_id is None:
        await order_settlement.paid_free([placing.order_id], on=on, at=at)


async def _reserve(wanted: Sequence[Wanted], on: Connection, at: datetime, expires_at: datetime) -> None:
    try:
        await stock_reservations.reserve(wanted, expires_at=expires_at, on=on, at=at)
    except Refused as refused:
        if refused.code is not ErrorCode.OUT_OF_STOCK:
            raise
        raise baskets.out_of_stock(refused.data["available"], UUID(refused.data["variant"])) from None


async def _use(priced: Priced, on: Connection) -> None:
    """Count towards limits. Errors: DISCOUNT_REJECTED, BUYER_LIMIT_EXCEEDED."""
    refused = await usage.use(priced.uses, on=on)
    if not refused:
        return
    beyond = refused[0]
    for row in priced.rows:
        if row.variant is not None and row.variant.product_id == beyond.subject:
            known = await usage.used([(beyond.subject, beyond.scope)], db=on)
            left = beyond.limit - known.get((beyond.subject, beyond.scope), 0)
            raise baskets.beyond_limit(max(0, left), row.variant.variant_id)
    codes = {each.id: each.code for each in priced.discounts}
    raise Rejected(codes.get(beyond.subject), baskets.reason_of(beyond.scope)).refused()


def _order(priced: Priced, placing: Placing) -> dict[str, Any]:
    basket, totals = priced.basket, priced.totals
    return {
        "id": placing.order_id,
        "cart_id": placing.cart_id,
        "cart_version": placing.cart_version,
        "payment_id": placing.payment_id,
        "buyer_id": basket.buyer_id,
        "buyer_key": basket.buyer_key,
        "email": basket.email,
        "address": None if basket.address is None else basket.address.as_json(),
        "origin": placing.origin,
        "currency": basket.currency,
        "subtotal": totals.subtotal,
        "discount": totals.discount,
        "shipping": totals.shipping,
        "tax": totals.tax,
        "total": totals.total,
        "usage": [use.as_json() for use in priced.uses],
        "manual_capture": priced.manual_capture,
    }


def _parts(priced: Priced, ids: Mapping[UUID, UUID]) -> list[dict[str, Any]]:
    sellers = priced.sellers
    rows = []
    for part in priced.totals.parts:
        shipped = part.shipping
        rows.append(
            {
                "id": ids[part.creator_id],
                "creator_id": part.creator_id,
                "plan": sellers[part.creator_id].plan,
                "subtotal": part.subtotal,
                "discount": part.discount,
                "tax": part.tax,
                "total": part.total,
                "shipping_method_id": shipped.method_id if shipped else None,
                "shipping_title": shipped.title if shipped else None,
                "shipping_price": shipped.price if shipped else 0,
                "shipping_discount": shipped.discount if shipped else 0,
                "shipping_tax_name": shipped.rate.name if shipped else None,
                "shipping_tax_basis_points": shipped.rate.basis_points if shipped else 0,
                "shipping_tax_inclusive": shipped.rate.inclusive if shipped else True,
                "shipping_tax": shipped.tax if shipped else 0,
                "shipping_total": shipped.total if shipped else 0,
            }
        )
    return rows


def _lines(
    rows: Sequence[baskets.BasketRow], ids: Sequence[UUID], parts: Mapping[UUID, UUID]
) -> list[dict[str, Any]]:
    lines = []
    for position, (row, line_id) in enumerate(zip(rows, ids, strict=True)):
        variant, amounts = row.variant, row.amounts
        assert variant is not None  # ruff: ignore[assert] - only such rows are passed
        assert amounts is not None  # ruff: ignore[assert]
        lines.append(
            {
                "id": line_id,
                "part_id": parts[variant.creator_id],
                "position": position,
                "product_id": variant.product_id,
                "variant_id": variant.variant_id,
                "title": variant.title,
                "variant_title": variant.variant_title,
                "sku": variant.sku,
                "requires_shipping": variant.requires_shipping,
                "quantity": row.line.quantity,
                "unit_price": row.unit_price,
                "subtotal": amounts.subtotal,
                "discount": amounts.discount,
                "tax_name": amounts.rate.name,
                "tax_basis_points": amounts.rate.basis_points,
                "tax_inclusive": amounts.rate.inclusive,
                "tax": amounts.tax,
                "total": amounts.total,
            }
        )
    return lines


def _discounts(priced: Priced) -> list[dict[str, Any]]:
    return [
        {"id": uuid7(), "discount_id": each.id, "title": each.title, "code": each.code, "amount": each.amount}
        for each in priced.discounts
    ]


class _OvertakenError(Exception):
    """Somebody changed the cart, or checked it out, since it was priced."""
