"""What is refused, with which words, and that nothing is left behind."""

from typing import Any

import orjson
import pytest

from app.client import Client, GraphQLFailed
from core.ids import Noun, uuid7
from tests.api.shop import ERRORS, Shop, ask, do, document, nothing_of, refused, refused_as_a_whole, unchanged, usd
from tests.support.world import TIP

pytestmark = pytest.mark.asyncio(loop_scope="module")

NO_CREATOR = "There is no such creator. Check the id that was sent."
NO_PRODUCT = "There is no such product. Check the id that was sent."
NO_PAYMENT = "There is no such payment. Check the id that was sent."
NOT_POSITIVE = "Send an amount greater than zero."
NOT_OFFERED = "This currency is not offered here. Send the three-letter code of one that is, such as USD."
KEY_REUSED = "This idempotency key was used with other input. Send a new key for a new request."
KEY_INVALID = "Send an idempotency key of 1 to 200 printable characters."
KEY_NOT_UUID = "Without signing in, the idempotency key has to be a random UUID."
METHOD_UNKNOWN = "The provider does not know this payment method. Send a token it gave out."
HANDLE_INVALID = (
    "A handle has 3 to 30 small letters, digits and underscores, and neither begins nor ends with one."
)

MALFORMED_IDS = (
    "",
    "nonsense",
    "crt_",
    "crt_01h455vb4pex5vsknk084sn02",
    "crt_01h455vb4pex5vsknk084sn02qq",
    "crt_91h455vb4pex5vsknk084sn02q",
    "crt_01h455vb4pex5vsknk084sn02l",
    "crt_01H455VB4PEX5VSKNK084SN02Q",
    " crt_01h455vb4pex5vsknk084sn02q",
    "018e8a5e-0000-7000-8000-000000000000",
    "1",
    "crt_" + "z" * 10_000,
    "crt_01h455vb4pex5vsknk084sn02\uff11",
)


# Whom and what ----------------------------------------------------------------------------------------------


async def test_tip_to_a_creator_that_is_not_there_is_not_found(shop: Shop) -> None:
    async with unchanged(shop.world):
        payload = await ask(shop.supporter, "tipCreate", creatorId=nothing_of(Noun.CREATOR), amount=usd("5.00"))

    refused(payload, "NOT_FOUND", "creatorId", says=NO_CREATOR)


@pytest.mark.parametrize("given", MALFORMED_IDS, ids=lambda text: repr(text[:40]))
async def test_tip_to_a_malformed_id_is_not_found(shop: Shop, given: str) -> None:
    async with unchanged(shop.world):
        payload = await ask(shop.supporter, "tipCreate", creatorId=given, amount=usd("5.00"))

    refused(payload, "NOT_FOUND", "creatorId", says=NO_CREATOR)


async def test_tip_to_the_id_of_another_noun_is_not_found(shop: Shop) -> None:
    swapped = shop.creator.replace("crt_", "prd_")
    for given in (shop.product, shop.payment, swapped):
        async with unchanged(shop.world):
            payload = await ask(shop.supporter, "tipCreate", creatorId=given, amount=usd("5.00"))

        refused(payload, "NOT_FOUND", "creatorId", says=NO_CREATOR)


async def test_tip_to_oneself_is_refused_and_so_is_its_repeat(shop: Shop) -> None:
    given = {"creatorId": shop.creator, "amount": usd("5.00"), "idempotencyKey": "to-myself"}

    async with unchanged(shop.world, requests=1):
        payloads = [await ask(shop.owner, "tipCreate", **given) for _ in range(2)]

    for payload in payloads:
        refused(payload, "SELF_TIP", "creatorId", says="A creator cannot tip themselves.")


async def test_tip_to_an_inactive_creator_is_refused(shop: Shop) -> None:
    async with unchanged(shop.world, requests=1):
        payload = await ask(shop.supporter, "tipCreate", creatorId=shop.inactive, amount=usd("5.00"))

    says = "This creator takes no payments at present."
    refused(payload, "CREATOR_NOT_ACTIVE", "creatorId", says=says)


async def test_purchase_of_a_product_that_is_not_there_is_not_found(shop: Shop) -> None:
    async with unchanged(shop.world):
        payload = await ask(shop.supporter, "purchaseCreate", productId=nothing_of(Noun.PRODUCT))

    refused(payload, "NOT_FOUND", "productId", says=NO_PRODUCT)


