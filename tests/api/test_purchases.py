"""Purchases: one of a product, its stock reserved at once and given back exactly once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from app.client import Client
from core.clock import now
from core.ids import Noun, uuid7
from services import order_settlement, sweeper
from tests.api.shop import Shop, ask, do, document, nothing_of, pay, refused, settle, unchanged, usd

pytestmark = pytest.mark.asyncio(loop_scope="module")

SOLD_OUT = "This product is sold out. One comes back if another buyer's payment is cancelled."
READ = """
query ($id: ID!) {
  purchase(id: $id) {
    id title amount { amount currency } net { amount } status
    product { id title } creator { id } payment { id status lines { kind amount { amount } } }
  }
  node(id: $id) { id }
}
"""


@pytest_asyncio.fixture(loop_scope="module")
async def owner(shop: Shop) -> AsyncIterator[asyncpg.Connection]:
    """A connection as the database's owner, who may do everything."""
    connection = await asyncpg.connect(shop.world.dsn)
    yield connection
    await connection.close()


async def _product(shop: Shop, stock: int | None, amount: str = "10.00") -> str:
    return await shop.world.product("fable", shop.creator, amount=amount, stock=stock)


async def _stock(shop: Shop, product: str) -> int | None:
    left: int | None = (await shop.nobody.run("query ($id: ID!) { product(id: $id) { stock } }", id=product))[
        "product"
    ]["stock"]
    return left


async def _buy(client: Client, product: str) -> tuple[str, str]:
    bought = await do(client, "purchaseCreate", productId=product)
    return bought["purchase"]["id"], bought["payment"]["id"]


async def test_purchase_is_paid_and_seen_by_its_buyer_and_its_seller(shop: Shop) -> None:
    product = await _product(shop, 3)
    purchase, payment = await _buy(shop.supporter, product)
    await pay(shop.supporter, payment, shop.world)

    as_buyer = await shop.supporter.run(READ, id=purchase)
    as_seller = await shop.owner.run(READ, id=purchase)

    assert as_buyer == {
        "purchase": {
            "id": purchase,
            "title": "A thing",
            "amount": {"amount": "10.00", "currency": "USD"},
            "net": {"amount": "8.90"},
            "status": "SUCCEEDED",
            "product": {"id": product, "title": "A thing"},
            "creator": {"id": shop.creator},
            "payment": {
                "id": payment,
                "status": "SUCCEEDED",
                "lines": [
                    {"kind": "GROSS", "amount": {"amount": "10.00"}},
                    {"kind": "PERCENT_FEE", "amount": {"amount": "0.80"}},
                    {"kind": "FIXED_FEE", "amount": {"amount": "0.30"}},
                    {"kind": "PLATFORM_FEE", "amount": {"amount": "1.10"}},
                    {"kind": "TAX", "amount": {"amount": "0.00"}},
                    {"kind": "NET", "amount": {"amount": "8.90"}},
                ],
            },
        },
        "node": {"id": purchase},
    }
    assert as_seller == as_buyer
    for other in (shop.stranger, shop.nobody, shop.guest):
        assert await other.run(READ, id=purchase) == {"purchase": None, "node": None}


async def test_purchase_keeps_the_title_and_price_it_was_made_with(shop: Shop) -> None:
    product = await _product(shop, None)
    purchase, _ = await _buy(shop.supporter, product)

    await do(shop.owner, "productUpdate", productId=product, title="Another name", price=usd("99.00"))
    await do(shop.owner, "productArchive", productId=product)

    read = (await shop.supporter.run(READ, id=purchase))["purchase"]
    assert (read["title"], read["amount"]["amount"]) == ("A thing", "10.00")
    assert read["product"] == {"id": product, "title": "Another name"}


async def test_purchase_sent_again_with_its_key_reserves_one(shop: Shop) -> None:
    product = await _product(shop, 5)
    given = {"input": {"productId": product, "idempotencyKey": "buy-once"}}

    answers = await asyncio.gather(*(shop.supporter.full(document("purchaseCreate"), **given) for _ in range(20)))

    assert len({answer["data"]["purchaseCreate"]["purchase"]["id"] for answer in answers}) == 1
    replayed = [answer["extensions"]["idempotency"]["replayed"] for answer in answers]
    assert sorted(replayed) == [False] + [True] * 19
    assert await _stock(shop, product) == 4


async def _in_one_size(shop: Shop) -> str:
    small = {"choices": ["S"], "prices": [usd("5.00")], "stock": 4}
    made = await do(
        shop.owner, "productCreate", creatorId=shop.creator, title="In S", options=["Size"], variants=[small]
    )
    return str(made["product"]["id"])


