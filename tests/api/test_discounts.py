"""Discounts: given, changed and ended by creators, and judged for a basket."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from app.client import Client
from core.clock import now
from core.discounts import DiscountPeriod, DiscountReason
from core.errors import ErrorCode, Refused
from core.ids import Noun, decode, encode, uuid7
from services import discount_terms, discounts, usage
from services.pricing import Item, Offer, price
from services.usage import UNLIMITED, Use
from tests.api.shop import Shop, ask, do, nothing_of, refused, unchanged, usd

pytestmark = pytest.mark.asyncio(loop_scope="module")

READ = """
query ($handle: String!, $where: DiscountWhere, $sort: DiscountSort = OLDEST, $first: Int = 100, $after: String) {
  creator(handle: $handle) {
    discounts(first: $first, after: $after, where: $where, sort: $sort) {
      nodes { id title used } pageInfo { hasNextPage endCursor } totalCount
    }
  }
}
"""
NODE = "query ($id: ID!) { node(id: $id) { id ... on Discount { code } } }"
NO_DISCOUNT = "There is no such discount. Check the id that was sent."
CODE_SHAPE = "A code has 1 to 40 letters from A to Z, digits, - and _, and begins with a letter or digit."


@dataclass
class Giver:
    """A creator of their own, who gives discounts."""

    shop: Shop
    handle: str
    creator: str

    @property
    def client(self) -> Client:
        return self.shop.world.client(self.handle)

    @property
    def key(self) -> UUID:
        return self.shop.world.key(Noun.CREATOR, self.creator)

    async def give(self, **given: Any) -> UUID:
        """Give a tenth off, or what is given; return the discount's key."""
        percent = {"kind": "PERCENT", "basisPoints": 1_000} if "kind" not in given else {}
        made = await do(
            self.client, "discountCreate", **{"creatorId": self.creator, "title": "Less", **percent, **given}
        )
        found = decode(Noun.DISCOUNT, made["discount"]["id"])
        assert found is not None
        return found

    def item(self, unit_price: int = 1_000, product: UUID | None = None, *, shipped: bool = False) -> Item:
        return Item(uuid7(), self.key, product or uuid7(), 1, unit_price, "standard", shipped)

    async def judge(
        self,
        codes: list[str],
        *items: Item,
        currency: str = "USD",
        at: datetime | None = None,
        buyer: str | None = None,
        creators: list[UUID] | None = None,
    ) -> tuple[list[Offer], list[tuple[str | None, DiscountReason]]]:
        """Return what is given for items, one of 10.00 unless said otherwise, and what is not."""
        moment = at or now()
        rows = await discounts.offers(
            self.shop.world.engine.database.reader, creators or [self.key], codes, moment, buyer_key=buyer
        )
        given, rejected = discounts.judge(rows, codes, items or (self.item(),), currency, moment)
        return given, [(each.code, each.reason) for each in rejected]

    async def use(self, *uses: Use) -> list[Use]:
        async with self.shop.world.engine.database.transaction() as transaction:
            return await usage.use(uses, on=transaction.connection)


async def _giver(shop: Shop) -> Giver:
    handle = f"giver_{uuid7().hex[-12:]}"
    return Giver(shop, handle, await shop.world.creator(handle))


@pytest_asyncio.fixture(loop_scope="module")
async def giver(shop: Shop) -> Giver:
    return await _giver(shop)


# Given, changed, ended --------------------------------------------------------------------------------------


async def test_a_discount_is_read_back_as_it_was_given(giver: Giver) -> None:
    product = await giver.shop.world.product(giver.handle, giver.creator)

    made = await do(
        giver.client,
        "discountCreate",
        creatorId=giver.creator,
        code="spring_24",
        title=" Spring ",
        kind="FIXED",
        amount=usd("5.00"),
        terms={
            "minimumSubtotal": usd("20.00"),
            "productIds": [product, product],
            "startsAt": "2026-01-31T12:00:00+02:00",
            "endsAt": "2099-01-31T12:00:00Z",
            "usageLimit": 100,
            "perBuyerLimit": 2,
            "period": "WEEK",
            "perPeriodLimit": 10,
        },
    )

    discount = made["discount"]
    assert (await giver.client.run(NODE, id=discount["id"]))["node"] == {
        "id": discount.pop("id"),
        "code": "SPRING_24",
    }
    assert discount == {
        "code": "SPRING_24",
        "title": "Spring",
        "kind": "FIXED",
        "basisPoints": None,
        "amount": {"amount": "5.00", "currency": "USD"},
        "minimumSubtotal": {"amount": "20.00"},
        "productIds": [product],
        "startsAt": "2026-01-31T10:00:00+00:00",
        "endsAt": "2099-01-31T12:00:00+00:00",
        "usageLimit": 100,
        "perBuyerLimit": 2,
        "period": "WEEK",
        "perPeriodLimit": 10,
        "used": 0,
        "active": True,
    }


