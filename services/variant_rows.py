"""How variants, their prices and their stock are written: for several at once, under the lock of their product."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson

from core.errors import ErrorCode, Refused
from core.ids import uuid7
from core.money import Money
from models.database import Connection
from services.stock import set_available
from services.stock_locations import main_location

LOCK_OWN_VARIANT: Final = """
    select v.id, p.creator_id, v.stock_tracked, v.licence_policy
    from product_variants v join products p on p.id = v.product_id join creators c on c.id = p.creator_id
    where v.id = $1 and c.user_id = $2
    for no key update of p
"""
"""Lock the product of a variant of the viewer's. Parameters: variant, user."""

_INSERT: Final = """
    with given as (
        select * from jsonb_to_recordset($1::jsonb) as g (
            id uuid, product_id uuid, position int, choices jsonb, sku text, requires_shipping boolean,
            weight_grams int, stock_tracked boolean, licence_policy text, licence_activations int,
            download_limit int, level_id uuid, stock int
        )
    ),
    variants as (
        insert into product_variants (id, product_id, position, choices, sku, state, requires_shipping,
            weight_grams, stock_tracked, licence_policy, licence_activations, download_limit, created_at,
            updated_at)
        select id, product_id, position, array(select jsonb_array_elements_text(choices)), sku, 'active',
            requires_shipping, weight_grams, stock_tracked, licence_policy, licence_activations, download_limit,
            $6, $6
        from given
    ),
    prices as (
        insert into variant_prices (id, variant_id, currency, amount)
        select * from unnest($2::uuid[], $3::uuid[], $4::text[], $5::numeric[])
    ),
    levels as (
        insert into stock_levels (id, variant_id, location_id, on_hand, reserved, updated_at)
        select level_id, id, $7, stock, 0, $6 from given where stock_tracked
    )
    insert into stock_movements (level_id, kind, on_hand, reserved, at)
    select level_id, 'RECEIVED', stock, 0, $6 from given where stock_tracked and stock > 0
"""
_SET_PRICES: Final = """
    with removed as (
        update variant_prices set removed_at = $5
        where variant_id = $1 and removed_at is null and currency <> all($3::text[])
    )
    insert into variant_prices (id, variant_id, currency, amount)
    select g.id, $1, g.currency, g.amount
    from unnest($2::uuid[], $3::text[], $4::numeric[]) g (id, currency, amount)
    on conflict on constraint one_price_per_variant_and_currency
        do update set amount = excluded.amount, removed_at = null
"""
# A product's first currency stays what it is as long as anything is sold in it.
_KEEP_PRICE: Final = """
    with prices as (
        select r.id, r.currency, r.amount, v.position
        from product_variants v join variant_prices r on r.variant_id = v.id
        where v.product_id = $1 and v.state = 'active' and r.removed_at is null
    ),
    chosen as (
        select currency from prices
        order by currency = (select currency from products where id = $1) desc, position, id limit 1
    )
    update products p set currency = c.currency, updated_at = $2,
        price = (select min(amount) from prices where prices.currency = c.currency)
    from chosen c where p.id = $1
"""
_FILLED: Final = """
    select s.location_id from stock_levels s join stock_locations l on l.id = s.location_id
    where s.variant_id = $1 and s.on_hand > 0 and l.state = 'active' limit 2
"""