async def test_purchase_by_the_id_of_another_noun_is_not_found(shop: Shop) -> None:
    for given in (shop.creator, shop.product.replace("prd_", "crt_"), "prd_", ""):
        async with unchanged(shop.world):
            payload = await ask(shop.supporter, "purchaseCreate", productId=given)

        refused(payload, "NOT_FOUND", "productId", says=NO_PRODUCT)


async def test_purchase_of_a_sold_out_product_says_how_many_are_left(shop: Shop) -> None:
    query = document("purchaseCreate").replace("__typename", "__typename ... on InsufficientStock { available }")
    given = {"idempotencyKey": "sold-out", "productId": shop.sold_out}

    async with unchanged(shop.world, requests=1):
        answers = [await shop.supporter.run(query, input=given) for _ in range(2)]

    for answer in answers:
        payload = answer["purchaseCreate"]
        says = "This product is sold out. One comes back if another buyer's payment is cancelled."
        refused(payload, "OUT_OF_STOCK", "productId", says=says)
        assert payload["errors"][0]["__typename"] == "InsufficientStock"
        assert payload["errors"][0]["available"] == 0


async def test_purchase_of_an_archived_product_is_refused(shop: Shop) -> None:
    async with unchanged(shop.world, requests=1):
        payload = await ask(shop.supporter, "purchaseCreate", productId=shop.archived)

    refused(payload, "PRODUCT_NOT_ACTIVE", "productId", says="This product is no longer sold.")


async def test_purchase_from_oneself_is_refused_and_reserves_nothing(shop: Shop) -> None:
    async with unchanged(shop.world, requests=1):
        payload = await ask(shop.owner, "purchaseCreate", productId=shop.product)

    refused(payload, "SELF_PURCHASE", "productId", says="A creator cannot buy from themselves.")


# How much ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("amount", ["0", "0.00", "-0", "-0.01", "-5", "0e10"])
async def test_amount_that_is_not_positive_is_refused(shop: Shop, amount: str) -> None:
    async with unchanged(shop.world):
        payload = await ask(shop.supporter, "tipCreate", creatorId=shop.creator, amount=usd(amount))

    refused(payload, "AMOUNT_INVALID", "amount", "amount", says=NOT_POSITIVE)


@pytest.mark.parametrize(
    ("amount", "currency", "decimals"),
    [
        ("0.001", "USD", 2),
        ("5.005", "USD", 2),
        ("1e-3", "USD", 2),
        ("1e-999999", "USD", 2),
        ("0." + "0" * 60 + "1", "USD", 2),
        ("0.5", "JPY", 0),
        ("100.1", "JPY", 0),
        ("0.0001", "KWD", 3),
    ],
)
async def test_amount_with_more_decimals_than_its_currency_is_refused(
    shop: Shop, amount: str, currency: str, decimals: int
) -> None:
    given = {"amount": amount, "currency": currency}

    async with unchanged(shop.world):
        payload = await ask(shop.supporter, "tipCreate", creatorId=shop.creator, amount=given)

    says = f"{currency} has {decimals} decimals. Send an amount with no more than that."
    refused(payload, "AMOUNT_TOO_PRECISE", "amount", "amount", says=says)


@pytest.mark.parametrize(
    ("amount", "currency"), [("5.000", "USD"), ("5e0", "USD"), ("100.0", "JPY"), ("1e2", "JPY")]
)
async def test_amount_with_only_zeros_beyond_its_currency_is_exact_and_taken(
    shop: Shop, amount: str, currency: str
) -> None:
    given = {"amount": amount, "currency": currency}

    payload = await ask(shop.supporter, "tipCreate", creatorId=shop.creator, amount=given)

    assert payload["errors"] == []
    key = shop.world.key(Noun.PAYMENT, payload["payment"]["id"])
    gross = await shop.world.scalar("select gross from payments where id = $1", key)
    assert gross == {"USD": 500, "JPY": 100}[currency]


@pytest.mark.parametrize(
    ("amount", "currency", "limit"), [("1000000.00", "USD", "999999.99"), ("100000000", "JPY", "99999999")]
)
async def test_amount_above_the_provider_limit_is_refused_with_the_limits(
    shop: Shop, amount: str, currency: str, limit: str
) -> None:
    more = "__typename ... on AmountOutOfRange { minimum { amount } maximum { amount currency } }"
    given = {
        "idempotencyKey": str(uuid7()),
        "creatorId": shop.creator,
        "amount": {"amount": amount, "currency": currency},
    }

    async with unchanged(shop.world):
        answer = await shop.supporter.run(document("tipCreate").replace("__typename", more), input=given)

    payload = answer["tipCreate"]
    says = f"At most {limit} {currency} can be paid at once."
    refused(payload, "AMOUNT_TOO_LARGE", "amount", "amount", says=says)
    assert payload["errors"][0]["__typename"] == "AmountOutOfRange"
    assert payload["errors"][0]["maximum"] == {"amount": limit, "currency": currency}


