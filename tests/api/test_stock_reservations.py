"""What orders keep, sell and give back of stock."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest

from core.catalogue import StockMovementKind
from core.clock import now
from core.errors import ErrorCode, Refused
from services import stock_reservations
from services.stock_reservations import Wanted
from services.stock_writes import Change, Movement, Turned, write
from tests.support.statements import is_own
from tests.support.stock import StockScene, open_stock


@pytest.fixture
async def shelf(dsn: str) -> AsyncIterator[StockScene]:
    """A scene whose stock is sound at the end."""
    async with open_stock(dsn) as scene:
        yield scene
        assert await scene.differences() == []


async def lost(shelf: StockScene, line: UUID) -> None:
    """Tell, as settlement does, that what a line was paid for is not there."""
    await shelf.owner.execute(
        "insert into order_events (order_id, sequence, kind, status, at) "
        "select order_id, 2, 'STOCK_LOST', 'PAID', $2 from order_lines where id = $1",
        line,
        now(),
    )


async def test_held_then_sold(shelf: StockScene) -> None:
    here = await shelf.location()
    variant = await shelf.variant({here: 5})
    line = await shelf.line(variant, 2)

    await shelf.reserve(variant, line, 2)
    assert await shelf.level(variant, here) == (5, 2)
    assert await shelf.take(line) == {}

    assert await shelf.level(variant, here) == (3, 0)
    assert await shelf.states(line) == [("TAKEN", 2)]
    assert await shelf.movements(variant) == [("RECEIVED", 5, 0), ("RESERVED", 0, 2), ("SOLD", -2, -2)]
    # Told twice, it is sold once; and what is sold is not released.
    assert await shelf.take(line) == {}
    await shelf.release(line)
    assert await shelf.level(variant, here) == (3, 0)
    assert len(await shelf.movements(variant)) == 3


async def test_too_few_hold_nothing_of_any_line(shelf: StockScene) -> None:
    here = await shelf.location()
    plenty, few = await shelf.variant({here: 9}), await shelf.variant({here: 1})
    first, second = await shelf.line(plenty, 2), await shelf.line(few, 2)
    wanted = [Wanted(second, few, 2), Wanted(first, plenty, 2)]

    with pytest.raises(Refused) as refused:
        await shelf.within(lambda on: stock_reservations.reserve(wanted, expires_at=None, on=on, at=now()))

    assert (refused.value.code, refused.value.path) == (ErrorCode.OUT_OF_STOCK, ())
    assert refused.value.data == {"available": 1, "variant": str(few)}
    assert await shelf.level(plenty, here) == (9, 0)
    assert await shelf.owner.fetchval("select count(*) from stock_reservations") == 0


async def test_of_several_that_have_too_few_the_first_by_its_id_is_named(shelf: StockScene) -> None:
    here = await shelf.location()
    variants = sorted([await shelf.variant({here: 1}), await shelf.variant()])
    wanted = [Wanted(await shelf.line(variant, 2), variant, 2) for variant in reversed(variants)]
    with pytest.raises(Refused) as refused:
        await shelf.within(lambda on: stock_reservations.reserve(wanted, expires_at=None, on=on, at=now()))
    assert refused.value.data["variant"] == str(variants[0])


async def test_a_line_that_several_locations_hold_is_sold_and_comes_back_from_where_it_was_taken(
    shelf: StockScene,
) -> None:
    here, there = await shelf.location("Here", 0), await shelf.location("There", 1)
    variant = await shelf.variant({here: 2, there: 3})
    line = await shelf.line(variant, 4)

    await shelf.reserve(variant, line, 4)
    assert await shelf.states(line) == [("HELD", 2), ("HELD", 2)]
    assert await shelf.take(line) == {}
    assert [await shelf.level(variant, place) for place in (here, there)] == [(0, 0), (1, 0)]

    for quantity, levels in ((1, [(1, 0), (1, 0)]), (2, [(2, 0), (2, 0)]), (9, [(2, 0), (3, 0)])):
        given = {line: quantity}
        await shelf.of_orders([line], lambda on, q=given: stock_reservations.give_back(q, on=on, at=now()))  # type: ignore[misc] # a lambda's default has no annotation
        assert [await shelf.level(variant, place) for place in (here, there)] == levels


async def test_what_nobody_paid_in_time_is_released_and_sold_to_the_late_payer_while_there_is_enough(
    shelf: StockScene,
) -> None:
    here = await shelf.location()
    variant = await shelf.variant({here: 3})
    late, later, early = await shelf.line(variant, 2), await shelf.line(variant, 1), await shelf.line(variant, 1)
    await shelf.reserve(variant, late, 2, seconds=-1)
    await shelf.reserve(variant, later, 1, seconds=60)

    assert await stock_reservations.expire(shelf.engine)
    assert not await stock_reservations.expire(shelf.engine)
    assert await shelf.level(variant, here) == (3, 1)
    assert await shelf.states(late) == [("RELEASED", 2)]
    assert (await shelf.movements(variant))[-1] == ("EXPIRED", 0, -2)
    assert await shelf.take(late) == {}
    assert await shelf.states(late) == [("RELEASED", 2), ("TAKEN", 2)]
    assert await shelf.level(variant, here) == (1, 1)

    # Of the last one, somebody was quicker.
    await shelf.release(later)
    await shelf.reserve(variant, early)
    assert await shelf.take(later) == {later: 1}
    await lost(shelf, later)
    assert await shelf.take(later) == {later: 1}
    assert await shelf.level(variant, here) == (1, 1)


async def test_of_a_late_line_all_is_lost_where_not_all_is_there(shelf: StockScene) -> None:
    here = await shelf.location()
    variant = await shelf.variant({here: 3})
    late, other = await shelf.line(variant, 3), await shelf.line(variant, 1)
    await shelf.reserve(variant, late, 3)
    await shelf.release(late)
    await shelf.reserve(variant, other)

    assert await shelf.take(late, other) == {late: 3}
    await lost(shelf, late)

    assert await shelf.level(variant, here) == (2, 0)
    assert await shelf.states(late) == [("RELEASED", 3)]


async def test_what_is_not_counted_is_neither_taken_nor_lost(shelf: StockScene) -> None:
    here = await shelf.location()
    endless, uncounted = await shelf.variant(tracked=False), await shelf.variant({here: 1})
    one, two = await shelf.line(endless, 5), await shelf.line(uncounted)
    await shelf.reserve(uncounted, two)
    await shelf.release(two)
    await shelf.owner.execute("update product_variants set stock_tracked = false where id = $1", uncounted)

    assert await shelf.take(one, two) == {}
    await shelf.release(one)
    await shelf.of_orders([one], lambda on: stock_reservations.give_back({one: 5}, on=on, at=now()))

    assert await shelf.states(one) == []
    assert await shelf.level(uncounted, here) == (1, 0)


async def test_held_again_for_longer_or_anew_or_refused(shelf: StockScene) -> None:
    here = await shelf.location()
    variant = await shelf.variant({here: 3})
    held, released, other = await shelf.lines(variant, 3)
    for line in (held, released, other):
        await shelf.reserve(variant, line, seconds=-1)
    await shelf.release(released)
    until = now() + timedelta(minutes=10)

    await shelf.hold_again(held, released, expires_at=until)

    assert await shelf.states(released) == [("RELEASED", 1), ("HELD", 1)]
    ends = await shelf.owner.fetch(
        "select expires_at from stock_reservations where state = 'HELD' and line_id <> $1", other
    )
    assert [row["expires_at"] for row in ends] == [until, until]
    await stock_reservations.expire(shelf.engine)
    assert await shelf.level(variant, here) == (3, 2)

    await shelf.release(held)
    third = await shelf.line(variant, 2)
    await shelf.reserve(variant, third, 2)
    with pytest.raises(Refused) as refused:
        await shelf.hold_again(held, expires_at=until)
    assert refused.value.code is ErrorCode.RESERVATION_EXPIRED
    assert refused.value.data == {"available": 0, "variant": str(variant)}
    assert await shelf.states(held) == [("RELEASED", 1)]
    assert await shelf.level(variant, here) == (3, 3)


@pytest.mark.parametrize(
    "paying",
    [
        "status = 'AUTHORIZED', authorized = gross",
        # It is being captured, or it is not known whether it was.
        "status = 'PROCESSING', authorized = gross, capturing = gross",
        "status = 'PROCESSING', authorized = gross, reconciling = true",
        "status = 'SUCCEEDED', succeeded_at = now(), captured = gross",
    ],
)
async def test_what_is_as_good_as_paid_is_held_without_end(shelf: StockScene, paying: str) -> None:
    here = await shelf.location()
    variant = await shelf.variant({here: 2})
    paid, unpaid = await shelf.lines(variant, 2)
    for line in (paid, unpaid):
        await shelf.reserve(variant, line, seconds=-1)
    await shelf.owner.execute(
        f"update payments set {paying} where id = "
        "(select o.payment_id from orders o join order_lines n on n.order_id = o.id where n.id = $1)",
        paid,
    )

    await stock_reservations.expire(shelf.engine)

    assert await shelf.states(paid) == [("HELD", 1)]
    assert await shelf.states(unpaid) == [("RELEASED", 1)]
    assert not await stock_reservations.expire(shelf.engine)
    assert await shelf.owner.fetchval("select expires_at from stock_reservations where line_id = $1", paid) is None
    assert await shelf.take(paid) == {}


async def test_an_order_that_somebody_works_on_expires_the_next_time(shelf: StockScene) -> None:
    here = await shelf.location()
    variant = await shelf.variant({here: 1})
    line = await shelf.line(variant)
    await shelf.reserve(variant, line, seconds=-1)

    async with shelf.owner.transaction():
        await shelf.owner.execute("select 1 from orders for no key update")
        assert not await stock_reservations.expire(shelf.engine)
        assert await shelf.states(line) == [("HELD", 1)]
    await stock_reservations.expire(shelf.engine)
    assert await shelf.states(line) == [("RELEASED", 1)]


async def test_what_has_no_end_never_expires(shelf: StockScene) -> None:
    here = await shelf.location()
    variant = await shelf.variant({here: 1})
    line = await shelf.line(variant)
    await shelf.reserve(variant, line, seconds=None)
    assert not await stock_reservations.expire(shelf.engine)
    assert await shelf.level(variant, here) == (1, 1)


async def test_an_archived_location_sells_nothing_more_and_keeps_what_it_holds(shelf: StockScene) -> None:
    here, there = await shelf.location("Here", 0), await shelf.location("There", 1)
    variant = await shelf.variant({here: 5, there: 1})
    held, other = await shelf.line(variant), await shelf.line(variant, 2)
    await shelf.reserve(variant, held)
    await shelf.owner.execute("update stock_locations set state = 'archived' where id = $1", here)

    with pytest.raises(Refused) as refused:
        await shelf.reserve(variant, other, 2)

    assert refused.value.data["available"] == 1
    assert await shelf.take(held) == {}
    assert await shelf.level(variant, here) == (4, 0)


async def test_reserving_taking_and_releasing_are_two_statements_each_for_any_number_of_lines(
    shelf: StockScene,
) -> None:
    here = await shelf.location()
    variants = [await shelf.variant({here: 2}) for _ in range(5)]
    lines = {await shelf.line(variant): variant for variant in variants}
    more = {await shelf.line(variant): variant for variant in variants}
    sent: list[str] = []

    def hear(record: object) -> None:
        query = str(getattr(record, "query", ""))
        sent.extend([query] if is_own(query) else [])

    async def number() -> int:
        # They are heard of one turn later.
        await asyncio.sleep(0)
        return len(sent)

    async with shelf.engine.database.transaction() as transaction:
        connection = transaction.connection
        connection.add_query_logger(hear)
        for wanted in (lines, more):
            asked = [Wanted(line, variant, 1) for line, variant in wanted.items()]
            await stock_reservations.reserve(asked, expires_at=None, on=connection, at=now())
        reserving = await number()
        await stock_reservations.release(list(more), on=connection, at=now())
        releasing = await number()
        await stock_reservations.hold_again(list(more), expires_at=None, on=connection, at=now())
        await stock_reservations.release(list(more), on=connection, at=now())
        holding = await number()
        assert await stock_reservations.take([*lines, *more], on=connection, at=now()) == {}
        taking = await number()
        connection.remove_query_logger(hear)
        await connection.execute(
            "update orders set status = 'PAID', paid_at = $1, number = hashtext(id::text)", now()
        )
    assert (reserving, releasing - reserving, holding - releasing, taking - holding) == (4, 2, 4, 2)


async def test_levels_that_are_not_as_planned_are_not_written(shelf: StockScene) -> None:
    here = await shelf.location()
    variant = await shelf.variant({here: 1})
    level = await shelf.owner.fetchval("select id from stock_levels")
    too_many = Change([Movement(level, StockMovementKind.RESERVED, reserved=2)])
    with pytest.raises(RuntimeError, match="1 stock levels were to change and 0 did"):
        await shelf.within(lambda on: write(too_many, on=on, at=now()))

    line = await shelf.line(variant)
    await shelf.reserve(variant, line)
    reservation = await shelf.owner.fetchval("select id from stock_reservations")
    stale = Change(turned=[Turned(reservation, "TAKEN", "RELEASED")])
    with pytest.raises(RuntimeError, match="1 stock reservations were to change and 0 did"):
        await shelf.within(lambda on: write(stale, on=on, at=now()))

    assert await shelf.level(variant, here) == (1, 1)
    assert await shelf.movements(variant) == [("RECEIVED", 1, 0), ("RESERVED", 0, 1)]
