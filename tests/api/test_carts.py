"""Carts: priced as of now, changed until an order is made of them, and opened by nobody else."""

from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import pytest

from app.client import Client
from core.clock import now
from core.ids import Noun, uuid7
from tests.api.shop import Shop, nothing_of
from tests.support.carts import Market

pytestmark = pytest.mark.asyncio(loop_scope="module")

CART: Final = """
fragment Whole on Cart {
  id version currency email taxEstimated discountCodes
  address { name city region country }
  lines {
    quantity available variant { id } product { title }
    unitPrice { amount } subtotal { amount } discount { amount } tax { amount } total { amount } problem { code }
  }
  subtotal { amount } discount { amount } shipping { amount } tax { amount } total { amount currency }
  shippingOptions { creator { id } chosenMethodId options { method { id } name price { amount } } }
  discounts { title code amount { amount } } rejectedDiscounts { code reason }
  problems {
    code message path
    ... on InsufficientStock { available variantId } ... on BuyerLimitExceeded { left }
    ... on NotReleased { releasesAt } ... on DiscountRejected { discountCode reason }
    ... on AmountOutOfRange { minimum { amount } }
  }
  order { id status }
}
"""
_ERRORS: Final = """
errors { code message path ... on CartCheckedOut { orderId } ... on AddressInvalid { fields { field reason } } }
"""
CREATE: Final = f"""
mutation ($input: CartCreateInput!) {{ cartCreate(input: $input) {{ cart {{ ...Whole }} cartToken {_ERRORS} }} }}
{CART}
"""
UPDATE: Final = f"""
mutation ($input: CartUpdateInput!) {{ cartUpdate(input: $input) {{ cart {{ ...Whole }} {_ERRORS} }} }} {CART}
"""
READ: Final = f"query ($id: ID!) {{ cart(id: $id) {{ ...Whole }} }} {CART}"
HOME: Final = {
    "name": "Ada Example",
    "line1": "1 Sample Street",
    "city": "Springfield",
    "region": "IL",
    "postalCode": "62701",
    "country": "US",
}


@pytest.fixture
def market(shop: Shop) -> Market:
    return Market(shop.world)


def line(variant: UUID, quantity: int = 1, **more: Any) -> dict[str, Any]:
    return {"variantId": Market.id(Noun.VARIANT, variant), "quantity": quantity, **more}


async def create(client: Client, *lines: dict[str, Any], **given: Any) -> dict[str, Any]:
    """Begin a cart; return the payload."""
    variables = {"idempotencyKey": str(uuid7()), "currency": "USD", "lines": list(lines), **given}
    payload: dict[str, Any] = (await client.run(CREATE, input=variables))["cartCreate"]
    return payload


async def filled(client: Client, *lines: dict[str, Any], **given: Any) -> dict[str, Any]:
    """Begin a cart that nothing is wrong with; return it."""
    payload = await create(client, *lines, **given)
    assert payload["errors"] == []
    cart: dict[str, Any] = payload["cart"]
    return cart


async def update(client: Client, cart: str, **given: Any) -> dict[str, Any]:
    """Change a cart; return the payload."""
    variables = {"idempotencyKey": str(uuid7()), "cartId": cart, **given}
    payload: dict[str, Any] = (await client.run(UPDATE, input=variables))["cartUpdate"]
    return payload


def codes(cart: dict[str, Any]) -> list[str]:
    return [problem["code"] for problem in cart["problems"]]


async def _creator(market: Market) -> UUID:
    return await market.creator(f"h{uuid7().hex[-12:]}")


async def test_cart_adds_up_its_lines_discounts_and_shipping(shop: Shop, market: Market) -> None:
    creator = await _creator(market)
    shirt = await market.variant(creator, 2_000, stock=9, requires_shipping=True, weight_grams=200)
    song = await market.variant(creator, 150)
    post = await market.shipping(creator, 700)
    await market.shipping(creator, 900, "Courier")
    await market.discount(creator, "TENTH", basis_points=1_000)

    cart = await filled(
        shop.supporter,
        line(shirt, 2),
        line(song),
        address=HOME,
        discountCodes=[" tenth "],
        email="ada@Example.com",
    )

    assert [(each["quantity"], each["available"], each["total"]["amount"]) for each in cart["lines"]] == [
        (2, 9, "36.00"),
        (1, None, "1.35"),
    ]
    amounts = [cart[name]["amount"] for name in ("subtotal", "discount", "shipping", "tax", "total")]
    assert amounts == ["41.50", "4.15", "7.00", "0.00", "44.35"]
    assert cart["discounts"] == [{"title": "A discount", "code": "TENTH", "amount": {"amount": "4.15"}}]
    shipping = cart["shippingOptions"][0]
    assert [option["name"] for option in shipping["options"]] == ["Post", "Courier"]
    assert shipping["chosenMethodId"] == Market.id(Noun.SHIPPING_METHOD, post)
    assert (cart["email"], cart["address"]["region"], cart["taxEstimated"]) == ("ada@example.com", "IL", False)
    assert (cart["problems"], cart["order"], cart["version"]) == ([], None, 1)
    assert (await shop.supporter.run(READ, id=cart["id"]))["cart"] == cart


