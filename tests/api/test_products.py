"""Products: offered, changed, archived; found, filtered, sorted and paged through."""

import asyncio
import base64
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
import pytest_asyncio

from app.client import Client
from core.ids import Noun, uuid7
from tests.api.shop import Shop, ask, do, nothing_of, refused, refused_as_a_whole, unchanged, usd

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIST = """
query ($first: Int, $after: String, $last: Int, $before: String, $where: ProductWhere, $sort: ProductSort) {
  products(first: $first, after: $after, last: $last, before: $before, where: $where, sort: $sort) {
    edges { cursor node { id title } }
    nodes { id title }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    totalCount
  }
}
"""
READ = "query ($id: ID!) { product(id: $id) { id title active } node(id: $id) { id } }"
NO_PRODUCT = "There is no such product. Check the id that was sent."
NOT_OF_THIS_LIST = "This cursor is not one of this list. Start again without it."


@dataclass
class Shelf:
    """Products of one creator, the oldest first; nobody else's carry their titles."""

    client: Client
    creator: str
    ids: dict[str, str]

    def where(self, *conditions: dict[str, Any]) -> dict[str, Any]:
        return {"creatorId": self.creator, "AND": list(conditions)}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shelf(shop: Shop) -> Shelf:
    """Seven products with prices in two currencies, two of them at one price."""
    creator = await shop.world.creator("shelf")
    client = shop.world.client("shelf")
    offers = (
        ("Ash bowl", "10.00", "USD", None),
        ("Birch bowl", "100000.00", "USD", 0),
        ("Cedar plate", "2.50", "USD", 3),
        ("Dogwood Plate", "10.00", "USD", 1),
        ("Elm 100% cup_", "999999.99", "USD", None),
        ("Fir bowl", "1000", "JPY", 5),
        ("Ginkgo ébéniste", "1", "JPY", None),
    )
    ids = {}
    for title, amount, currency, stock in offers:
        made = await do(
            client,
            "productCreate",
            creatorId=creator,
            title=title,
            price={"amount": amount, "currency": currency},
            stock=stock,
        )
        ids[title] = made["product"]["id"]
    return Shelf(client, creator, ids)


async def _titles(client: Client, **variables: Any) -> list[str]:
    found = (await client.run(LIST, **{"first": 100, **variables}))["products"]
    assert [edge["node"] for edge in found["edges"]] == found["nodes"]
    return [node["title"].split()[0] for node in found["nodes"]]


# Filtered ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({}, "Ginkgo Fir Elm Dogwood Cedar Birch Ash"),
        ({"title": {"eq": "Ash bowl"}}, "Ash"),
        ({"title": {"eq": "ash bowl"}}, ""),
        ({"title": {"in": ["Ash bowl", "Fir bowl", "Nothing"]}}, "Fir Ash"),
        ({"title": {"in": []}}, ""),
        ({"title": {"contains": "PLATE"}}, "Dogwood Cedar"),
        ({"title": {"contains": "ébé"}}, "Ginkgo"),
        ({"title": {"contains": "%"}}, "Elm"),
        ({"title": {"contains": "_"}}, "Elm"),
        ({"title": {"contains": "100% cup_"}}, "Elm"),
        ({"title": {"contains": "'; drop table products; --"}}, ""),
        ({"title": {"startsWith": "fir"}}, "Fir"),
        ({"title": {"startsWith": "bowl"}}, ""),
        ({"title": {"startsWith": "%"}}, ""),
        ({"title": {"contains": "bowl", "startsWith": "B"}}, "Birch"),
        ({"inStock": True}, "Ginkgo Fir Elm Dogwood Cedar Ash"),
        ({"inStock": False}, "Birch"),
        ({"price": {"currency": "USD"}}, "Elm Dogwood Cedar Birch Ash"),
        ({"price": {"currency": "jpy"}}, "Ginkgo Fir"),
        ({"price": {"currency": "EUR"}}, ""),
        ({"price": {"currency": "USD", "gte": usd("10.00")}}, "Elm Dogwood Birch Ash"),
        ({"price": {"currency": "USD", "gte": usd("10.01"), "lte": usd("100000.00")}}, "Birch"),
        ({"price": {"currency": "USD", "gte": usd("0")}}, "Elm Dogwood Cedar Birch Ash"),
        ({"OR": [{"title": {"startsWith": "ash"}}, {"title": {"startsWith": "elm"}}]}, "Elm Ash"),
        ({"AND": [{"title": {"contains": "bowl"}}, {"price": {"currency": "JPY"}}]}, "Fir"),
        (
            {
                "OR": [
                    {"AND": [{"inStock": False}, {"price": {"currency": "USD"}}]},
                    {"title": {"contains": "cup"}},
                ]
            },
            "Elm Birch",
        ),
        ({"title": {"contains": "bowl"}, "OR": [{"inStock": False}, {"price": {"currency": "JPY"}}]}, "Fir Birch"),
        ({"OR": [], "AND": []}, "Ginkgo Fir Elm Dogwood Cedar Birch Ash"),
        ({"createdAt": {"gte": "2000-01-01T00:00:00Z", "lt": "2000-01-02T00:00:00Z"}}, ""),
        ({"createdAt": {"gte": "2000-01-01T00:00:00+02:00"}}, "Ginkgo Fir Elm Dogwood Cedar Birch Ash"),
        ({"creatorId": None}, "Ginkgo Fir Elm Dogwood Cedar Birch Ash"),
    ],
    ids=str,
)
async def test_filter_finds_what_meets_it(
    shop: Shop, shelf: Shelf, condition: dict[str, Any], expected: str
) -> None:
    assert await _titles(shop.nobody, where=shelf.where(condition)) == expected.split()