@pytest.mark.parametrize("amount", ["1" + "0" * 40, "9" * 60, "1e38", "1e999999", "9e999999999999"])
async def test_amount_the_books_cannot_hold_is_refused(shop: Shop, amount: str) -> None:
    async with unchanged(shop.world):
        payload = await ask(shop.supporter, "tipCreate", creatorId=shop.creator, amount=usd(amount))

    refused(payload, "AMOUNT_TOO_LARGE", "amount", "amount", says="Send a smaller amount.")


async def test_amount_beyond_64_bits_is_refused_where_it_was_sent(shop: Shop) -> None:
    made = await do(shop.owner, "shippingZoneCreate", creatorId=shop.creator, name="Near", countries=["DE"])
    line = {"variantId": shop.variant, "quantity": 1}
    cart = (await do(shop.supporter, "cartCreate", currency="USD", lines=[line]))["cart"]["id"]
    read = "query ($id: ID!) { cart(id: $id) { version lines { quantity } } }"
    before = await shop.world.count("carts"), await shop.supporter.run(read, id=cart)
    product = {"creatorId": shop.creator, "title": "No"}
    percent = {"creatorId": shop.creator, "title": "Less", "kind": "PERCENT", "basisPoints": 500}
    fixed = {"creatorId": shop.creator, "title": "Less", "kind": "FIXED"}
    method = {"zoneId": made["zone"]["id"], "name": "Post"}
    for price in (usd("92233720368547758.08"), usd("1" + "0" * 30)):
        chosen = {**line, "chosenPrice": price}
        rate = {"price": usd("1.00"), "subtotalFrom": price}
        for client, mutation, given, path in (
            (shop.supporter, "tipCreate", {"creatorId": shop.creator, "amount": price}, "amount"),
            (
                shop.supporter,
                "purchaseCreate",
                {"productId": shop.product, "expectedPrice": price},
                "expectedPrice",
            ),
            (shop.supporter, "cartCreate", {"currency": "USD", "lines": [line, chosen]}, "lines.1.chosenPrice"),
            (shop.supporter, "cartUpdate", {"cartId": cart, "lines": [chosen]}, "lines.0.chosenPrice"),
            (shop.supporter, "checkoutComplete", {"cartId": cart, "expectedTotal": price}, "expectedTotal"),
            (shop.owner, "productCreate", {**product, "price": price}, "price"),
            (shop.owner, "discountCreate", {**fixed, "amount": price}, "amount"),
            (
                shop.owner,
                "discountCreate",
                {**percent, "terms": {"minimumSubtotal": price}},
                "terms.minimumSubtotal",
            ),
            (shop.owner, "shippingMethodCreate", {**method, "rates": [{"price": price}]}, "rates.0.price"),
            (shop.owner, "shippingMethodCreate", {**method, "rates": [rate]}, "rates.0.subtotalFrom"),
            (shop.owner, "refundCreate", {"paymentId": shop.payment, "amount": price}, "amount"),
        ):
            async with unchanged(shop.world):
                payload = await ask(client, mutation, **given)

            refused(payload, "AMOUNT_TOO_LARGE", *path.split("."), "amount", says="Send a smaller amount.")
    assert before == (await shop.world.count("carts"), await shop.supporter.run(read, id=cart))


async def test_amount_that_fees_eat_up_is_refused(shop: Shop) -> None:
    product = await shop.world.product("fable", shop.creator, "0.30", "USD")

    async with unchanged(shop.world, requests=1):
        payload = await ask(shop.supporter, "purchaseCreate", productId=product)

    says = "The fees would leave nothing for the creator. Send a larger amount."
    refused(payload, "AMOUNT_TOO_SMALL", "productId", says=says)


