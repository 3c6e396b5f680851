"""Variants: what a product can be bought as, for how much, and how many there are."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.clock import now
from core.ids import Noun
from services.catalogue import sellable
from tests.api.shop import Shop, ask, do, nothing_of, refused, unchanged, usd

pytestmark = pytest.mark.asyncio(loop_scope="module")

READ = """
query ($id: ID!) {
  product(id: $id) {
    state releasesAt price { amount currency } currency tags options paysWhatTheyWant perBuyerLimit taxCategory stock
    variants {
      id title choices sku available requiresShipping weightGrams licencePolicy licenceActivations downloadLimit active
      prices { amount currency } price(currency: "EUR") { amount } product { id }
    }
  }
}
"""
EUR = {"amount": "9.00", "currency": "EUR"}


def variant(*choices: str, amount: str = "10.00", **given: Any) -> dict[str, Any]:
    return {"choices": list(choices), "prices": [usd(amount)], **given}


async def shirt(shop: Shop, *variants: dict[str, Any], **given: Any) -> str:
    """Offer something with a size, and return its id."""
    made = await do(
        shop.owner,
        "productCreate",
        creatorId=shop.creator,
        title="A shirt",
        options=["Size"],
        variants=list(variants or (variant("S", stock=2), variant("M", amount="8.00", stock=3))),
        **given,
    )
    return str(made["product"]["id"])


async def read(shop: Shop, product: str) -> dict[str, Any]:
    found: dict[str, Any] = (await shop.owner.run(READ, id=product))["product"]
    return found


async def test_product_without_variants_has_one_of_its_own(shop: Shop) -> None:
    made = await do(shop.owner, "productCreate", creatorId=shop.creator, title="One", price=usd("5.00"), stock=4)

    found = await read(shop, made["product"]["id"])

    (only,) = found["variants"]
    assert (only["title"], only["choices"], only["available"]) == (None, [], 4)
    assert only["prices"] == [usd("5.00")]
    assert only["product"] == {"id": made["product"]["id"]}
    assert found["options"] == []


async def test_product_is_offered_with_all_that_belongs_to_it(shop: Shop) -> None:
    big = variant(
        "Large",
        "Red",
        sku="TS-L-R",
        stock=3,
        requiresShipping=True,
        weightGrams=250,
        downloadLimit=5,
    ) | {"prices": [usd("12.00"), EUR]}
    small = variant("Small", "Red", amount="11.00", licencePolicy="GENERATED", licenceActivations=2)
    made = await do(
        shop.owner,
        "productCreate",
        creatorId=shop.creator,
        title="A shirt",
        options=[" Size ", "Colour"],
        variants=[big, small],
        tags=["  Summer   Sale", "summer sale", "COTTON"],
        perBuyerLimit=2,
        taxCategory="REDUCED",
    )

    found = await read(shop, made["product"]["id"])

    assert found["options"] == ["Size", "Colour"]
    assert found["tags"] == ["summer sale", "cotton"]
    assert (found["price"], found["currency"], found["stock"]) == (usd("11.00"), "USD", None)
    assert (found["perBuyerLimit"], found["taxCategory"], found["state"]) == (2, "REDUCED", "ACTIVE")
    first, second = found["variants"]
    assert first["title"] == "Large / Red"
    assert first["prices"] == [usd("12.00"), EUR]
    assert first["price"] == {"amount": "9.00"}
    assert (first["sku"], first["available"], first["requiresShipping"], first["weightGrams"]) == (
        "TS-L-R",
        3,
        True,
        250,
    )
    assert first["downloadLimit"] == 5
    assert second["price"] is None
    assert (second["available"], second["licencePolicy"], second["licenceActivations"]) == (None, "GENERATED", 2)


async def test_stock_that_is_given_is_at_a_location_with_a_movement(shop: Shop) -> None:
    product = await shirt(shop)

    rows = await shop.world.engine.database.reader.fetch(
        "select l.name, s.on_hand, m.kind, m.on_hand as moved from product_variants v "
        "join stock_levels s on s.variant_id = v.id join stock_locations l on l.id = s.location_id "
        "join stock_movements m on m.level_id = s.id where v.product_id = $1 order by v.position",
        shop.world.key(Noun.PRODUCT, product),
    )

    assert [tuple(row) for row in rows] == [("Main", 2, "RECEIVED", 2), ("Main", 3, "RECEIVED", 3)]
    assert (await read(shop, product))["stock"] == 5


@pytest.mark.parametrize(
    ("given", "path", "says"),
    [
        ({"variants": []}, ["price"], "Send a price, or variants with theirs."),
        (
            {"variants": [variant("S")], "price": usd("1.00")},
            ["variants"],
            "Prices and stock are given with each of the variants.",
        ),
        (
            {"variants": [variant()]},
            ["variants", "0", "choices"],
            "Send a choice for each of the product's options: 1 in all.",
        ),
        (
            {"variants": [variant("S"), variant(" ")]},
            ["variants", "1", "choices"],
            "A choice has 1 to 60 characters.",
        ),
        (
            {"variants": [variant("S", prices=[])]},
            ["variants", "0", "prices"],
            "Send one price for each currency it is sold in.",
        ),
        (
            {"variants": [variant("S", prices=[usd("1.00"), usd("2.00")])]},
            ["variants", "0", "prices"],
            "Send one price for each currency it is sold in.",
        ),
        (
            {"variants": [variant("S", stock=-1)]},
            ["variants", "0", "stock"],
            "A stock is a number from 0 to 1000000000.",
        ),
        (
            {"variants": [variant("S", weightGrams=-1)]},
            ["variants", "0", "weightGrams"],
            "A weight is from 0 to 10000000 grams.",
        ),
        (
            {"variants": [variant("S", licencePolicy="POOL", stock=1)]},
            ["variants", "0", "stock"],
            "A variant with uploaded keys has as many to sell as there are keys.",
        ),
        ({"variants": [variant(str(n)) for n in range(101)]}, ["variants"], "A product has 1 to 100 variants."),
        (
            {"variants": [variant("S")], "options": ["A", "A"]},
            ["options"],
            "A product has at most 3 options, each with its own name.",
        ),
        (
            {"variants": [variant("S")], "tags": ["x" * 41]},
            ["tags"],
            "A tag has 1 to 40 characters.",
        ),
        (
            {"variants": [variant("S")], "tags": [f"tag {n}" for n in range(21)]},
            ["tags"],
            "A product has at most 20 tags.",
        ),
        (
            {"variants": [variant("S")], "perBuyerLimit": -1},
            ["perBuyerLimit"],
            "A limit per buyer is a number up to 1000000, or 0 for no limit.",
        ),
        (
            {"variants": [variant("S")], "state": "ARCHIVED"},
            ["state"],
            "A product begins as a draft, or on sale.",
        ),
    ],
    ids=str,
)
async def test_offer_that_makes_no_sense_is_refused(
    shop: Shop, given: dict[str, Any], path: list[str], says: str
) -> None:
    async with unchanged(shop.world):
        payload = await ask(
            shop.owner, "productCreate", creatorId=shop.creator, title="No", **{"options": ["Size"], **given}
        )

    refused(payload, "INPUT_INVALID", *path, says=says)


@pytest.mark.parametrize(
    ("price", "code", "field"),
    [
        ({"amount": "0", "currency": "USD"}, "AMOUNT_INVALID", "amount"),
        ({"amount": "1000000000", "currency": "USD"}, "AMOUNT_TOO_LARGE", "amount"),
        ({"amount": "1e30", "currency": "USD"}, "AMOUNT_TOO_LARGE", "amount"),
        ({"amount": "0.001", "currency": "USD"}, "AMOUNT_TOO_PRECISE", "amount"),
        ({"amount": "1", "currency": "XXX"}, "CURRENCY_NOT_SUPPORTED", "currency"),
    ],
)
async def test_price_that_cannot_be_paid_is_refused(
    shop: Shop, price: dict[str, str], code: str, field: str
) -> None:
    async with unchanged(shop.world):
        payload = await ask(
            shop.owner,
            "productCreate",
            creatorId=shop.creator,
            title="No",
            options=["Size"],
            variants=[variant("S", prices=[EUR, price])],
        )

    (error,) = payload["errors"]
    assert (error["code"], error["path"]) == (code, ["input", "variants", "0", "prices", "1", field])


async def test_two_variants_alike_are_refused(shop: Shop) -> None:
    async with unchanged(shop.world):
        payload = await ask(
            shop.owner,
            "productCreate",
            creatorId=shop.creator,
            title="No",
            options=["Size"],
            variants=[variant("S"), variant(" S")],
        )
    says = "The product has a variant with these choices. Send others, or change that one."
    refused(payload, "NAME_TAKEN", "variants", "1", "choices", says=says)

    product = await shirt(shop)
    async with unchanged(shop.world, requests=1):
        again = await ask(shop.owner, "variantCreate", productId=product, variant=variant("M"))
    refused(again, "NAME_TAKEN", "choices", says=says)
    assert len((await read(shop, product))["variants"]) == 2


async def test_variant_is_added_changed_and_archived(shop: Shop) -> None:
    product = await shirt(shop)

    made = await do(shop.owner, "variantCreate", productId=product, variant=variant("L", amount="5.00", stock=1))
    large = made["variant"]["id"]
    assert (await read(shop, product))["price"] == usd("5.00")

    changed = await do(
        shop.owner, "variantUpdate", variantId=large, choices=["XL"], prices=[usd("7.00"), EUR], sku="X", stock=9
    )
    assert changed["variant"] == {
        "id": large,
        "choices": ["XL"],
        "sku": "X",
        "available": 9,
        "prices": [usd("7.00"), EUR],
    }
    assert (await read(shop, product))["price"] == usd("7.00")
    emptied = await do(shop.owner, "variantUpdate", variantId=large, sku="", prices=[EUR], unlimitedStock=True)
    assert (emptied["variant"]["sku"], emptied["variant"]["available"]) == (None, None)
    assert emptied["variant"]["prices"] == [EUR]
    assert (await read(shop, product))["price"] == usd("8.00")

    gone = await do(shop.owner, "variantArchive", variantId=large)
    assert gone["variant"] == {"id": large, "active": False}
    assert [found["choices"] for found in (await read(shop, product))["variants"]] == [["S"], ["M"]]
    async with unchanged(shop.world):
        refused(
            await ask(shop.owner, "variantUpdate", variantId=large, sku="Y"),
            "NOT_FOUND",
            "variantId",
            says="There is no such variant. Check the id that was sent.",
        )
    # The name of what is archived is free again.
    await do(shop.owner, "variantCreate", productId=product, variant=variant("XL"))


async def test_first_currency_of_a_product_is_followed_when_it_goes(shop: Shop) -> None:
    product = await shirt(shop, variant("S") | {"prices": [usd("5.00"), EUR]})
    (only,) = (await read(shop, product))["variants"]

    await do(shop.owner, "variantUpdate", variantId=only["id"], prices=[EUR])

    found = await read(shop, product)
    assert (found["price"], found["currency"]) == (EUR, "EUR")


async def test_last_variant_is_not_archived(shop: Shop) -> None:
    product = await shirt(shop, variant("S"))
    (only,) = (await read(shop, product))["variants"]

    async with unchanged(shop.world, requests=1):
        payload = await ask(shop.owner, "variantArchive", variantId=only["id"])

    says = "A product has at least one variant. Archive the product instead."
    refused(payload, "INPUT_INVALID", "variantId", says=says)
    assert len((await read(shop, product))["variants"]) == 1


async def test_product_with_several_variants_is_priced_and_stocked_by_each(shop: Shop) -> None:
    product = await shirt(shop)
    says = "This product has several variants. Change each with variantUpdate."

    for given, field in (
        ({"price": usd("1.00")}, "price"),
        ({"stock": 1}, "stock"),
        ({"unlimitedStock": True}, "stock"),
    ):
        async with unchanged(shop.world, requests=1):
            refused(
                await ask(shop.owner, "productUpdate", productId=product, **given),
                "INPUT_INVALID",
                field,
                says=says,
            )


async def test_stock_of_uploaded_keys_is_not_set(shop: Shop) -> None:
    product = await shirt(shop, variant("Key", licencePolicy="POOL"))
    (only,) = (await read(shop, product))["variants"]
    says = "It has as many to sell as there are keys. Upload keys instead."

    assert only["available"] == 0
    for mutation, subject in (
        ("productUpdate", {"productId": product}),
        ("variantUpdate", {"variantId": only["id"]}),
    ):
        for given in ({"stock": 5}, {"unlimitedStock": True}):
            async with unchanged(shop.world, requests=1):
                refused(await ask(shop.owner, mutation, **subject, **given), "INPUT_INVALID", "stock", says=says)
    async with unchanged(shop.world, requests=1):
        payload = await ask(shop.owner, "variantUpdate", variantId=only["id"], licencePolicy="GENERATED")
    refused(
        payload,
        "INPUT_INVALID",
        "licencePolicy",
        says="A variant with uploaded keys is made as such, and stays it.",
    )


async def test_draft_is_seen_by_its_creator_alone_until_it_is_put_on_sale(shop: Shop) -> None:
    product = await shirt(shop, state="DRAFT")
    query = "query ($id: ID!) { product(id: $id) { state } node(id: $id) { id } }"
    draft = (await shop.owner.run(READ, id=product))["product"]["variants"][0]["id"]
    node = "query ($id: ID!) { node(id: $id) { id } }"

    for client in (shop.nobody, shop.stranger, shop.world.client("fable", frozenset())):
        assert await client.run(query, id=product) == {"product": None, "node": None}
        assert (await client.run(node, id=draft))["node"] is None
    assert (await shop.owner.run(query, id=product))["product"] == {"state": "DRAFT"}
    assert (await shop.owner.run(node, id=draft))["node"] == {"id": draft}

    await do(shop.owner, "productUpdate", productId=product, state="ACTIVE")

    assert (await shop.nobody.run(query, id=product))["product"] == {"state": "ACTIVE"}
    await do(shop.owner, "productUpdate", productId=product, state="ARCHIVED")
    async with unchanged(shop.world, requests=1):
        payload = await ask(shop.owner, "productUpdate", productId=product, state="ACTIVE")
    refused(payload, "PRODUCT_NOT_ACTIVE", "productId", says="This product is no longer sold.")


async def test_product_released_later_is_shown_and_not_available(shop: Shop) -> None:
    later = (datetime.now(UTC) + timedelta(days=3)).replace(microsecond=0)
    product = await shirt(shop, releasesAt=later.isoformat())

    found = (await shop.nobody.run(READ, id=product))["product"]
    assert datetime.fromisoformat(found["releasesAt"]) == later
    assert [given["available"] for given in found["variants"]] == [0, 0]
    assert found["stock"] == 5

    await do(shop.owner, "productUpdate", productId=product, releaseNow=True)

    found = await read(shop, product)
    assert found["releasesAt"] is None
    assert [given["available"] for given in found["variants"]] == [2, 3]


async def test_buyers_who_pay_what_they_want_may_be_asked_for_nothing(shop: Shop) -> None:
    made = await do(
        shop.owner,
        "productCreate",
        creatorId=shop.creator,
        title="Free",
        price=usd("0"),
        paysWhatTheyWant=True,
    )
    product = made["product"]["id"]
    assert (await read(shop, product))["price"] == usd("0.00")

    async with unchanged(shop.world, requests=1):
        payload = await ask(shop.owner, "productUpdate", productId=product, paysWhatTheyWant=False)
    says = "It costs nothing as yet. Give it prices first."
    refused(payload, "INPUT_INVALID", "paysWhatTheyWant", says=says)

    await do(shop.owner, "productUpdate", productId=product, paysWhatTheyWant=False, price=usd("3.00"))
    assert (await read(shop, product))["price"] == usd("3.00")
    async with unchanged(shop.world, requests=1):
        payload = await ask(shop.owner, "productUpdate", productId=product, price=usd("0"))
    refused(payload, "AMOUNT_INVALID", "price", "amount", says="Send an amount greater than zero.")
    await do(shop.owner, "productUpdate", productId=product, paysWhatTheyWant=True, price=usd("0"))
    assert (await read(shop, product))["price"] == usd("0.00")


async def test_options_keep_their_number(shop: Shop) -> None:
    product = await shirt(shop)

    await do(shop.owner, "productUpdate", productId=product, options=["Length"], tags=["New"])
    assert ((await read(shop, product))["options"], (await read(shop, product))["tags"]) == (["Length"], ["new"])
    async with unchanged(shop.world, requests=1):
        payload = await ask(shop.owner, "productUpdate", productId=product, options=["Length", "Width"])
    says = "A product keeps the number of its options; give them other names."
    refused(payload, "INPUT_INVALID", "options", says=says)


async def test_variants_of_somebody_else_are_like_none(shop: Shop) -> None:
    product = await shirt(shop)
    variant_id = (await read(shop, product))["variants"][0]["id"]
    none = {"productId": nothing_of(Noun.PRODUCT), "variantId": nothing_of(Noun.VARIANT)}

    for mutation, name, given in (
        ("variantCreate", "productId", {"variant": variant("XXL")}),
        ("variantUpdate", "variantId", {"stock": 1}),
        ("variantArchive", "variantId", {}),
    ):
        async with unchanged(shop.world):
            subject = product if name == "productId" else variant_id
            theirs = await ask(shop.stranger, mutation, **{name: subject}, **given)
            missing = await ask(shop.stranger, mutation, **{name: none[name]}, **given)

        assert theirs == missing
        assert [error["code"] for error in theirs["errors"]] == ["NOT_FOUND"]


async def test_checkout_learns_all_of_a_variant_at_once(shop: Shop) -> None:
    later = now() + timedelta(days=1)
    product = await shirt(
        shop,
        variant("S", stock=2, sku="S1", requiresShipping=True, weightGrams=5),
        variant("M"),
        perBuyerLimit=3,
        releasesAt=later.isoformat(),
    )
    database = shop.world.engine.database.reader
    key = shop.world.key(Noun.PRODUCT, product)
    rows = await database.fetch("select id from product_variants where product_id = $1 order by position", key)
    first, second = (row["id"] for row in rows)

    before = await sellable(database, [first, second], "USD", now())
    after = await sellable(database, [first], "EUR", later + timedelta(seconds=1))

    found = before[first]
    assert (found.title, found.variant_title, found.sku, found.price) == ("A shirt", "S", "S1", 1_000)
    assert (found.available, found.stock_tracked, found.per_buyer_limit) == (2, True, 3)
    assert (found.requires_shipping, found.weight_grams, found.tax_category) == (True, 5, "standard")
    assert (found.on_sale, found.released, found.creator_active, found.plan) == (True, False, True, "standard")
    assert (before[second].available, before[second].weight_grams) == (None, None)
    assert (after[first].price, after[first].released) == (None, True)