async def test_new_terms_take_the_place_of_all_old_ones(giver: Giver) -> None:
    made = await do(
        giver.client,
        "discountCreate",
        creatorId=giver.creator,
        title="Less",
        kind="PERCENT",
        basisPoints=1_000,
        terms={"usageLimit": 5, "minimumSubtotal": usd("5.00")},
    )
    discount = made["discount"]["id"]

    renamed = await do(giver.client, "discountUpdate", discountId=discount, title="Still less")
    changed = await do(giver.client, "discountUpdate", discountId=discount, terms={"perBuyerLimit": 1})

    assert (renamed["discount"]["title"], renamed["discount"]["usageLimit"]) == ("Still less", 5)
    after = changed["discount"]
    assert (after["title"], after["usageLimit"], after["perBuyerLimit"]) == ("Still less", None, 1)
    assert after["minimumSubtotal"] is None
    # Without its smallest subtotal it is no longer given in one currency alone.
    assert [offer.currency for offer in (await giver.judge([], currency="JPY"))[0]] == [None]


async def test_the_currency_of_a_fixed_discount_stays(giver: Giver) -> None:
    discount = await giver.give(kind="FIXED", amount=usd("5.00"), code="FIVE")
    named = {"discountId": _id(discount)}

    async with unchanged(giver.shop.world, requests=1):
        payload = await ask(
            giver.client, "discountUpdate", **named, terms={"minimumSubtotal": {"amount": "1", "currency": "JPY"}}
        )

    assert [(error["code"], error["path"]) for error in payload["errors"]] == [
        ("INPUT_INVALID", ["input", "terms", "minimumSubtotal"])
    ]
    await do(giver.client, "discountUpdate", **named, terms={"minimumSubtotal": usd("9.00")})
    assert await giver.judge(["five"], giver.item(899)) == ([], [("five", DiscountReason.BELOW_MINIMUM)])


async def test_an_ended_discount_is_unknown_and_keeps_its_code(giver: Giver) -> None:
    discount = await giver.give(code="GONE")

    archived = await do(giver.client, "discountArchive", discountId=_id(discount))
    again = await ask(
        giver.client, "discountCreate", creatorId=giver.creator, title="x", kind="FREE_SHIPPING", code="gone"
    )
    update = await ask(giver.client, "discountUpdate", discountId=_id(discount), title="Back")

    assert archived["discount"]["active"] is False
    assert [(error["code"], error["path"]) for error in again["errors"]] == [("NAME_TAKEN", ["input", "code"])]
    assert [error["message"] for error in update["errors"]] == [NO_DISCOUNT]
    assert await giver.judge(["GONE"]) == ([], [("GONE", DiscountReason.UNKNOWN)])


async def test_of_ten_discounts_with_one_code_at_once_one_is_given(giver: Giver) -> None:
    create = {"creatorId": giver.creator, "title": "Less", "kind": "FREE_SHIPPING", "code": "ONLY"}

    made = await asyncio.gather(*(ask(giver.client, "discountCreate", **create) for _ in range(10)))

    assert sum(payload["errors"] == [] for payload in made) == 1
    assert {error["code"] for payload in made for error in payload["errors"]} == {"NAME_TAKEN"}


async def test_two_creators_may_have_the_same_code(giver: Giver) -> None:
    other = await _giver(giver.shop)
    await giver.give(code="BOTH")
    await other.give(code="BOTH")
    items = [giver.item(), other.item()]

    given, rejected = await giver.judge(["both"], *items, creators=[giver.key, other.key])

    assert rejected == []
    assert {offer.creator_id for offer in given} == {giver.key, other.key}
    assert [part.discount for part in price(items, given, [], {}).parts] == [100, 100]