@pytest.mark.parametrize(
    ("mutation", "change", "code"),
    [
        ("productUpdate", {"state": "DRAFT"}, "NOT_FOUND"),
        ("variantCreate", {"variant": {"choices": ["M"], "prices": [usd("6.00")]}}, "INPUT_INVALID"),
    ],
)
async def test_purchase_sent_again_is_answered_as_at_first_whatever_became_of_the_product(
    shop: Shop, mutation: str, change: dict[str, Any], code: str
) -> None:
    product, key = await _in_one_size(shop), str(uuid7())
    first = await do(shop.supporter, "purchaseCreate", productId=product, idempotencyKey=key)
    await do(shop.owner, mutation, productId=product, **change)

    async with unchanged(shop.world):
        again = await ask(shop.supporter, "purchaseCreate", productId=product, idempotencyKey=key)
        other = await ask(shop.supporter, "purchaseCreate", productId=product, idempotencyKey=key, quantity=2)
        anew = await ask(shop.supporter, "purchaseCreate", productId=product)

    assert (again["errors"], again["purchase"], again["payment"]) == ([], first["purchase"], first["payment"])
    assert [error["code"] for error in other["errors"]] == ["IDEMPOTENCY_KEY_REUSED"]
    assert [error["code"] for error in anew["errors"]] == [code]


async def test_purchase_of_the_release_before_orders_is_answered_under_its_key(
    shop: Shop, owner: asyncpg.Connection
) -> None:
    product, key = await _product(shop, 5), str(uuid7())
    first = await do(shop.supporter, "purchaseCreate", productId=product, idempotencyKey=key)
    # As it was stored then: there was a purchase, whose UUID its order has taken over.
    was = await owner.execute(
        "update requests set outcome = jsonb_build_object('ids', "
        "jsonb_build_object('purchase', outcome #> '{ids,order}', 'payment', outcome #> '{ids,payment}')) "
        "where operation = 'purchaseCreate' and key = $1",
        key,
    )
    assert was == "UPDATE 1"

    async with unchanged(shop.world):
        again = await ask(shop.supporter, "purchaseCreate", productId=product, idempotencyKey=key)

    assert (again["errors"], again["purchase"], again["payment"]) == ([], first["purchase"], first["payment"])
    assert await _stock(shop, product) == 4


async def test_last_one_is_sold_to_one_of_many_buyers_at_once(shop: Shop) -> None:
    product = await _product(shop, 3)
    buyers = [shop.supporter, shop.stranger, *(shop.nobody for _ in range(18))]

    payloads = await asyncio.gather(*(ask(buyer, "purchaseCreate", productId=product) for buyer in buyers))

    sold = [payload for payload in payloads if payload["purchase"] is not None]
    assert len(sold) == 3
    for payload in payloads:
        if payload not in sold:
            refused(payload, "OUT_OF_STOCK", "productId", says=SOLD_OUT)
    assert await _stock(shop, product) == 0


async def test_refusal_for_want_of_stock_stays_the_answer_to_its_key(shop: Shop) -> None:
    product = await _product(shop, 1)
    _, payment = await _buy(shop.stranger, product)
    given = {"productId": product, "idempotencyKey": "wanted-too-early"}
    first = await ask(shop.supporter, "purchaseCreate", **given)
    await do(shop.stranger, "paymentCancel", paymentId=payment)
    await settle(shop.world)
    assert await _stock(shop, product) == 1

    async with unchanged(shop.world):
        second = await ask(shop.supporter, "purchaseCreate", **given)
    third = await ask(shop.supporter, "purchaseCreate", productId=product)

    assert first == second
    refused(second, "OUT_OF_STOCK", "productId", says=SOLD_OUT)
    assert third["errors"] == []


async def test_cancelled_purchase_gives_back_one_however_often_it_is_told(shop: Shop) -> None:
    product = await _product(shop, 3)
    _, payment = await _buy(shop.supporter, product)
    assert await _stock(shop, product) == 2

    await asyncio.gather(
        *(ask(shop.supporter, "paymentCancel", paymentId=payment, idempotencyKey="cancel") for _ in range(10)),
        *(ask(shop.supporter, "paymentCancel", paymentId=payment) for _ in range(10)),
    )
    await settle(shop.world)
    await _tell_everything_again(shop)

    assert await shop.world.status(payment) == "CANCELED"
    assert await _stock(shop, product) == 3


