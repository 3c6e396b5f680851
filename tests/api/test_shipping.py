"""Shipping: zones and methods as creators set them up, and what can be chosen for a parcel."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from core.ids import Noun, uuid7
from services import shipping, shipping_methods
from services.shipping import Parcel
from tests.api.shop import Shop, ask, do, nothing_of, refused, unchanged, usd

pytestmark = pytest.mark.asyncio(loop_scope="module")

READ = """
query ($handle: String!, $first: Int = 100, $after: String, $sort: ShippingZoneSort = OLDEST) {
  creator(handle: $handle) {
    shippingZones(first: $first, after: $after, sort: $sort) {
      nodes { id name countries active methods { name active rates { price { amount currency } weightGramsFrom } } }
      pageInfo { hasNextPage endCursor } totalCount
    }
  }
}
"""
NODE = "query ($id: ID!) { node(id: $id) { id ... on ShippingZone { name } ... on ShippingMethod { name } } }"
NO_ZONE = "There is no such shipping zone. Check the id that was sent."
NO_METHOD = "There is no such shipping method. Check the id that was sent."


@dataclass
class Sender:
    """A creator of their own, for whoever ships."""

    shop: Shop
    handle: str
    creator: str

    async def zone(self, *countries: str, name: str = "A zone") -> str:
        made = await do(
            self.client, "shippingZoneCreate", creatorId=self.creator, name=name, countries=list(countries)
        )
        return str(made["zone"]["id"])

    async def method(self, zone: str, *rates: dict[str, Any], name: str = "Parcel") -> str:
        made = await do(self.client, "shippingMethodCreate", zoneId=zone, name=name, rates=list(rates))
        return str(made["method"]["id"])

    @property
    def client(self) -> Any:
        return self.shop.world.client(self.handle)

    async def options(
        self, country: str, weight: int = 0, subtotal: int = 0, currency: str = "USD"
    ) -> list[tuple[str, int]]:
        key = self.shop.world.key(Noun.CREATOR, self.creator)
        found = await shipping.options(
            self.shop.world.engine.database.reader, [Parcel(key, country, weight, subtotal, currency)]
        )
        return [(option.name, option.price) for option in found[key]]


@pytest_asyncio.fixture(loop_scope="module")
async def sender(shop: Shop) -> Sender:
    handle = f"sender_{uuid7().hex[-12:]}"
    return Sender(shop, handle, await shop.world.creator(handle))


# Setting up -------------------------------------------------------------------------------------------------


async def test_zones_are_read_with_their_methods_and_rates_by_their_creator(sender: Sender) -> None:
    zone = await sender.zone("de", " AT ", "DE", name=" Near ")
    await sender.zone(name="Elsewhere")
    await sender.method(zone, {"price": usd("0")}, {"price": usd("5.00"), "weightGramsFrom": 1000}, name="Bike")

    found = (await sender.client.run(READ, handle=sender.handle))["creator"]["shippingZones"]

    assert found["totalCount"] == 2
    near, elsewhere = found["nodes"]
    assert near == {
        "id": zone,
        "name": "Near",
        "countries": ["AT", "DE"],
        "active": True,
        "methods": [
            {
                "name": "Bike",
                "active": True,
                "rates": [
                    {"price": {"amount": "0.00", "currency": "USD"}, "weightGramsFrom": 0},
                    {"price": {"amount": "5.00", "currency": "USD"}, "weightGramsFrom": 1000},
                ],
            }
        ],
    }
    assert (elsewhere["name"], elsewhere["countries"], elsewhere["methods"]) == ("Elsewhere", [], [])
    assert (await sender.client.run(NODE, id=zone))["node"] == {"id": zone, "name": "Near"}


async def test_zones_are_paged_through_by_name(sender: Sender) -> None:
    for country, name in (("DE", "Beta"), ("FR", "Alpha"), ("IT", "Gamma")):
        await sender.zone(country, name=name)

    names, after = [], None
    while True:
        variables = {"handle": sender.handle, "first": 2, "after": after, "sort": "NAME"}
        page = (await sender.client.run(READ, **variables))["creator"]["shippingZones"]
        names += [node["name"] for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break

    assert names == ["Alpha", "Beta", "Gamma"]


async def test_nobody_else_sees_or_changes_a_zone(sender: Sender) -> None:
    zone = await sender.zone("DE")
    method = await sender.method(zone, {"price": usd("5.00")})
    shop = sender.shop

    assert (await shop.stranger.run(READ, handle=sender.handle))["creator"]["shippingZones"] is None
    assert (await shop.nobody.run(READ, handle=sender.handle))["creator"]["shippingZones"] is None
    for hidden in (zone, method):
        assert (await shop.stranger.run(NODE, id=hidden))["node"] is None
    async with unchanged(shop.world):
        for mutation, given, sentence in (
            ("shippingZoneUpdate", {"zoneId": zone, "name": "Mine"}, NO_ZONE),
            ("shippingZoneArchive", {"zoneId": zone}, NO_ZONE),
            ("shippingMethodCreate", {"zoneId": zone, "name": "x", "rates": [{"price": usd("1.00")}]}, NO_ZONE),
            ("shippingMethodUpdate", {"methodId": method, "name": "Mine"}, NO_METHOD),
            ("shippingMethodArchive", {"methodId": method}, NO_METHOD),
        ):
            payload = await ask(shop.stranger, mutation, **given)
            assert [(error["code"], error["message"]) for error in payload["errors"]] == [("NOT_FOUND", sentence)]
        payload = await ask(shop.owner, "shippingZoneArchive", zoneId=nothing_of(Noun.SHIPPING_ZONE))
        assert [error["message"] for error in payload["errors"]] == [NO_ZONE]
    assert await sender.options("DE") == [("Parcel", 500)]


async def test_a_country_is_in_one_zone(sender: Sender) -> None:
    first = await sender.zone("DE", "AT")
    await sender.zone()
    create = {"creatorId": sender.creator, "name": "More"}

    async with unchanged(sender.shop.world, requests=3):
        again = await ask(sender.client, "shippingZoneCreate", **create, countries=["FR", "AT", "DE"])
        rest = await ask(sender.client, "shippingZoneCreate", **create, countries=[])
        changed = await ask(sender.client, "shippingZoneUpdate", zoneId=first, countries=[])

    assert [(e["code"], e["path"], e["message"]) for e in again["errors"]] == [
        ("INPUT_INVALID", ["input", "countries"], "In another zone already: AT, DE. Take them out there first.")
    ]
    the_rest = "There is a zone without countries already: the rest of the world."
    assert [error["message"] for error in rest["errors"] + changed["errors"]] == [the_rest, the_rest]


async def test_of_ten_zones_that_take_a_country_at_once_one_is_made(sender: Sender) -> None:
    create = {"creatorId": sender.creator, "name": "Zone", "countries": ["DE"]}

    made = await asyncio.gather(*(ask(sender.client, "shippingZoneCreate", **create) for _ in range(10)))

    assert sum(payload["errors"] == [] for payload in made) == 1
    assert {e["path"][-1] for payload in made for e in payload["errors"]} == {"countries"}
    found = (await sender.client.run(READ, handle=sender.handle))["creator"]["shippingZones"]
    assert found["totalCount"] == 1


async def test_a_country_is_free_again_when_its_zone_is_archived_or_lets_go_of_it(sender: Sender) -> None:
    first = await sender.zone("DE", "AT")
    await do(sender.client, "shippingZoneUpdate", zoneId=first, countries=["AT"], name="Only Austria")
    second = await sender.zone("DE")
    archived = await do(sender.client, "shippingZoneArchive", zoneId=second)
    third = await sender.zone("DE")

    assert archived["zone"]["active"] is False
    assert len({first, second, third}) == 3


@pytest.mark.parametrize(
    ("mutation", "change", "path", "sentence"),
    [
        ("shippingZoneCreate", {"name": "  "}, "name", "A name has 1 to 120 characters."),
        ("shippingZoneCreate", {"name": "x" * 121}, "name", "A name has 1 to 120 characters."),
        (
            "shippingZoneCreate",
            {"countries": ["DE", "EU"]},
            "countries",
            "Send countries by their two letters (ISO 3166-1), such as DE.",
        ),
        ("shippingMethodCreate", {"name": ""}, "name", "A name has 1 to 120 characters."),
        ("shippingMethodCreate", {"daysMinimum": -1}, "daysMinimum", "Days are a number from 0 to 365."),
        ("shippingMethodCreate", {"daysMaximum": 366}, "daysMaximum", "Days are a number from 0 to 365."),
        (
            "shippingMethodCreate",
            {"daysMinimum": 3, "daysMaximum": 2},
            "daysMaximum",
            "The most days are no less than the fewest.",
        ),
        ("shippingMethodCreate", {"rates": []}, "rates", "A method has 1 to 100 rates."),
        (
            "shippingMethodCreate",
            {"rates": [{"price": usd("1.00")}, {"price": usd("2.00")}]},
            "rates",
            "Two rates of a currency begin at the same weight and subtotal.",
        ),
        (
            "shippingMethodCreate",
            {"rates": [{"price": usd("1.00"), "weightGramsFrom": -1}]},
            "rates.0.weightGramsFrom",
            "A weight is a number of grams from 0 to 1000000000.",
        ),
        (
            "shippingMethodCreate",
            {"rates": [{"price": usd("1.00"), "weightGramsFrom": 10, "weightGramsMaximum": 9}]},
            "rates.0.weightGramsMaximum",
            "The largest weight is no less than the smallest.",
        ),
        (
            "shippingMethodCreate",
            {"rates": [{"price": usd("1.00"), "subtotalFrom": {"amount": "1", "currency": "JPY"}}]},
            "rates.0.subtotalFrom",
            "Send the subtotal in the currency of the price.",
        ),
    ],
)
async def test_what_is_no_zone_or_method_is_refused(
    sender: Sender, mutation: str, change: dict[str, Any], path: str, sentence: str
) -> None:
    good: dict[str, Any] = {"creatorId": sender.creator, "name": "Good", "countries": ["DE"]}
    if mutation == "shippingMethodCreate":
        good = {"zoneId": await sender.zone("FR"), "name": "Good", "rates": [{"price": usd("1.00")}]}

    async with unchanged(sender.shop.world):
        payload = await ask(sender.client, mutation, **{**good, **change})

    assert [(error["code"], error["path"], error["message"]) for error in payload["errors"]] == [
        ("INPUT_INVALID", ["input", *path.split(".")], sentence)
    ]


@pytest.mark.parametrize(
    ("price", "code"),
    [
        (usd("-1.00"), "AMOUNT_INVALID"),
        (usd("1.001"), "AMOUNT_TOO_PRECISE"),
        ({"amount": "1", "currency": "XXX"}, "CURRENCY_NOT_SUPPORTED"),
        ({"amount": "0", "currency": "XXX"}, "CURRENCY_NOT_SUPPORTED"),
    ],
)
async def test_what_is_no_price_of_shipping_is_refused(sender: Sender, price: dict[str, str], code: str) -> None:
    zone = await sender.zone("DE")

    async with unchanged(sender.shop.world):
        payload = await ask(
            sender.client, "shippingMethodCreate", zoneId=zone, name="Good", rates=[{"price": price}]
        )

    field = "currency" if code == "CURRENCY_NOT_SUPPORTED" else "amount"
    assert [(error["code"], error["path"]) for error in payload["errors"]] == [
        (code, ["input", "rates", "0", "price", field])
    ]


async def test_a_zone_has_no_more_methods_than_a_cart_can_show(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping_methods, "MAXIMUM_METHODS", 2)
    zone, other = await sender.zone("DE"), await sender.zone("AT")
    first = await sender.method(zone, {"price": usd("1.00")}, name="One")
    await sender.method(zone, {"price": usd("2.00")}, name="Two")
    given = {"zoneId": zone, "name": "Three", "rates": [{"price": usd("3.00")}]}

    async with unchanged(sender.shop.world, requests=1):
        payload = await ask(sender.client, "shippingMethodCreate", **given)

    says = "A zone has at most 2 methods. Archive one that is not used."
    refused(payload, "LIMIT_EXCEEDED", "zoneId", says=says)
    assert await sender.options("DE") == [("One", 100), ("Two", 200)]
    await sender.method(other, {"price": usd("1.00")})
    await do(sender.client, "shippingMethodArchive", methodId=first)
    await do(sender.client, "shippingMethodCreate", **given)
    assert await sender.options("DE") == [("Two", 200), ("Three", 300)]


async def test_a_repeat_under_the_same_key_makes_one(sender: Sender) -> None:
    given = {"idempotencyKey": str(uuid7()), "creatorId": sender.creator, "name": "Once", "countries": ["DE"]}

    first = await do(sender.client, "shippingZoneCreate", **given)
    async with unchanged(sender.shop.world):
        again = await do(sender.client, "shippingZoneCreate", **given)
        other = await ask(sender.client, "shippingZoneCreate", **{**given, "name": "Twice"})

    assert again["zone"]["id"] == first["zone"]["id"]
    assert [error["code"] for error in other["errors"]] == ["IDEMPOTENCY_KEY_REUSED"]


# What can be chosen -----------------------------------------------------------------------------------------


async def test_the_zone_that_names_the_country_comes_before_the_rest_of_the_world(sender: Sender) -> None:
    await sender.method(await sender.zone(), {"price": usd("25.00")}, name="World")
    near = await sender.zone("DE", "AT")
    await sender.method(near, {"price": usd("5.00")}, name="Parcel")
    await sender.method(near, {"price": usd("3.00")}, name="Letter")

    assert await sender.options("DE") == [("Letter", 300), ("Parcel", 500)]
    assert await sender.options("JP") == [("World", 2_500)]


async def test_without_a_zone_there_is_no_shipping(sender: Sender) -> None:
    await sender.method(await sender.zone("DE"), {"price": usd("5.00")})

    assert await sender.options("FR") == []


async def test_a_method_without_a_rate_in_the_currency_is_not_offered(sender: Sender) -> None:
    zone = await sender.zone("DE")
    await sender.method(zone, {"price": usd("5.00")}, {"price": {"amount": "700", "currency": "JPY"}}, name="Both")
    await sender.method(zone, {"price": usd("4.00")}, name="Dollars")

    assert await sender.options("DE", currency="USD") == [("Dollars", 400), ("Both", 500)]
    assert await sender.options("DE", currency="JPY") == [("Both", 700)]


async def test_rates_go_by_weight_and_subtotal_and_the_highest_bounds_count(sender: Sender) -> None:
    await sender.method(
        await sender.zone("DE"),
        {"price": usd("5.00"), "weightGramsMaximum": 10_000},
        {"price": usd("9.00"), "weightGramsFrom": 1_000, "weightGramsMaximum": 10_000},
        {"price": usd("0"), "subtotalFrom": usd("50.00"), "weightGramsMaximum": 5_000},
    )

    prices = [
        (await sender.options("DE", weight, subtotal))
        for weight, subtotal in (
            (0, 0),
            (999, 4_999),
            (1_000, 4_999),
            (10_000, 0),
            (999, 5_000),
            (5_000, 5_000),
            (5_001, 9_999),
            (10_001, 0),
        )
    ]

    assert [option[0][1] if option else None for option in prices] == [500, 500, 900, 900, 0, 0, 900, None]


async def test_what_is_archived_is_not_offered(sender: Sender) -> None:
    zone = await sender.zone("DE")
    first = await sender.method(zone, {"price": usd("5.00")}, name="First")
    await sender.method(zone, {"price": usd("6.00")}, name="Second")

    await do(sender.client, "shippingMethodArchive", methodId=first)
    after_method = await sender.options("DE")
    await do(sender.client, "shippingZoneArchive", zoneId=zone)

    assert after_method == [("Second", 600)]
    assert await sender.options("DE") == []
    payload = await ask(sender.client, "shippingMethodUpdate", methodId=first, name="Again")
    assert [error["message"] for error in payload["errors"]] == [NO_METHOD]


async def test_new_rates_take_the_place_of_all_old_ones(sender: Sender) -> None:
    method = await sender.method(
        await sender.zone("DE"), {"price": usd("5.00")}, {"price": usd("9.00"), "weightGramsFrom": 100}
    )

    updated = await do(
        sender.client,
        "shippingMethodUpdate",
        methodId=method,
        name="Renamed",
        daysMinimum=2,
        daysMaximum=4,
        rates=[{"price": usd("7.00")}],
    )
    kept = await do(sender.client, "shippingMethodUpdate", methodId=method, unknownDays=True)

    assert (updated["method"]["name"], updated["method"]["daysMinimum"]) == ("Renamed", 2)
    assert (kept["method"]["name"], kept["method"]["daysMinimum"], kept["method"]["daysMaximum"]) == (
        "Renamed",
        None,
        None,
    )
    assert [rate["price"]["amount"] for rate in kept["method"]["rates"]] == ["7.00"]
    assert await sender.options("DE", 200) == [("Renamed", 700)]


async def test_days_that_contradict_those_that_stay_are_refused(sender: Sender) -> None:
    method = await sender.method(await sender.zone("DE"), {"price": usd("5.00")})
    await do(sender.client, "shippingMethodUpdate", methodId=method, daysMinimum=3, daysMaximum=5)

    async with unchanged(sender.shop.world, requests=1):
        contradiction = await ask(sender.client, "shippingMethodUpdate", methodId=method, daysMaximum=2)
        both = await ask(sender.client, "shippingMethodUpdate", methodId=method, daysMaximum=9, unknownDays=True)

    assert [error["path"] for error in contradiction["errors"]] == [["input", "daysMaximum"]]
    assert [error["path"] for error in both["errors"]] == [["input", "unknownDays"]]


async def test_several_creators_are_asked_for_at_once(sender: Sender) -> None:
    await sender.method(await sender.zone("DE"), {"price": usd("5.00")})
    key = sender.shop.world.key(Noun.CREATOR, sender.creator)
    other = sender.shop.world.key(Noun.CREATOR, sender.shop.creator)

    found = await shipping.options(
        sender.shop.world.engine.database.reader,
        [Parcel(other, "DE", 0, 0, "USD"), Parcel(key, "DE", 0, 0, "USD")],
    )

    assert {creator: [option.price for option in options] for creator, options in found.items()} == {
        other: [],
        key: [500],
    }
