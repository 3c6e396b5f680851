"""Other people's payments look like none; a guest's token opens one payment and nothing else."""

import time
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from app.client import Client, GraphQLFailed
from core.ids import Noun, uuid7
from core.scopes import Scope
from tests.api.shop import Shop, ask, do, nothing_of, refused, unchanged, usd
from tests.support.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

NO_PAYMENT = "There is no such payment. Check the id that was sent."
READ = "query ($id: ID!) { payment(id: $id) { id status } }"
NODE = "query ($id: ID!) { node(id: $id) { __typename id } }"
WATCH = """subscription ($id: ID!, $after: String) {
  paymentStatus(paymentId: $id, after: $after) { kind cursor event { status } payment { id status } }
}"""


def _without_scopes(shop: Shop) -> Client:
    """The payer, with a credential that allows nothing."""
    return shop.world.client("supporter", frozenset())


def _others(shop: Shop) -> dict[str, tuple[Client, str]]:
    """Return clients, each with a payment that is not theirs."""
    return {
        "nobody": (shop.nobody, shop.payment),
        "nobody, a guest's payment": (shop.nobody, shop.guest_payment),
        "a stranger": (shop.stranger, shop.payment),
        "a stranger, a guest's payment": (shop.stranger, shop.guest_payment),
        "the creator who is paid": (shop.owner, shop.payment),
        "a guest": (shop.guest, shop.payment),
    }


OTHERS = (
    "nobody",
    "nobody, a guest's payment",
    "a stranger",
    "a stranger, a guest's payment",
    "a guest",
)


@pytest.mark.parametrize("who", OTHERS)
async def test_payment_of_somebody_else_is_read_like_one_that_is_not_there(shop: Shop, who: str) -> None:
    client, payment = _others(shop)[who]
    for query in (READ, NODE):
        theirs = await client.full(query, id=payment)
        missing = await client.full(query, id=nothing_of(Noun.PAYMENT))

        assert theirs == missing == {"data": {next(iter(theirs["data"])): None}}


# The creator who is paid sees the payment, and can do neither.
@pytest.mark.parametrize("who", [*OTHERS, "the creator who is paid"])
async def test_payment_of_somebody_else_is_confirmed_and_cancelled_like_one_that_is_not_there(
    shop: Shop, who: str
) -> None:
    client, payment = _others(shop)[who]
    for mutation, more in (("paymentConfirm", {"method": "tok_success"}), ("paymentCancel", {})):
        async with unchanged(shop.world):
            theirs = await ask(client, mutation, paymentId=payment, **more)
            missing = await ask(client, mutation, paymentId=nothing_of(Noun.PAYMENT), **more)

        assert theirs == missing
        refused(theirs, "NOT_FOUND", "paymentId", says=NO_PAYMENT)


@pytest.mark.parametrize("who", OTHERS)
async def test_payment_of_somebody_else_is_watched_like_one_that_is_not_there(shop: Shop, who: str) -> None:
    client, payment = _others(shop)[who]

    theirs = await _refusal_of_watching(client, payment)
    missing = await _refusal_of_watching(client, nothing_of(Noun.PAYMENT))

    assert theirs == missing
    assert [(error["message"], error["extensions"]["code"]) for error in theirs] == [(NO_PAYMENT, "NOT_FOUND")]


async def _refusal_of_watching(client: Client, payment: str) -> list[dict[str, Any]]:
    async with client.socket() as socket:
        stream = await socket.subscribe(WATCH, id=payment)
        with pytest.raises(GraphQLFailed) as failed:
            await stream.next()
    return failed.value.errors


async def test_payer_without_the_scope_reads_and_watches_nothing(shop: Shop) -> None:
    client = _without_scopes(shop)

    assert await client.full(READ, id=shop.payment) == {"data": {"payment": None}}
    assert await client.full(NODE, id=shop.payment) == {"data": {"node": None}}
    assert [error["extensions"]["code"] for error in await _refusal_of_watching(client, shop.payment)] == [
        "NOT_FOUND"
    ]


async def test_payer_without_the_scope_confirms_and_cancels_nothing(shop: Shop) -> None:
    client = shop.world.client("supporter", frozenset(Scope) - {Scope.PAYMENTS_WRITE})
    says = "The access token lacks the scope payments:write. Ask for one that has it."
    for mutation, more in (("paymentConfirm", {"method": "tok_success"}), ("paymentCancel", {})):
        async with unchanged(shop.world):
            payload = await ask(client, mutation, paymentId=shop.payment, **more)

        refused(payload, "FORBIDDEN", says=says)


# Guests -----------------------------------------------------------------------------------------------------


async def _guest(world: World, creator: str) -> tuple[Client, str]:
    sent = await do(world.client(), "tipCreate", creatorId=creator, amount=usd("5.00"))
    return world.client_with(sent["paymentToken"]), str(sent["payment"]["id"])


async def test_only_guests_are_given_a_token(shop: Shop) -> None:
    tip = await do(shop.supporter, "tipCreate", creatorId=shop.creator, amount=usd("5.00"))
    purchase = await do(shop.supporter, "purchaseCreate", productId=shop.product)
    bought = await do(shop.nobody, "purchaseCreate", productId=shop.product)

    assert tip["paymentToken"] is None
    assert purchase["paymentToken"] is None
    assert (await shop.world.client_with(bought["paymentToken"]).run(READ, id=bought["payment"]["id"])) == {
        "payment": {"id": bought["payment"]["id"], "status": "PENDING"}
    }