async def test_cart_is_opened_by_who_began_it_and_by_its_token_alone(shop: Shop, market: Market) -> None:
    variant = await market.variant(await _creator(market))
    own = await filled(shop.supporter, line(variant))
    made = await create(shop.nobody, line(variant), idempotencyKey=str(uuid7()))
    guest = shop.world.client_with(made["cartToken"])

    assert (await create(shop.supporter, line(variant)))["cartToken"] is None
    assert (await guest.run(READ, id=made["cart"]["id"]))["cart"]["id"] == made["cart"]["id"]
    for client, cart in (
        (shop.stranger, own["id"]),
        (shop.nobody, own["id"]),
        (guest, own["id"]),
        (shop.guest, made["cart"]["id"]),
        (shop.nobody, made["cart"]["id"]),
        (shop.supporter, made["cart"]["id"]),
        (shop.supporter, nothing_of(Noun.CART)),
    ):
        assert await client.run(READ, id=cart) == {"cart": None}
        payload = await update(client, cart, lines=[line(variant, 5)])
        assert payload["cart"] is None
        assert [(error["code"], error["path"]) for error in payload["errors"]] == [
            ("NOT_FOUND", ["input", "cartId"])
        ]
    assert (await shop.supporter.run(READ, id=own["id"]))["cart"] == own


async def test_cart_sent_again_with_its_key_is_the_same_cart(shop: Shop, market: Market) -> None:
    variant = await market.variant(await _creator(market))
    key = str(uuid7())

    first = await create(shop.nobody, line(variant, 2), idempotencyKey=key)
    again = await create(shop.nobody, line(variant, 2), idempotencyKey=key)
    other = await create(shop.nobody, line(variant, 3), idempotencyKey=key)

    assert first["cart"] == again["cart"]
    assert shop.world.client_with(again["cartToken"])
    assert (other["cart"], [error["code"] for error in other["errors"]]) == (None, ["IDEMPOTENCY_KEY_REUSED"])


async def test_cart_sent_again_is_answered_as_at_first_whatever_became_of_what_is_in_it(
    shop: Shop, market: Market
) -> None:
    creator = await _creator(market)
    gone, other = await market.variant(creator), await market.variant(creator)
    begun, changed = str(uuid7()), str(uuid7())
    first = await create(shop.supporter, line(gone), idempotencyKey=begun)
    cart = first["cart"]["id"]
    change = {"idempotencyKey": changed, "lines": [line(gone, 3), line(other)]}
    await update(shop.supporter, cart, **change)
    await _withdraw(shop, gone)
    before = await shop.world.count("carts"), (await shop.supporter.run(READ, id=cart))["cart"]

    again = await create(shop.supporter, line(gone), idempotencyKey=begun)
    repeated = await update(shop.supporter, cart, **change)
    refusals = [
        await create(shop.supporter, line(gone)),
        await update(shop.supporter, cart, lines=[line(gone, 4)]),
        await create(shop.supporter, line(gone, 2), idempotencyKey=begun),
        await update(shop.supporter, cart, idempotencyKey=changed, lines=[line(gone, 5)]),
    ]

    assert (again["errors"], repeated["errors"]) == ([], [])
    assert again["cart"]["id"] == cart
    assert [each["quantity"] for each in repeated["cart"]["lines"]] == [3, 1]
    assert [error["code"] for payload in refusals for error in payload["errors"]] == [
        "NOT_FOUND",
        "NOT_FOUND",
        "IDEMPOTENCY_KEY_REUSED",
        "IDEMPOTENCY_KEY_REUSED",
    ]
    assert before == (await shop.world.count("carts"), (await shop.supporter.run(READ, id=cart))["cart"])


async def _withdraw(shop: Shop, variant: UUID) -> None:
    """Make the product of a variant a draft again, under another title."""
    made = await shop.world.engine.database.writer.execute(
        "update products set state = 'draft', title = 'Secret', updated_at = now() "
        "where id = (select product_id from product_variants where id = $1)",
        variant,
    )
    assert made == "UPDATE 1"


