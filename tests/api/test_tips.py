"""Tipping over the public endpoint."""

import asyncio

from tests.support.world import EARNINGS, PAYMENT, World


async def test_tip_is_paid_settled_and_earned(world: World) -> None:
    creator = await world.creator("fable")
    supporter = world.client("supporter")

    sent = await world.tip(supporter, creator, "5.00", message="Bravo")

    assert sent["errors"] == []
    assert sent["tip"]["amount"] == {"amount": "5.00", "currency": "USD"}
    assert sent["tip"]["net"] == {"amount": "4.75"}
    assert sent["payment"]["status"] == "PENDING"
    confirmed = await world.confirm(supporter, sent["payment"]["id"])
    assert confirmed["errors"] == []
    assert confirmed["payment"]["status"] in {"PROCESSING", "SUCCEEDED"}
    await world.until(sent["payment"]["id"], "SUCCEEDED")
    payment = (await supporter.run(PAYMENT, id=sent["payment"]["id"]))["payment"]
    assert [event["status"] for event in payment["events"]] == ["CREATED", "PENDING", "PROCESSING", "SUCCEEDED"]
    earnings = (await world.client("fable").run(EARNINGS, handle="fable", currency="USD"))["creator"]["earnings"]
    assert earnings["pending"] == {"amount": "4.75"}
    assert earnings["available"] == {"amount": "0.00"}
    assert earnings["lifetime"] == {"amount": "4.75"}
    assert earnings["bySource"] == [{"source": "TIP", "net": {"amount": "4.75"}, "payments": 1}]


async def test_twenty_tips_with_one_key_at_once_are_one_tip_one_payment_one_group(world: World) -> None:
    creator = await world.creator("fable")
    supporter = world.client("supporter")

    sent = await asyncio.gather(*(world.tip(supporter, creator, key="the-same") for _ in range(20)))

    assert {payload["tip"]["id"] for payload in sent} == {sent[0]["tip"]["id"]}
    assert {payload["payment"]["id"] for payload in sent} == {sent[0]["payment"]["id"]}
    await world.confirm(supporter, sent[0]["payment"]["id"])
    await world.until(sent[0]["payment"]["id"], "SUCCEEDED")
    assert await world.count("tips") == 1
    assert await world.count("payments") == 1
    assert await world.scalar("select count(*) from ledger.request where key like 'capture:%'") == 1