async def test_filter_by_a_creator_that_is_not_there_finds_nothing(shop: Shop) -> None:
    assert await _titles(shop.nobody, where={"creatorId": nothing_of(Noun.CREATOR)}) == []


@pytest.mark.parametrize(
    "where",
    [
        {"creatorId": "nonsense"},
        {"price": {"currency": "USD", "gte": {"amount": "1", "currency": "EUR"}}},
        {"price": {"currency": "USD", "lte": usd("0.001")}},
        {"price": {"currency": "USD", "lte": usd("1e40")}},
        {"price": {"currency": "XXX", "lte": {"amount": "1", "currency": "XXX"}}},
        {"price": {"gte": usd("1")}},
        {"unknown": True},
        {"createdAt": {"gte": "yesterday"}},
        {"createdAt": {"gte": "2000-01-01T00:00:00"}},
        {"createdAt": {"gte": "0001-01-01T00:00:00+12:00"}},
        {"createdAt": {"lt": "9999-12-31T23:59:59-12:00"}},
        {"title": {"contains": 7}},
        {"title": {"in": [None]}},
        {"OR": [{"title": {"eq": "x"}}] * 1_000},
        {"title": {"in": ["x"] * 1_000}},
    ],
    ids=lambda where: str(where)[:60],
)
async def test_filter_that_makes_no_sense_is_refused(shop: Shop, where: dict[str, Any]) -> None:
    answer = await shop.nobody.full(LIST, first=1, where=where)

    assert (answer.get("data") or {"products": None}) == {"products": None}
    assert len(answer["errors"]) == 1
    assert answer["errors"][0]["extensions"]["code"] not in {"INTERNAL", None}


async def test_filter_nested_beyond_reason_is_refused(shop: Shop) -> None:
    for depth in (20, 400):
        where: dict[str, Any] = {"inStock": True}
        for _ in range(depth):
            where = {"AND": [where]}

        answer = await shop.nobody.full(LIST, first=1, where=where)

        refused_as_a_whole(answer, "LIMIT_EXCEEDED")


async def test_document_nested_beyond_reason_is_refused(shop: Shop) -> None:
    where = "{AND: [" * 150 + "{inStock: true}" + "]}" * 150

    answer = await shop.nobody.full(f"{{ products(first: 1, where: {where}) {{ nodes {{ id }} }} }}")

    refused_as_a_whole(answer, "INPUT_INVALID")


