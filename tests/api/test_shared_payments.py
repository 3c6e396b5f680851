"""A payment for several creators: the payer's and the operators' as a whole, each creator's only as their share."""

from typing import Any

import pytest

from app.client import Client
from core.ids import Noun, encode
from core.scopes import PERSONAL_SCOPES, Scope
from ledger.chart import Split
from services import payments
from tests.api.books import OWN
from tests.api.shop import Shop, do, pay, refused, settle, unchanged, usd
from tests.support.shared_payments import SharedPayment, make_shared_payment

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAYMENT = "query ($id: ID!) { payment(id: $id) { id status amount { amount } refunds { id } disputes { id } } }"
ACTIVITY = """
subscription ($id: ID!, $after: String) {
  creatorActivity(creatorId: $id, after: $after) {
    kind activity { kind amount { amount } net { amount } purchase { id } } recent { amount { amount } }
  }
}
"""
WATCH = "subscription ($id: ID!) { paymentStatus(paymentId: $id) { kind event { status cursor } } }"
EARNED = """
query ($handle: String!) {
  creator(handle: $handle) {
    earnings(currency: "USD") { pending { amount } lifetime { amount } returned { amount } bySource { payments } }
  }
}
"""


def operator(shop: Shop) -> Client:
    return shop.world.client("operator", PERSONAL_SCOPES | {Scope.FINANCE_READ, Scope.FINANCE_WRITE})


async def placed(shop: Shop, *handles: str) -> SharedPayment:
    """Return a new payment of the supporter's to creators: 10.00 to the first, 5.00 to the second."""
    world = shop.world
    await shop.supporter.run("{ me { id } }")
    payer = await world.scalar("select id from users where subject = 'supporter'")
    keys = [world.key(Noun.CREATOR, await world.creator(handle)) for handle in handles]
    splits = list(zip(keys, (Split(900, 60, 40), Split(450, 30, 20)), strict=True))
    async with world.engine.database.writer.acquire() as connection:
        made = await make_shared_payment(connection, payer, splits, delay_seconds=604_800)
    await payments.resume(world.engine, made.id, fresh=True)
    return made


async def test_payment_is_seen_by_its_payer_and_by_none_of_its_creators(shop: Shop) -> None:
    made = await placed(shop, "ash", "birch")
    payment = encode(Noun.PAYMENT, made.id)

    seen = (await shop.supporter.run(PAYMENT, id=payment))["payment"]

    assert (seen["status"], seen["amount"]) == ("PENDING", {"amount": "15.00"})
    for handle in ("ash", "birch"):
        assert (await shop.world.client(handle).run(PAYMENT, id=payment))["payment"] is None
        answer = await shop.world.client(handle).full(
            'mutation ($id: ID!) { paymentCancel(input: {idempotencyKey: "no", paymentId: $id}) '
            "{ payment { id } errors { code } } }",
            id=payment,
        )
        assert answer["data"]["paymentCancel"]["errors"] == [{"code": "NOT_FOUND"}]
    assert await shop.world.status(payment) == "PENDING"


