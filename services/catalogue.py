"""The shop window: finding products and their variants, and what a checkout has to know of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from models.database import PoolOrConnection
from services.engine import Engine
from services.paging import Page, PageQuery, fetch_page, text_query

_SELLABLE: Final = """
    select v.id, v.product_id, v.choices, v.sku, v.state as variant_state, v.requires_shipping, v.weight_grams,
        v.stock_tracked, v.licence_policy, p.creator_id, p.title, p.state as product_state, p.releases_at,
        p.pays_what_they_want, p.per_buyer_limit, p.tax_category, p.manual_capture,
        c.user_id, c.state as creator_state, c.plan, r.amount,
        case when v.stock_tracked then (
            select coalesce(sum(s.on_hand - s.reserved), 0)
            from stock_levels s join stock_locations l on l.id = s.location_id
            where s.variant_id = v.id and l.state = 'active'
        ) end as available
    from product_variants v
    join products p on p.id = v.product_id
    join creators c on c.id = p.creator_id
    left join variant_prices r on r.variant_id = v.id and r.currency = $2 and r.removed_at is null
    where v.id = any($1::uuid[])
"""

# How many are left of all variants together; NULL as soon as one of them is without limit.
_STOCK: Final = """(
    select case when bool_and(v.stock_tracked) then coalesce(sum((
        select sum(s.on_hand - s.reserved) from stock_levels s join stock_locations l on l.id = s.location_id
        where s.variant_id = v.id and l.state = 'active'
    )), 0)::int end
    from product_variants v where v.product_id = p.id and v.state = 'active'
) as stock"""
_COLUMNS: Final = (
    "id, creator_id, title, description, price, currency, state, manual_capture, pays_what_they_want, "
    "per_buyer_limit, releases_at, tax_category, options, tags, stock, created_at"
)
_SHOWN: Final = f"""p.id, p.creator_id, p.title, p.description, p.price, p.currency, p.state, p.manual_capture,
    p.pays_what_they_want, p.per_buyer_limit, p.releases_at, p.tax_category, p.options, p.tags, p.created_at,
    {_STOCK}"""
_READ: Final = f"select {_SHOWN} from products p where p.id = any($1::uuid[])"  # ruff: ignore[hardcoded-sql-expression] - made of constants
_FROM_SALE: Final = """
    from products p join creators c on c.id = p.creator_id where p.state = 'active' and c.state = 'active'
"""
_LIST: Final = f"select {_SHOWN}, p.search {_FROM_SALE}"
# Rounded: what a cursor says has to be what the row says.
_RANKED: Final = f"""
    select {_SHOWN}, p.search, round(ts_rank(p.search, {text_query("$1", "$2")})::numeric, 6) as score {_FROM_SALE}
"""
_LIST_OF_CREATOR: Final = f"""
    select {_SHOWN}, p.search from products p where p.creator_id = $1 and (p.state = 'active' or $2)
"""  # ruff: ignore[hardcoded-sql-expression] - as above
_RANKED_OF_CREATOR: Final = f"""
    select {_SHOWN}, p.search, round(ts_rank(p.search, {text_query("$3", "$4")})::numeric, 6) as score
    from products p where p.creator_id = $1 and (p.state = 'active' or $2)
"""  # ruff: ignore[hardcoded-sql-expression] - as above
_LIST_OF_COLLECTION: Final = f"""
    select {_SHOWN}, p.search, m.position
    from collection_products m join products p on p.id = m.product_id
    where m.collection_id = $1 and m.removed_at is null and p.state = 'active'
"""  # ruff: ignore[hardcoded-sql-expression] - as above
_VARIANTS: Final = """
    select v.id, v.product_id, p.creator_id, v.choices, v.sku, v.state, v.requires_shipping, v.weight_grams,
        v.stock_tracked, v.licence_policy, v.licence_activations, v.download_limit, v.created_at,
        p.releases_at, r.currencies, r.amounts,
        case when v.stock_tracked then (
            select coalesce(sum(s.on_hand - s.reserved), 0)::int
            from stock_levels s join stock_locations l on l.id = s.location_id
            where s.variant_id = v.id and l.state = 'active'
        ) end as available
    from product_variants v
    join products p on p.id = v.product_id
    left join lateral (
        select array_agg(currency order by id) as currencies, array_agg(amount::int8 order by id) as amounts
        from variant_prices where variant_id = v.id and removed_at is null
    ) r on true
"""
_VARIANTS_BY_ID: Final = f"{_VARIANTS} where v.id = any($1::uuid[])"
_VARIANTS_OF_PRODUCTS: Final = f"""
    {_VARIANTS} where v.product_id = any($1::uuid[]) and v.state = 'active' order by v.position, v.id