async def test_what_became_a_draft_again_is_not_shown_by_a_cart_and_can_be_taken_out(
    shop: Shop, market: Market
) -> None:
    creator = await _creator(market)
    gone, stays = await market.variant(creator), await market.variant(creator, 300)
    cart = await filled(shop.supporter, line(gone), line(stays))
    await _withdraw(shop, gone)
    query = """query ($id: ID!) { cart(id: $id) {
        lines { variantId variant { id product { title } } product { id title state } }
    } }"""

    drafted, kept = (await shop.supporter.run(query, id=cart["id"]))["cart"]["lines"]

    assert drafted == {"variantId": market.id(Noun.VARIANT, gone), "variant": None, "product": None}
    assert kept["variant"]["id"] == kept["variantId"] == market.id(Noun.VARIANT, stays)
    assert "Secret" not in str((await shop.supporter.run(READ, id=cart["id"]))["cart"])
    out = await update(shop.supporter, cart["id"], lines=[{"variantId": drafted["variantId"], "quantity": 0}])
    assert out["errors"] == []
    assert [each["variant"]["id"] for each in out["cart"]["lines"]] == [kept["variantId"]]
    assert (out["cart"]["total"]["amount"], codes(out["cart"])) == ("3.00", [])
    # Nor does taking out what was never in it say whether it is there, or put anything in.
    number = await shop.world.count("cart_lines")
    for never in (gone, uuid7()):
        again = await update(shop.supporter, cart["id"], lines=[line(never, 0)])
        assert (again["errors"], again["cart"]["lines"]) == ([], out["cart"]["lines"])
    assert await shop.world.count("cart_lines") == number


async def test_cart_is_changed_line_by_line(shop: Shop, market: Market) -> None:
    creator = await _creator(market)
    first, second = await market.variant(creator, 100), await market.variant(creator, 30)
    cart = await filled(shop.supporter, line(first, 2), discountCodes=["NONE-SUCH"])

    more = (await update(shop.supporter, cart["id"], lines=[line(second, 4), line(first, 1)]))["cart"]
    less = (await update(shop.supporter, cart["id"], lines=[line(first, 0)], discountCodes=[]))["cart"]

    assert [(each["quantity"], each["total"]["amount"]) for each in more["lines"]] == [(1, "1.00"), (4, "1.20")]
    assert more["rejectedDiscounts"] == [{"code": "NONE-SUCH", "reason": "UNKNOWN"}]
    assert [each["quantity"] for each in less["lines"]] == [4]
    assert (less["total"]["amount"], less["discountCodes"], less["version"]) == ("1.20", [], 3)


async def test_cart_says_everything_that_stands_in_the_way(shop: Shop, market: Market) -> None:
    creator = await _creator(market)
    soon = now() + timedelta(days=3)
    scarce = await market.variant(creator, stock=2)
    unreleased = await market.variant(creator, product={"releases_at": soon})
    limited = await market.variant(creator, product={"per_buyer_limit": 1})
    shipped = await market.variant(creator, requires_shipping=True, weight_grams=1)
    gone = await market.variant(creator)
    await shop.world.engine.database.writer.execute(
        "update products set state = 'archived' where id = (select product_id from product_variants where id = $1)",
        gone,
    )

    cart = await filled(
        shop.nobody,
        line(scarce, 3),
        line(unreleased),
        line(limited, 2),
        line(shipped),
        line(gone),
        discountCodes=["NOTHING"],
    )

    assert codes(cart) == [
        "OUT_OF_STOCK",
        "NOT_RELEASED",
        "BUYER_LIMIT_EXCEEDED",
        "PRODUCT_NOT_ACTIVE",
        "DISCOUNT_REJECTED",
        "EMAIL_NEEDED",
        "ADDRESS_NEEDED",
    ]
    stock, release, limit = cart["problems"][:3]
    assert (stock["available"], stock["variantId"]) == (2, Market.id(Noun.VARIANT, scarce))
    assert release["releasesAt"].startswith(soon.isoformat()[:19])
    assert limit["left"] == 1
    assert [each["problem"] and each["problem"]["code"] for each in cart["lines"]] == [
        "OUT_OF_STOCK",
        "NOT_RELEASED",
        "BUYER_LIMIT_EXCEEDED",
        None,
        "PRODUCT_NOT_ACTIVE",
    ]
    assert cart["lines"][4]["total"] is None