@pytest.mark.parametrize(
    "amount",
    [5.0, 5.5, 0.1, 1e300, True, None, ["5.00"], {"value": "5.00"}, "five", "NaN", "Infinity", "-Infinity"],
)
async def test_amount_that_is_not_decimal_text_is_refused_as_a_whole(shop: Shop, amount: object) -> None:
    given = {
        "idempotencyKey": str(uuid7()),
        "creatorId": shop.creator,
        "amount": {"amount": amount, "currency": "USD"},
    }

    async with unchanged(shop.world):
        answer = await shop.supporter.full(document("tipCreate"), input=given)

    refused_as_a_whole(answer, "INPUT_INVALID")


@pytest.mark.parametrize(
    "amount", ["", " ", "1,5", "0x10", "1_000", "\uff15", " 5", "5 ", "+5", "1" + "0" * 64, "5.", ".5"]
)
async def test_amount_written_in_another_way_is_refused_as_a_whole(shop: Shop, amount: str) -> None:
    given = {"idempotencyKey": str(uuid7()), "creatorId": shop.creator, "amount": usd(amount)}

    async with unchanged(shop.world):
        answer = await shop.supporter.full(document("tipCreate"), input=given)

    refused_as_a_whole(answer, "INPUT_INVALID")


@pytest.mark.parametrize("literal", ["5.0", "0.1", "true", "FIVE", "[5]", "{value: 5}"])
async def test_amount_written_into_the_document_as_anything_but_text_is_refused(shop: Shop, literal: str) -> None:
    query = f"""mutation {{ tipCreate(input: {{
        idempotencyKey: "{uuid7()}", creatorId: "{shop.creator}", amount: {{amount: {literal}, currency: "USD"}}
    }}) {{ tip {{ id }} {ERRORS} }} }}"""

    async with unchanged(shop.world):
        answer = await shop.supporter.full(query)

    refused_as_a_whole(answer, "INPUT_INVALID")


async def test_float_price_of_a_product_is_refused_as_a_whole(shop: Shop) -> None:
    given = {
        "idempotencyKey": "float",
        "creatorId": shop.creator,
        "title": "A",
        "price": {"amount": 9.99, "currency": "USD"},
    }

    async with unchanged(shop.world):
        answer = await shop.owner.full(document("productCreate"), input=given)

    refused_as_a_whole(answer, "INPUT_INVALID")


# In what currency -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("currency", ["XXX", "ZZZ", "XAU", "QQQ"])
async def test_currency_that_is_not_declared_is_not_supported(shop: Shop, currency: str) -> None:
    async with unchanged(shop.world):
        payload = await ask(
            shop.supporter, "tipCreate", creatorId=shop.creator, amount={"amount": "5", "currency": currency}
        )

    refused(payload, "CURRENCY_NOT_SUPPORTED", "amount", "currency", says=NOT_OFFERED)


@pytest.mark.parametrize("currency", ["usd1", "US", "", "U$D", "\uff35\uff33\uff24", "ÜSD", 840, None, ["USD"]])
async def test_currency_that_is_not_three_letters_is_refused_as_a_whole(shop: Shop, currency: object) -> None:
    given = {
        "idempotencyKey": str(uuid7()),
        "creatorId": shop.creator,
        "amount": {"amount": "5", "currency": currency},
    }

    async with unchanged(shop.world):
        answer = await shop.supporter.full(document("tipCreate"), input=given)

    refused_as_a_whole(answer, "INPUT_INVALID")


async def test_currency_no_fee_rule_speaks_of_is_not_supported(shop: Shop) -> None:
    world = shop.world
    await world.engine.database.writer.execute(
        "update creators set plan = 'unknown' where id = $1", world.key(Noun.CREATOR, shop.creator)
    )
    try:
        async with unchanged(world, requests=2):
            tip = await ask(shop.supporter, "tipCreate", creatorId=shop.creator, amount=usd("5.00"))
            purchase = await ask(shop.supporter, "purchaseCreate", productId=shop.product)
    finally:
        await world.engine.database.writer.execute(
            "update creators set plan = 'standard' where id = $1", world.key(Noun.CREATOR, shop.creator)
        )

    says = "Payments are not taken in this currency. Use one that the creator's other prices are in."
    refused(tip, "CURRENCY_NOT_SUPPORTED", "amount", "currency", says=says)
    refused(purchase, "CURRENCY_NOT_SUPPORTED", "productId", says=says)


# Under which key --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["", "k" * 201, "a\nb", "a\tb", "\x7f", "a\u200eb", "\u2028"], ids=ascii)
async def test_key_that_is_empty_too_long_or_unprintable_is_refused_by_every_mutation(
    shop: Shop, key: str
) -> None:
    for client, mutation, given in _valid(shop):
        async with unchanged(shop.world):
            payload = await ask(client, mutation, **{**given, "idempotencyKey": key})

        refused(payload, "IDEMPOTENCY_KEY_INVALID", "idempotencyKey", says=KEY_INVALID)