async def test_guest_reads_watches_confirms_and_cancels_the_payment_of_their_token(shop: Shop) -> None:
    client, payment = await _guest(shop.world, shop.creator)

    assert await client.run(READ, id=payment) == {"payment": {"id": payment, "status": "PENDING"}}
    assert await client.run(NODE, id=payment) == {"node": {"__typename": "Payment", "id": payment}}
    async with client.socket() as socket:
        stream = await socket.subscribe(WATCH, id=payment)
        assert (await stream.next())["paymentStatus"]["kind"] == "SNAPSHOT"
        confirmed = await do(client, "paymentConfirm", paymentId=payment, method="tok_3ds")
        assert confirmed["payment"]["status"] == "REQUIRES_ACTION"
        assert (await stream.next())["paymentStatus"]["event"] == {"status": "REQUIRES_ACTION"}
        canceled = await do(client, "paymentCancel", paymentId=payment)
        assert canceled["payment"]["status"] == "CANCELED"
        assert (await stream.next())["paymentStatus"]["payment"] == {"id": payment, "status": "CANCELED"}


async def test_guest_without_their_token_can_do_nothing_with_their_payment(shop: Shop) -> None:
    _, payment = await _guest(shop.world, shop.creator)

    async with unchanged(shop.world):
        payload = await ask(shop.nobody, "paymentConfirm", paymentId=payment, method="tok_success")

    refused(payload, "NOT_FOUND", "paymentId", says=NO_PAYMENT)


async def test_guest_who_lost_the_answer_gets_the_same_payment_and_a_token_with_the_same_key(shop: Shop) -> None:
    given = {"creatorId": shop.creator, "amount": usd("5.00"), "idempotencyKey": str(uuid7())}

    first = await do(shop.nobody, "tipCreate", **given)
    second = await do(shop.nobody, "tipCreate", **given)

    assert first["payment"]["id"] == second["payment"]["id"]
    for payload in (first, second):
        client = shop.world.client_with(payload["paymentToken"])
        assert (await client.run(READ, id=payload["payment"]["id"]))["payment"] is not None


async def test_payment_token_is_nobodys_account(shop: Shop) -> None:
    answer = await shop.guest.run(
        "query ($handle: String!) { me { id } creator(handle: $handle) { tips(first: 1) { nodes { id } } "
        'earnings(currency: "USD") { lifetime { amount } } } }',
        handle="fable",
    )

    assert answer == {"me": None, "creator": {"tips": None, "earnings": None}}
    says = "Sign in: send an access token with the request."
    for mutation, given in (
        ("creatorCreate", {"handle": "guest_maker", "displayName": "G"}),
        ("creatorUpdate", {"creatorId": shop.creator, "active": False}),
        ("productCreate", {"creatorId": shop.creator, "title": "A", "price": usd("5.00")}),
        ("productUpdate", {"productId": shop.product, "title": "B"}),
        ("productArchive", {"productId": shop.product}),
    ):
        async with unchanged(shop.world):
            payload = await ask(shop.guest, mutation, **given)

        refused(payload, "UNAUTHENTICATED", says=says)


async def test_payment_token_opens_the_tip_it_pays_and_no_other(shop: Shop) -> None:
    query = "query ($id: ID!) { tip(id: $id) { id payment { id } } node(id: $id) { id } }"
    own = (await shop.guest.run("query ($id: ID!) { payment(id: $id) { tip { id } } }", id=shop.guest_payment))[
        "payment"
    ]["tip"]["id"]
    other = (await do(shop.supporter, "tipCreate", creatorId=shop.creator, amount=usd("5.00")))["tip"]["id"]

    assert await shop.guest.run(query, id=own) == {
        "tip": {"id": own, "payment": {"id": shop.guest_payment}},
        "node": {"id": own},
    }
    assert await shop.guest.run(query, id=other) == {"tip": None, "node": None}
    assert await shop.nobody.run(query, id=own) == {"tip": None, "node": None}


def _payment_token(world: World, payment: str, secret: str | None = None, **changed: Any) -> str:
    claims = {
        "aud": "comptoir:payment",
        "sub": str(world.key(Noun.PAYMENT, payment)),
        "exp": int(time.time()) + 600,
        **changed,
    }
    kept = {name: value for name, value in claims.items() if value is not None}
    key = OctKey.import_key(secret or world.settings.guest_secret)
    return jwt.encode({"alg": "HS256"}, kept, key, algorithms=["HS256"])


async def test_payment_token_that_is_changed_in_nothing_is_believed(shop: Shop) -> None:
    client = shop.world.client_with(_payment_token(shop.world, shop.guest_payment))

    assert (await client.run(READ, id=shop.guest_payment))["payment"] is not None


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": 1},
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": 10**20},
        {"aud": "comptoir"},
        {"aud": None},
        {"aud": ["comptoir:payment"]},
        {"sub": "nonsense"},
        {"sub": None},
        {"sub": 7},
        {"secret": "another deployment's secret of 32 characters"},
    ],
    ids=str,
)
async def test_payment_token_that_is_over_or_forged_opens_nothing(shop: Shop, changed: dict[str, Any]) -> None:
    client = shop.world.client_with(_payment_token(shop.world, shop.guest_payment, **changed))

    async with unchanged(shop.world):
        read = await client.post({"query": READ, "variables": {"id": shop.guest_payment}})
        confirm = await client.post(
            {
                "query": "mutation ($id: ID!, $key: String!) { paymentConfirm(input: {paymentId: $id, "
                'idempotencyKey: $key, method: "tok_success"}) { payment { id } } }',
                "variables": {"id": shop.guest_payment, "key": str(uuid7())},
            }
        )

    for response in (read, confirm):
        assert response.status_code == 401
        assert [error["extensions"]["code"] for error in response.json()["errors"]] == ["UNAUTHENTICATED"]
        assert "data" not in response.json()