@dataclass(frozen=True, slots=True)
class VariantDraft:
    """A variant to be. ``stock``: how many there are, None without limit. Weight in grams, None if not shipped.

    ``download_limit`` and ``licence_activations``: how often, None without limit.
    """

    prices: tuple[Money, ...]
    choices: tuple[str, ...] = ()
    stock: int | None = None
    sku: str | None = None
    requires_shipping: bool = False
    weight_grams: int | None = None
    licence_policy: str | None = None
    licence_activations: int | None = None
    download_limit: int | None = None

    @property
    def stock_tracked(self) -> bool:
        """Whether no more are sold than there are; keys of a pool are counted like anything else."""
        return self.stock is not None or self.licence_policy == "POOL"

    def body(self) -> dict[str, Any]:
        """Return what is asked for, as an idempotency key remembers it."""
        return {
            "prices": [[price.currency.code, price.minor] for price in self.prices],
            "choices": self.choices,
            "stock": self.stock,
            "sku": self.sku,
            "requires_shipping": self.requires_shipping,
            "weight": self.weight_grams,
            "licence": [self.licence_policy, self.licence_activations],
            "downloads": self.download_limit,
        }


async def insert(
    drafts: Sequence[VariantDraft],
    *,
    product_id: UUID,
    creator_id: UUID,
    position: int,
    on: Connection,
    at: datetime,
) -> list[UUID]:
    """Write variants behind each other from a position on, with their prices and stock; return their ids.

    Errors: NAME_TAKEN (the choices of another active variant).
    """
    ids = [uuid7() for _ in drafts]
    location_id = None
    if any(draft.stock_tracked for draft in drafts):
        location_id = await main_location(creator_id, on=on, at=at)
    rows = [
        {
            "id": variant_id,
            "product_id": product_id,
            "position": position + number,
            "choices": draft.choices,
            "sku": draft.sku,
            "requires_shipping": draft.requires_shipping,
            "weight_grams": draft.weight_grams,
            "stock_tracked": draft.stock_tracked,
            "licence_policy": draft.licence_policy,
            "licence_activations": draft.licence_activations,
            "download_limit": draft.download_limit,
            "level_id": uuid7(),
            "stock": draft.stock or 0,
        }
        for number, (variant_id, draft) in enumerate(zip(ids, drafts, strict=True))
    ]
    prices = [
        (uuid7(), variant_id, price)
        for variant_id, draft in zip(ids, drafts, strict=True)
        for price in draft.prices
    ]
    try:
        await on.execute(
            _INSERT,
            orjson.dumps(rows).decode(),
            [price_id for price_id, _, _ in prices],
            [variant_id for _, variant_id, _ in prices],
            [price.currency.code for _, _, price in prices],
            [Decimal(price.minor) for _, _, price in prices],
            at,
            location_id,
        )
    except asyncpg.UniqueViolationError as error:
        raise choices_taken() from error
    return ids


async def set_prices(variant_id: UUID, prices: Sequence[Money], *, on: Connection, at: datetime) -> None:
    """Make these the only prices of a variant."""
    await on.execute(
        _SET_PRICES,
        variant_id,
        [uuid7() for _ in prices],
        [price.currency.code for price in prices],
        [Decimal(price.minor) for price in prices],
        at,
    )


async def keep_price(product_id: UUID, *, on: Connection, at: datetime) -> None:
    """Write the lowest price of a product's active variants, in its first currency, to the product."""
    await on.execute(_KEEP_PRICE, product_id, at)


async def set_stock(variant_id: UUID, creator_id: UUID, stock: int, *, on: Connection, at: datetime) -> None:
    """Make ``stock`` how many of a variant are left to sell, beside what is reserved.

    Errors: INPUT_INVALID (kept at several locations).
    """
    filled = await on.fetch(_FILLED, variant_id)
    if len(filled) > 1:
        raise Refused(
            ErrorCode.INPUT_INVALID, "This is kept at several locations. Use stockSet for each.", path=("stock",)
        )
    if filled:
        location_id = filled[0]["location_id"]
    else:
        location_id = await main_location(creator_id, on=on, at=at)
    await set_available(variant_id, location_id, stock, on=on, at=at)


def choices_taken(*path: str) -> Refused:
    """Return the refusal of a variant like another."""
    return Refused(
        ErrorCode.NAME_TAKEN,
        "The product has a variant with these choices. Send others, or change that one.",
        path=path or ("choices",),
    )