@pytest.mark.parametrize("key", ["k" * 200, "k", "schlüssel", "鍵", " ", "a b"])
async def test_key_of_any_printable_characters_is_taken(shop: Shop, key: str) -> None:
    given = {"creatorId": shop.creator, "amount": usd("5.00"), "idempotencyKey": key}

    first = await do(shop.supporter, "tipCreate", **given)
    second = await do(shop.supporter, "tipCreate", **given)

    assert first["tip"]["id"] == second["tip"]["id"]


@pytest.mark.parametrize("key", ["mine", "1", "k" * 36, "00000000-0000-0000-0000-000000000000"])
async def test_guest_key_that_is_not_a_uuid_is_refused(shop: Shop, key: str) -> None:
    for mutation, given in (
        ("tipCreate", {"creatorId": shop.creator, "amount": usd("5.00")}),
        ("purchaseCreate", {"productId": shop.product}),
    ):
        async with unchanged(shop.world):
            payload = await ask(shop.nobody, mutation, **given, idempotencyKey=key)

        refused(payload, "IDEMPOTENCY_KEY_INVALID", "idempotencyKey", says=KEY_NOT_UUID)


def _valid(shop: Shop) -> list[tuple[Client, str, dict[str, Any]]]:
    """Return every mutation with input that would do."""
    return [
        (shop.stranger, "creatorCreate", {"handle": "newcomer", "displayName": "Newcomer"}),
        (shop.owner, "creatorUpdate", {"creatorId": shop.creator, "displayName": "Fable"}),
        (shop.owner, "productCreate", {"creatorId": shop.creator, "title": "A", "price": usd("5.00")}),
        (shop.owner, "productUpdate", {"productId": shop.product, "title": "B"}),
        (shop.owner, "productArchive", {"productId": shop.archived}),
        (shop.supporter, "tipCreate", {"creatorId": shop.creator, "amount": usd("5.00")}),
        (shop.supporter, "purchaseCreate", {"productId": shop.product}),
        (shop.supporter, "paymentConfirm", {"paymentId": shop.payment, "method": "tok_3ds"}),
        (shop.supporter, "paymentCancel", {"paymentId": shop.payment}),
    ]


async def test_key_used_again_with_other_input_is_refused_by_every_mutation(shop: Shop) -> None:
    world = shop.world
    payment, other = [(await world.tip(shop.supporter, shop.creator))["payment"]["id"] for _ in range(2)]
    tip = {"creatorId": shop.creator, "amount": usd("5.00"), "message": "Bravo"}
    product = {"creatorId": shop.creator, "title": "A", "price": usd("5.00"), "stock": 3, "description": "One"}
    profile = {"handle": "reuser", "displayName": "Reuser", "bio": "Uses"}
    confirm = {"paymentId": payment, "method": "tok_3ds", "returnUrl": "https://example.test/back"}
    made = await do(shop.owner, "productCreate", **product)
    update = {"productId": made["product"]["id"], "title": "B", "stock": 4}
    reuser = await do(world.client("reuser"), "creatorCreate", **profile, idempotencyKey="reused")
    change = {"creatorId": reuser["creator"]["id"], "displayName": "R", "bio": "S", "active": True}
    cases: list[tuple[Client, str, dict[str, Any], list[dict[str, Any]]]] = [
        (
            shop.supporter,
            "tipCreate",
            tip,
            [
                {"creatorId": shop.inactive},
                {"amount": usd("5.01")},
                {"amount": {"amount": "5.00", "currency": "EUR"}},
                {"message": "Bravo!"},
                {"message": None},
            ],
        ),
        (shop.supporter, "purchaseCreate", {"productId": shop.product}, [{"productId": shop.sold_out}]),
        (
            shop.supporter,
            "paymentConfirm",
            confirm,
            [{"paymentId": other}, {"method": "tok_success"}, {"returnUrl": None}],
        ),
        (shop.supporter, "paymentCancel", {"paymentId": payment}, [{"paymentId": other}]),
        (
            world.client("reuser"),
            "creatorCreate",
            profile,
            [{"handle": "reuser2"}, {"displayName": "Other"}, {"bio": None}],
        ),
        (
            world.client("reuser"),
            "creatorUpdate",
            change,
            [{"creatorId": shop.creator}, {"displayName": "T"}, {"bio": None}, {"active": False}],
        ),
        (
            shop.owner,
            "productCreate",
            product,
            [
                {"title": "B"},
                {"price": usd("6.00")},
                {"stock": None},
                {"description": None},
                {"creatorId": shop.inactive},
            ],
        ),
        (
            shop.owner,
            "productUpdate",
            update,
            [
                {"title": "C"},
                {"stock": 5},
                {"stock": None, "unlimitedStock": True},
                {"productId": shop.product},
                {"price": usd("1.00")},
            ],
        ),
        (shop.owner, "productArchive", {"productId": made["product"]["id"]}, [{"productId": shop.product}]),
    ]
    assert {case[1] for case in cases} == {mutation for _, mutation, _ in _valid(shop)}

    for client, mutation, given, others in cases:
        await do(client, mutation, **given, idempotencyKey="reused")
        for changed in others:
            async with unchanged(world):
                payload = await ask(client, mutation, **{**given, **changed}, idempotencyKey="reused")

            refused(payload, "IDEMPOTENCY_KEY_REUSED", "idempotencyKey", says=KEY_REUSED)
            assert payload["errors"][0]["nextAction"] == "USE_NEW_KEY"


