"""What the reconciliation finds wrong with stock, and that it finds nothing wrong where nothing is."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

import pytest

from core.clock import now
from core.ids import Noun, encode
from services import stock_reservations
from services.reconciliation import DifferenceCode
from tests.support.stock import StockScene, open_stock

SOLD_ONE = """
    insert into stock_movements (level_id, kind, on_hand, reserved, at)
    select id, 'SOLD', -1, -1, now() from stock_levels
"""


@dataclass
class Kept:
    """A variant of which two are here, one of them held for a line."""

    scene: StockScene
    here: UUID
    variant: UUID
    line: UUID


@pytest.fixture
async def kept(dsn: str) -> AsyncIterator[Kept]:
    async with open_stock(dsn) as scene:
        here = await scene.location()
        variant = await scene.variant({here: 2})
        line = await scene.line(variant)
        await scene.reserve(variant, line)
        assert await scene.differences() == []
        yield Kept(scene, here, variant, line)


async def found(kept: Kept) -> list[tuple[DifferenceCode, str]]:
    """Return what differs, each as its code and what it is about; each says what to do in whole sentences."""
    differences = await kept.scene.differences()
    for each in differences:
        assert each.sentence.endswith(".")
        assert "None" not in each.sentence
        assert not each.safe
    return [(each.code, each.about.id) for each in differences]


async def order(kept: Kept) -> str:
    key: UUID = await kept.scene.owner.fetchval("select order_id from order_lines where id = $1", kept.line)
    return encode(Noun.ORDER, key)


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("update stock_levels set reserved = 2", "2 are reserved, and 1 are held for orders."),
        ("update stock_levels set reserved = 0", "0 are reserved, and 1 are held for orders."),
        (
            "update stock_levels set on_hand = 3",
            "there are 3, 1 of them reserved, and its movements make 2 and 1.",
        ),
        (
            SOLD_ONE,
            "there are 2, 1 of them reserved, and its movements make 1 and 0.",
        ),
    ],
)
async def test_level_that_is_not_what_it_comes_from_is_found(kept: Kept, statement: str, says: str) -> None:
    await kept.scene.owner.execute(statement)

    assert await found(kept) == [(DifferenceCode.STOCK_LEVEL_DIFFERS, encode(Noun.VARIANT, kept.variant))]
    (difference,) = await kept.scene.differences()
    assert difference.sentence == f"At {encode(Noun.STOCK_LOCATION, kept.here)} {says}"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("status = 'CANCELED', canceled_at = now()", "It is CANCELED, and stock is still held for it."),
        ("status = 'PAID', paid_at = now(), number = 1", "It is PAID, and stock is still held for it."),
    ],
)
async def test_stock_held_for_an_order_that_is_decided_is_found(kept: Kept, change: str, sentence: str) -> None:
    await kept.scene.owner.execute(f"update orders set {change}")

    assert await found(kept) == [(DifferenceCode.STOCK_NOT_RELEASED, await order(kept))]
    assert (await kept.scene.differences())[0].sentence == sentence


@pytest.mark.parametrize("status", ["PENDING", "CANCELED"])
async def test_stock_sold_to_an_order_that_nobody_paid_is_found(kept: Kept, status: str) -> None:
    await kept.scene.of_orders([kept.line], lambda on: stock_reservations.take([kept.line], on=on, at=now()))
    await kept.scene.owner.execute("update orders set status = $1", status)

    assert await found(kept) == [(DifferenceCode.STOCK_SOLD_WRONGLY, await order(kept))]


async def test_stock_released_from_a_paid_order_is_found_unless_the_order_says_so(kept: Kept) -> None:
    await kept.scene.release(kept.line)
    assert await found(kept) == []
    await kept.scene.owner.execute("update orders set status = 'PAID', paid_at = now(), number = 1")
    assert await found(kept) == [(DifferenceCode.STOCK_RELEASED_WRONGLY, await order(kept))]

    await kept.scene.owner.execute(
        "insert into order_events (order_id, sequence, kind, status, at) "
        "select id, 2, 'STOCK_LOST', 'PAID', now() from orders"
    )
    assert await found(kept) == []


async def test_what_orders_do_leaves_nothing_to_find(kept: Kept) -> None:
    scene = kept.scene
    other = await scene.line(kept.variant)
    await scene.reserve(kept.variant, other, seconds=-1)
    assert await found(kept) == []
    await stock_reservations.expire(scene.engine)
    assert await found(kept) == []
    await scene.take(kept.line, other)
    assert await found(kept) == []
    await scene.of_orders([other], lambda on: stock_reservations.give_back({other: 1}, on=on, at=now()))
    assert await found(kept) == []
    assert await scene.level(kept.variant, kept.here) == (1, 0)
