"""Kill -9 between a cart and its paid order, and start again: one order, one charge, nothing kept for nobody."""

import asyncio
from typing import Any, Final

import pytest

from core.ids import Noun, encode, uuid7
from tests.faults import places
from tests.faults.shop import Customer, audit, everything_told, open_shop, settled
from tests.faults.test_kill import dies
from tests.support.processes import Deployment

_CREATE: Final = """
mutation ($input: CartCreateInput!) {
  cartCreate(input: $input) { cart { id total { amount currency } } errors { code message } }
}
"""
_COMPLETE: Final = """
mutation ($input: CheckoutCompleteInput!) {
  checkoutComplete(input: $input) { payment { id } errors { code message } }
}
"""


async def checks_out(customer: Customer, variant: str) -> str:
    """Fill a cart, check it out, whatever happens, and pay; return the payment's id."""
    given = {"currency": "USD", "lines": [{"variantId": variant, "quantity": 2}]}
    made = await customer.insist("cartCreate", _CREATE, input={"idempotencyKey": str(uuid7()), **given})
    cart: dict[str, Any] = made["cart"]
    given = {"cartId": cart["id"], "expectedTotal": cart["total"]}
    done = await customer.insist("checkoutComplete", _COMPLETE, input={"idempotencyKey": str(uuid7()), **given})
    assert done["errors"] == []
    payment = str(done["payment"]["id"])
    await customer.pay(payment)
    return payment


@pytest.mark.parametrize("place", places.CHECKOUT)
async def test_web_killed_on_the_way_from_a_cart_to_a_paid_order_sells_once(
    deployed: Deployment, place: str
) -> None:
    web = await deployed.web(fault=place)
    deployed.worker()
    await open_shop(deployed, stock=5)
    await deployed.pool.execute("update products set per_buyer_limit = 3")
    variant = encode(Noun.VARIANT, await deployed.scalar("select id from product_variants"))

    paying = asyncio.create_task(checks_out(Customer(deployed), variant))
    await dies(web)
    await web.restart()
    await deployed.hours_pass()
    payment = await paying

    await settled(deployed, payment)
    await deployed.hours_pass()
    await everything_told(deployed)
    await audit(deployed, [payment], stock=5)
    assert await deployed.count("orders") == 1
    assert await deployed.scalar("select sum(on_hand)::int from stock_levels") == 3
    assert await deployed.scalar("select sum(used)::int from usage_counters") == 2