async def test_same_key_of_two_people_or_two_mutations_is_two_requests(shop: Shop) -> None:
    given = {"creatorId": shop.creator, "amount": usd("5.00"), "idempotencyKey": "ours"}

    one = await do(shop.supporter, "tipCreate", **given)
    two = await do(shop.stranger, "tipCreate", **given)
    bought = await do(shop.supporter, "purchaseCreate", productId=shop.product, idempotencyKey="ours")

    assert len({one["payment"]["id"], two["payment"]["id"], bought["payment"]["id"]}) == 3


# Texts ------------------------------------------------------------------------------------------------------


async def test_message_of_501_characters_is_refused_and_of_500_taken(shop: Shop) -> None:
    for letter in ("x", "é", "🎉"):
        async with unchanged(shop.world):
            payload = await ask(
                shop.supporter, "tipCreate", creatorId=shop.creator, amount=usd("5.00"), message=letter * 501
            )
        refused(payload, "INPUT_INVALID", "message", says="A message has at most 500 characters.")

        payload = await do(
            shop.supporter, "tipCreate", creatorId=shop.creator, amount=usd("5.00"), message=letter * 500
        )
        assert payload["tip"]["message"] == letter * 500


@pytest.mark.parametrize(
    ("mutation", "changed", "says"),
    [
        ("creatorCreate", {"handle": "ab"}, HANDLE_INVALID),
        ("creatorCreate", {"handle": "a" * 31}, HANDLE_INVALID),
        ("creatorCreate", {"handle": "Capital"}, HANDLE_INVALID),
        ("creatorCreate", {"handle": "_under"}, HANDLE_INVALID),
        ("creatorCreate", {"handle": "under_"}, HANDLE_INVALID),
        ("creatorCreate", {"handle": "ünder"}, HANDLE_INVALID),
        ("creatorCreate", {"handle": "with space"}, HANDLE_INVALID),
        ("creatorCreate", {"handle": "newline\n"}, HANDLE_INVALID),
        ("creatorCreate", {"handle": ""}, HANDLE_INVALID),
        ("creatorCreate", {"displayName": ""}, "A display name has 1 to 80 characters."),
        ("creatorCreate", {"displayName": "  "}, "A display name has 1 to 80 characters."),
        ("creatorCreate", {"displayName": "x" * 81}, "A display name has 1 to 80 characters."),
        ("creatorCreate", {"bio": "x" * 2_001}, "A bio has at most 2000 characters."),
        ("creatorUpdate", {"displayName": "\t"}, "A display name has 1 to 80 characters."),
        ("creatorUpdate", {"bio": "x" * 2_001}, "A bio has at most 2000 characters."),
        ("productCreate", {"title": ""}, "A title has 1 to 120 characters."),
        ("productCreate", {"title": "x" * 121}, "A title has 1 to 120 characters."),
        ("productCreate", {"description": "x" * 10_001}, "A description has at most 10000 characters."),
        ("productCreate", {"stock": -1}, "A stock is a number from 0 to 1000000000."),
        ("productCreate", {"stock": 1_000_000_001}, "A stock is a number from 0 to 1000000000."),
        ("productUpdate", {"title": " "}, "A title has 1 to 120 characters."),
        ("productUpdate", {"stock": -1}, "A stock is a number from 0 to 1000000000."),
        (
            "paymentConfirm",
            {"returnUrl": "javascript:alert(1)"},
            "Send a return address that begins with http:// or https://.",
        ),
        (
            "paymentConfirm",
            {"returnUrl": "//example.test"},
            "Send a return address that begins with http:// or https://.",
        ),
        ("paymentConfirm", {"returnUrl": ""}, "Send a return address that begins with http:// or https://."),
    ],
)
async def test_text_out_of_bounds_is_refused_under_its_own_path(
    shop: Shop, mutation: str, changed: dict[str, Any], says: str
) -> None:
    client, _, given = next(case for case in _valid(shop) if case[1] == mutation)

    async with unchanged(shop.world):
        payload = await ask(client, mutation, **{**given, **changed})

    refused(payload, "INPUT_INVALID", next(iter(changed)), says=says)


