"""Payments for several creators, written straight into the database as a checkout writes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from core.clock import now
from core.ids import uuid7
from ledger.chart import Split
from models.database import Connection

_CREATOR = """
    insert into creators (id, user_id, handle, display_name, plan, state, created_at, updated_at)
    values ($1, $2, $3, $3, 'standard', 'active', $4, $4)
"""
_RULE = """
    select id from fee_rules where kind = 'purchase' and currency = $1 order by valid_from desc limit 1
"""
_PAYMENT = """
    with payment as (
        insert into payments (id, kind, payer_id, currency, gross, fixed_fee, fee, tax, net, maturity_delay_seconds,
            provider, status, sequence, authorized, captured, reconciling, calling_until, manual_capture, created_at,
            updated_at)
        values ($1, 'purchase', $2, $3, $4, 0, $5, $6, $7, $8, 'sandbox', 'CREATED', 1, 0, 0, false, $9, $10, $9, $9)
    )
    insert into payment_events (payment_id, sequence, status, at) values ($1, 1, 'CREATED', $9)
"""
_SHARE = """
    insert into payment_shares (id, payment_id, creator_id, gross, fixed_fee, fee, tax, net, fee_rule_id)
    values ($1, $2, $3, $4, 0, $5, $6, $7, $8)
"""
_ORDER = """
    with placed as (
        insert into orders (id, payment_id, buyer_id, buyer_key, origin, status, sequence, currency, subtotal,
            discount, shipping, tax, total, created_at, updated_at)
        values ($1, $2, $3, 'user:' || $3::uuid, 'CART', 'PENDING', 1, $4, $5, 0, 0, $6, $5, $7, $7)
    )
    insert into order_events (order_id, sequence, kind, status, at) values ($1, 1, 'CREATED', 'PENDING', $7)
"""
_PART = """
    insert into order_parts (id, order_id, creator_id, subtotal, discount, tax, total, created_at)
    values ($1, $2, $3, $4, 0, $5, $4, $6)
"""
_PRODUCT = """
    with product as (
        insert into products (id, creator_id, title, price, currency, state, created_at, updated_at)
        values ($1, $2, 'A thing', $4, $5, 'active', $6, $6)
    )
    insert into product_variants (id, product_id, position, state, stock_tracked, created_at, updated_at)
    values ($3, $1, 0, 'active', false, $6, $6)
"""
_LINE = """
    insert into order_lines (id, order_id, part_id, position, product_id, variant_id, title, requires_shipping,
        quantity, unit_price, subtotal, discount, tax_basis_points, tax_inclusive, tax, total)
    values ($1, $2, $3, $4, $5, $6, 'A thing', true, 1, $7, $7, 0, 2000, true, $8, $7)
"""


@dataclass(frozen=True, slots=True)
class SharedPayment:
    """A payment for several creators and its order; ``shares`` are in the order of the creators it was made for."""

    id: UUID
    order: UUID
    shares: tuple[UUID, ...]
    creators: tuple[UUID, ...]


async def make_creator(connection: Connection, handle: str) -> tuple[UUID, UUID]:
    """Make a user who is a creator; return the creator and the user."""
    creator, user, at = uuid7(), uuid7(), now()
    await connection.execute(
        "insert into users (id, issuer, subject, created_at) values ($1, 'test', $2, $3)", user, handle, at
    )
    await connection.execute(_CREATOR, creator, user, handle, at)
    return creator, user


async def make_shared_payment(
    connection: Connection,
    payer: UUID,
    splits: Sequence[tuple[UUID, Split]],
    *,
    currency: str = "USD",
    delay_seconds: int = 0,
    manual_capture: bool = False,
) -> SharedPayment:
    """Place an order of one thing of each creator, with a payment nobody has told the provider of yet."""
    payment, order, at = uuid7(), uuid7(), now()
    rule = await connection.fetchval(_RULE, currency)
    total = [
        Decimal(sum(values)) for values in zip(*((s.gross, s.fee, s.tax, s.net) for _, s in splits), strict=True)
    ]
    gross, fee, tax, net = total
    await connection.execute(
        _PAYMENT, payment, payer, currency, gross, fee, tax, net, delay_seconds, at, manual_capture
    )
    await connection.execute(_ORDER, order, payment, payer, currency, gross, tax, at)
    shares = []
    for position, (creator, split) in enumerate(splits):
        share, product, variant = uuid7(), uuid7(), uuid7()
        whole, taxes = Decimal(split.gross), Decimal(split.tax)
        await connection.execute(_PART, share, order, creator, whole, taxes, at)
        await connection.execute(
            _SHARE, share, payment, creator, whole, Decimal(split.fee), taxes, Decimal(split.net), rule
        )
        await connection.execute(_PRODUCT, product, creator, variant, whole, currency, at)
        await connection.execute(_LINE, uuid7(), order, share, position, product, variant, whole, taxes)
        shares.append(share)
    return SharedPayment(payment, order, tuple(shares), tuple(creator for creator, _ in splits))
