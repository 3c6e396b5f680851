"""Checkout: a cart becomes one order with one payment, or nothing at all happens."""

from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import pytest

from app.client import Client
from core.clock import now
from core.ids import Noun, uuid7
from providers.tax.table import TaxTable
from services import order_settlement, stock_reservations
from tests.api.shop import Shop, ask, do, nothing_of, pay, settle, unchanged
from tests.api.test_carts import HOME, create, filled, line, update
from tests.support.carts import Market

pytestmark = pytest.mark.asyncio(loop_scope="module")

COMPLETE: Final = """
mutation ($input: CheckoutCompleteInput!) {
  checkoutComplete(input: $input) {
    order { id status total { amount } number }
    payment { id status amount { amount currency } manualCapture }
    paymentToken
    errors {
      code message path
      ... on PriceChanged { now { amount currency } } ... on InsufficientStock { available variantId }
      ... on DiscountRejected { discountCode reason } ... on BuyerLimitExceeded { left }
    }
  }
}
"""


@pytest.fixture
def market(shop: Shop) -> Market:
    return Market(shop.world)


async def complete(client: Client, cart: dict[str, Any], total: str | None = None, **given: Any) -> dict[str, Any]:
    """Check a cart out for its total, unless told otherwise; return the payload."""
    expected = cart["total"] if total is None else {"amount": total, "currency": cart["total"]["currency"]}
    variables = {"idempotencyKey": str(uuid7()), "cartId": cart["id"], "expectedTotal": expected, **given}
    payload: dict[str, Any] = (await client.run(COMPLETE, input=variables))["checkoutComplete"]
    return payload


async def ordered(client: Client, cart: dict[str, Any]) -> dict[str, Any]:
    """Check out a cart that nothing is wrong with; return the payload."""
    payload = await complete(client, cart)
    assert payload["errors"] == []
    return payload


def refusals(payload: dict[str, Any]) -> list[tuple[str, list[str]]]:
    assert payload["order"] is payload["payment"] is payload["paymentToken"] is None
    return [(error["code"], error["path"]) for error in payload["errors"]]


async def _creator(market: Market) -> UUID:
    return await market.creator(f"h{uuid7().hex[-12:]}")


async def _row(shop: Shop, sql: str, *parameters: Any) -> dict[str, Any]:
    row = await shop.world.engine.database.reader.fetchrow(sql, *parameters)
    assert row is not None
    return dict(row)


async def test_guest_pays_for_a_cart_and_follows_the_order_with_its_token(shop: Shop, market: Market) -> None:
    variant = await market.variant(await _creator(market), 1_500, stock=4)
    made = await create(shop.nobody, line(variant, 2), email="guest@example.com")
    guest = shop.world.client_with(made["cartToken"])

    done = await ordered(guest, made["cart"])
    payer = shop.world.client_with(done["paymentToken"])
    await pay(payer, done["payment"]["id"], shop.world)

    assert done["order"]["status"] == "PENDING"
    assert done["payment"] == {
        "id": done["payment"]["id"],
        "status": "PENDING",
        "amount": {"amount": "30.00", "currency": "USD"},
        "manualCapture": False,
    }
    query = "query ($id: ID!) { order(id: $id) { id status } }"
    for client in (guest, payer):
        assert (await client.run(query, id=done["order"]["id"]))["order"]["status"] == "FULFILLED"
    assert await shop.nobody.run(query, id=done["order"]["id"]) == {"order": None}
    order = await _row(shop, "select * from orders where id = $1", shop.world.key(Noun.ORDER, done["order"]["id"]))
    email = "guest@example.com"
    assert (order["origin"], order["buyer_key"], order["email"]) == ("CART", f"email:{email}", email)
    assert await market.left(variant) == 2