async def test_price_out_of_bounds_is_refused_under_its_own_path(shop: Shop) -> None:
    for mutation in ("productCreate", "productUpdate"):
        client, _, given = next(case for case in _valid(shop) if case[1] == mutation)
        for price, code, field in (
            (usd("0"), "AMOUNT_INVALID", "amount"),
            (usd("0.001"), "AMOUNT_TOO_PRECISE", "amount"),
            (usd("1e40"), "AMOUNT_TOO_LARGE", "amount"),
            (usd("1000000.00"), "AMOUNT_TOO_LARGE", "amount"),
            ({"amount": "1", "currency": "XXX"}, "CURRENCY_NOT_SUPPORTED", "currency"),
        ):
            # Whether a product may cost nothing is for the product to say: that refusal is stored under its key.
            stored = int(mutation == "productUpdate" and price == usd("0"))
            async with unchanged(shop.world, requests=stored):
                payload = await ask(client, mutation, **{**given, "price": price})

            assert [(error["code"], error["path"]) for error in payload["errors"]] == [
                (code, ["input", "price", field])
            ]
            assert payload["product"] is None


async def test_stock_and_unlimited_stock_at_once_are_refused(shop: Shop) -> None:
    async with unchanged(shop.world):
        payload = await ask(shop.owner, "productUpdate", productId=shop.product, stock=1, unlimitedStock=True)

    refused(payload, "INPUT_INVALID", "stock", says="Send either a stock or unlimitedStock.")


@pytest.mark.parametrize("method", ["", "tok_unknown", "pm_card_visa", "TOK_SUCCESS", "x" * 10_000], ids=len)
async def test_unknown_payment_method_is_refused_and_the_payment_waits_on(shop: Shop, method: str) -> None:
    world = shop.world
    payment = (await world.tip(shop.supporter, shop.creator))["payment"]["id"]
    key = world.key(Noun.PAYMENT, payment)
    attempts = "select count(*) from sandbox.event"
    before = (await world.counts(), await world.scalar(attempts))

    payload = await ask(shop.supporter, "paymentConfirm", paymentId=payment, method=method)

    assert [(error["code"], error["path"], error["message"]) for error in payload["errors"]] == [
        ("INPUT_INVALID", ["input", "method"], METHOD_UNKNOWN)
    ]
    assert payload["payment"]["status"] == "PENDING"
    assert (await world.counts(), await world.scalar(attempts)) == before
    assert await world.scalar("select calling_until from payments where id = $1", key) is None


UNSTORABLE = [
    ("creatorCreate", "handle"),
    ("creatorCreate", "displayName"),
    ("creatorCreate", "bio"),
    ("creatorUpdate", "displayName"),
    ("creatorUpdate", "bio"),
    ("productCreate", "title"),
    ("productCreate", "description"),
    ("productUpdate", "title"),
    ("tipCreate", "message"),
    ("tipCreate", "creatorId"),
    ("tipCreate", "idempotencyKey"),
    ("paymentConfirm", "method"),
    ("paymentConfirm", "returnUrl"),
    ("paymentCancel", "idempotencyKey"),
]


@pytest.mark.parametrize(("mutation", "name"), UNSTORABLE)
async def test_nul_in_a_text_is_refused_as_a_whole(shop: Shop, mutation: str, name: str) -> None:
    client, _, given = next(case for case in _valid(shop) if case[1] == mutation)
    variables = {"idempotencyKey": str(uuid7()), **given, name: "abc\0def"}

    async with unchanged(shop.world):
        answer = await client.full(document(mutation), input=variables)

    error = refused_as_a_whole(answer, "INPUT_INVALID")
    assert error["message"] == "A text holds a character that cannot be stored. Remove it."