# Sorted -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sort", "currency", "expected"),
    [
        ("NEWEST", None, "Ginkgo Fir Elm Dogwood Cedar Birch Ash"),
        ("OLDEST", None, "Ash Birch Cedar Dogwood Elm Fir Ginkgo"),
        ("PRICE_LOWEST", "USD", "Cedar Ash Dogwood Birch Elm"),
        ("PRICE_HIGHEST", "USD", "Elm Birch Dogwood Ash Cedar"),
    ],
)
async def test_sort_holds_across_pages_of_every_size_in_both_directions(
    shop: Shop, shelf: Shelf, sort: str, currency: str | None, expected: str
) -> None:
    where = shelf.where({"price": {"currency": currency}} if currency else {})
    wanted = expected.split()

    for size in range(1, len(wanted) + 2):
        forward, backward = [
            [page async for page in _pages(shop.nobody, size, way, where=where, sort=sort)]
            for way in (("first", "after"), ("last", "before"))
        ]

        assert list(itertools.chain.from_iterable(forward)) == wanted
        assert list(itertools.chain.from_iterable(reversed(backward))) == wanted
        assert len(forward) == len(backward) == -(-len(wanted) // size)


async def _pages(client: Client, size: int, way: tuple[str, str], **variables: Any) -> AsyncIterator[list[str]]:
    many, place = way
    cursor = None
    while True:
        found = (await client.run(LIST, **variables, **{many: size, place: cursor}))["products"]
        info = found["pageInfo"]
        yield [edge["node"]["title"].split()[0] for edge in found["edges"]]
        assert info["startCursor"] == found["edges"][0]["cursor"]
        assert info["endCursor"] == found["edges"][-1]["cursor"]
        assert info["hasPreviousPage" if many == "first" else "hasNextPage"] == (cursor is not None)
        if not info["hasNextPage" if many == "first" else "hasPreviousPage"]:
            return
        cursor = info["endCursor" if many == "first" else "startCursor"]


async def test_pages_go_on_where_they_were_while_products_come_and_go(shop: Shop, shelf: Shelf) -> None:
    where = {"title": {"contains": "stability"}}
    made = [await _offer(shop, f"stability {number}") for number in range(6)]

    first = (await shop.nobody.run(LIST, first=2, where=where))["products"]
    await _offer(shop, "stability new")
    await do(shop.owner, "productArchive", productId=made[4])
    await do(shop.owner, "productArchive", productId=made[1])
    second = (await shop.nobody.run(LIST, first=10, after=first["pageInfo"]["endCursor"], where=where))["products"]

    assert [node["id"] for node in first["nodes"]] == [made[5], made[4]]
    assert [node["id"] for node in second["nodes"]] == [made[3], made[2], made[0]]
    assert second["totalCount"] == 5


async def _offer(shop: Shop, title: str) -> str:
    made = await do(shop.owner, "productCreate", creatorId=shop.creator, title=title, price=usd("5.00"))
    return str(made["product"]["id"])


async def test_total_count_is_of_the_whole_list(shop: Shop, shelf: Shelf) -> None:
    found = (await shop.nobody.run(LIST, first=2, where=shelf.where({"price": {"currency": "USD"}})))["products"]

    assert len(found["nodes"]) == 2
    assert found["totalCount"] == 5


async def test_empty_list_has_neither_cursors_nor_pages(shop: Shop) -> None:
    found = (await shop.nobody.run(LIST, first=2, where={"title": {"eq": "nothing has this"}}))["products"]

    assert found == {
        "edges": [],
        "nodes": [],
        "pageInfo": {"hasNextPage": False, "hasPreviousPage": False, "startCursor": None, "endCursor": None},
        "totalCount": 0,
    }


# Pages that are not -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "Say how many you want with either first or last."),
        ({"first": 1, "last": 1}, "Say how many you want with either first or last."),
        ({"first": 0}, "A page holds 1 to 100 items."),
        ({"first": -1}, "A page holds 1 to 100 items."),
        ({"first": 101}, "A page holds 1 to 100 items."),
        ({"first": 2_147_483_647}, "A page holds 1 to 100 items."),
        ({"last": 0}, "A page holds 1 to 100 items."),
        ({"last": 101}, "A page holds 1 to 100 items."),
        ({"first": 1, "before": "x"}, "Use after with first, and before with last."),
        ({"last": 1, "after": "x"}, "Use after with first, and before with last."),
    ],
    ids=str,
)
async def test_page_out_of_bounds_is_refused(shop: Shop, given: dict[str, Any], says: str) -> None:
    _list_refused(await shop.nobody.full(LIST, **given), says)


def _list_refused(answer: dict[str, Any], says: str) -> None:
    assert answer["data"] == {"products": None}
    assert [(error["extensions"]["code"], error["path"], error["message"]) for error in answer["errors"]] == [
        ("INPUT_INVALID", ["products"], says)
    ]


def _cursor(*parts: object) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(parts)).decode().rstrip("=")