async def test_order_of_several_creators_shares_one_payment_to_the_cent(shop: Shop, market: Market) -> None:
    one, other = await _creator(market), await _creator(market)
    shirt = await market.variant(one, 1_999, requires_shipping=True, weight_grams=10)
    song = await market.variant(other, 777)
    await market.shipping(one, 450)
    await market.discount(other, "SHARED", basis_points=3_333)
    cart = await filled(shop.supporter, line(shirt, 2), line(song), address=HOME, discountCodes=["SHARED"])

    done = await ordered(shop.supporter, cart)

    key = shop.world.key(Noun.PAYMENT, done["payment"]["id"])
    payment = await _row(shop, "select * from payments where id = $1", key)
    shares = await shop.world.engine.database.reader.fetch(
        "select s.*, p.total, p.tax as part_tax from payment_shares s join order_parts p on p.id = s.id"
        " where s.payment_id = $1 order by s.gross desc",
        key,
    )
    assert (payment["creator_id"], payment["fee_rule_id"], payment["gross"]) == (None, None, 4_966)
    assert [(share["creator_id"], share["gross"]) for share in shares] == [(one, 4_448), (other, 518)]
    # 8 % rounded half up, and 0.30 each.
    assert [(share["fee"], share["fixed_fee"]) for share in shares] == [(386, 30), (71, 30)]
    for column in ("gross", "net", "fee", "fixed_fee", "tax"):
        assert sum(share[column] for share in shares) == payment[column]
    assert all(share["gross"] == share["total"] for share in shares)


async def test_tax_on_top_is_the_creators_and_takes_no_fee(shop: Shop, market: Market) -> None:
    await shop.world.engine.database.writer.execute(
        "insert into tax_rates (id, country, region, category, name, basis_points, inclusive, valid_from, created_at)"
        " values ($1, 'AT', '', 'standard', 'USt', 2000, false, $2, $2)",
        uuid7(),
        now() - timedelta(days=1),
    )
    tax = shop.world.engine.tax
    assert isinstance(tax, TaxTable)
    tax.forget()
    variant = await market.variant(await _creator(market), 1_000)
    home = {"name": "A", "line1": "Ring 1", "city": "Wien", "postalCode": "1010", "country": "AT"}
    cart = await filled(shop.supporter, line(variant), address=home)

    done = await ordered(shop.supporter, cart)

    payment = await _row(
        shop, "select * from payments where id = $1", shop.world.key(Noun.PAYMENT, done["payment"]["id"])
    )
    assert (cart["tax"]["amount"], cart["total"]["amount"]) == ("2.00", "12.00")
    assert [int(payment[name]) for name in ("gross", "tax", "fee", "net")] == [1_200, 200, 110, 890]


async def test_another_total_than_expected_orders_nothing(shop: Shop, market: Market) -> None:
    variant = await market.variant(await _creator(market), 1_000, stock=5)
    cart = await filled(shop.supporter, line(variant, 2))

    async with unchanged(shop.world, requests=1):
        payload = await complete(shop.supporter, cart, "19.99")

    assert refusals(payload) == [("PRICE_CHANGED", ["input", "expectedTotal"])]
    assert payload["errors"][0]["now"] == {"amount": "20.00", "currency": "USD"}
    assert (await complete(shop.supporter, cart))["errors"] == []


async def test_checkout_is_refused_for_the_first_problem_of_the_cart(shop: Shop, market: Market) -> None:
    creator = await _creator(market)
    scarce = await market.variant(creator, stock=1)
    limited = await market.variant(creator, product={"per_buyer_limit": 1})
    shipped = await market.variant(creator, requires_shipping=True, weight_grams=1)
    plenty = await market.variant(creator)
    for lines, given in (
        ([], {}),
        ([line(scarce, 2)], {}),
        ([line(limited, 2)], {}),
        ([line(shipped)], {}),
        ([line(shipped)], {"address": HOME}),
        ([line(plenty)], {"discountCodes": ["NONE"]}),
    ):
        cart = await filled(shop.supporter, *lines, **given)
        assert cart["problems"] != []

        async with unchanged(shop.world, requests=1):
            payload = await complete(shop.supporter, cart)

        assert refusals(payload) == [(cart["problems"][0]["code"], ["input", "cartId"])]
        assert payload["errors"][0]["message"] == cart["problems"][0]["message"]


async def test_guest_without_an_email_address_orders_nothing(shop: Shop, market: Market) -> None:
    made = await create(shop.nobody, line(await market.variant(await _creator(market))))
    guest = shop.world.client_with(made["cartToken"])

    async with unchanged(shop.world, requests=1):
        payload = await complete(guest, made["cart"])

    assert refusals(payload) == [("EMAIL_NEEDED", ["input", "cartId"])]


