"""Earnings: pending until they mature, then available; by source and by day."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.client import Client
from core.clock import now
from core.ids import Noun
from core.scopes import Scope
from services import maturing
from tests.conftest import assert_books_are_sound
from tests.support.world import EARNINGS, World, eventually, running_world

PERIOD = """
query ($currency: CurrencyCode!, $since: Date, $until: Date) {
  creator(handle: "fable") {
    earnings(currency: $currency, since: $since, until: $until) { lifetime { amount } byDay { day payments } }
  }
}
"""


@pytest.fixture
async def prompt(dsn: str) -> AsyncIterator[World]:
    """A world whose earnings mature at once."""
    async with running_world(dsn, delay=timedelta(0)) as world:
        yield world
    await assert_books_are_sound(dsn)


async def _earnings(client: Client, currency: str = "USD") -> dict[str, Any]:
    found: dict[str, Any] = (await client.run(EARNINGS, handle="fable", currency=currency))["creator"]["earnings"]
    return found


async def _paid_purchase(world: World, client: Client, product: str) -> None:
    bought = await client.run(
        "mutation ($input: PurchaseCreateInput!) { purchaseCreate(input: $input) { payment { id } } }",
        input={"idempotencyKey": product, "productId": product},
    )
    payment = bought["purchaseCreate"]["payment"]["id"]
    await world.confirm(client, payment)
    await world.until(payment, "SUCCEEDED")


def _amounts(earnings: dict[str, Any]) -> tuple[str, str, str]:
    return tuple(earnings[name]["amount"] for name in ("pending", "available", "lifetime"))


async def test_creator_nobody_paid_has_earned_nothing(world: World) -> None:
    await world.creator("fable")

    earnings = await _earnings(world.client("fable"))

    assert _amounts(earnings) == ("0.00", "0.00", "0.00")
    assert (earnings["bySource"], earnings["byDay"]) == ([], [])


async def test_earnings_are_counted_by_source_and_day_in_each_currency_of_its_own(world: World) -> None:
    creator = await world.creator("fable")
    supporter = world.client("supporter")
    await world.paid_tip(supporter, creator, "5.00")
    await world.paid_tip(supporter, creator, "7.00")
    await world.paid_tip(world.client("another"), creator, "1000", "JPY")
    await _paid_purchase(world, supporter, await world.product("fable", creator, "10.00"))
    declined = (await world.tip(supporter, creator, "9.00"))["payment"]["id"]
    await world.confirm(supporter, declined, "tok_declined")

    dollars = await _earnings(world.client("fable"))
    yen = await _earnings(world.client("fable"), "JPY")

    today = datetime.now(UTC).date().isoformat()
    assert _amounts(dollars) == ("20.30", "0.00", "20.30")
    assert dollars["bySource"] == [
        {"source": "PURCHASE", "net": {"amount": "8.90"}, "payments": 1},
        {"source": "TIP", "net": {"amount": "11.40"}, "payments": 2},
    ]
    assert dollars["byDay"] == [{"day": today, "net": {"amount": "20.30"}, "payments": 3}]
    assert _amounts(yen) == ("950", "0", "950")
    assert yen["bySource"] == [{"source": "TIP", "net": {"amount": "950"}, "payments": 1}]
    assert _amounts(await _earnings(world.client("fable"), "EUR")) == ("0.00", "0.00", "0.00")


async def test_earnings_without_delay_become_available_by_themselves(prompt: World) -> None:
    creator = await prompt.creator("fable")
    await prompt.paid_tip(prompt.client("supporter"), creator, "5.00")
    owner = prompt.client("fable")

    async def available() -> bool:
        return _amounts(await _earnings(owner)) == ("0.00", "4.75", "4.75")

    await eventually(available)


async def test_earnings_stay_pending_until_their_delay_is_over_and_mature_once(dsn: str) -> None:
    async with running_world(dsn, worker=True, delay=timedelta(days=7)) as world:
        creator = await world.creator("fable")
        supporter = world.client("supporter")
        due = await world.paid_tip(supporter, creator, "5.00")
        await world.paid_tip(supporter, creator, "7.00")
        owner = world.client("fable")

        async def charged() -> bool:
            return bool(await world.scalar("select count(*) = 2 from payments where matures_at is not null"))

        await eventually(charged)
        delay = await world.scalar("select max(matures_at - succeeded_at) from payments")
        await maturing.mature(world.engine)
        assert _amounts(await _earnings(owner)) == ("11.40", "0.00", "11.40")
        await world.engine.database.writer.execute(
            "update payments set matures_at = $2 where id = $1",
            world.key(Noun.PAYMENT, due),
            now() - timedelta(seconds=1),
        )

        for _ in range(3):
            await maturing.mature(world.engine)

        assert delay >= timedelta(days=7)
        assert _amounts(await _earnings(owner)) == ("6.65", "4.75", "11.40")
        assert await world.scalar("select count(*) from ledger.request where key like 'earning:%'") == 1
    await assert_books_are_sound(dsn)


async def test_period_takes_the_days_within_it(world: World) -> None:
    creator = await world.creator("fable")
    await world.paid_tip(world.client("supporter"), creator)
    owner = world.client("fable")
    today = datetime.now(UTC).date()
    before, after = today - timedelta(days=1), today + timedelta(days=1)

    for since, until, expected in (
        (None, None, "4.75"),
        (today, today, "4.75"),
        (before, after, "4.75"),
        (after, None, "0.00"),
        (None, before, "0.00"),
        (after, before, "0.00"),
    ):
        given = {"since": since and since.isoformat(), "until": until and until.isoformat()}
        found = (await owner.run(PERIOD, currency="USD", **given))["creator"]["earnings"]

        assert found["lifetime"] == {"amount": expected}
        assert bool(found["byDay"]) == (expected != "0.00")


async def test_earnings_in_a_currency_nobody_declared_are_refused(world: World) -> None:
    await world.creator("fable")

    answer = await world.client("fable").full(EARNINGS, handle="fable", currency="XXX")

    assert [(error["extensions"]["code"], error["path"]) for error in answer["errors"]] == [
        ("CURRENCY_NOT_SUPPORTED", ["creator", "earnings"])
    ]
    assert answer["data"] == {"creator": {"earnings": None}}


async def test_earnings_are_shown_to_their_creator_alone(world: World) -> None:
    creator = await world.creator("fable")
    await world.paid_tip(world.client("supporter"), creator)

    for other in (
        world.client("supporter"),
        world.client(),
        world.client("fable", frozenset(Scope) - {Scope.EARNINGS_READ}),
    ):
        assert await other.run(EARNINGS, handle="fable", currency="USD") == {"creator": {"earnings": None}}