async def test_cursor_of_another_list_or_order_is_refused(shop: Shop, shelf: Shelf) -> None:
    query = "query ($first: Int!, $sort: CreatorSort) { creators(first: $first, sort: $sort) { pageInfo { endCursor } } }"
    of_creators = (await shop.nobody.run(query, first=1))["creators"]["pageInfo"]["endCursor"]
    by_handle = (await shop.nobody.run(query, first=1, sort="HANDLE"))["creators"]["pageInfo"]["endCursor"]
    cursors = {
        sort: (await shop.nobody.run(LIST, first=1, sort=sort))["products"]["pageInfo"]["endCursor"]
        for sort in ("NEWEST", "OLDEST", "PRICE_LOWEST", "PRICE_HIGHEST")
    }
    payment = (await shop.supporter.run("query ($id: ID!) { payment(id: $id) { cursor } }", id=shop.payment))[
        "payment"
    ]["cursor"]

    for cursor in (of_creators, by_handle, payment):
        for sort in cursors:
            _list_refused(await shop.nobody.full(LIST, first=1, after=cursor, sort=sort), NOT_OF_THIS_LIST)
    for made, used in itertools.permutations(cursors, 2):
        _list_refused(await shop.nobody.full(LIST, first=1, after=cursors[made], sort=used), NOT_OF_THIS_LIST)
        _list_refused(await shop.nobody.full(LIST, last=1, before=cursors[made], sort=used), NOT_OF_THIS_LIST)


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "nonsense",
        "é",
        "====",
        "W10",
        _cursor(),
        _cursor("products.id.desc"),
        _cursor("products.id.desc", "nonsense"),
        _cursor("products.id.desc", 7),
        _cursor("products.id.desc", None),
        _cursor("products.id.desc", ["x"]),
        _cursor("products.id.desc", str(uuid7()), str(uuid7())),
        _cursor({"products.id.desc": 1}),
        base64.urlsafe_b64encode(b"[" * 5_000).decode(),
        base64.urlsafe_b64encode(b"null").decode(),
        base64.urlsafe_b64encode(b"{}").decode(),
    ],
    ids=len,
)
async def test_cursor_that_is_none_is_refused(shop: Shop, cursor: str) -> None:
    _list_refused(await shop.nobody.full(LIST, first=1, after=cursor), NOT_OF_THIS_LIST)


@pytest.mark.parametrize("price", ["x", "1.5", "NaN", "1e5", "", "9" * 5_000, "9" * 400, "\0"])
async def test_cursor_with_a_price_that_is_none_is_refused_or_at_the_end(shop: Shop, price: str) -> None:
    cursor = _cursor("products.price.asc", price, str(uuid7()))

    answer = await shop.nobody.full(LIST, first=1, after=cursor, sort="PRICE_LOWEST")

    if price == "9" * 400:
        assert answer["data"]["products"]["nodes"] == []
    else:
        _list_refused(answer, NOT_OF_THIS_LIST)


async def test_cursor_with_nul_in_a_handle_is_refused(shop: Shop) -> None:
    cursor = _cursor("creators.handle.asc", "a\0b", str(uuid7()))

    answer = await shop.nobody.full(
        "query ($after: String) { creators(first: 1, sort: HANDLE, after: $after) { nodes { id } } }", after=cursor
    )

    assert [(error["extensions"]["code"], error["path"]) for error in answer["errors"]] == [
        ("INPUT_INVALID", ["creators"])
    ]


# Offered, changed, archived ---------------------------------------------------------------------------------


async def test_product_offered_twice_with_one_key_is_one_product(shop: Shop) -> None:
    given = {"creatorId": shop.creator, "title": "Once", "price": usd("5.00"), "idempotencyKey": "offer-once"}

    made = await asyncio.gather(*(do(shop.owner, "productCreate", **given) for _ in range(10)))

    assert len({payload["product"]["id"] for payload in made}) == 1
    assert await shop.world.scalar("select count(*) from products where title = 'Once'") == 1


async def test_product_changes_only_in_what_is_given(shop: Shop) -> None:
    made = await do(
        shop.owner,
        "productCreate",
        creatorId=shop.creator,
        title="Before",
        description="Stays",
        price=usd("5.00"),
        stock=3,
    )
    query = "query ($id: ID!) { product(id: $id) { title description price { amount currency } stock active } }"
    product = made["product"]["id"]
    expected = {
        "title": "Before",
        "description": "Stays",
        "price": usd("5.00"),
        "stock": 3,
        "active": True,
    }

    for given, changed in (
        ({}, {}),
        ({"title": "After"}, {"title": "After"}),
        ({"description": ""}, {"description": ""}),
        ({"price": {"amount": "700", "currency": "JPY"}}, {"price": {"amount": "700", "currency": "JPY"}}),
        ({"stock": 0}, {"stock": 0}),
        ({"unlimitedStock": True}, {"stock": None}),
        ({"stock": 9}, {"stock": 9}),
    ):
        await do(shop.owner, "productUpdate", productId=product, **given)
        expected |= changed

        assert (await shop.nobody.run(query, id=product))["product"] == expected


