"""Tips and creators asked for at the same moment."""

import asyncio

from core import ids
from tests.support.world import CREATE_CREATOR, World


async def test_tips_to_nobody_with_one_key_at_once_are_all_told_so(idle: World) -> None:
    supporter = idle.client("supporter")
    nobody = ids.encode(ids.Noun.CREATOR, ids.uuid7())

    sent = await asyncio.gather(*(idle.tip(supporter, nobody, key="the-same") for _ in range(20)))

    assert {payload["errors"][0]["code"] for payload in sent} == {"NOT_FOUND"}
    assert await idle.count("requests") == 0


async def test_twenty_tips_with_one_key_and_different_amounts_are_one_tip(idle: World) -> None:
    creator = await idle.creator("fable")
    supporter = idle.client("supporter")

    sent = await asyncio.gather(
        *(idle.tip(supporter, creator, f"{number}.00", key="the-same") for number in range(1, 21))
    )

    taken = [payload for payload in sent if not payload["errors"]]
    assert len(taken) == 1
    refused = [payload for payload in sent if payload["errors"]]
    assert {payload["errors"][0]["code"] for payload in refused} == {"IDEMPOTENCY_KEY_REUSED"}
    assert all(payload["tip"] is None and payload["payment"] is None for payload in refused)
    assert await idle.count("tips") == await idle.count("payments") == await idle.count("sandbox.payment") == 1
    gross = await idle.scalar("select gross from payments")
    assert f"{gross / 100:.2f}" == taken[0]["tip"]["amount"]["amount"]


async def test_twenty_tips_with_twenty_keys_are_twenty_tips(idle: World) -> None:
    creator = await idle.creator("fable")
    supporter = idle.client("supporter")

    sent = await asyncio.gather(*(idle.tip(supporter, creator) for _ in range(20)))

    assert all(payload["errors"] == [] for payload in sent)
    assert await idle.count("tips") == await idle.count("payments") == await idle.count("sandbox.payment") == 20


async def test_twenty_creator_creates_with_one_key_make_one_creator(idle: World) -> None:
    client = idle.client("fable")

    answers = await asyncio.gather(*(client.full(CREATE_CREATOR, handle="fable") for _ in range(20)))

    payloads = [answer["data"]["creatorCreate"] for answer in answers]
    assert all(payload["errors"] == [] for payload in payloads)
    assert len({payload["creator"]["id"] for payload in payloads}) == 1
    assert await idle.count("creators") == 1
    assert await idle.count("users") == 1


async def test_of_twenty_users_who_want_one_handle_one_gets_it(idle: World) -> None:
    clients = [idle.client(f"user-{number}") for number in range(20)]

    answers = await asyncio.gather(*(client.run(CREATE_CREATOR, handle="fable") for client in clients))

    payloads = [answer["creatorCreate"] for answer in answers]
    assert sum(payload["errors"] == [] for payload in payloads) == 1
    assert {error["code"] for payload in payloads for error in payload["errors"]} == {"HANDLE_TAKEN"}
    assert await idle.count("creators") == 1
