"""Products: finding them, offering them, taking them off sale."""

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

import strawberry

from core.errors import ErrorCode, Refused
from core.ids import Noun
from core.scopes import Scope
from resolvers import shown
from resolvers.context import Info
from resolvers.fields import Id, id_of, mutation, query
from resolvers.pages import connection, page_query, text_conditions, time_conditions, tree
from schema.connections import SORT, WHERE, After, Before, Connection, First, Last, PageArguments
from schema.money import MoneyInput
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
from services import creators, products
from services.paging import NEWEST, OLDEST, Combine, Compare, Condition, Order, decimal_key


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
            order=product_order(sort),
        )
        return connection(await products.listed(info.context.engine, page), shown.product)


@strawberry.type
class ProductMutation:
    @mutation(description="Offer something for sale.", scope=Scope.PRODUCTS_WRITE, payload=ProductCreatePayload)
    async def product_create(self, info: Info, input: ProductCreateInput) -> ProductCreatePayload:  # ruff: ignore[builtin-argument-shadowing]
        command = products.CreateProduct(
            creator_id=id_of(Noun.CREATOR, input.creator_id, "creatorId"),
            title=input.title,
            description=input.description,
            price=_price(input.price),
            stock=input.stock,
            key=input.idempotency_key,
            manual_capture=input.manual_capture,
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
            price=_price(input.price) if input.price is not None else None,
            stock=input.stock,
            unlimited_stock=input.unlimited_stock,
            key=input.idempotency_key,
            manual_capture=input.manual_capture,
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
    rows = await products.by_id(info.context.engine, [product_id])
    if not rows:
        return None
    if rows[0]["state"] != "active":
        owners = await creators.by_id(info.context.engine, [rows[0]["creator_id"]])
        viewer = info.context.viewer
        if owners[0]["user_id"] != viewer.user_id or not viewer.may(Scope.PRODUCTS_WRITE):
            return None
    return shown.product(rows[0])


async def _product(info: Info, product_id: UUID) -> Product:
    return shown.product((await products.by_id(info.context.engine, [product_id]))[0])


def _price(price: MoneyInput) -> Any:
    try:
        return price.parsed()
    except Refused as refused:
        raise refused.at("price", *refused.path[1:]) from None


def product_order(sort: ProductSort) -> Order:
    """Return the order behind a sort."""
    return {
        ProductSort.NEWEST: NEWEST,
        ProductSort.OLDEST: OLDEST,
        ProductSort.PRICE_LOWEST: Order("price", decimal_key, descending=False),
        ProductSort.PRICE_HIGHEST: Order("price", decimal_key),
    }[sort]


def product_conditions(where: Any) -> Sequence[Condition]:
    """Return the conditions of one level of a ``where``."""
    conditions = text_conditions("title", where.title) + time_conditions("created_at", where.created_at)
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
            # Nothing has a price of zero, but a range may well begin there.
            conditions.append(Compare("price", operator, bound.parsed().minor if bound.amount else 0))
    return conditions
