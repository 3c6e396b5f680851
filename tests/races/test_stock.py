"""Many orders for the same few things, and a creator who changes how many there are, at the same moment."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from core.clock import now
from core.errors import ErrorCode, Refused
from core.ids import uuid7
from core.scopes import Scope
from core.viewer import Viewer
from models.database import Database
from services import stock, stock_reservations
from services.stock_changes import AdjustStock, MoveStock, SetStock, adjust, move, set_stock
from tests.support.stock import StockScene, engine_on, open_stock


@pytest.fixture
async def shop(dsn: str) -> AsyncIterator[StockScene]:
    """A scene whose stock is sound at the end, whatever happened."""
    async with open_stock(dsn) as scene:
        yield scene
        assert await scene.differences() == []


async def all_of(*acts: Any) -> list[Any]:
    """Do everything at once; return what came of each, refusals as values. Anything else fails."""
    outcomes = await asyncio.gather(*acts, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, Refused):
            raise outcome
    return outcomes


async def test_the_last_one_is_held_for_one_of_fifty(shop: StockScene) -> None:
    here = await shop.location()
    variant = await shop.variant({here: 1})
    lines = await shop.lines(variant, 50)

    outcomes = await all_of(*(shop.reserve(variant, line) for line in lines))

    refused = [outcome for outcome in outcomes if outcome is not None]
    assert len(refused) == 49
    assert {(each.code, each.data["available"], each.data["variant"]) for each in refused} == {
        (ErrorCode.OUT_OF_STOCK, 0, str(variant))
    }
    assert await shop.level(variant, here) == (1, 1)
    assert await shop.owner.fetchval("select count(*) from stock_reservations") == 1


async def test_what_two_places_have_is_sold_to_the_last_and_no_more_across_two_engines(
    shop: StockScene, dsn: str
) -> None:
    here, there = await shop.location("Here", 0), await shop.location("There", 1)
    variant = await shop.variant({here: 7, there: 5})
    lines = await shop.lines(variant, 30)
    other = await Database.connect(dsn)
    try:
        engines = (shop.engine, engine_on(other))
        outcomes = await all_of(
            *(shop.reserve(variant, line, engine=engines[place % 2]) for place, line in enumerate(lines))
        )
    finally:
        await other.close()

    assert sum(outcome is None for outcome in outcomes) == 12
    assert await shop.level(variant, here) == (7, 7)
    assert await shop.level(variant, there) == (5, 5)


async def test_orders_of_two_variants_each_in_any_order_wait_for_each_other_and_never_for_ever(
    shop: StockScene,
) -> None:
    here, there = await shop.location("Here", 0), await shop.location("There", 1)
    one, two = await shop.variant({here: 10, there: 10}), await shop.variant({there: 10, here: 10})
    lines = [(await shop.line(one, 2), await shop.line(two, 2)) for _ in range(15)]

    async def order(place: int) -> None:
        first, second = lines[place]
        wanted = [stock_reservations.Wanted(first, one, 2), stock_reservations.Wanted(second, two, 2)]
        if place % 2:
            wanted.reverse()
        await shop.within(lambda on: stock_reservations.reserve(wanted, expires_at=None, on=on, at=now()))

    outcomes = await all_of(*(order(place) for place in range(15)))

    # Twenty of each, two for each order.
    assert sum(outcome is None for outcome in outcomes) == 10
    for variant in (one, two):
        assert await shop.level(variant, here) == await shop.level(variant, there) == (10, 10)


async def test_fewer_stock_and_orders_at_once_come_one_after_the_other(shop: StockScene) -> None:
    here = await shop.location()
    variant = await shop.variant({here: 10})
    lines = await shop.lines(variant, 20)

    viewer = Viewer(shop.user, scopes=frozenset(Scope))
    fewer = SetStock(variant, here, 4, None, str(uuid7()))
    *reserved, counted = await all_of(
        *(shop.reserve(variant, line) for line in lines), set_stock(shop.engine, viewer, fewer)
    )

    held = sum(outcome is None for outcome in reserved)
    on_hand, kept = await shop.level(variant, here)
    assert kept == held <= on_hand
    if not isinstance(counted, Refused):
        assert (on_hand, held) == (4, 4)
    else:
        assert counted.code is ErrorCode.OUT_OF_STOCK
        assert counted.data["available"] < 10 - 4
        assert (on_hand, held) == (10, 10)


async def test_paid_while_it_expires_is_sold_once_or_lost_and_said_to_be(shop: StockScene, dsn: str) -> None:
    here = await shop.location()
    variant = await shop.variant({here: 20})
    lines = await shop.lines(variant, 20)
    for line in lines:
        await shop.reserve(variant, line, seconds=-1)
    other = await Database.connect(dsn)
    try:
        *lost, _, _ = await all_of(
            *(shop.take(line) for line in lines),
            stock_reservations.expire(shop.engine),
            stock_reservations.expire(engine_on(other)),
        )
    finally:
        await other.close()

    # Nobody else wants them, so whatever expired is there to be taken anew.
    assert lost == [{}] * 20
    assert await shop.level(variant, here) == (0, 0)
    taken = "select count(*) from stock_reservations where state = 'TAKEN'"
    assert await shop.owner.fetchval(taken) == 20


async def test_the_one_that_expires_goes_to_the_late_payer_or_to_the_next_buyer(shop: StockScene) -> None:
    here = await shop.location()
    variant = await shop.variant({here: 1})
    late, *others = await shop.lines(variant, 11)
    await shop.reserve(variant, late, seconds=-1)

    _, *outcomes, lost = await all_of(
        stock_reservations.expire(shop.engine),
        *(shop.reserve(variant, line) for line in others),
        shop.take(late),
    )

    sold = sum(outcome is None for outcome in outcomes)
    assert sold + (lost == {}) == 1
    if lost:
        assert lost == {late: 1}
        order = await shop.owner.fetchval("select order_id from order_lines where id = $1", late)
        await shop.owner.execute(
            "insert into order_events (order_id, sequence, kind, status, at) values ($1, 2, 'STOCK_LOST', 'PAID', $2)",
            order,
            now(),
        )
        assert await shop.level(variant, here) == (1, 1)
    else:
        assert await shop.level(variant, here) == (0, 0)


async def test_released_ten_times_it_comes_back_once(shop: StockScene) -> None:
    here = await shop.location()
    variant = await shop.variant({here: 3})
    line, other = await shop.lines(variant, 2)
    await shop.reserve(variant, line)
    await shop.reserve(variant, other)

    await all_of(*(shop.release(line) for _ in range(10)))

    assert await shop.level(variant, here) == (3, 1)
    assert [kind for kind, _, _ in await shop.movements(variant)].count("RELEASED") == 1


async def test_taken_and_released_at_once_is_one_of_them(shop: StockScene) -> None:
    here = await shop.location()
    variant = await shop.variant({here: 10})
    lines = await shop.lines(variant, 10)
    for line in lines:
        await shop.reserve(variant, line)

    outcomes = await all_of(
        *(act for line in lines for act in (shop.take(line), shop.release(line))),
    )

    assert outcomes[::2] == [{}] * 10
    assert await shop.level(variant, here) == (0, 0)


async def test_held_again_while_it_expires_is_held(shop: StockScene) -> None:
    here = await shop.location()
    variant = await shop.variant({here: 10})
    lines = await shop.lines(variant, 10)
    for line in lines:
        await shop.reserve(variant, line, seconds=-1)

    await all_of(
        *(shop.hold_again(line, expires_at=now() + timedelta(minutes=5)) for line in lines),
        stock_reservations.expire(shop.engine),
        stock_reservations.expire(shop.engine),
    )

    assert await shop.level(variant, here) == (10, 10)
    for line in lines:
        assert (await shop.states(line))[-1] == ("HELD", 1)


async def test_moved_both_ways_at_once_while_orders_take_of_it_nothing_appears_and_nothing_waits_for_ever(
    shop: StockScene,
) -> None:
    here, there = await shop.location("Here", 0), await shop.location("There", 1)
    variant = await shop.variant({here: 20, there: 20})
    lines = await shop.lines(variant, 10, quantity=3)
    viewer = Viewer(shop.user, scopes=frozenset(Scope))
    ways = ((here, there), (there, here))

    outcomes = await all_of(
        *(
            move(shop.engine, viewer, MoveStock(variant, *ways[number % 2], 1 + number % 4, None, str(uuid7())))
            for number in range(20)
        ),
        *(shop.reserve(variant, line, 3) for line in lines),
    )

    held = sum(outcome is None for outcome in outcomes[20:])
    assert held == 10
    (one, kept), (two, more) = await shop.level(variant, here), await shop.level(variant, there)
    assert one + two == 40
    assert kept + more == 30


async def test_adjusted_by_many_at_once_each_counts_and_each_key_counts_once(shop: StockScene) -> None:
    here = await shop.location()
    variant = await shop.variant()
    viewer = Viewer(shop.user, scopes=frozenset(Scope))

    await all_of(
        *(
            adjust(shop.engine, viewer, AdjustStock(variant, here, 1, None, f"key-{number % 10}"))
            for number in range(30)
        )
    )

    assert await shop.level(variant, here) == (10, 0)
    assert await shop.movements(variant) == [("ADJUSTED", 1, 0)] * 10


async def test_it_is_told_to_be_low_once_for_each_time_it_becomes_so(
    shop: StockScene, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = await shop.location()
    variant = await shop.variant({here: 10})
    viewer = Viewer(shop.user, scopes=frozenset(Scope))
    await set_stock(shop.engine, viewer, SetStock(variant, here, None, 4, str(uuid7())))
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(stock, "log", SimpleNamespace(info=lambda _, **what: told.append(what)))
    other = await Database.connect(dsn)

    async def sweeps() -> None:
        engines = (shop.engine, engine_on(other))
        await all_of(*(stock.tell_low(engines[number % 2]) for number in range(6)))

    try:
        lines = await shop.lines(variant, 8)
        await sweeps()
        assert told == []
        await all_of(*(shop.reserve(variant, line) for line in lines))
        await sweeps()
        assert [(each["variant"], each["available"], each["low_at"]) for each in told] == [(str(variant), 2, 4)]
        await shop.take(lines[0])
        await sweeps()
        assert len(told) == 1
        await shop.release(*lines[1:])
        assert await shop.owner.fetchval("select low_since from stock_levels") is None
        await sweeps()
        assert len(told) == 1
        await set_stock(shop.engine, viewer, SetStock(variant, here, 3, None, str(uuid7())))
        await sweeps()
        assert [each["available"] for each in told] == [2, 3]
    finally:
        await other.close()
