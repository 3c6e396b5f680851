"""Buyers of the same thing, and a creator who changes it, at the same moment."""

import asyncio
from typing import Any, Final

from app.client import Client
from core.ids import uuid7
from tests.support.world import BUY, World

_UPDATE: Final = """
mutation ($product: ID!, $key: String!, $title: String, $stock: Int) {
  productUpdate(input: {idempotencyKey: $key, productId: $product, title: $title, stock: $stock}) {
    product { id title stock } errors { code message }
  }
}
"""


async def buy(client: Client, product: str, key: str | None = None) -> dict[str, Any]:
    payload: dict[str, Any] = (await client.run(BUY, product=product, key=key or str(uuid7())))["purchaseCreate"]
    return payload


async def update(client: Client, product: str, key: str | None = None, **changes: Any) -> dict[str, Any]:
    data = await client.run(_UPDATE, product=product, key=key or str(uuid7()), **changes)
    payload: dict[str, Any] = data["productUpdate"]
    return payload


async def test_the_last_one_is_sold_to_one_of_twenty_buyers(idle: World) -> None:
    product = await idle.product("fable", await idle.creator("fable"), stock=1)
    buyers = [idle.client(f"buyer-{number}") for number in range(20)]

    bought = await asyncio.gather(*(buy(buyer, product) for buyer in buyers))

    assert sum(payload["errors"] == [] for payload in bought) == 1
    refusals = [error for payload in bought for error in payload["errors"]]
    assert len(refusals) == 19
    assert {(error["code"], error["available"]) for error in refusals} == {("OUT_OF_STOCK", 0)}
    assert await idle.scalar("select sum(on_hand - reserved)::int from stock_levels") == 0
    assert await idle.count("orders") == await idle.count("payments") == await idle.count("sandbox.payment") == 1


async def test_twenty_repeats_of_one_purchase_reserve_one(idle: World) -> None:
    product = await idle.product("fable", await idle.creator("fable"), stock=10)
    buyer = idle.client("buyer")

    bought = await asyncio.gather(*(buy(buyer, product, "the-same") for _ in range(20)))

    assert all(payload["errors"] == [] for payload in bought)
    assert len({payload["purchase"]["id"] for payload in bought}) == 1
    assert await idle.scalar("select sum(on_hand - reserved)::int from stock_levels") == 9
    assert await idle.count("orders") == await idle.count("sandbox.payment") == 1


async def test_twenty_updates_with_one_key_are_one_update(idle: World) -> None:
    product = await idle.product("fable", await idle.creator("fable"), stock=10)
    creator = idle.client("fable")
    before = await idle.count("requests")

    updated = await asyncio.gather(*(update(creator, product, "the-same", stock=7) for _ in range(20)))

    assert all(payload["errors"] == [] for payload in updated)
    assert {payload["product"]["stock"] for payload in updated} == {7}
    assert await idle.count("requests") == before + 1


async def test_a_new_title_never_gives_back_what_is_sold_meanwhile(idle: World) -> None:
    product = await idle.product("fable", await idle.creator("fable"), stock=30)
    creator = idle.client("fable")
    buyers = [idle.client(f"buyer-{number}") for number in range(15)]

    answers = await asyncio.gather(
        *(buy(buyer, product) for buyer in buyers),
        *(update(creator, product, title=f"Title {number}") for number in range(15)),
    )

    assert all(payload["errors"] == [] for payload in answers)
    assert await idle.scalar("select sum(on_hand - reserved)::int from stock_levels") == 15
    assert await idle.count("orders") == 15


async def test_a_new_stock_and_purchases_at_once_come_one_after_the_other(idle: World) -> None:
    product = await idle.product("fable", await idle.creator("fable"), stock=5)
    creator = idle.client("fable")
    buyers = [idle.client(f"buyer-{number}") for number in range(12)]

    *bought, updated = await asyncio.gather(
        *(buy(buyer, product) for buyer in buyers), update(creator, product, stock=3)
    )

    assert updated["errors"] == []
    sold = sum(payload["errors"] == [] for payload in bought)
    left = await idle.scalar("select sum(on_hand - reserved)::int from stock_levels")
    assert 0 <= left <= 3
    # Sold before the new stock, of five; and after it, of three.
    assert 0 <= sold - (3 - left) <= 5
    assert await idle.count("orders") == sold