async def test_purchases_cancelled_in_one_batch_give_back_all_they_reserved(shop: Shop) -> None:
    product = await _product(shop, 4)
    payments = [(await _buy(shop.supporter, product))[1] for _ in range(4)]
    assert await _stock(shop, product) == 0
    for payment in payments:
        # At the provider alone, so that all four are learnt of at once.
        await shop.world.engine.database.writer.execute(
            "select sandbox.cancel_payment($1, provider_reference) from payments where id = $2",
            f"elsewhere:{payment}",
            shop.world.key(Noun.PAYMENT, payment),
        )

    await settle(shop.world)
    await _tell_everything_again(shop)

    assert await _stock(shop, product) == 4


async def test_stock_asked_back_again_for_the_same_purchase_stays_as_it_is(shop: Shop) -> None:
    product = await _product(shop, 3)
    _, payment = await _buy(shop.supporter, product)
    key = shop.world.key(Noun.PAYMENT, payment)

    for _ in range(2):
        async with shop.world.engine.database.transaction() as transaction:
            await order_settlement.canceled([key, key], on=transaction.connection, at=now())

    assert await _stock(shop, product) == 3


async def _tell_everything_again(shop: Shop) -> None:
    """Forget what was received, and receive it all once more."""
    writer = shop.world.engine.database.writer
    await writer.execute(
        "update inbox_events set event_id = event_id || ':before' || id where event_id !~ ':before'"
    )
    await writer.execute("update sandbox.event set delivered_at = null")
    await settle(shop.world)


async def test_paid_purchase_keeps_what_it_reserved(shop: Shop) -> None:
    product = await _product(shop, 2)
    _, payment = await _buy(shop.supporter, product)
    await pay(shop.supporter, payment, shop.world)

    await ask(shop.supporter, "paymentCancel", paymentId=payment)
    await settle(shop.world)

    assert await _stock(shop, product) == 1


async def test_declined_purchase_keeps_its_reservation_for_another_card(shop: Shop) -> None:
    product = await _product(shop, 1)
    _, payment = await _buy(shop.supporter, product)
    await ask(shop.supporter, "paymentConfirm", paymentId=payment, method="tok_declined")
    await settle(shop.world)
    assert await _stock(shop, product) == 0

    await pay(shop.supporter, payment, shop.world)

    assert await _stock(shop, product) == 0


@pytest.mark.parametrize("method", [None, "tok_declined", "tok_3ds"])
async def test_purchase_nobody_completes_expires_and_gives_back_what_it_reserved(
    shop: Shop, method: str | None
) -> None:
    product = await _product(shop, 1)
    _, payment = await _buy(shop.supporter, product)
    if method is not None:
        await ask(shop.supporter, "paymentConfirm", paymentId=payment, method=method)
        await settle(shop.world)
    key = shop.world.key(Noun.PAYMENT, payment)
    await shop.world.engine.database.writer.execute(
        "update payments set created_at = $2, updated_at = $2 where id = $1", key, now() - timedelta(hours=2)
    )

    await sweeper.sweep(shop.world.engine)

    assert await shop.world.status(payment) == "CANCELED"
    await settle(shop.world)
    assert await _stock(shop, product) == 1


async def test_product_without_limit_reserves_and_gives_back_nothing(shop: Shop) -> None:
    product = await _product(shop, None)
    _, payment = await _buy(shop.supporter, product)
    await do(shop.owner, "productUpdate", productId=product, stock=7)

    await do(shop.supporter, "paymentCancel", paymentId=payment)
    await settle(shop.world)

    assert await _stock(shop, product) == 7


async def test_product_made_unlimited_since_takes_nothing_back(shop: Shop) -> None:
    product = await _product(shop, 3)
    _, payment = await _buy(shop.supporter, product)
    await do(shop.owner, "productUpdate", productId=product, unlimitedStock=True)

    await do(shop.supporter, "paymentCancel", paymentId=payment)
    await settle(shop.world)

    assert await _stock(shop, product) is None


async def test_purchases_of_a_buyer_are_theirs_alone_and_come_newest_first(shop: Shop) -> None:
    product = await _product(shop, None)
    buyer = shop.world.client("collector")
    bought = [(await _buy(buyer, product))[0] for _ in range(3)]
    await _buy(shop.stranger, product)
    query = "query ($first: Int!, $after: String) { me { purchases(first: $first, after: $after) { totalCount nodes { id } pageInfo { endCursor hasNextPage } } } }"

    first = (await buyer.run(query, first=2))["me"]["purchases"]
    rest = (await buyer.run(query, first=2, after=first["pageInfo"]["endCursor"]))["me"]["purchases"]

    assert [node["id"] for node in first["nodes"] + rest["nodes"]] == bought[::-1]
    assert (first["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasNextPage"]) == (True, False)
    assert first["totalCount"] == 3