@pytest.mark.parametrize(
    ("change", "path", "sentence"),
    [
        ({"title": " "}, "title", "A title has 1 to 120 characters."),
        ({"code": ""}, "code", CODE_SHAPE),
        ({"code": "-A"}, "code", CODE_SHAPE),
        ({"code": "TWO WORDS"}, "code", CODE_SHAPE),
        ({"code": "A" * 41}, "code", CODE_SHAPE),
        # Capitals of these are letters from A to Z, but they are not.
        ({"code": "ß"}, "code", CODE_SHAPE),
        ({"code": "\u017f"}, "code", CODE_SHAPE),
        ({"basisPoints": 0}, "basisPoints", "A percentage is from 1 to 10,000 basis points."),
        ({"basisPoints": 10_001}, "basisPoints", "A percentage is from 1 to 10,000 basis points."),
        ({"basisPoints": None}, "basisPoints", "A percentage is from 1 to 10,000 basis points."),
        ({"amount": usd("1.00")}, "amount", "Only a discount of kind FIXED has an amount."),
        ({"kind": "FIXED", "basisPoints": None}, "amount", "Send the amount that is taken off."),
        (
            {"kind": "FREE_SHIPPING"},
            "basisPoints",
            "Only a discount of kind PERCENT has basisPoints.",
        ),
        ({"terms": {"usageLimit": 0}}, "terms.usageLimit", "A limit is a number from 1 to 1000000000."),
        ({"terms": {"perBuyerLimit": -1}}, "terms.perBuyerLimit", "A limit is a number from 1 to 1000000000."),
        ({"terms": {"period": "DAY"}}, "terms.perPeriodLimit", "Send period and perPeriodLimit together."),
        ({"terms": {"perPeriodLimit": 1}}, "terms.perPeriodLimit", "Send period and perPeriodLimit together."),
        (
            {"terms": {"startsAt": "2026-02-01T00:00:00Z", "endsAt": "2026-02-01T00:00:00Z"}},
            "terms.endsAt",
            "A discount ends after it starts.",
        ),
        (
            {"terms": {"startsAt": "2026-02-01T00:00:00"}},
            "terms.startsAt",
            "Send a moment with its offset from UTC, such as 2026-01-31T12:00:00Z.",
        ),
    ],
)
async def test_what_is_no_discount_is_refused(
    giver: Giver, change: dict[str, Any], path: str, sentence: str
) -> None:
    good = {"creatorId": giver.creator, "title": "Less", "kind": "PERCENT", "basisPoints": 1_000}

    async with unchanged(giver.shop.world):
        payload = await ask(giver.client, "discountCreate", **{**good, **change})

    assert [(error["code"], error["path"], error["message"]) for error in payload["errors"]] == [
        ("INPUT_INVALID", ["input", *path.split(".")], sentence)
    ]


async def test_no_more_is_given_without_a_code_than_every_cart_can_be_judged_by(
    giver: Giver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discount_terms, "MAXIMUM_WITHOUT_CODE", 2)
    first, second = await giver.give(), await giver.give()
    given = {"creatorId": giver.creator, "title": "Less", "kind": "PERCENT", "basisPoints": 1_000}

    async with unchanged(giver.shop.world, requests=1):
        payload = await ask(giver.client, "discountCreate", **given)

    says = "A creator has at most 2 discounts without a code. Archive one."
    refused(payload, "LIMIT_EXCEEDED", "creatorId", says=says)
    offers, _ = await giver.judge([])
    assert {offer.id for offer in offers} == {first, second}
    await giver.give(code="ANY")
    await (await _giver(giver.shop)).give()
    await do(giver.client, "discountArchive", discountId=_id(first))
    await giver.give()


async def test_a_discount_is_for_products_of_its_creator(giver: Giver) -> None:
    foreign = giver.shop.product
    good = {"creatorId": giver.creator, "title": "Less", "kind": "PERCENT", "basisPoints": 1_000}

    async with unchanged(giver.shop.world):
        for product in (foreign, nothing_of(Noun.PRODUCT)):
            payload = await ask(giver.client, "discountCreate", **good, terms={"productIds": [product]})
            assert [(error["code"], error["path"]) for error in payload["errors"]] == [
                ("NOT_FOUND", ["input", "terms", "productIds"])
            ]


async def test_nobody_else_sees_or_changes_a_discount(giver: Giver) -> None:
    discount = _id(await giver.give(code="SECRET"))
    shop = giver.shop

    assert (await shop.stranger.run(READ, handle=giver.handle))["creator"]["discounts"] is None
    assert (await shop.nobody.run(READ, handle=giver.handle))["creator"]["discounts"] is None
    assert (await shop.stranger.run(NODE, id=discount))["node"] is None
    async with unchanged(shop.world):
        for mutation, given in (
            ("discountUpdate", {"title": "Mine"}),
            ("discountUpdate", {"terms": {"usageLimit": 1}}),
            ("discountArchive", {}),
        ):
            payload = await ask(shop.stranger, mutation, discountId=discount, **given)
            assert [error["message"] for error in payload["errors"]] == [NO_DISCOUNT]
        payload = await ask(
            shop.stranger, "discountCreate", creatorId=giver.creator, title="x", kind="FREE_SHIPPING"
        )
        assert [error["code"] for error in payload["errors"]] == ["NOT_FOUND"]


