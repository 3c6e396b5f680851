"""Users: made at first sign-in, and what is theirs."""

import asyncio

import pytest

from core.scopes import Scope
from tests.api.shop import Shop, do, unchanged, usd

pytestmark = pytest.mark.asyncio(loop_scope="module")

ME = "{ me { id name creator { handle } } }"
PAYMENTS = """
query ($where: PaymentWhere, $sort: PaymentSort, $first: Int, $after: String, $last: Int, $before: String) {
  me {
    payments(first: $first, after: $after, last: $last, before: $before, where: $where, sort: $sort) {
      totalCount nodes { id kind status } pageInfo { startCursor endCursor hasNextPage hasPreviousPage }
    }
  }
}
"""


async def test_person_who_signs_in_for_the_first_time_becomes_a_user(shop: Shop) -> None:
    client = shop.world.client("newcomer")

    async with unchanged(shop.world, users=1):
        first = await client.run(ME)
        second = await shop.world.client("newcomer").run(ME)

    assert first == second
    assert first["me"]["name"] == "newcomer"
    assert first["me"]["creator"] is None


async def test_person_who_first_signs_in_with_twenty_requests_at_once_becomes_one_user(shop: Shop) -> None:
    # Tokens of their own, so that none is remembered from another's request.
    scopes = list(Scope)
    tokens = [shop.world.token("many", frozenset([Scope.ACCOUNT_READ, *scopes[: n % 7]])) for n in range(20)]

    async with unchanged(shop.world, users=1):
        answers = await asyncio.gather(*(shop.world.client_with(token).run(ME) for token in tokens))

    assert len({answer["me"]["id"] for answer in answers}) == 1


async def test_creator_is_reached_from_the_user_they_are(shop: Shop) -> None:
    assert (await shop.owner.run(ME))["me"]["creator"] == {"handle": "fable"}


async def test_nobody_and_guests_and_the_scopeless_are_nobody(shop: Shop) -> None:
    for client in (shop.nobody, shop.guest, shop.world.client("supporter", frozenset())):
        assert await client.run(ME) == {"me": None}


async def test_user_is_a_node_to_themselves_alone(shop: Shop) -> None:
    query = "query ($id: ID!) { node(id: $id) { id ... on User { name } } }"
    me = (await shop.supporter.run(ME))["me"]["id"]

    assert (await shop.supporter.run(query, id=me))["node"] == {"id": me, "name": "supporter"}
    for other in (shop.stranger, shop.nobody, shop.guest, shop.world.client("supporter", frozenset())):
        assert await other.run(query, id=me) == {"node": None}


async def test_payments_of_a_user_are_filtered_sorted_and_paged(shop: Shop) -> None:
    client = shop.world.client("payer")
    tips = [
        (await do(client, "tipCreate", creatorId=shop.creator, amount=usd("5.00")))["payment"]["id"]
        for _ in range(3)
    ]
    bought = (await do(client, "purchaseCreate", productId=shop.product))["payment"]["id"]
    await do(client, "paymentCancel", paymentId=tips[1])

    async def found(**given: object) -> list[str]:
        page = (await client.run(PAYMENTS, **{"first": 10, **given}))["me"]["payments"]
        return [node["id"] for node in page["nodes"]]

    assert await found() == [bought, *tips[::-1]]
    assert await found(sort="OLDEST") == [*tips, bought]
    assert await found(where={"kind": "PURCHASE"}) == [bought]
    assert await found(where={"kind": "TIP", "status": {"eq": "PENDING"}}) == [tips[2], tips[0]]
    assert await found(where={"status": {"in": ["CANCELED", "SUCCEEDED"]}}) == [tips[1]]
    assert await found(where={"OR": [{"kind": "PURCHASE"}, {"status": {"eq": "CANCELED"}}]}) == [bought, tips[1]]
    assert await found(where={"createdAt": {"lt": "2000-01-01T00:00:00Z"}}) == []
    first = (await client.run(PAYMENTS, first=3))["me"]["payments"]
    rest = (await client.run(PAYMENTS, first=3, after=first["pageInfo"]["endCursor"]))["me"]["payments"]
    back = (await client.run(PAYMENTS, last=3, before=rest["pageInfo"]["startCursor"]))["me"]["payments"]
    assert [node["id"] for node in first["nodes"] + rest["nodes"]] == [bought, *tips[::-1]]
    assert back["nodes"] == first["nodes"]
    assert first["totalCount"] == 4
    assert (rest["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasPreviousPage"]) == (False, True)


async def test_payments_and_purchases_are_on_no_one_elses_account(shop: Shop) -> None:
    await do(shop.supporter, "tipCreate", creatorId=shop.creator, amount=usd("5.00"))
    fresh = shop.world.client("fresh")

    page = (await fresh.run(PAYMENTS, first=10))["me"]["payments"]

    assert (page["nodes"], page["totalCount"]) == ([], 0)


async def test_page_of_payments_out_of_bounds_is_refused(shop: Shop) -> None:
    for given in ({}, {"first": 0}, {"first": 101}, {"first": 1, "last": 1}, {"first": 1, "after": "nonsense"}):
        answer = await shop.supporter.full(PAYMENTS, **given)

        assert [(error["extensions"]["code"], error["path"]) for error in answer["errors"]] == [
            ("INPUT_INVALID", ["me", "payments"])
        ]
        assert answer["data"] == {"me": {"payments": None}}