async def test_guest_buys_with_the_token_they_are_given(shop: Shop) -> None:
    product = await _product(shop, 1)
    bought = await do(shop.nobody, "purchaseCreate", productId=product, idempotencyKey=str(uuid7()))
    guest = shop.world.client_with(bought["paymentToken"])

    await pay(guest, bought["payment"]["id"], shop.world)

    read: dict[str, Any] = (await guest.run(READ, id=bought["purchase"]["id"]))["purchase"]
    assert (read["status"], read["payment"]["id"]) == ("SUCCEEDED", bought["payment"]["id"])


ORDERED = """
query ($id: ID!) { purchase(id: $id) {
  title amount { amount } order { id total { amount } lines { quantity variantTitle unitPrice { amount } } }
} }
"""


async def _in_sizes(shop: Shop) -> tuple[str, list[str]]:
    made = await do(
        shop.owner,
        "productCreate",
        creatorId=shop.creator,
        title="In sizes",
        options=["Size"],
        variants=[
            {"choices": ["S"], "prices": [usd("5.00")], "stock": 4},
            {"choices": ["M"], "prices": [usd("6.00")], "stock": 4},
        ],
    )
    query = "query ($id: ID!) { product(id: $id) { variants { id } } }"
    found = (await shop.nobody.run(query, id=made["product"]["id"]))["product"]["variants"]
    return made["product"]["id"], [variant["id"] for variant in found]


async def test_purchase_is_an_order_of_so_many_of_a_variant(shop: Shop) -> None:
    product, (_, medium) = await _in_sizes(shop)

    bought = await do(
        shop.supporter,
        "purchaseCreate",
        productId=product,
        variantId=medium,
        quantity=3,
        expectedPrice=usd("18.00"),
    )

    read = (await shop.supporter.run(ORDERED, id=bought["purchase"]["id"]))["purchase"]
    assert read["amount"] == read["order"]["total"] == {"amount": "18.00"}
    assert read["order"]["lines"] == [{"quantity": 3, "variantTitle": "M", "unitPrice": {"amount": "6.00"}}]
    # What of it is the seller's they see as a sale.
    assert (await shop.owner.run(ORDERED, id=bought["purchase"]["id"]))["purchase"]["order"] is None


async def test_purchase_that_cannot_be_as_it_was_asked_for_writes_nothing(shop: Shop) -> None:
    product, (small, _) = await _in_sizes(shop)
    other = await _product(shop, None)
    for given, code, path, stored in (
        ({}, "INPUT_INVALID", "variantId", 0),
        ({"variantId": small, "quantity": 0}, "INPUT_INVALID", "quantity", 0),
        ({"variantId": nothing_of(Noun.VARIANT)}, "NOT_FOUND", "variantId", 0),
        ({"productId": other, "variantId": small}, "NOT_FOUND", "variantId", 0),
        ({"variantId": small, "quantity": 5}, "OUT_OF_STOCK", "productId", 1),
        ({"variantId": small, "expectedPrice": usd("4.99")}, "PRICE_CHANGED", "expectedPrice", 1),
    ):
        async with unchanged(shop.world, requests=stored):
            payload = await ask(shop.supporter, "purchaseCreate", **{"productId": product, **given})

        assert payload["purchase"] is payload["payment"] is None
        assert [(error["code"], error["path"]) for error in payload["errors"]] == [(code, ["input", path])]


async def test_guest_does_not_buy_what_costs_nothing_and_nobody_could_open(shop: Shop) -> None:
    free = {"title": "Free", "price": usd("0"), "paysWhatTheyWant": True, "stock": 2}
    made = await do(shop.owner, "productCreate", creatorId=shop.creator, **free)
    product = made["product"]["id"]

    async with unchanged(shop.world, requests=1):
        payload = await ask(shop.nobody, "purchaseCreate", productId=product, email="ada@example.com")

    says = "This costs nothing. Sign in, or put it in a cart, whose token opens it."
    refused(payload, "INPUT_INVALID", "productId", says=says)
    assert await _stock(shop, product) == 2
    bought = await do(shop.supporter, "purchaseCreate", productId=product)
    assert bought["payment"] is None
    assert (
        await shop.supporter.run("query ($id: ID!) { purchase(id: $id) { id } }", id=bought["purchase"]["id"])
    )["purchase"] == bought["purchase"]