async def test_discounts_are_filtered_and_paged_through(giver: Giver) -> None:
    for title, code in (("Alpha", "ONE"), ("Beta", "TWO"), ("Gamma", None)):
        last = await giver.give(title=title, **({"code": code} if code else {}))
    await do(giver.client, "discountArchive", discountId=_id(last))

    async def titles(where: dict[str, Any] | None = None, **more: Any) -> list[str]:
        found = await giver.client.run(READ, handle=giver.handle, where=where, **more)
        return [node["title"] for node in found["creator"]["discounts"]["nodes"]]

    assert await titles() == ["Alpha", "Beta", "Gamma"]
    assert await titles(sort="NEWEST") == ["Gamma", "Beta", "Alpha"]
    assert await titles({"active": True}) == ["Alpha", "Beta"]
    assert await titles({"active": False}) == ["Gamma"]
    assert await titles({"code": {"eq": "TWO"}}) == ["Beta"]
    assert await titles({"OR": [{"title": {"startsWith": "al"}}, {"active": False}]}) == ["Alpha", "Gamma"]
    first = await giver.client.run(READ, handle=giver.handle, first=2)
    page = first["creator"]["discounts"]
    assert (page["totalCount"], page["pageInfo"]["hasNextPage"]) == (3, True)
    assert await titles(first=2, after=page["pageInfo"]["endCursor"]) == ["Gamma"]


async def test_a_repeat_under_the_same_key_gives_one(giver: Giver) -> None:
    given = {
        "idempotencyKey": str(uuid7()),
        "creatorId": giver.creator,
        "title": "Once",
        "kind": "FREE_SHIPPING",
        "code": "ONCE",
    }

    first = await do(giver.client, "discountCreate", **given)
    async with unchanged(giver.shop.world):
        again = await do(giver.client, "discountCreate", **given)
        other = await ask(giver.client, "discountCreate", **{**given, "terms": {"usageLimit": 1}})

    assert again["discount"]["id"] == first["discount"]["id"]
    assert [error["code"] for error in other["errors"]] == ["IDEMPOTENCY_KEY_REUSED"]


# Judged -----------------------------------------------------------------------------------------------------


async def test_a_code_is_known_in_any_case_and_one_nobody_has_is_not(giver: Giver) -> None:
    discount = await giver.give(code="Spring-24")

    given, rejected = await giver.judge([" sPRING-24 ", "nothing", "no code at all!", "SPRİNG-24"])

    assert [offer.id for offer in given] == [discount]
    assert rejected == [
        ("nothing", DiscountReason.UNKNOWN),
        ("no code at all!", DiscountReason.UNKNOWN),
        ("SPRİNG-24", DiscountReason.UNKNOWN),
    ]


async def test_what_has_no_code_is_given_by_itself_and_refused_without_a_word(giver: Giver) -> None:
    automatic = await giver.give()
    await giver.give(terms={"minimumSubtotal": usd("99.00")})
    await giver.give(code="NEEDED")

    given, rejected = await giver.judge([])

    assert ([offer.id for offer in given], rejected) == ([automatic], [])


async def test_a_discount_is_given_from_its_start_to_its_end(giver: Giver) -> None:
    start, end = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
    terms = {"startsAt": start.isoformat(), "endsAt": end.isoformat()}
    await giver.give(code="MARCH", terms=terms)
    await giver.give(terms=terms)
    instant = timedelta(microseconds=1)

    assert await giver.judge(["MARCH"], at=start - instant) == ([], [("MARCH", DiscountReason.NOT_STARTED)])
    assert len((await giver.judge(["MARCH"], at=start))[0]) == 2
    assert len((await giver.judge(["MARCH"], at=end - instant))[0]) == 2
    assert await giver.judge(["MARCH"], at=end) == ([], [("MARCH", DiscountReason.ENDED)])


async def test_a_discount_applies_to_what_it_names_from_its_minimum_on(giver: Giver) -> None:
    product = await giver.shop.world.product(giver.handle, giver.creator)
    key = giver.shop.world.key(Noun.PRODUCT, product)
    await giver.give(code="SOME", terms={"productIds": [product], "minimumSubtotal": usd("20.00")})

    assert await giver.judge(["SOME"], giver.item(5_000)) == ([], [("SOME", DiscountReason.NOT_APPLICABLE)])
    # What it does not name does not count towards its minimum.
    below = await giver.judge(["SOME"], giver.item(1_999, key), giver.item(5_000))
    assert below == ([], [("SOME", DiscountReason.BELOW_MINIMUM)])
    assert len((await giver.judge(["SOME"], giver.item(1_000, key), giver.item(1_000, key)))[0]) == 1


