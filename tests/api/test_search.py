"""Searching the shop window: by words, by tag, by relevance."""

import base64
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
import pytest_asyncio

from app.client import Client
from core.ids import uuid7
from tests.api.shop import Shop, do, usd

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIST = """
query ($first: Int!, $after: String, $where: ProductWhere, $sort: ProductSort) {
  products(first: $first, after: $after, where: $where, sort: $sort) {
    nodes { id title } pageInfo { endCursor hasNextPage } totalCount
  }
}
"""
OFFERS: tuple[tuple[str, str, list[str]], ...] = (
    ("Walnut bowl", "Turned from one piece.", ["kitchen", "wood"]),
    ("Oak spoon", "Goes with the walnut bowl.", ["kitchen", "wood"]),
    ("Bowl of clay", "Fired twice.", ["kitchen", "clay works"]),
    ("Ébéniste's plane", "For walnut and oak.", ["tools", "walnut"]),
    ("Brass lamp", "Gives light.", []),
)


@dataclass
class Window:
    """Five products of one creator."""

    creator: str

    def where(self, **conditions: Any) -> dict[str, Any]:
        return {"creatorId": self.creator, **conditions}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def window(shop: Shop) -> Window:
    creator = await shop.world.creator("window")
    client = shop.world.client("window")
    for title, description, tags in OFFERS:
        given = {"title": title, "description": description, "tags": tags, "price": usd("5.00")}
        await do(client, "productCreate", creatorId=creator, **given)
    return Window(creator)


async def titles(client: Client, where: dict[str, Any], **given: Any) -> list[str]:
    found = await client.run(LIST, **{"first": 100, "where": where, **given})
    return [node["title"].split()[0] for node in found["products"]["nodes"]]


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ("walnut", "Ébéniste's Oak Walnut"),
        ("WALNUT bowl", "Oak Walnut"),
        ("wal", "Ébéniste's Oak Walnut"),
        ("bowl wal", "Oak Walnut"),
        ("wal bowl", ""),
        ("walnut -spoon", "Ébéniste's Walnut"),
        ("walnut -spo", "Ébéniste's Oak Walnut"),
        ('"walnut bowl"', "Oak Walnut"),
        ('"bowl walnut"', ""),
        ("clay or lamp", "Brass Bowl"),
        ("lamp or", "Brass"),
        ("ébéniste", "Ébéniste's"),
        ("clay works", "Bowl"),
        ("nothing", ""),
        ("", ""),
        ("!!! & | <-> :*", ""),
        ("walnut & | !", "Ébéniste's Oak Walnut"),
        ("'; drop table products; --", ""),
        ("lamp:*", "Brass"),
        ('"walnut', "Ébéniste's Oak Walnut"),
    ],
)
async def test_search_finds_words_and_beginnings(shop: Shop, window: Window, search: str, expected: str) -> None:
    assert await titles(shop.nobody, window.where(search=search)) == expected.split()


async def test_search_is_a_condition_like_any_other(shop: Shop, window: Window) -> None:
    either = [{"search": "lamp"}, {"AND": [{"search": "walnut"}, {"tag": "tools"}]}]

    assert await titles(shop.nobody, window.where(OR=either)) == ["Brass", "Ébéniste's"]


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("kitchen", "Bowl Oak Walnut"),
        (" Clay   WORKS ", "Bowl"),
        ("clay", ""),
        ("", ""),
        ("{kitchen}", ""),
    ],
)
async def test_tag_finds_what_has_it(shop: Shop, window: Window, tag: str, expected: str) -> None:
    assert await titles(shop.nobody, window.where(tag=tag)) == expected.split()


async def test_relevance_puts_titles_before_tags_before_descriptions(shop: Shop, window: Window) -> None:
    where = window.where(search="walnut")

    assert await titles(shop.nobody, where, sort="RELEVANCE") == ["Walnut", "Ébéniste's", "Oak"]


async def test_relevance_holds_across_pages_of_every_size(shop: Shop, window: Window) -> None:
    where = window.where(search="walnut or bowl or lamp")
    whole = await titles(shop.nobody, where, sort="RELEVANCE")
    assert len(whole) == 5

    for size in range(1, 6):
        seen, cursor, more = [], None, True
        while more:
            given = {"first": size, "after": cursor, "where": where, "sort": "RELEVANCE"}
            found = (await shop.nobody.run(LIST, **given))["products"]
            seen += [node["title"].split()[0] for node in found["nodes"]]
            cursor, more = found["pageInfo"]["endCursor"], found["pageInfo"]["hasNextPage"]
        assert seen == whole
        assert found["totalCount"] == 5


async def test_creators_own_list_is_searched_and_ranked_as_well(shop: Shop, window: Window) -> None:
    query = """
    query ($where: ProductWhere, $sort: ProductSort!) {
      creator(handle: "window") { products(first: 9, where: $where, sort: $sort) { nodes { title } } }
    }
    """

    found = await shop.nobody.run(query, where={"search": "walnut"}, sort="RELEVANCE")

    nodes = found["creator"]["products"]["nodes"]
    assert [node["title"].split()[0] for node in nodes] == ["Walnut", "Ébéniste's", "Oak"]


@pytest.mark.parametrize("where", [None, {}, {"tag": "kitchen"}, {"OR": [{"search": "walnut"}]}], ids=str)
async def test_relevance_without_a_search_is_refused(shop: Shop, where: dict[str, Any] | None) -> None:
    answer = await shop.nobody.full(LIST, first=1, where=where, sort="RELEVANCE")

    assert answer["data"] == {"products": None}
    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "INPUT_INVALID"
    assert error["message"] == "To sort by relevance, send what is searched for."


async def test_search_beyond_reason_is_refused(shop: Shop) -> None:
    answer = await shop.nobody.full(LIST, first=1, where={"search": "x" * 201})

    assert [error["extensions"]["code"] for error in answer["errors"]] == ["INPUT_INVALID"]


@pytest.mark.parametrize("score", ["x", "NaN", "Infinity", "", "1e999999999"])
async def test_cursor_with_a_score_that_is_none_is_refused_or_at_an_end(shop: Shop, score: str) -> None:
    parts = ["products.score.desc", score, str(uuid7())]
    cursor = base64.urlsafe_b64encode(orjson.dumps(parts)).decode().rstrip("=")

    answer = await shop.nobody.full(LIST, first=1, after=cursor, where={"search": "walnut"}, sort="RELEVANCE")

    assert [error["extensions"]["code"] for error in answer.get("errors", ())] == ["INPUT_INVALID"]


async def test_product_is_found_by_its_new_words_and_not_by_its_old(shop: Shop, window: Window) -> None:
    creator = await shop.world.creator("renamer")
    client = shop.world.client("renamer")
    made = await do(client, "productCreate", creatorId=creator, title="Quince jam", price=usd("5.00"))
    await do(client, "productUpdate", productId=made["product"]["id"], title="Medlar jam", tags=["Preserves"])

    for search, found in (("quince", []), ("medlar", ["Medlar"]), ("preserv", ["Medlar"])):
        assert await titles(shop.nobody, {"creatorId": creator, "search": search}) == found
