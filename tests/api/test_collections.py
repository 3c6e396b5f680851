"""Collections: products put together, in an order, under a name in addresses."""

from typing import Any

import pytest

from core.ids import Noun
from tests.api.shop import Shop, ask, do, nothing_of, refused, unchanged

pytestmark = pytest.mark.asyncio(loop_scope="module")

READ = """
query ($id: ID!, $first: Int, $after: String, $sort: CollectionProductSort! = POSITION) {
  collection(id: $id) {
    title slug active creator { handle }
    products(first: $first, after: $after, sort: $sort) { nodes { id } pageInfo { endCursor hasNextPage } totalCount }
  }
}
"""
LIST = "query ($where: CollectionWhere) { collections(first: 100, where: $where) { nodes { id slug } } }"


async def make(shop: Shop, slug: str, *products: str) -> str:
    made = await do(shop.owner, "collectionCreate", creatorId=shop.creator, title="A choice", slug=slug)
    collection = str(made["collection"]["id"])
    if products:
        await do(shop.owner, "collectionProductsSet", collectionId=collection, productIds=list(products))
    return collection


async def offers(shop: Shop, number: int) -> list[str]:
    return [await shop.world.product("fable", shop.creator) for _ in range(number)]


async def shown(shop: Shop, collection: str, **given: Any) -> list[str]:
    found = await shop.nobody.run(READ, id=collection, **{"first": 100, **given})
    return [node["id"] for node in found["collection"]["products"]["nodes"]]


async def test_collection_is_made_changed_and_found(shop: Shop) -> None:
    collection = await make(shop, "winter-2026")

    await do(shop.owner, "collectionUpdate", collectionId=collection, title="Winter", slug="winter")

    found = (await shop.nobody.run(READ, id=collection, first=1))["collection"]
    assert (found["title"], found["slug"], found["active"], found["creator"]) == (
        "Winter",
        "winter",
        True,
        {"handle": "fable"},
    )
    where = {"creatorId": shop.creator, "slug": {"eq": "winter"}}
    assert (await shop.nobody.run(LIST, where=where))["collections"]["nodes"] == [
        {"id": collection, "slug": "winter"}
    ]
    node = await shop.nobody.run("query ($id: ID!) { node(id: $id) { id } }", id=collection)
    assert node["node"] == {"id": collection}


async def test_products_stand_in_the_order_they_were_given(shop: Shop) -> None:
    first, second, third = await offers(shop, 3)
    collection = await make(shop, "ordered", second, third, first)
    assert await shown(shop, collection) == [second, third, first]

    await do(shop.owner, "collectionProductsSet", collectionId=collection, productIds=[first, second])
    assert await shown(shop, collection) == [first, second]
    assert await shown(shop, collection, sort="NEWEST") == [second, first]

    # What was taken out is marked and comes back in its new place.
    await do(shop.owner, "collectionProductsSet", collectionId=collection, productIds=[third, first])
    assert await shown(shop, collection) == [third, first]
    rows = "select count(*) from collection_products where collection_id = $1"
    assert await shop.world.scalar(rows, shop.world.key(Noun.COLLECTION, collection)) == 3


async def test_pages_of_a_collection_go_on_where_they_were(shop: Shop) -> None:
    products = await offers(shop, 3)
    collection = await make(shop, "pages", *reversed(products))

    seen, cursor = [], None
    while True:
        found = (await shop.nobody.run(READ, id=collection, first=1, after=cursor))["collection"]["products"]
        seen += [node["id"] for node in found["nodes"]]
        cursor = found["pageInfo"]["endCursor"]
        if not found["pageInfo"]["hasNextPage"]:
            break

    assert seen == list(reversed(products))
    assert found["totalCount"] == 3


async def test_collection_shows_what_is_on_sale(shop: Shop) -> None:
    kept, archived = await offers(shop, 2)
    collection = await make(shop, "on-sale", kept, archived)
    await do(shop.owner, "productArchive", productId=archived)

    assert await shown(shop, collection) == [kept]
    query = (
        "query ($where: ProductWhere) { products(first: 9, where: $where) { nodes { id collections { slug } } } }"
    )
    found = (await shop.nobody.run(query, where={"collectionId": collection}))["products"]["nodes"]
    assert found == [{"id": kept, "collections": [{"slug": "on-sale"}]}]


