"""Products: finding them, offering them, taking them off sale."""

from collections.abc import Sequence
from typing import Annotated, Any, Final
from uuid import UUID

import strawberry

from core.errors import ErrorCode, Refused
from core.ids import Noun
from core.scopes import Scope
from resolvers import shown_catalogue
from resolvers.context import Info
from resolvers.fields import Id, id_of, mutation, query
from resolvers.pages import connection, in_utc, page_query, text_conditions, time_conditions, tree
from resolvers.variants import draft_of, price_of
from schema.connections import SORT, WHERE, After, Before, Connection, First, Last, PageArguments
from schema.products import (
    Product,
    ProductArchiveInput,
    ProductArchivePayload,
    ProductCreateInput,
    ProductCreatePayload,
    ProductUpdateInput,
    ProductUpdatePayload,
    ProductWhere,
)
from schema.sorts import ProductSort
from schema.variants import Variant
from services import catalogue, creators, products
from services.paging import (
    NEWEST,
    OLDEST,
    Combine,
    Compare,
    Condition,
    Order,
    Within,
    decimal_key,
    score_key,
    search_words,
)

_MAXIMUM_SEARCH_LENGTH: Final = 200
_IN_COLLECTION: Final = """
    select m.product_id from collection_products m join collections l on l.id = m.collection_id
    where m.collection_id = {} and m.removed_at is null and l.state = 'active'
"""
PRODUCT_ORDERS: Final = {
    ProductSort.NEWEST: NEWEST,
    ProductSort.OLDEST: OLDEST,
    ProductSort.PRICE_LOWEST: Order("price", decimal_key, descending=False),
    ProductSort.PRICE_HIGHEST: Order("price", decimal_key),
    ProductSort.RELEVANCE: Order("score", score_key),
}


@strawberry.type
class ProductQuery:
    @query(description="A product by its id; null if it is not on sale, except to its creator.")
    async def product(self, info: Info, id: Id) -> Product | None:  # ruff: ignore[builtin-argument-shadowing] - the contract's name
        return await find_product(info, id_of(Noun.PRODUCT, id, "id"))

    @query(description="Everything on sale.")
    async def products(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        where: Annotated[ProductWhere | None, WHERE] = None,
        sort: Annotated[ProductSort, SORT] = ProductSort.NEWEST,
    ) -> Connection[Product] | None:
        page = page_query(
            PageArguments(first, after, last, before),
            where=tree(where, product_conditions),
            order=PRODUCT_ORDERS[sort],
        )
        found = await catalogue.listed(info.context.engine, page, search=ranked_by(where, sort))
        return connection(found, shown_catalogue.product)


@strawberry.type
class ProductMutation:
    @mutation(description="Offer something for sale.", scope=Scope.PRODUCTS_WRITE, payload=ProductCreatePayload)
    async def product_create(self, info: Info, input: ProductCreateInput) -> ProductCreatePayload:  # ruff: ignore[builtin-argument-shadowing]
        command = products.CreateProduct(
            creator_id=id_of(Noun.CREATOR, input.creator_id, "creatorId"),
            title=input.title,
            description=input.description,
            price=None if input.price is None else price_of(input.price, "price"),
            stock=input.stock,
            key=input.idempotency_key,
            manual_capture=input.manual_capture,
            variants=tuple(
                draft_of(variant, "variants", str(number)) for number, variant in enumerate(input.variants or ())
            ),
            options=tuple(input.options),
            tags=tuple(input.tags),
            state=input.state.value,
            releases_at=None if input.releases_at is None else in_utc(input.releases_at, "releasesAt"),
            per_buyer_limit=input.per_buyer_limit,
            pays_what_they_want=input.pays_what_they_want,
            tax_category=input.tax_category.value,
        )
        product_id, info.context.replayed = await products.create(
            info.context.engine, info.context.viewer, command
        )
        return ProductCreatePayload(product=await _product(info, product_id))

    @mutation(description="Change a product of yours.", scope=Scope.PRODUCTS_WRITE, payload=ProductUpdatePayload)
    async def product_update(self, info: Info, input: ProductUpdateInput) -> ProductUpdatePayload:  # ruff: ignore[builtin-argument-shadowing]
        command = products.UpdateProduct(
            product_id=id_of(Noun.PRODUCT, input.product_id, "productId"),
            title=input.title,
            description=input.description,
            price=None if input.price is None else price_of(input.price, "price"),
            stock=input.stock,
            unlimited_stock=input.unlimited_stock,
            key=input.idempotency_key,
            manual_capture=input.manual_capture,
            options=None if input.options is None else tuple(input.options),
            tags=None if input.tags is None else tuple(input.tags),
            state=None if input.state is None else input.state.value,
            releases_at=None if input.releases_at is None else in_utc(input.releases_at, "releasesAt"),
            release_now=input.release_now,
            per_buyer_limit=input.per_buyer_limit,
            pays_what_they_want=input.pays_what_they_want,
            tax_category=None if input.tax_category is None else input.tax_category.value,
        )
        product_id, info.context.replayed = await products.update(
            info.context.engine, info.context.viewer, command
        )
        return ProductUpdatePayload(product=await _product(info, product_id))

    @mutation(
        description="Take a product of yours off sale for good. What was sold stays sold.",
        scope=Scope.PRODUCTS_WRITE,
        payload=ProductArchivePayload,
    )
    async def product_archive(self, info: Info, input: ProductArchiveInput) -> ProductArchivePayload:  # ruff: ignore[builtin-argument-shadowing]
        command = products.ArchiveProduct(
            product_id=id_of(Noun.PRODUCT, input.product_id, "productId"), key=input.idempotency_key
        )
        product_id, info.context.replayed = await products.archive(
            info.context.engine, info.context.viewer, command
        )
        return ProductArchivePayload(product=await _product(info, product_id))