async def test_nobody_checks_out_somebody_elses_cart(shop: Shop, market: Market) -> None:
    cart = await filled(shop.supporter, line(await market.variant(await _creator(market))))
    missing = {**cart, "id": nothing_of(Noun.CART)}

    for client in (shop.stranger, shop.nobody, shop.guest):
        async with unchanged(shop.world):
            answers = [await complete(client, each) for each in (cart, missing)]

        assert answers[0] == answers[1]
        assert refusals(answers[0]) == [("NOT_FOUND", ["input", "cartId"])]


async def test_fees_that_would_eat_a_creators_part_order_nothing(shop: Shop, market: Market) -> None:
    creator, other = await _creator(market), await _creator(market)
    cheap, dear = await market.variant(creator, 20, stock=5), await market.variant(other, 5_000)
    cart = await filled(shop.supporter, line(cheap), line(dear))

    async with unchanged(shop.world, requests=1):
        payload = await complete(shop.supporter, cart)

    assert refusals(payload) == [("AMOUNT_TOO_SMALL", ["input", "cartId"])]


async def test_cart_of_an_order_stays_as_it_is_until_the_order_is_cancelled(shop: Shop, market: Market) -> None:
    variant = await market.variant(await _creator(market), stock=5)
    cart = await filled(shop.supporter, line(variant, 2))
    first = await ordered(shop.supporter, cart)

    refused = await update(shop.supporter, cart["id"], lines=[line(variant, 3)])
    again = await ordered(shop.supporter, cart)
    await do(shop.supporter, "paymentCancel", paymentId=first["payment"]["id"])
    await settle(shop.world)
    changed = (await update(shop.supporter, cart["id"], lines=[line(variant, 3)]))["cart"]
    second = await ordered(shop.supporter, changed)

    assert [(error["code"], error["orderId"]) for error in refused["errors"]] == [
        ("CART_CHECKED_OUT", first["order"]["id"])
    ]
    assert (again["order"]["id"], again["payment"]["id"]) == (first["order"]["id"], first["payment"]["id"])
    assert (changed["order"], changed["total"]["amount"]) == (None, "30.00")
    assert second["order"]["id"] != first["order"]["id"]
    assert await market.left(variant) == 2


async def test_order_paid_after_it_was_cancelled_stands_beside_the_carts_next_one(
    shop: Shop, market: Market
) -> None:
    variant = await market.variant(await _creator(market), stock=5)
    cart = await filled(shop.supporter, line(variant))
    first = await ordered(shop.supporter, cart)
    await do(shop.supporter, "paymentCancel", paymentId=first["payment"]["id"])
    await settle(shop.world)
    second = await ordered(shop.supporter, cart)
    key = shop.world.key(Noun.PAYMENT, first["payment"]["id"])

    async with shop.world.engine.database.transaction() as transaction:
        row = await transaction.connection.fetchrow("select * from payments where id = $1 for update", key)
        await order_settlement.paid([row], on=transaction.connection, at=now())

    query = "query ($id: ID!) { order(id: $id) { status } }"
    statuses = [
        (await shop.supporter.run(query, id=each["order"]["id"]))["order"]["status"] for each in (first, second)
    ]
    assert statuses == ["FULFILLED", "PENDING"]
    assert await market.left(variant) == 3
    assert (await ordered(shop.supporter, cart))["order"]["id"] == second["order"]["id"]


async def test_cart_of_a_paid_order_is_never_paid_again(shop: Shop, market: Market) -> None:
    cart = await filled(shop.supporter, line(await market.variant(await _creator(market))))
    first = await ordered(shop.supporter, cart)
    await pay(shop.supporter, first["payment"]["id"], shop.world)

    async with unchanged(shop.world, requests=1):
        again = await complete(shop.supporter, cart)

    assert (again["errors"], again["order"]["id"]) == ([], first["order"]["id"])
    assert (again["payment"]["id"], again["payment"]["status"]) == (first["payment"]["id"], "SUCCEEDED")


