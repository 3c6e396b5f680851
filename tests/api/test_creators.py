"""Creators: becoming one, changing one, finding them."""

import asyncio

import pytest

from core.ids import Noun
from core.scopes import Scope
from tests.api.shop import Shop, ask, do, nothing_of, refused, unchanged, usd

pytestmark = pytest.mark.asyncio(loop_scope="module")

READ = "query ($handle: String!) { creator(handle: $handle) { id handle displayName bio active } }"
LIST = """
query ($where: CreatorWhere, $sort: CreatorSort, $first: Int, $after: String) {
  creators(first: $first, after: $after, where: $where, sort: $sort) {
    nodes { handle } totalCount pageInfo { endCursor hasNextPage }
  }
}
"""
NO_CREATOR = "There is no such creator. Check the id that was sent."


async def test_creator_is_found_by_their_handle_whatever_its_case(shop: Shop) -> None:
    made = await do(shop.world.client("wren"), "creatorCreate", handle="wren_1", displayName=" Wren ", bio="Sings")

    for handle in ("wren_1", "WREN_1", "Wren_1"):
        assert (await shop.nobody.run(READ, handle=handle))["creator"] == {
            "id": made["creator"]["id"],
            "handle": "wren_1",
            "displayName": " Wren ",
            "bio": "Sings",
            "active": True,
        }
    assert (await shop.nobody.run(READ, handle="wren_2")) == {"creator": None}
    assert (await shop.nobody.run(READ, handle="")) == {"creator": None}


async def test_person_becomes_one_creator_and_no_second(shop: Shop) -> None:
    client = shop.world.client("once")
    await do(client, "creatorCreate", handle="once_1", displayName="Once")

    async with unchanged(shop.world, requests=1):
        payload = await ask(client, "creatorCreate", handle="once_2", displayName="Twice")

    refused(payload, "CREATOR_EXISTS", says="You are a creator already. Update that one.")


async def test_handle_that_is_taken_is_refused_and_free_for_nobody(shop: Shop) -> None:
    async with unchanged(shop.world, requests=1):
        payload = await ask(shop.stranger, "creatorCreate", handle="fable", displayName="Another")

    refused(payload, "HANDLE_TAKEN", "handle", says="This handle is taken. Choose another.")


async def test_one_of_twenty_people_at_once_gets_a_handle(shop: Shop) -> None:
    clients = [shop.world.client(f"claimant{number}") for number in range(20)]

    payloads = await asyncio.gather(
        *(ask(client, "creatorCreate", handle="wanted", displayName="W") for client in clients)
    )

    assert sorted(len(payload["errors"]) for payload in payloads) == [0] + [1] * 19
    assert {payload["errors"][0]["code"] for payload in payloads if payload["errors"]} == {"HANDLE_TAKEN"}
    assert await shop.world.scalar("select count(*) from creators where handle = 'wanted'") == 1


async def test_person_who_asks_twenty_times_at_once_is_one_creator(shop: Shop) -> None:
    client = shop.world.client("hasty")

    payloads = await asyncio.gather(
        *(ask(client, "creatorCreate", handle=f"hasty_{number}", displayName="H") for number in range(20))
    )

    assert sorted(len(payload["errors"]) for payload in payloads) == [0] + [1] * 19
    assert {payload["errors"][0]["code"] for payload in payloads if payload["errors"]} == {"CREATOR_EXISTS"}


async def test_creator_changes_only_in_what_is_given(shop: Shop) -> None:
    client = shop.world.client("changer")
    made = await do(client, "creatorCreate", handle="changer", displayName="Before", bio="Stays")
    expected = {
        "id": made["creator"]["id"],
        "handle": "changer",
        "displayName": "Before",
        "bio": "Stays",
        "active": True,
    }

    for changed in ({}, {"displayName": "After"}, {"bio": ""}, {"active": False}, {"active": True}):
        await do(client, "creatorUpdate", creatorId=expected["id"], **changed)
        expected |= changed

        assert (await shop.nobody.run(READ, handle="changer"))["creator"] == expected


async def test_creator_of_somebody_else_is_changed_like_one_that_is_not_there(shop: Shop) -> None:
    async with unchanged(shop.world):
        theirs = await ask(shop.stranger, "creatorUpdate", creatorId=shop.creator, active=False)
        missing = await ask(shop.stranger, "creatorUpdate", creatorId=nothing_of(Noun.CREATOR), active=False)

    assert theirs == missing
    refused(theirs, "NOT_FOUND", "creatorId", says=NO_CREATOR)


