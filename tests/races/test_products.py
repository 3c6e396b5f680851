"""Creators who change the same thing at the same moment, and buyers who reserve it meanwhile."""

import asyncio
import hashlib
from typing import Any

import httpx

from core import ids
from core.ids import Noun
from tests.api.shop import ask, do, usd
from tests.support.world import World

RESERVE = """
    with level as (
        update stock_levels set reserved = reserved + 1 where variant_id = $1 and on_hand > reserved returning id
    )
    insert into stock_movements (level_id, kind, on_hand, reserved, at) select id, 'RESERVED', 0, 1, now() from level
"""


async def offer(world: World, **given: Any) -> str:
    creator = await world.creator("fable")
    made = await do(
        world.client("fable"),
        "productCreate",
        **{"creatorId": creator, "title": "A thing", "price": usd("5.00"), **given},
    )
    return str(made["product"]["id"])


async def _level(world: World) -> tuple[int, int]:
    row = await world.engine.database.reader.fetchrow("select on_hand, reserved from stock_levels")
    assert row is not None
    return row["on_hand"], row["reserved"]


async def test_new_stocks_and_reservations_at_once_come_one_after_the_other(idle: World) -> None:
    product = await offer(idle, stock=30)
    variant = await idle.scalar("select id from product_variants")
    creator = idle.client("fable")

    async def reserve() -> None:
        async with idle.engine.database.transaction() as transaction:
            await transaction.connection.execute(RESERVE, variant)

    answers = await asyncio.gather(
        *(ask(creator, "productUpdate", productId=product, stock=20 + number) for number in range(8)),
        *(reserve() for _ in range(12)),
    )

    assert [payload["errors"] for payload in answers[:8]] == [[]] * 8
    on_hand, reserved = await _level(idle)
    assert reserved == 12
    # Of the last new stock, those are gone that were reserved after it.
    assert 20 - 12 <= on_hand - reserved <= 27
    moved = "select sum(on_hand)::int = $1 and sum(reserved)::int = $2 from stock_movements"
    assert await idle.scalar(moved, on_hand, reserved)


async def test_stock_given_for_the_first_time_at_once_is_one_level(idle: World) -> None:
    product = await offer(idle)
    creator = idle.client("fable")

    answers = await asyncio.gather(
        *(ask(creator, "productUpdate", productId=product, stock=number) for number in range(1, 11))
    )

    assert all(payload["errors"] == [] for payload in answers)
    assert await idle.count("stock_locations") == await idle.count("stock_levels") == 1
    on_hand, _ = await _level(idle)
    assert 1 <= on_hand <= 10
    assert await idle.scalar("select sum(on_hand)::int from stock_movements") == on_hand


async def test_variants_with_the_same_choices_at_once_are_one(idle: World) -> None:
    variant = {"choices": ["S"], "prices": [usd("5.00")]}
    product = await offer(idle, price=None, options=["Size"], variants=[variant])
    creator = idle.client("fable")

    answers = await asyncio.gather(
        *(
            ask(creator, "variantCreate", productId=product, variant={**variant, "choices": ["M"], "stock": 1})
            for _ in range(10)
        )
    )

    made = [payload["variant"]["id"] for payload in answers if payload["variant"]]
    refusals = [error["code"] for payload in answers for error in payload["errors"]]
    assert len(made) == 1
    assert refusals == ["NAME_TAKEN"] * 9
    assert await idle.count("product_variants") == 2
    assert await idle.count("variant_prices") == 2
    assert await idle.count("stock_levels") == await idle.count("stock_movements") == 1


async def test_variants_archived_at_once_leave_one(idle: World) -> None:
    sizes = [{"choices": [str(size)], "prices": [usd("5.00")]} for size in range(6)]
    await offer(idle, price=None, options=["Size"], variants=sizes)
    rows = await idle.engine.database.reader.fetch("select id from product_variants")
    creator = idle.client("fable")

    answers = await asyncio.gather(
        *(ask(creator, "variantArchive", variantId=ids.encode(Noun.VARIANT, row["id"])) for row in rows)
    )

    assert sorted(len(payload["errors"]) for payload in answers) == [0, 0, 0, 0, 0, 1]
    assert await idle.scalar("select count(*) from product_variants where state = 'active'") == 1


async def test_products_of_a_collection_chosen_at_once_are_one_choice(idle: World) -> None:
    creator = await idle.creator("fable")
    client = idle.client("fable")
    products = [await idle.product("fable", creator) for _ in range(4)]
    made = await do(client, "collectionCreate", creatorId=creator, title="A", slug="a")
    collection = made["collection"]["id"]
    choices = [products[number:] + products[:number] for number in range(4)] + [products[:1], []]

    answers = await asyncio.gather(
        *(ask(client, "collectionProductsSet", collectionId=collection, productIds=chosen) for chosen in choices)
    )

    assert all(payload["errors"] == [] for payload in answers)
    query = "query ($id: ID!) { collection(id: $id) { products(first: 9) { nodes { id } } } }"
    found = (await client.run(query, id=collection))["collection"]["products"]["nodes"]
    assert [node["id"] for node in found] in choices


async def test_collections_with_one_slug_at_once_are_one(idle: World) -> None:
    creator = await idle.creator("fable")
    client = idle.client("fable")

    answers = await asyncio.gather(
        *(ask(client, "collectionCreate", creatorId=creator, title="A", slug="a") for _ in range(10))
    )

    assert sum(payload["errors"] == [] for payload in answers) == 1
    assert await idle.count("collections") == 1


async def test_one_file_sent_many_times_at_once_is_kept_once(idle: World) -> None:
    creator = await idle.creator("fable")
    data = b"x" * 300_000
    made = await do(
        idle.client("fable"),
        "mediaUpload",
        creatorId=creator,
        kind="DIGITAL",
        fileName="a",
        contentType="a/b",
        size=str(len(data)),
    )

    async with httpx.AsyncClient() as web:
        same = await asyncio.gather(*(web.put(made["uploadUrl"], content=data) for _ in range(5)))
        others = await asyncio.gather(*(web.put(made["uploadUrl"], content=b"y" * len(data)) for _ in range(3)))

    assert {answer.status_code for answer in same} <= {200, 201}
    assert {answer.status_code for answer in others} == {422}
    key = idle.key(Noun.MEDIA, made["media"]["id"])
    stored = idle.engine.files.read(str(key), 0, len(data))
    assert b"".join([piece async for piece in stored]) == data
    assert await idle.scalar("select state from media_files") == "STORED"


async def test_two_files_sent_at_once_to_one_address_are_never_mixed_up(idle: World) -> None:
    creator = await idle.creator("fable")
    files = [bytes([number]) * 200_000 for number in range(6)]
    made = await do(
        idle.client("fable"),
        "mediaUpload",
        creatorId=creator,
        kind="DIGITAL",
        fileName="a",
        contentType="a/b",
        size="200000",
    )

    async with httpx.AsyncClient() as web:
        answers = await asyncio.gather(*(web.put(made["uploadUrl"], content=data) for data in files))

    assert sorted(answer.status_code for answer in answers) == [201, 422, 422, 422, 422, 422]
    key = idle.key(Noun.MEDIA, made["media"]["id"])
    stored = b"".join([piece async for piece in idle.engine.files.read(str(key), 0, 200_000)])
    assert stored in files
    assert await idle.scalar("select digest from media_files") == hashlib.sha256(stored).digest()