async def test_archived_product_is_seen_by_its_creator_alone(shop: Shop) -> None:
    product = await _offer(shop, "Soon gone")
    await do(shop.owner, "productArchive", productId=product)
    own = "query ($handle: String!) { creator(handle: $handle) { products(first: 100) { nodes { id } } } }"

    for client, sees in (
        (shop.owner, True),
        (shop.stranger, False),
        (shop.nobody, False),
        (shop.guest, False),
        (shop.world.client("fable", frozenset()), False),
    ):
        read = await client.run(READ, id=product)
        listed = (await client.run(own, handle="fable"))["creator"]["products"]["nodes"]

        assert (read["product"] is not None, read["node"] is not None, {"id": product} in listed) == (sees,) * 3
    assert "Soon" not in await _titles(shop.owner, where={"title": {"contains": "Soon gone"}})


async def test_creator_alone_finds_products_by_a_state_that_is_not_for_sale(shop: Shop) -> None:
    creator = await shop.world.creator("sorting")
    owner = shop.world.client("sorting")
    ids = {}
    for state in ("DRAFT", "ACTIVE", "ARCHIVED"):
        ids[state] = await shop.world.product("sorting", creator)
        await do(owner, "productUpdate", productId=ids[state], state=state)
    own = """query ($where: ProductWhere) {
        creator(handle: "sorting") { products(first: 9, where: $where) { nodes { id } totalCount } }
    }"""

    for client, sees in ((owner, set(ids)), (shop.stranger, {"ACTIVE"}), (shop.nobody, {"ACTIVE"})):
        for state, product in ids.items():
            found = (await client.run(own, where={"state": state}))["creator"]["products"]
            expected = [{"id": product}] if state in sees else []
            assert found == {"nodes": expected, "totalCount": len(expected)}
            listed = await _titles(client, where={"creatorId": creator, "state": state})
            assert len(listed) == (state == "ACTIVE")


async def test_archived_product_stays_archived_and_as_it_was(shop: Shop) -> None:
    product = await _offer(shop, "For good")
    await do(shop.owner, "productArchive", productId=product)

    async with unchanged(shop.world, requests=1):
        payload = await ask(shop.owner, "productUpdate", productId=product, title="Back")
    again = await do(shop.owner, "productArchive", productId=product)

    refused(payload, "PRODUCT_NOT_ACTIVE", "productId", says="This product is no longer sold.")
    assert again["product"] == {"id": product, "active": False}


async def test_products_of_an_inactive_creator_are_not_on_sale(shop: Shop) -> None:
    creator = await shop.world.creator("closing")
    product = await shop.world.product("closing", creator)
    await do(shop.world.client("closing"), "creatorUpdate", creatorId=creator, active=False)

    assert await _titles(shop.nobody, where={"creatorId": creator}) == []
    async with unchanged(shop.world, requests=1):
        payload = await ask(shop.supporter, "purchaseCreate", productId=product)
    says = "This creator takes no payments at present."
    refused(payload, "CREATOR_NOT_ACTIVE", "productId", says=says)


async def test_product_of_somebody_else_is_changed_like_one_that_is_not_there(shop: Shop) -> None:
    for mutation, given in (("productUpdate", {"title": "Mine"}), ("productArchive", {})):
        async with unchanged(shop.world):
            theirs = await ask(shop.stranger, mutation, productId=shop.product, **given)
            missing = await ask(shop.stranger, mutation, productId=nothing_of(Noun.PRODUCT), **given)

        assert theirs == missing
        refused(theirs, "NOT_FOUND", "productId", says=NO_PRODUCT)


async def test_product_for_the_creator_of_somebody_else_is_refused_like_for_none(shop: Shop) -> None:
    given = {"title": "Mine", "price": usd("5.00")}

    async with unchanged(shop.world):
        theirs = await ask(shop.stranger, "productCreate", creatorId=shop.creator, **given)
        missing = await ask(shop.stranger, "productCreate", creatorId=nothing_of(Noun.CREATOR), **given)

    assert theirs == missing
    refused(theirs, "NOT_FOUND", "creatorId", says="There is no such creator. Check the id that was sent.")
