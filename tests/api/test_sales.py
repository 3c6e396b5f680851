"""Sales: a creator sees what they sold, and nothing of what others did."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from core.ids import Noun, encode
from core.scopes import PERSONAL_SCOPES, Scope
from tests.api.shop import do, settle
from tests.support.sales import Store, open_store

SALE = """
query ($id: ID!) { sale(id: $id) {
  id orderNumber status total { amount } refunded { amount } creator { handle } address { country line1 }
  shipping { title price { amount } total { amount } } lines { title quantity downloads { id } licenceKeys { id } }
  fulfilments { id automatic lines { quantity } } returns { id }
} }
"""
SALES = """
query ($where: SaleWhere, $sort: SaleSort! = NEWEST) {
  creator(handle: "fable") { sales(first: 10, where: $where, sort: $sort) { totalCount nodes { id status } } }
}
"""

ACTIVITY = """
subscription ($id: ID!) { creatorActivity(creatorId: $id) {
  activity { purchase { id } sale { id total { amount } } } recent { purchase { id } sale { id total { amount } } }
} }
"""


@pytest.fixture
async def store(dsn: str, books: None) -> AsyncIterator[Store]:
    async with open_store(dsn) as opened:
        yield opened


async def _sale(client: Any, key: str) -> Any:
    return (await client.run(SALE, id=key))["sale"]


async def test_each_creator_sees_their_own_part(store: Store) -> None:
    fable, gable = await store.creator("fable"), await store.creator("gable")
    await store.shipping(fable, 500)
    book = await store.variant(fable, 1_000, requires_shipping=True, product={"title": "A book"})
    song = await store.variant(gable, 700, product={"title": "A song"})
    ordered = await store.paid({book: 2, song: 1})

    own = await _sale(store.world.client("fable"), ordered.sales["fable"])
    assert (own["total"]["amount"], own["orderNumber"]) == ("25.00", 1)
    assert [line["title"] for line in own["lines"]] == ["A book"]
    assert own["lines"][0]["downloads"] in (None, [])
    assert own["address"]["country"] == "US"
    assert own["shipping"]["total"]["amount"] == "5.00"

    others = await _sale(store.world.client("gable"), ordered.sales["gable"])
    assert [line["title"] for line in others["lines"]] == ["A song"]
    # Nothing is sent there, so where the buyer lives is nobody's business.
    assert (others["address"], others["shipping"]) == (None, None)
    assert others["fulfilments"] == [
        {"id": others["fulfilments"][0]["id"], "automatic": True, "lines": [{"quantity": 1}]}
    ]

    assert await _sale(store.world.client("gable"), ordered.sales["fable"]) is None
    assert await _sale(store.world.client("stranger"), ordered.sales["fable"]) is None
    reader = store.world.client("fable", PERSONAL_SCOPES - {Scope.SALES_READ})
    assert await _sale(reader, ordered.sales["fable"]) is None


async def test_where_the_buyer_lives_is_shown_to_who_sends_it_once_it_is_paid(store: Store) -> None:
    fable = await store.creator("fable")
    await store.shipping(fable, 500)
    book = await store.variant(fable, 1_000, requires_shipping=True)
    owner = store.world.client("fable")
    ordered, canceled = await store.order({book: 1}), await store.order({book: 1})
    await do(store.guest(canceled), "orderCancel", orderId=canceled.id)
    await settle(store.world)

    for key in (ordered.sales["fable"], canceled.sales["fable"]):
        sale = await _sale(owner, key)
        assert (sale["address"], sale["shipping"]["title"]) == (None, "Post")

    await store.confirm(ordered)
    await settle(store.world)
    assert (await _sale(owner, ordered.sales["fable"]))["address"]["line1"] == "1 Sample Street"
    assert (await _sale(owner, canceled.sales["fable"]))["address"] is None


async def test_a_creators_sales_are_listed_and_filtered(store: Store) -> None:
    fable = await store.creator("fable")
    song = await store.variant(fable)
    paid, waiting = await store.paid({song: 1}), await store.order({song: 1})
    owner = store.world.client("fable")

    listed = (await owner.run(SALES))["creator"]["sales"]
    assert [node["id"] for node in listed["nodes"]] == [waiting.sales["fable"], paid.sales["fable"]]
    oldest = (await owner.run(SALES, sort="OLDEST"))["creator"]["sales"]
    assert oldest["nodes"] == listed["nodes"][::-1]
    done = (await owner.run(SALES, where={"status": {"eq": "FULFILLED"}}))["creator"]["sales"]
    assert (done["totalCount"], [node["id"] for node in done["nodes"]]) == (1, [paid.sales["fable"]])
    assert (await store.world.client("stranger").run(SALES))["creator"]["sales"] is None


async def test_what_belongs_to_a_sale_is_found_by_its_id(store: Store) -> None:
    song = await store.variant(await store.creator("fable"))
    ordered = await store.paid({song: 1})
    owner = store.world.client("fable")
    sale = await _sale(owner, ordered.sales["fable"])
    node = "query ($id: ID!) { node(id: $id) { __typename id } }"
    for key, kind in (
        (ordered.sales["fable"], "Sale"),
        (ordered.lines[song], "OrderLine"),
        (sale["fulfilments"][0]["id"], "Fulfilment"),
    ):
        for client in (owner, store.guest(ordered)):
            assert (await client.run(node, id=key))["node"] == {"__typename": kind, "id": key}
        assert (await store.world.client("stranger").run(node, id=key))["node"] is None


async def test_activity_of_a_cart_leads_each_creator_to_their_own_sale(store: Store) -> None:
    fable, gable = await store.creator("fable"), await store.creator("gable")
    book, song = await store.variant(fable, 1_000), await store.variant(gable, 700)
    ordered = await store.paid({book: 1, song: 1})

    for handle, creator, total in (("fable", fable, "10.00"), ("gable", gable, "7.00")):
        async with store.world.client(handle).socket() as socket:
            stream = await socket.subscribe(ACTIVITY, id=encode(Noun.CREATOR, creator))
            recent = (await stream.next())["creatorActivity"]["recent"]
            # It is there once the relay has given it its place.
            happened = recent[0] if recent else (await stream.next())["creatorActivity"]["activity"]
        assert happened["purchase"] is None
        assert happened["sale"] == {"id": ordered.sales[handle], "total": {"amount": total}}


async def test_payment_leads_its_buyer_to_the_order_and_nobody_else(store: Store) -> None:
    fable = await store.creator("fable")
    ordered = await store.paid({await store.variant(fable, 1_000): 1})
    query = "query ($id: ID!) { payment(id: $id) { order { id status } } }"
    assert ordered.payment_key is not None
    buyer = store.world.client_with(store.engine.guests.issue(ordered.payment_key))

    assert await buyer.run(query, id=ordered.payment) == {
        "payment": {"order": {"id": ordered.id, "status": "FULFILLED"}}
    }
    assert await store.world.client("fable").run(query, id=ordered.payment) == {"payment": {"order": None}}
