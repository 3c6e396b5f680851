"""What a guest's way from a cart to a paid order costs: SQL statements, all of them, and requests."""

from functools import partial
from typing import Final
from uuid import UUID

import asyncpg
import pytest

from core.ids import Noun, uuid7
from tests.api.shop import settle
from tests.support.carts import HOME, Market
from tests.support.statements import is_own
from tests.support.world import CONFIRM, World, running_world

_BUDGET: Final = 40
_SHOWN: Final = 5
_STATUS: Final = "select status from payments where id = $1"
_CREATE: Final = """
mutation ($input: CartCreateInput!) {
  cartCreate(input: $input) { cart { id total { amount currency } problems { code } } cartToken errors { code } }
}
"""
_COMPLETE: Final = """
mutation ($input: CheckoutCompleteInput!) {
  checkoutComplete(input: $input) { order { id } payment { id status } paymentToken errors { code message } }
}
"""
_ADDRESS: Final = {
    "name": "Ada Example",
    "line1": "1 Sample Street",
    "city": "Springfield",
    "region": "IL",
    "postalCode": "62701",
    "country": "US",
}


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that this process sends from now on, BEGIN and COMMIT among them."""
    statements: list[str] = []
    original = asyncpg.create_pool

    async def listen(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        connection.add_query_logger(lambda query: statements.append(" ".join(query.query.split())))

    monkeypatch.setattr(asyncpg, "create_pool", partial(original, init=listen))
    return statements


async def test_guest_goes_from_cart_to_paid_in_three_requests_and_forty_statements(
    dsn: str, books: None, executed: list[str]
) -> None:
    async with running_world(dsn, worker=False, deliveries=False) as world:
        market = Market(world)
        creator = await market.creator()
        variant = await market.variant(creator, 2_000, stock=100, requires_shipping=True, weight_grams=300)
        await market.shipping(creator)
        await market.discount(creator, "TEN")
        await _buy(world, variant)
        executed.clear()
        await _buy(world, variant)

    # What the provider does by itself, and what this test asks for, is nobody's budget.
    counted = [sql for sql in executed if is_own(sql) and sql != _STATUS]
    # The last look for webhooks finds none, as it does all day.
    assert (counted[-3], counted[-1]) == ("BEGIN;", "COMMIT;")
    del counted[-3:]
    assert len(counted) <= _BUDGET, "\n".join([f"{len(counted)} statements:", *(sql[:100] for sql in counted)])


async def test_cart_is_shown_in_five_statements_whatever_is_in_it(
    dsn: str, books: None, executed: list[str]
) -> None:
    async with running_world(dsn, worker=False, deliveries=False) as world:
        market = Market(world)
        lines = {}
        for number in range(3):
            creator = await market.creator(f"maker{number}")
            limited = {"per_buyer_limit": 9}
            for _ in range(3):
                variant = await market.variant(creator, stock=9, product=limited, requires_shipping=True)
                lines[variant] = 2
            await market.shipping(creator)
            await market.discount(creator, f"CODE{number}")
        cart, viewer = await market.cart(lines, codes=["CODE0", "CODE1", "CODE2"], address=HOME)
        await market.total(cart, viewer)
        executed.clear()

        assert await market.total(cart, viewer) > 0

    shown = list(filter(is_own, executed))
    assert len(shown) <= _SHOWN, "\n".join(sql[:100] for sql in shown)


async def _buy(world: World, variant: UUID) -> None:
    market = Market(world)
    lines = [{"variantId": market.id(Noun.VARIANT, variant), "quantity": 2}]
    given = {
        "idempotencyKey": str(uuid7()),
        "currency": "USD",
        "lines": lines,
        "email": "ada@example.com",
        "address": _ADDRESS,
        "discountCodes": ["TEN"],
    }
    made = (await world.client().run(_CREATE, input=given))["cartCreate"]
    assert (made["errors"], made["cart"]["problems"]) == ([], [])
    assert made["cart"]["total"] == {"amount": "41.00", "currency": "USD"}
    guest = world.client_with(made["cartToken"])
    given = {
        "idempotencyKey": str(uuid7()),
        "cartId": made["cart"]["id"],
        "expectedTotal": made["cart"]["total"],
    }
    done = (await guest.run(_COMPLETE, input=given))["checkoutComplete"]
    assert done["errors"] == []
    payment = done["payment"]["id"]
    payer = world.client_with(done["paymentToken"])
    confirmed = await payer.run(CONFIRM, payment=payment, key=str(uuid7()), method="tok_success")
    assert confirmed["paymentConfirm"]["errors"] == []
    await settle(world)
    assert await world.status(payment) == "SUCCEEDED"