async def test_cart_of_what_is_not_shipped_there_says_so(shop: Shop, market: Market) -> None:
    creator = await _creator(market)
    variant = await market.variant(creator, requires_shipping=True, weight_grams=1)

    cart = await filled(shop.supporter, line(variant), address=HOME)
    await market.shipping(creator)
    chosen = await update(shop.supporter, cart["id"], shippingMethodIds=[nothing_of(Noun.SHIPPING_METHOD)])

    assert codes(cart) == ["SHIPPING_UNAVAILABLE"]
    assert cart["shippingOptions"][0]["options"] == []
    assert codes(chosen["cart"]) == ["SHIPPING_UNAVAILABLE"]


async def test_cart_mixes_no_reserved_payment_with_another_creator(shop: Shop, market: Market) -> None:
    one, other = await _creator(market), await _creator(market)
    reserved = await market.variant(one, product={"manual_capture": True})
    alike = await market.variant(one)
    foreign = await market.variant(other)

    together = await filled(shop.supporter, line(reserved), line(alike))
    mixed = await filled(shop.supporter, line(reserved), line(foreign))

    assert codes(together) == []
    assert codes(mixed) == ["CAPTURE_MIXED"]


async def test_creator_cannot_put_their_own_things_in_a_cart_to_buy(shop: Shop, market: Market) -> None:
    variant = await market.variant(shop.world.key(Noun.CREATOR, shop.creator))

    assert codes(await filled(shop.owner, line(variant))) == ["SELF_PURCHASE"]


async def test_buyer_says_what_they_pay_where_they_may(shop: Shop, market: Market) -> None:
    creator = await _creator(market)
    free = await market.variant(creator, 300, product={"pays_what_they_want": True})
    fixed = await market.variant(creator, 300)

    def price(amount: str, code: str = "USD") -> dict[str, Any]:
        return {"chosenPrice": {"amount": amount, "currency": code}}

    more = await filled(shop.supporter, line(free, 2, **price("4.50")))
    less = await filled(shop.supporter, line(free, 1, **price("2.99")))
    refusals = [
        await create(shop.supporter, line(fixed, 1, **price("4.50"))),
        await create(shop.supporter, line(free, 1, **price("4.50", "EUR"))),
    ]

    assert (more["total"]["amount"], codes(more)) == ("9.00", [])
    assert codes(less) == ["AMOUNT_TOO_SMALL"]
    assert less["problems"][0]["minimum"] == {"amount": "3.00"}
    assert [payload["errors"][0]["code"] for payload in refusals] == ["INPUT_INVALID", "CURRENCY_MIXED"]


async def test_cart_in_another_currency_says_what_is_not_sold_in_it(shop: Shop, market: Market) -> None:
    variant = await market.variant(await _creator(market))
    cart = await filled(shop.supporter, line(variant))

    changed = (await update(shop.supporter, cart["id"], currency="EUR"))["cart"]

    assert (changed["currency"], codes(changed)) == ("EUR", ["VARIANT_NOT_AVAILABLE"])


@pytest.mark.parametrize(
    ("given", "code", "path"),
    [
        ({"currency": "XXX"}, "CURRENCY_NOT_SUPPORTED", None),
        ({"email": "nobody"}, "INPUT_INVALID", ["input", "email"]),
        ({"address": {**HOME, "postalCode": "none"}}, "ADDRESS_INVALID", ["input", "address"]),
        ({"discountCodes": list("abcdef")}, "INPUT_INVALID", ["input", "discountCodes"]),
        ({"lines": [{"variantId": nothing_of(Noun.VARIANT)}]}, "NOT_FOUND", ["input", "lines", "0", "variantId"]),
    ],
)
async def test_cart_that_cannot_be_is_not_begun(
    shop: Shop, given: dict[str, Any], code: str, path: list[str] | None
) -> None:
    before = await shop.world.count("carts")

    payload = await create(shop.supporter, **given)

    assert payload["cart"] is None
    assert [error["code"] for error in payload["errors"]] == [code]
    assert path is None or payload["errors"][0]["path"] == path
    assert await shop.world.count("carts") == before


async def test_quantity_out_of_bounds_and_variants_named_twice_change_nothing(shop: Shop, market: Market) -> None:
    variant = await market.variant(await _creator(market))
    cart = await filled(shop.supporter, line(variant))

    for lines in ([line(variant, -1)], [line(variant, 1_001)], [line(variant), line(variant, 2)]):
        payload = await update(shop.supporter, cart["id"], lines=lines)
        assert [error["code"] for error in payload["errors"]] == ["INPUT_INVALID"]

    assert (await shop.supporter.run(READ, id=cart["id"]))["cart"] == cart