async def test_archived_collection_is_seen_by_its_creator_alone(shop: Shop) -> None:
    (product,) = await offers(shop, 1)
    collection = await make(shop, "gone", product)

    await do(shop.owner, "collectionArchive", collectionId=collection)

    for client in (shop.nobody, shop.stranger, shop.world.client("fable", frozenset())):
        assert (await client.run(READ, id=collection, first=1))["collection"] is None
        assert (await client.run("query ($id: ID!) { node(id: $id) { id } }", id=collection))["node"] is None
    assert (await shop.owner.run(READ, id=collection, first=1))["collection"]["active"] is False
    assert (await shop.nobody.run(LIST, where={"slug": {"eq": "gone"}}))["collections"]["nodes"] == []
    query = "query ($where: ProductWhere) { products(first: 9, where: $where) { nodes { id } } }"
    assert (await shop.nobody.run(query, where={"collectionId": collection}))["products"]["nodes"] == []
    async with unchanged(shop.world):
        payload = await ask(shop.owner, "collectionUpdate", collectionId=collection, title="Back")
    says = "There is no such collection. Check the id that was sent."
    refused(payload, "NOT_FOUND", "collectionId", says=says)


async def test_slug_is_of_one_collection_of_a_creator(shop: Shop) -> None:
    await make(shop, "taken")
    other = await make(shop, "other")
    says = "Another collection of yours has this slug. Choose another."

    async with unchanged(shop.world, requests=2):
        made = await ask(shop.owner, "collectionCreate", creatorId=shop.creator, title="A", slug="taken")
        changed = await ask(shop.owner, "collectionUpdate", collectionId=other, slug="taken")

    refused(made, "NAME_TAKEN", "slug", says=says)
    refused(changed, "NAME_TAKEN", "slug", says=says)
    rows = "select count(*) from collections where slug = 'taken'"
    assert await shop.world.scalar(rows) == 1
    theirs = await shop.world.creator("weaver")
    await do(shop.world.client("weaver"), "collectionCreate", creatorId=theirs, title="A", slug="taken")


@pytest.mark.parametrize("slug", ["", "-a", "a-", "A", "a b", "ä", "a" * 61, "a\n"])
async def test_slug_that_is_none_is_refused(shop: Shop, slug: str) -> None:
    async with unchanged(shop.world):
        payload = await ask(shop.owner, "collectionCreate", creatorId=shop.creator, title="A", slug=slug)

    says = "A slug has 1 to 60 small letters, digits and hyphens, no hyphen at either end."
    refused(payload, "INPUT_INVALID", "slug", says=says)


async def test_products_of_somebody_else_are_like_none(shop: Shop) -> None:
    mine, other = await offers(shop, 2)
    collection = await make(shop, "mine", mine)
    creator = await shop.world.creator("potter")
    theirs = await shop.world.product("potter", creator)
    says = "There is no such product. Check the id that was sent."

    for product in (theirs, nothing_of(Noun.PRODUCT)):
        async with unchanged(shop.world):
            payload = await ask(
                shop.owner, "collectionProductsSet", collectionId=collection, productIds=[other, product]
            )
        refused(payload, "NOT_FOUND", "productIds", "1", says=says)
    async with unchanged(shop.world):
        payload = await ask(shop.owner, "collectionProductsSet", collectionId=collection, productIds=[mine, mine])
    refused(payload, "INPUT_INVALID", "productIds", says="A collection has at most 500 products, each once.")
    assert await shown(shop, collection) == [mine]


async def test_collection_of_somebody_else_is_changed_like_one_that_is_not_there(shop: Shop) -> None:
    collection = await make(shop, "not-yours")

    for mutation, given in (
        ("collectionUpdate", {"title": "Mine"}),
        ("collectionArchive", {}),
        ("collectionProductsSet", {"productIds": []}),
    ):
        async with unchanged(shop.world):
            theirs = await ask(shop.stranger, mutation, collectionId=collection, **given)
            missing = await ask(shop.stranger, mutation, collectionId=nothing_of(Noun.COLLECTION), **given)

        assert theirs == missing
        assert [error["code"] for error in theirs["errors"]] == ["NOT_FOUND"]
    async with unchanged(shop.world):
        payload = await ask(shop.stranger, "collectionCreate", creatorId=shop.creator, title="A", slug="a")
    refused(payload, "NOT_FOUND", "creatorId", says="There is no such creator. Check the id that was sent.")


async def test_description_is_kept(shop: Shop) -> None:
    made = await do(
        shop.owner, "collectionCreate", creatorId=shop.creator, title="A", slug="told", description="What it is."
    )
    query = "query ($id: ID!) { collection(id: $id) { description } }"

    found = await shop.nobody.run(query, id=made["collection"]["id"])

    assert found["collection"] == {"description": "What it is."}