@pytest.mark.parametrize(("mutation", "name"), UNSTORABLE)
async def test_nul_written_into_the_document_is_refused(shop: Shop, mutation: str, name: str) -> None:
    client, _, given = next(case for case in _valid(shop) if case[1] == mutation)
    variables = {"idempotencyKey": str(uuid7()), **given, name: "abc\0def"}

    async with unchanged(shop.world):
        answer = await client.full(_with_literals(mutation, variables))

    codes = [error["extensions"]["code"] for error in answer.get("errors", [])]
    if not codes:
        codes = [error["code"] for error in answer["data"][mutation]["errors"]]
    assert codes[0] in {"INPUT_INVALID", "NOT_FOUND", "IDEMPOTENCY_KEY_INVALID"}
    assert len(codes) == 1


def _with_literals(mutation: str, given: Any) -> str:
    def literal(value: Any) -> str:
        if isinstance(value, dict):
            return "{" + ", ".join(f"{name}: {literal(item)}" for name, item in value.items()) + "}"
        return orjson.dumps(value).decode()

    _, _, selection = document(mutation).partition("(input: $input)")
    return f"mutation {{ {mutation}(input: {literal(given)}) {selection}"


@pytest.mark.parametrize("half", [r"\ud800", r"\udfff", r"\udc00\ud800"])
async def test_half_a_surrogate_pair_is_refused_before_anything_is_read(shop: Shop, half: str) -> None:
    given = {
        "query": TIP,
        "variables": {"creator": shop.creator, "key": "half", "amount": "5", "currency": "USD", "message": "HALF"},
    }
    body = orjson.dumps(given).replace(b"HALF", half.encode())

    async with unchanged(shop.world):
        response = await shop.supporter._http.post(
            f"{shop.world.url}/graphql",
            content=body,
            headers={**shop.supporter.headers, "content-type": "application/json"},
        )

    assert response.status_code == 400
    assert [error["extensions"]["code"] for error in response.json()["errors"]] == ["INPUT_INVALID"]


async def test_half_a_surrogate_pair_written_into_the_document_is_refused(shop: Shop) -> None:
    query = f"""mutation {{ tipCreate(input: {{
        idempotencyKey: "half", creatorId: "{shop.creator}", amount: {{amount: "5", currency: "USD"}}, message: "\\uD800"
    }}) {{ tip {{ id }} }} }}"""

    async with unchanged(shop.world):
        answer = await shop.supporter.full(query)

    refused_as_a_whole(answer, "INPUT_INVALID")


async def test_nul_in_a_filter_or_a_handle_is_refused(shop: Shop) -> None:
    for query, variables in (
        ("query ($text: String!) { creators(first: 1, where: {handle: {eq: $text}}) { nodes { id } } }", "a\0b"),
        ("query ($text: String!) { creator(handle: $text) { id } }", "a\0b"),
        ("query ($text: String!) { creators(first: 1, after: $text) { nodes { id } } }", "a\0b"),
    ):
        answer = await shop.nobody.full(query, text=variables)

        refused_as_a_whole(answer, "INPUT_INVALID")


# Shapes -----------------------------------------------------------------------------------------------------


async def test_missing_and_unknown_input_fields_are_refused_as_a_whole(shop: Shop) -> None:
    client, mutation, given = next(case for case in _valid(shop) if case[1] == "tipCreate")
    async with unchanged(shop.world):
        for variables in (given, {**given, "idempotencyKey": None}, {**given, "idempotencyKey": "k", "tax": "0"}):
            answer = await client.full(document(mutation), input=variables)

            refused_as_a_whole(answer, "INPUT_INVALID")


async def test_refusal_of_a_subscription_names_its_code(shop: Shop) -> None:
    async with shop.supporter.socket() as socket:
        for given in (nothing_of(Noun.PAYMENT), "pay_", shop.creator):
            stream = await socket.subscribe(
                "subscription ($id: ID!) { paymentStatus(paymentId: $id) { cursor } }", id=given
            )
            with pytest.raises(GraphQLFailed) as failed:
                await stream.next()

            assert [(error["message"], error["extensions"]["code"]) for error in failed.value.errors] == [
                (NO_PAYMENT, "NOT_FOUND")
            ]