async def test_each_creator_is_told_their_share_and_earns_it(shop: Shop) -> None:
    made = await placed(shop, "cedar", "dogwood")
    payment = encode(Noun.PAYMENT, made.id)
    creators = [encode(Noun.CREATOR, creator) for creator in made.creators]
    first, second = shop.world.client("cedar"), shop.world.client("dogwood")
    async with first.socket() as one, second.socket() as two, shop.supporter.socket() as payer:
        streams = [await one.subscribe(ACTIVITY, id=creators[0]), await two.subscribe(ACTIVITY, id=creators[1])]
        for stream in streams:
            assert (await stream.next())["creatorActivity"]["kind"] == "SNAPSHOT"
        watching = await payer.subscribe(WATCH, id=payment)
        assert (await watching.next())["paymentStatus"]["kind"] == "SNAPSHOT"
        await pay(shop.supporter, payment, shop.world)
        told = [(await stream.next())["creatorActivity"]["activity"] for stream in streams]
        # Each change leaves once for each creator, and comes to the payer once.
        changes = [(await watching.next())["paymentStatus"]["event"] for _ in range(2)]

    assert told == [
        {"kind": "PURCHASE", "amount": {"amount": "10.00"}, "net": {"amount": "9.00"}, "purchase": None},
        {"kind": "PURCHASE", "amount": {"amount": "5.00"}, "net": {"amount": "4.50"}, "purchase": None},
    ]
    assert [change["status"] for change in changes] == ["PROCESSING", "SUCCEEDED"]
    assert len({change["cursor"] for change in changes}) == 2
    for handle, client, net in (("cedar", first, "9.00"), ("dogwood", second, "4.50")):
        earned = (await client.run(EARNED, handle=handle))["creator"]["earnings"]
        assert (earned["pending"]["amount"], earned["lifetime"]["amount"]) == (net, net)
        assert earned["bySource"] == [{"payments": 1}]


async def test_statement_of_each_creator_names_their_sale(shop: Shop) -> None:
    made = await placed(shop, "elm", "fir")
    await pay(shop.supporter, encode(Noun.PAYMENT, made.id), shop.world)

    for handle, share, net in zip(("elm", "fir"), made.shares, ("9.00", "4.50"), strict=True):
        variables = {"handle": handle, "kind": "PENDING", "currency": "USD", "first": 10}
        found = (await shop.world.client(handle).run(OWN, **variables))["creator"]["account"]["statement"]
        lines: list[Any] = [edge["node"] for edge in found["edges"]]
        assert [(line["amount"]["amount"], line["reference"]) for line in lines] == [
            (net, encode(Noun.SALE, share))
        ]


async def test_refund_of_the_whole_is_for_operators(shop: Shop) -> None:
    made = await placed(shop, "gorse", "hazel")
    payment = encode(Noun.PAYMENT, made.id)
    await pay(shop.supporter, payment, shop.world)
    for client in (shop.world.client("gorse"), shop.world.client("hazel"), shop.supporter, shop.stranger):
        await client.run("{ me { id } }")
        async with unchanged(shop.world):
            answer = await client.full(
                'mutation ($id: ID!) { refundCreate(input: {idempotencyKey: "no", paymentId: $id}) '
                "{ refund { id } errors { code path } } }",
                id=payment,
            )
        assert answer["data"]["refundCreate"] == {
            "refund": None,
            "errors": [{"code": "NOT_FOUND", "path": ["input", "paymentId"]}],
        }

    made_refund = await do(operator(shop), "refundCreate", paymentId=payment, amount=usd("7.50"))
    await settle(shop.world)

    assert made_refund["refund"]["amount"] == usd("7.50")
    seen = (await shop.supporter.run(PAYMENT, id=payment))["payment"]
    assert (seen["status"], seen["refunds"]) == ("PARTIALLY_REFUNDED", [{"id": made_refund["refund"]["id"]}])
    for handle, returned in (("gorse", "4.50"), ("hazel", "2.25")):
        earned = (await shop.world.client(handle).run(EARNED, handle=handle))["creator"]["earnings"]
        assert earned["returned"] == {"amount": returned}


async def test_refund_of_more_than_is_left_of_all_shares_is_refused(shop: Shop) -> None:
    made = await placed(shop, "iris", "jasmine")
    payment = encode(Noun.PAYMENT, made.id)
    await pay(shop.supporter, payment, shop.world)
    finance = operator(shop)
    await finance.run("{ me { id } }")
    async with unchanged(shop.world, requests=1):
        answer = await finance.run(
            "mutation ($input: RefundCreateInput!) { refundCreate(input: $input) { refund { id } "
            "errors { code path message } } }",
            input={"idempotencyKey": "more", "paymentId": payment, "amount": usd("15.01")},
        )
    refused(
        answer["refundCreate"],
        "REFUND_TOO_LARGE",
        "amount",
        says="That is more than is left of this payment. Send an amount up to what is left.",
    )