async def find_product(info: Info, product_id: UUID) -> Product | None:
    """Return a product that is on sale, or any product of the viewer's own."""
    rows = await catalogue.products_by_id(info.context.engine, [product_id])
    if not rows or (rows[0]["state"] != "active" and not await _owns(info, rows[0]["creator_id"])):
        return None
    return shown_catalogue.product(rows[0])


async def find_variant(info: Info, variant_id: UUID) -> Variant | None:
    """Return a variant that is on sale, or any variant of the viewer's own."""
    rows = await catalogue.variants_by_id(info.context.engine, [variant_id])
    if not rows or await find_product(info, rows[0]["product_id"]) is None:
        return None
    if rows[0]["state"] != "active" and not await _owns(info, rows[0]["creator_id"]):
        return None
    return shown_catalogue.variant(rows[0])


async def _owns(info: Info, creator_id: UUID) -> bool:
    viewer = info.context.viewer
    if viewer.user_id is None or not viewer.may(Scope.PRODUCTS_WRITE):
        return False
    owners = await creators.by_id(info.context.engine, [creator_id])
    return bool(owners[0]["user_id"] == viewer.user_id)


async def _product(info: Info, product_id: UUID) -> Product:
    return shown_catalogue.product((await catalogue.products_by_id(info.context.engine, [product_id]))[0])


def ranked_by(where: ProductWhere | None, sort: ProductSort) -> tuple[str, str] | None:
    """Return the words that a list is sorted by, None if it is sorted by something else. Errors: INPUT_INVALID."""
    if sort is not ProductSort.RELEVANCE:
        return None
    if where is None or where.search is None:
        raise Refused(
            ErrorCode.INPUT_INVALID, "To sort by relevance, send what is searched for.", path=("where", "search")
        )
    return search_words(where.search)


def product_conditions(where: Any) -> Sequence[Condition]:
    """Return the conditions of one level of a ``where``."""
    conditions = text_conditions("title", where.title) + time_conditions("created_at", where.created_at)
    if where.search is not None:
        if len(where.search) > _MAXIMUM_SEARCH_LENGTH:
            raise Refused(
                ErrorCode.INPUT_INVALID,
                f"A search has at most {_MAXIMUM_SEARCH_LENGTH} characters.",
                path=("where", "search"),
            )
        conditions.append(Compare("search", "matches", search_words(where.search)))
    if where.tag is not None:
        conditions.append(Compare("tags", "has", " ".join(where.tag.lower().split())))
    if where.collection_id is not None:
        key = id_of(Noun.COLLECTION, where.collection_id, "where", "collectionId")
        conditions.append(Within("id", _IN_COLLECTION, key))
    if where.state is not None:
        conditions.append(Compare("state", "=", where.state.value))
    if where.creator_id is not None:
        conditions.append(Compare("creator_id", "=", id_of(Noun.CREATOR, where.creator_id, "where", "creatorId")))
    if where.in_stock is not None:
        left = Combine("or", [Compare("stock is null", "=", True), Compare("stock", ">", 0)])
        conditions.append(left if where.in_stock else Compare("stock", "=", 0))
    if where.price is not None:
        conditions.append(Compare("currency", "=", where.price.currency))
        for operator, bound in ((">=", where.price.gte), ("<=", where.price.lte)):
            if bound is None:
                continue
            if bound.currency != where.price.currency:
                raise Refused(
                    ErrorCode.INPUT_INVALID,
                    "Send both prices in the currency of the filter.",
                    path=("where", "price"),
                )
            # Where buyers pay what they want a price may be zero, and any range may begin there.
            conditions.append(Compare("price", operator, bound.parsed().minor if bound.amount else 0))
    return conditions