async def test_creator_without_the_scope_changes_nothing(shop: Shop) -> None:
    client = shop.world.client("fable", frozenset(Scope) - {Scope.CREATORS_WRITE})

    async with unchanged(shop.world):
        payload = await ask(client, "creatorUpdate", creatorId=shop.creator, active=False)

    says = "The access token lacks the scope creators:write. Ask for one that has it."
    refused(payload, "FORBIDDEN", says=says)


async def test_inactive_creator_takes_nothing_new_and_is_not_listed_but_found(shop: Shop) -> None:
    found = await shop.nobody.run(READ, handle="asleep")
    listed = await shop.nobody.run(LIST, first=100)

    assert found["creator"]["active"] is False
    assert {"handle": "asleep"} not in listed["creators"]["nodes"]
    assert {"handle": "fable"} in listed["creators"]["nodes"]


async def test_creators_are_filtered_sorted_and_paged(shop: Shop) -> None:
    for handle, name in (("zinnia_x", "Zed"), ("aster_x", "Zoe"), ("mallow_x", "Émile")):
        await do(shop.world.client(handle), "creatorCreate", handle=handle, displayName=name)
    own = {"handle": {"in": ["zinnia_x", "aster_x", "mallow_x"]}}

    async def handles(**given: object) -> list[str]:
        found = (await shop.nobody.run(LIST, **{"first": 100, "where": own, **given}))["creators"]
        return [node["handle"] for node in found["nodes"]]

    assert await handles() == ["mallow_x", "aster_x", "zinnia_x"]
    assert await handles(sort="OLDEST") == ["zinnia_x", "aster_x", "mallow_x"]
    assert await handles(sort="HANDLE") == ["aster_x", "mallow_x", "zinnia_x"]
    assert await handles(where={"displayName": {"startsWith": "z"}, "AND": [own]}) == ["aster_x", "zinnia_x"]
    assert await handles(where={"OR": [{"handle": {"eq": "aster_x"}}, {"displayName": {"eq": "Zed"}}]}) == [
        "aster_x",
        "zinnia_x",
    ]
    paged: list[str] = []
    after = None
    while True:
        page = (await shop.nobody.run(LIST, first=1, after=after, where=own, sort="HANDLE"))["creators"]
        paged += [node["handle"] for node in page["nodes"]]
        assert page["totalCount"] == 3
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    assert paged == ["aster_x", "mallow_x", "zinnia_x"]


async def test_tips_of_a_creator_are_filtered_by_status_and_shown_to_them_alone(shop: Shop) -> None:
    creator = await shop.world.creator("tipped")
    client = shop.world.client("tipped")
    given = {"creatorId": creator, "amount": usd("5.00")}
    waiting = await do(shop.supporter, "tipCreate", **given, message="Soon")
    canceled = await do(shop.supporter, "tipCreate", **given)
    await do(shop.supporter, "paymentCancel", paymentId=canceled["payment"]["id"])
    query = """query ($where: TipWhere, $sort: TipSort) { creator(handle: "tipped") {
      tips(first: 10, where: $where, sort: $sort) {
        totalCount nodes { id status message giverName payment { id } }
      } } }"""

    both = (await client.run(query))["creator"]["tips"]
    pending = (await client.run(query, where={"status": {"eq": "PENDING"}}))["creator"]["tips"]
    either = (await client.run(query, where={"status": {"in": ["PENDING", "CANCELED"]}}, sort="OLDEST"))[
        "creator"
    ]["tips"]

    assert [tip["id"] for tip in both["nodes"]] == [canceled["tip"]["id"], waiting["tip"]["id"]]
    assert both["totalCount"] == 2
    assert pending["nodes"] == [
        {
            "id": waiting["tip"]["id"],
            "status": "PENDING",
            "message": "Soon",
            "giverName": "supporter",
            "payment": {"id": waiting["payment"]["id"]},
        }
    ]
    assert [tip["id"] for tip in either["nodes"]] == [waiting["tip"]["id"], canceled["tip"]["id"]]
    for other in (shop.stranger, shop.nobody, shop.guest, shop.world.client("tipped", frozenset())):
        assert await other.run(query) == {"creator": {"tips": None}}