async def test_an_amount_is_given_in_its_currency_and_a_percentage_in_any(giver: Giver) -> None:
    await giver.give(kind="FIXED", amount=usd("5.00"), code="FIVE")
    await giver.give(code="TENTH")

    given, rejected = await giver.judge(["FIVE", "TENTH"], currency="JPY")

    assert [offer.code for offer in given] == ["TENTH"]
    assert rejected == [("FIVE", DiscountReason.OTHER_CURRENCY)]


async def test_free_shipping_is_for_what_is_shipped(giver: Giver) -> None:
    await giver.give(kind="FREE_SHIPPING", code="FREE")

    assert await giver.judge(["FREE"]) == ([], [("FREE", DiscountReason.NOT_APPLICABLE)])
    assert len((await giver.judge(["FREE"], giver.item(shipped=True)))[0]) == 1


async def test_limits_that_are_reached_are_said(giver: Giver) -> None:
    at = datetime(2026, 11, 22, 23, 59, tzinfo=UTC)
    key = "somebody@example.com"
    all_of_them = await giver.give(code="ALL", terms={"usageLimit": 2})
    buyers = await giver.give(code="BUYER", terms={"perBuyerLimit": 1})
    weekly = await giver.give(code="WEEK", terms={"period": "WEEK", "perPeriodLimit": 1})
    codes = ["ALL", "BUYER", "WEEK"]
    rows = await discounts.offers(giver.shop.world.engine.database.reader, [giver.key], codes, at)
    assert await giver.use(*discounts.uses_of(rows, key, at)) == []

    after_one = await giver.judge(codes, at=at, buyer=key)
    other_buyer = await giver.judge(codes, at=at + timedelta(days=7), buyer="other@example.com")
    refused = await giver.use(*discounts.uses_of(rows, key, at))

    assert [offer.id for offer in after_one[0]] == [all_of_them]
    assert after_one[1] == [("BUYER", DiscountReason.BUYER_LIMIT), ("WEEK", DiscountReason.PERIOD_LIMIT)]
    assert [offer.id for offer in other_buyer[0]] == [all_of_them, buyers, weekly]
    assert [(use.subject, use.scope) for use in refused] == sorted(
        [
            (buyers, f"buyer:{key}"),
            (weekly, "period:2026-W47"),
        ]
    )
    # A checkout would have undone what was counted beside it; here the second use of ALL stands.
    assert (await giver.judge(["ALL"], at=at))[1] == [("ALL", DiscountReason.USED_UP)]
    found = (await giver.client.run(READ, handle=giver.handle))["creator"]["discounts"]["nodes"]
    assert [node["used"] for node in found] == [2, 2, 2]


async def test_what_the_database_counts_as_a_period_is_what_uses_name(giver: Giver) -> None:
    """A week of two years, and the end of a month: read by SQL, counted by Python."""
    for period in DiscountPeriod:
        await giver.give(code=period.value, terms={"period": period.value, "perPeriodLimit": 1})
    codes = [period.value for period in DiscountPeriod]
    for moment in (datetime(2027, 1, 3, 23, tzinfo=UTC), datetime(2028, 12, 31, tzinfo=UTC)):
        rows = await discounts.offers(giver.shop.world.engine.database.reader, [giver.key], codes, moment)
        assert await giver.use(*discounts.uses_of(rows, None, moment)) == []

        _, rejected = await giver.judge(codes, at=moment)

        assert [reason for _, reason in rejected] == [DiscountReason.PERIOD_LIMIT] * 3


async def test_a_limit_for_each_buyer_needs_a_buyer(giver: Giver) -> None:
    await giver.give(terms={"perBuyerLimit": 1})
    rows = await discounts.offers(giver.shop.world.engine.database.reader, [giver.key], [], now())

    with pytest.raises(Refused) as refusal:
        discounts.uses_of(rows, None, now())

    assert (refusal.value.code, refusal.value.path) == (ErrorCode.EMAIL_NEEDED, ("email",))
    assert len((await giver.judge([]))[0]) == 1, "in a cart it is shown until somebody buys"


async def test_without_limits_uses_are_counted_all_the_same(giver: Giver) -> None:
    discount = await giver.give()
    rows = await discounts.offers(giver.shop.world.engine.database.reader, [giver.key], [], now())

    assert discounts.uses_of(rows, None, now()) == [Use(discount, "all", 1, UNLIMITED)]


def _id(key: UUID) -> str:
    return encode(Noun.DISCOUNT, key)
