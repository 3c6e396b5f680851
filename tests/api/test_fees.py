"""Fees: asked before acting, the same on the payment, and whole to the last unit."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.postgres import Lease
from core.clock import now
from core.ids import Noun, uuid7
from core.money import allocate
from tests.api.shop import Shop, do, nothing_of, unchanged
from tests.support.databases import fresh_database
from tests.support.world import World

QUOTE = """
query ($kind: PaymentKind!, $creator: ID!, $amount: Decimal!, $currency: CurrencyCode!) {
  quote(input: {kind: $kind, creatorId: $creator, amount: {amount: $amount, currency: $currency}}) {
    percentBasisPoints lines { kind amount { amount currency } }
  }
}
"""
LINES = "query ($id: ID!) { payment(id: $id) { lines { kind amount { amount } } } }"
INSERT_RULE = """
    insert into fee_rules (id, kind, currency, plan, percent_basis_points, fixed, maturity_delay_seconds, valid_from,
        created_at)
    values ($1, $2, $3, $4, $5, $6, 0, $7, $7)
"""
SPLIT = "select * from fee_split($1, $2, $3, $4, $5)"

in_the_module = pytest.mark.asyncio(loop_scope="module")


async def _quote(
    shop: Shop, amount: str, currency: str = "USD", kind: str = "TIP", creator: str | None = None
) -> Any:
    given = {"kind": kind, "creator": creator or shop.creator, "amount": amount, "currency": currency}
    return await shop.nobody.full(QUOTE, **given)


def _by_kind(lines: list[dict[str, Any]]) -> dict[str, str]:
    return {line["kind"]: line["amount"]["amount"] for line in lines}


# Quoted -----------------------------------------------------------------------------------------------------


@in_the_module
@pytest.mark.parametrize(
    ("kind", "amount", "currency", "basis_points", "percent", "fixed", "net"),
    [
        ("TIP", "5.00", "USD", 500, "0.25", "0.00", "4.75"),
        ("TIP", "0.10", "USD", 500, "0.00", "0.00", "0.10"),
        ("TIP", "0.30", "USD", 500, "0.01", "0.00", "0.29"),
        ("TIP", "0.31", "USD", 500, "0.02", "0.00", "0.29"),
        ("TIP", "100", "JPY", 500, "5", "0", "95"),
        ("TIP", "1.234", "KWD", 500, "0.062", "0.000", "1.172"),
        ("TIP", "999999.99", "USD", 500, "50000.00", "0.00", "949999.99"),
        ("PURCHASE", "10.00", "USD", 800, "0.80", "0.30", "8.90"),
        ("PURCHASE", "10.00", "EUR", 800, "0.80", "0.00", "9.20"),
    ],
)
async def test_quote_is_what_stands_on_the_payment(
    shop: Shop, kind: str, amount: str, currency: str, basis_points: int, percent: str, fixed: str, net: str
) -> None:
    async with unchanged(shop.world):
        quote = (await _quote(shop, amount, currency, kind))["data"]["quote"]

    assert quote["percentBasisPoints"] == basis_points
    assert [line["kind"] for line in quote["lines"]] == [
        "GROSS",
        "PERCENT_FEE",
        "FIXED_FEE",
        "PLATFORM_FEE",
        "TAX",
        "NET",
    ]
    assert {line["amount"]["currency"] for line in quote["lines"]} == {currency}
    quoted = _by_kind(quote["lines"])
    assert (quoted["PERCENT_FEE"], quoted["FIXED_FEE"], quoted["NET"]) == (percent, fixed, net)
    charged = _by_kind((await _pay(shop, kind, amount, currency))["lines"])
    assert charged == quoted


async def _pay(shop: Shop, kind: str, amount: str, currency: str) -> dict[str, Any]:
    money = {"amount": amount, "currency": currency}
    if kind == "TIP":
        made = await do(shop.supporter, "tipCreate", creatorId=shop.creator, amount=money)
    else:
        product = await shop.world.product("fable", shop.creator, amount, currency)
        made = await do(shop.supporter, "purchaseCreate", productId=product)
    payment: dict[str, Any] = (await shop.supporter.run(LINES, id=made["payment"]["id"]))["payment"]
    return payment


@in_the_module
@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"amount": "0"}, "AMOUNT_INVALID"),
        ({"amount": "-1"}, "AMOUNT_INVALID"),
        ({"amount": "0.001"}, "AMOUNT_TOO_PRECISE"),
        ({"amount": "1e40"}, "AMOUNT_TOO_LARGE"),
        ({"amount": "1000000.00"}, "AMOUNT_TOO_LARGE"),
        ({"amount": "0.30", "kind": "PURCHASE"}, "AMOUNT_TOO_SMALL"),
        ({"currency": "XXX"}, "CURRENCY_NOT_SUPPORTED"),
        ({"creator": nothing_of(Noun.CREATOR)}, "NOT_FOUND"),
        ({"creator": "nonsense"}, "NOT_FOUND"),
    ],
    ids=str,
)
async def test_quote_of_what_cannot_be_paid_says_why(shop: Shop, changed: dict[str, str], code: str) -> None:
    answer = await _quote(shop, **{"amount": "5.00", **changed})

    assert answer["data"] == {"quote": None}
    assert [(error["extensions"]["code"], error["path"]) for error in answer["errors"]] == [(code, ["quote"])]


# Rules ------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _plan(shop: Shop, *rules: tuple[str | None, int, int, datetime]) -> AsyncIterator[None]:
    """Put the creator on a plan of their own with tip rules: currency, percentage, fixed fee, from when on."""
    world = shop.world
    plan = f"plan {uuid7()}"
    for currency, percent, fixed, valid_from in rules:
        await _add_rule(world, plan, currency, percent, fixed, valid_from)
    set_plan = "update creators set plan = $2 where id = $1"
    creator = world.key(Noun.CREATOR, shop.creator)
    await world.engine.database.writer.execute(set_plan, creator, plan)
    try:
        yield
    finally:
        await world.engine.database.writer.execute(set_plan, creator, "standard")


async def _add_rule(
    world: World, plan: str, currency: str | None, percent: int, fixed: int, valid_from: datetime
) -> None:
    await world.engine.database.writer.execute(
        INSERT_RULE, uuid7(), "tip", currency, plan, percent, fixed, valid_from
    )


async def _percent(shop: Shop, currency: str = "USD") -> int | None:
    answer = await _quote(shop, "5.00" if currency != "JPY" else "500", currency)
    quote = answer["data"]["quote"]
    if quote is None:
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["CURRENCY_NOT_SUPPORTED"]
        return None
    return int(quote["percentBasisPoints"])


@in_the_module
async def test_rule_of_a_currency_comes_before_the_rule_of_any(shop: Shop) -> None:
    long_ago, lately = now() - timedelta(days=9), now() - timedelta(days=1)

    async with _plan(shop, ("USD", 100, 0, long_ago), (None, 200, 0, lately)):
        assert (await _percent(shop, "USD"), await _percent(shop, "EUR"), await _percent(shop, "JPY")) == (
            100,
            200,
            200,
        )
    async with _plan(shop, ("USD", 100, 0, long_ago)):
        assert (await _percent(shop, "USD"), await _percent(shop, "EUR")) == (100, None)


@in_the_module
async def test_latest_rule_that_is_valid_already_is_in_force(shop: Shop) -> None:
    rules = [(None, 100 * days, 0, now() - timedelta(days=10 - days)) for days in (1, 9, 5)]

    async with _plan(shop, *rules, (None, 9_999, 0, now() + timedelta(hours=1))):
        assert await _percent(shop) == 900
    async with _plan(shop, (None, 100, 0, now() + timedelta(hours=1))):
        assert await _percent(shop) is None


@in_the_module
async def test_later_rule_changes_no_payment_there_is(shop: Shop) -> None:
    async with _plan(shop, (None, 1_000, 0, now() - timedelta(days=1))):
        made = await do(
            shop.supporter, "tipCreate", creatorId=shop.creator, amount={"amount": "5.00", "currency": "USD"}
        )
        before = await shop.supporter.run(LINES, id=made["payment"]["id"])
        plan = await shop.world.scalar(
            "select plan from creators where id = $1", shop.world.key(Noun.CREATOR, shop.creator)
        )
        await _add_rule(shop.world, plan, None, 5_000, 0, now() - timedelta(seconds=1))

        assert await _percent(shop) == 5_000
        assert await shop.supporter.run(LINES, id=made["payment"]["id"]) == before
    assert _by_kind(before["payment"]["lines"])["PLATFORM_FEE"] == "0.50"


@in_the_module
async def test_rule_that_takes_nothing_or_nearly_all_leaves_the_rest_to_the_creator(shop: Shop) -> None:
    async with _plan(shop, (None, 0, 0, now() - timedelta(days=1))):
        assert _by_kind((await _quote(shop, "5.00"))["data"]["quote"]["lines"])["NET"] == "5.00"
    async with _plan(shop, ("USD", 0, 499, now() - timedelta(days=1))):
        assert _by_kind((await _quote(shop, "5.00"))["data"]["quote"]["lines"])["NET"] == "0.01"
    async with _plan(shop, (None, 10_000, 0, now() - timedelta(days=1))):
        answer = await _quote(shop, "5.00")
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["AMOUNT_TOO_SMALL"]


# The arithmetic ---------------------------------------------------------------------------------------------


class Splitter:
    """A connection and its own loop, so that examples can be split one after the other."""

    def __init__(self, lease: Lease, template: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._database = fresh_database(lease, template)
        dsn = self._loop.run_until_complete(self._database.__aenter__())
        self._connection = self._loop.run_until_complete(asyncpg.connect(dsn))

    def split(self, gross: int, percent: int, fixed: int) -> asyncpg.Record:
        """Split an amount by a rule that is gone afterwards."""
        return self._loop.run_until_complete(self._split(gross, percent, fixed))

    async def _split(self, gross: int, percent: int, fixed: int) -> asyncpg.Record:
        transaction = self._connection.transaction()
        await transaction.start()
        try:
            at = now()
            await self._connection.execute(INSERT_RULE, uuid7(), "tip", "USD", "example", percent, fixed, at)
            return await self._connection.fetchrow(SPLIT, "tip", "USD", "example", gross, at)
        finally:
            await transaction.rollback()

    def close(self) -> None:
        self._loop.run_until_complete(self._connection.close())
        self._loop.run_until_complete(self._database.__aexit__(None, None, None))
        self._loop.close()


@pytest.fixture(scope="module")
def splitter(lease: Lease, template: str) -> Iterator[Splitter]:
    opened = Splitter(lease, template)
    yield opened
    opened.close()


amounts = st.one_of(
    st.integers(0, 10_000),
    st.integers(0, 10**36),
    st.sampled_from([2**53 - 1, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**63 + 1, 10**18 - 1, 10**18 + 1]),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(gross=amounts, percent=st.integers(0, 10_000), fixed=st.integers(0, 10**12))
def test_database_splits_as_the_largest_remainder_rule_does(
    splitter: Splitter, gross: int, percent: int, fixed: int
) -> None:
    row = splitter.split(gross, percent, fixed)

    percent_fee, rest = allocate(gross, [percent, 10_000 - percent])
    assert (row["percent_fee"], row["fixed"]) == (percent_fee, fixed)
    assert (row["fee"], row["tax"], row["net"]) == (percent_fee + fixed, 0, rest - fixed)
    # As whole numbers: Decimal itself adds with 28 digits only.
    assert sum(int(row[column]) for column in ("net", "fee", "tax")) == gross
    assert all(row[column] == int(row[column]) for column in ("fee", "tax", "net"))


def test_tie_between_fee_and_creator_goes_to_the_creator(splitter: Splitter) -> None:
    # 5 % of 10 is exactly half a unit.
    assert [splitter.split(gross, 500, 0)["fee"] for gross in (9, 10, 11, 30, 31)] == [0, 0, 1, 1, 2]
