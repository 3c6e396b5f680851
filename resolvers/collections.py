"""Collections: finding them, and putting products together."""

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

import strawberry

from core.ids import Noun
from core.scopes import Scope
from resolvers import shown_catalogue
from resolvers.context import Info
from resolvers.fields import Id, id_of, mutation, query
from resolvers.pages import connection, page_query, text_conditions, tree
from resolvers.products import PRODUCT_ORDERS, product_conditions
from schema.collections import (
    Collection,
    CollectionArchiveInput,
    CollectionArchivePayload,
    CollectionCreateInput,
    CollectionCreatePayload,
    CollectionProductsSetInput,
    CollectionProductsSetPayload,
    CollectionUpdateInput,
    CollectionUpdatePayload,
    CollectionWhere,
)
from schema.connections import WHERE, After, Before, Connection, First, Last, PageArguments
from schema.products import Product, ProductWhere
from schema.sorts import CollectionProductSort, ProductSort
from services import catalogue, collections
from services.paging import Compare, Condition, Order


@strawberry.type
class CollectionQuery:
    @query(description="A collection by its id; null if it is archived, except to its creator.")
    async def collection(self, info: Info, id: Id) -> Collection | None:  # ruff: ignore[builtin-argument-shadowing] - the contract's name
        return await find_collection(info, id_of(Noun.COLLECTION, id, "id"))

    @query(description="The collections that are shown, the newest first.")
    async def collections(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        where: Annotated[CollectionWhere | None, WHERE] = None,
    ) -> Connection[Collection] | None:
        page = page_query(PageArguments(first, after, last, before), where=tree(where, _conditions))
        return connection(await collections.listed(info.context.engine, page), shown_catalogue.collection)


@strawberry.type
class CollectionMutation:
    @mutation(description="Make a collection.", scope=Scope.PRODUCTS_WRITE, payload=CollectionCreatePayload)
    async def collection_create(self, info: Info, input: CollectionCreateInput) -> CollectionCreatePayload:  # ruff: ignore[builtin-argument-shadowing]
        command = collections.CreateCollection(
            creator_id=id_of(Noun.CREATOR, input.creator_id, "creatorId"),
            title=input.title,
            slug=input.slug,
            description=input.description,
            key=input.idempotency_key,
        )
        collection_id, info.context.replayed = await collections.create(
            info.context.engine, info.context.viewer, command
        )
        return CollectionCreatePayload(collection=await _collection(info, collection_id))

    @mutation(
        description="Change a collection of yours.", scope=Scope.PRODUCTS_WRITE, payload=CollectionUpdatePayload
    )
    async def collection_update(self, info: Info, input: CollectionUpdateInput) -> CollectionUpdatePayload:  # ruff: ignore[builtin-argument-shadowing]
        command = collections.UpdateCollection(
            collection_id=id_of(Noun.COLLECTION, input.collection_id, "collectionId"),
            title=input.title,
            slug=input.slug,
            description=input.description,
            key=input.idempotency_key,
        )
        collection_id, info.context.replayed = await collections.update(
            info.context.engine, info.context.viewer, command
        )
        return CollectionUpdatePayload(collection=await _collection(info, collection_id))

    @mutation(
        description="Hide a collection of yours for good. Its products stay on sale.",
        scope=Scope.PRODUCTS_WRITE,
        payload=CollectionArchivePayload,
    )
    async def collection_archive(self, info: Info, input: CollectionArchiveInput) -> CollectionArchivePayload:  # ruff: ignore[builtin-argument-shadowing]
        command = collections.ArchiveCollection(
            id_of(Noun.COLLECTION, input.collection_id, "collectionId"), input.idempotency_key
        )
        collection_id, info.context.replayed = await collections.archive(
            info.context.engine, info.context.viewer, command
        )
        return CollectionArchivePayload(collection=await _collection(info, collection_id))

    @mutation(
        description="Choose the products of a collection of yours, in their order.",
        scope=Scope.PRODUCTS_WRITE,
        payload=CollectionProductsSetPayload,
    )
    async def collection_products_set(
        self,
        info: Info,
        input: CollectionProductsSetInput,  # ruff: ignore[builtin-argument-shadowing]
    ) -> CollectionProductsSetPayload:
        command = collections.SetProducts(
            collection_id=id_of(Noun.COLLECTION, input.collection_id, "collectionId"),
            product_ids=tuple(
                id_of(Noun.PRODUCT, text, "productIds", str(number))
                for number, text in enumerate(input.product_ids)
            ),
            key=input.idempotency_key,
        )
        collection_id, info.context.replayed = await collections.set_products(
            info.context.engine, info.context.viewer, command
        )
        return CollectionProductsSetPayload(collection=await _collection(info, collection_id))


async def find_collection(info: Info, collection_id: UUID) -> Collection | None:
    """Return a collection that is shown, or any collection of the viewer's own."""
    rows = await collections.by_id(info.context.engine, [collection_id])
    if not rows:
        return None
    viewer = info.context.viewer
    own = rows[0]["creator_user_id"] == viewer.user_id and viewer.may(Scope.PRODUCTS_WRITE)
    if not own and (rows[0]["state"] != "active" or rows[0]["creator_state"] != "active"):
        return None
    return shown_catalogue.collection(rows[0])


async def collection_products(
    collection: Collection,
    info: Info,
    page: PageArguments,
    where: ProductWhere | None,
    sort: CollectionProductSort,
) -> Connection[Product]:
    """Return a page of what is on sale of a collection."""
    query = page_query(page, where=tree(where, product_conditions), order=_ORDERS[sort])
    found = await catalogue.of_collection(info.context.engine, collection.key, query)
    return connection(found, shown_catalogue.product)


async def _collection(info: Info, collection_id: UUID) -> Collection:
    return shown_catalogue.collection((await collections.by_id(info.context.engine, [collection_id]))[0])


_ORDERS = {
    CollectionProductSort.POSITION: Order("position", int, descending=False),
    CollectionProductSort.NEWEST: PRODUCT_ORDERS[ProductSort.NEWEST],
    CollectionProductSort.OLDEST: PRODUCT_ORDERS[ProductSort.OLDEST],
    CollectionProductSort.PRICE_LOWEST: PRODUCT_ORDERS[ProductSort.PRICE_LOWEST],
    CollectionProductSort.PRICE_HIGHEST: PRODUCT_ORDERS[ProductSort.PRICE_HIGHEST],
}


def _conditions(where: Any) -> Sequence[Condition]:
    conditions = text_conditions("slug", where.slug) + text_conditions("title", where.title)
    if where.creator_id is not None:
        conditions.append(Compare("creator_id", "=", id_of(Noun.CREATOR, where.creator_id, "where", "creatorId")))
    return conditions