"""


@dataclass(frozen=True, slots=True)
class Sellable:
    """A variant as it can be bought in one currency, whatever speaks against buying it.

    ``price`` in the currency's smallest unit, None if it has none in that currency; with ``pays_what_they_want``
    the least that is taken. ``available``: how many can be sold now, None without limit.
    """

    variant_id: UUID
    product_id: UUID
    creator_id: UUID
    creator_user_id: UUID
    creator_active: bool
    plan: str
    product_state: str
    variant_state: str
    releases_at: datetime | None
    released: bool
    title: str
    variant_title: str | None
    sku: str | None
    price: int | None
    currency: str
    pays_what_they_want: bool
    per_buyer_limit: int | None
    tax_category: str
    requires_shipping: bool
    weight_grams: int | None
    stock_tracked: bool
    available: int | None
    manual_capture: bool
    licence_policy: str | None

    @property
    def on_sale(self) -> bool:
        """Whether its product and itself are sold, apart from when, for how much, and to whom."""
        return self.product_state == "active" and self.variant_state == "active"


async def sellable(
    db: PoolOrConnection, variant_ids: Sequence[UUID], currency: str, at: datetime
) -> dict[UUID, Sellable]:
    """Return what there is to know of variants, by their ids; one that is not there is left out. One statement."""
    rows = await db.fetch(_SELLABLE, variant_ids, currency)
    return {row["id"]: _sellable(row, currency, at) for row in rows}


async def products_by_id(engine: Engine, ids: Sequence[UUID]) -> list[Any]:
    """Read products, in whatever state."""
    return await engine.database.reader.fetch(_READ, ids)


async def variants_by_id(engine: Engine, ids: Sequence[UUID]) -> list[Any]:
    """Read variants, archived ones included, with their prices and how many are left."""
    return await engine.database.reader.fetch(_VARIANTS_BY_ID, ids)


async def variants_of_products(engine: Engine, product_ids: Sequence[UUID]) -> list[Any]:
    """Read the variants of products that are on sale, in order, with their prices and how many are left."""
    return await engine.database.reader.fetch(_VARIANTS_OF_PRODUCTS, product_ids)


async def listed(engine: Engine, query: PageQuery, *, search: tuple[str, str] | None = None) -> Page:
    """Page through everything on sale. With ``search`` words, rows can be sorted by their ``score``."""
    pool = engine.database.reader
    if search is None:
        return await fetch_page(pool, "products", _LIST, (), query, _COLUMNS)
    return await fetch_page(pool, "products", _RANKED, search, query, f"{_COLUMNS}, score")


async def of_creator(
    engine: Engine, creator_id: UUID, query: PageQuery, *, own: bool, search: tuple[str, str] | None = None
) -> Page:
    """Page through a creator's products; their ``own`` are drafts and archived ones as well."""
    pool, listing = engine.database.reader, "products of a creator"
    if search is None:
        return await fetch_page(pool, listing, _LIST_OF_CREATOR, (creator_id, own), query, _COLUMNS)
    parameters = (creator_id, own, *search)
    return await fetch_page(pool, listing, _RANKED_OF_CREATOR, parameters, query, f"{_COLUMNS}, score")


async def of_collection(engine: Engine, collection_id: UUID, query: PageQuery) -> Page:
    """Page through the products on sale of a collection; rows can be sorted by their ``position``."""
    return await fetch_page(
        engine.database.reader,
        "products of a collection",
        _LIST_OF_COLLECTION,
        (collection_id,),
        query,
        f"{_COLUMNS}, position",
    )


def variant_title(choices: Sequence[str]) -> str | None:
    """Return how a variant is told from the others of its product: its choices; None for the only one."""
    return " / ".join(choices) or None


def _sellable(row: Any, currency: str, at: datetime) -> Sellable:
    releases_at = row["releases_at"]
    return Sellable(
        variant_id=row["id"],
        product_id=row["product_id"],
        creator_id=row["creator_id"],
        creator_user_id=row["user_id"],
        creator_active=row["creator_state"] == "active",
        plan=row["plan"],
        product_state=row["product_state"],
        variant_state=row["variant_state"],
        releases_at=releases_at,
        released=releases_at is None or releases_at <= at,
        title=row["title"],
        variant_title=variant_title(row["choices"]),
        sku=row["sku"],
        price=None if row["amount"] is None else int(row["amount"]),
        currency=currency,
        pays_what_they_want=row["pays_what_they_want"],
        per_buyer_limit=row["per_buyer_limit"],
        tax_category=row["tax_category"],
        requires_shipping=row["requires_shipping"],
        weight_grams=row["weight_grams"],
        stock_tracked=row["stock_tracked"],
        available=None if row["available"] is None else int(row["available"]),
        manual_capture=row["manual_capture"],
        licence_policy=row["licence_policy"],
    )
