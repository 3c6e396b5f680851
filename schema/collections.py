"""Collections: creators' choices of their products."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import strawberry

from schema.base import Info, Node, computed, edge, nested
from schema.connections import (
    SORT,
    WHERE,
    After,
    Before,
    Connection,
    First,
    Last,
    PageArguments,
    StringFilter,
)
from schema.creators import Creator
from schema.errors import Payload
from schema.sorts import CollectionProductSort

if TYPE_CHECKING:
    from schema.products import Product, ProductWhere


@strawberry.type(description="A creator's choice of products, shown together in an order of its own.")
class Collection(Node):
    key: strawberry.Private[UUID]
    creator_key: strawberry.Private[UUID]
    title: str = strawberry.field(description="Its name.")
    slug: str = strawberry.field(description="Its name in addresses, unique with its creator.")
    description: str | None = strawberry.field(description="What holds it together.")
    active: bool = strawberry.field(description="Whether it is shown; otherwise it is archived.")
    created_at: datetime = strawberry.field(description="When it was made.")
    creator: Creator = edge("creators", key=lambda collection: collection.creator_key, description="Whose it is.")

    @computed(description="What is on sale of it.")
    async def products(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        where: Annotated[Annotated["ProductWhere", strawberry.lazy("schema.products")] | None, WHERE] = None,
        sort: Annotated[CollectionProductSort, SORT] = CollectionProductSort.POSITION,
    ) -> Connection[Annotated["Product", strawberry.lazy("schema.products")]]:
        page = PageArguments(first, after, last, before)
        result: Connection[Product] = await nested("collection_products")(self, info, page, where, sort)
        return result


@strawberry.input(description="Which collections; all conditions that are given must hold.")
class CollectionWhere:
    creator_id: strawberry.ID | None = strawberry.field(default=None, description="Of this creator.")
    slug: StringFilter | None = strawberry.field(default=None, description="By slug.")
    title: StringFilter | None = strawberry.field(default=None, description="By title.")
    and_: list["CollectionWhere"] | None = strawberry.field(
        default=None, name="AND", description="All of these hold."
    )
    or_: list["CollectionWhere"] | None = strawberry.field(
        default=None, name="OR", description="At least one of these holds."
    )


@strawberry.input(description="Make a collection.")
class CollectionCreateInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    creator_id: strawberry.ID = strawberry.field(description="Whose: a creator of yours.")
    title: str = strawberry.field(description="Its name, 1 to 120 characters.")
    slug: str = strawberry.field(
        description="Its name in addresses: 1 to 60 small letters, digits and hyphens, no hyphen at either end."
    )
    description: str | None = strawberry.field(default=None, description="At most 10,000 characters.")


@strawberry.input(description="Change a collection of yours. What is not given stays as it is.")
class CollectionUpdateInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    collection_id: strawberry.ID = strawberry.field(description="Which collection.")
    title: str | None = strawberry.field(default=None, description="1 to 120 characters.")
    slug: str | None = strawberry.field(default=None, description="Its name in addresses.")
    description: str | None = strawberry.field(default=None, description="At most 10,000 characters.")


@strawberry.input(description="Hide a collection of yours for good. Its products stay on sale.")
class CollectionArchiveInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    collection_id: strawberry.ID = strawberry.field(description="Which collection.")


@strawberry.input(description="Choose the products of a collection of yours, in their order.")
class CollectionProductsSetInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    collection_id: strawberry.ID = strawberry.field(description="Which collection.")
    product_ids: list[strawberry.ID] = strawberry.field(
        description="All its products from now on, the first one first: yours, at most 500."
    )


@strawberry.type(description="The collection that was made.")
class CollectionCreatePayload(Payload):
    collection: Collection | None = strawberry.field(default=None, description="The collection.")


@strawberry.type(description="The collection as it is now.")
class CollectionUpdatePayload(Payload):
    collection: Collection | None = strawberry.field(default=None, description="The collection.")


@strawberry.type(description="The collection, hidden.")
class CollectionArchivePayload(Payload):
    collection: Collection | None = strawberry.field(default=None, description="The collection.")


@strawberry.type(description="The collection with its products as they are now.")
class CollectionProductsSetPayload(Payload):
    collection: Collection | None = strawberry.field(default=None, description="The collection.")