async def test_what_costs_nothing_is_paid_at_once_without_a_payment(shop: Shop, market: Market) -> None:
    creator = await _creator(market)
    variant = await market.variant(creator, stock=3)
    await market.discount(creator, "GIFT", basis_points=10_000)
    cart = await filled(shop.supporter, line(variant), discountCodes=["GIFT"])
    assert cart["total"]["amount"] == "0.00"
    payments = await shop.world.count("payments")

    done = await ordered(shop.supporter, cart)

    assert done["payment"] is done["paymentToken"] is None
    assert done["order"]["status"] in {"PAID", "FULFILLED"}
    assert done["order"]["number"] is not None
    assert await shop.world.count("payments") == payments
    assert await market.left(variant) == 2
    assert (await ordered(shop.supporter, cart))["order"]["id"] == done["order"]["id"]


async def test_code_is_used_by_an_order_and_free_again_once_that_is_cancelled(shop: Shop, market: Market) -> None:
    creator = await _creator(market)
    variant = await market.variant(creator)
    await market.discount(creator, "SINGLE", usage_limit=1)
    carts = [await filled(shop.supporter, line(variant), discountCodes=["SINGLE"]) for _ in range(2)]
    first = await ordered(shop.supporter, carts[0])

    refused = await complete(shop.supporter, carts[1])
    await do(shop.supporter, "paymentCancel", paymentId=first["payment"]["id"])
    await settle(shop.world)

    assert refusals(refused) == [("DISCOUNT_REJECTED", ["input", "cartId"])]
    error = refused["errors"][0]
    assert (error["discountCode"], error["reason"]) == ("SINGLE", "USED_UP")
    assert (await complete(shop.supporter, carts[1]))["errors"] == []


async def test_payment_of_what_is_captured_by_hand_only_reserves(shop: Shop, market: Market) -> None:
    creator = await _creator(market)
    variants = [await market.variant(creator, product={"manual_capture": manual}) for manual in (True, False)]

    done = await ordered(shop.supporter, await filled(shop.supporter, *map(line, variants)))

    assert done["payment"]["manualCapture"]


# What is reserved, and for how long ---------------------------------------------------------------------------


async def _an_hour_passes(shop: Shop, payment: str) -> None:
    """Make an order as old as one whose reservation has run out, and let that run out."""
    writer, key = shop.world.engine.database.writer, shop.world.key(Noun.PAYMENT, payment)
    past = now() - timedelta(hours=2)
    await writer.execute("update payments set created_at = $2 where id = $1", key, past)
    await writer.execute(
        "update stock_reservations set expires_at = $2 where line_id in (select l.id from order_lines l"
        " join orders o on o.id = l.order_id where o.payment_id = $1)",
        key,
        past + timedelta(hours=1),
    )
    while await stock_reservations.expire(shop.world.engine):
        pass


async def test_confirming_late_reserves_again_what_is_still_there(shop: Shop, market: Market) -> None:
    variant = await market.variant(await _creator(market), stock=1)
    done = await ordered(shop.supporter, await filled(shop.supporter, line(variant)))
    assert await market.left(variant) == 0
    await _an_hour_passes(shop, done["payment"]["id"])
    assert await market.left(variant) == 1

    await pay(shop.supporter, done["payment"]["id"], shop.world)

    assert await market.left(variant) == 0


async def test_confirming_late_what_is_sold_out_charges_nothing(shop: Shop, market: Market) -> None:
    variant = await market.variant(await _creator(market), stock=1)
    done = await ordered(shop.supporter, await filled(shop.supporter, line(variant)))
    await _an_hour_passes(shop, done["payment"]["id"])
    other = await ordered(shop.stranger, await filled(shop.stranger, line(variant)))

    async with unchanged(shop.world, requests=1):
        payload = await ask(
            shop.supporter, "paymentConfirm", paymentId=done["payment"]["id"], method="tok_success"
        )

    assert [(error["code"], error["path"]) for error in payload["errors"]] == [
        ("RESERVATION_EXPIRED", ["input", "paymentId"])
    ]
    assert await shop.world.status(done["payment"]["id"]) == "PENDING"
    await pay(shop.stranger, other["payment"]["id"], shop.world)
