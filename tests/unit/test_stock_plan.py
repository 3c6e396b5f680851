"""Where stock is taken from."""

from itertools import starmap
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.stock_plan import Level, Share, Shelves

VARIANT = UUID(int=1)
OTHER = UUID(int=2)


def level(number: int, available: int, position: int | None = None, variant: UUID = VARIANT) -> Level:
    """Return a level whose place is as its number says, unless it has another position."""
    key = UUID(int=100 + number)
    return Level(key, variant, (number if position is None else position, key), available)


def key(number: int) -> UUID:
    return UUID(int=100 + number)


def test_the_first_location_that_has_all_of_it_gives_all_of_it() -> None:
    shelves = Shelves([level(1, 2), level(2, 5), level(3, 9)])
    assert shelves.take(VARIANT, 5) == [Share(key(2), 5)]
    assert shelves.take(VARIANT, 2) == [Share(key(1), 2)]
    assert shelves.take(VARIANT, 9) == [Share(key(3), 9)]
    assert shelves.available(VARIANT) == 0


def test_where_none_has_all_of_it_they_give_what_they_have_in_their_order() -> None:
    shelves = Shelves([level(1, 2), level(2, 0), level(3, 4), level(4, 4)])
    assert shelves.take(VARIANT, 7) == [Share(key(1), 2), Share(key(3), 4), Share(key(4), 1)]


def test_locations_of_one_position_come_in_the_order_they_were_made() -> None:
    shelves = Shelves([level(2, 1, position=0), level(1, 1, position=0), level(0, 1, position=1)])
    assert [shelves.take(VARIANT, 1) for _ in range(3)] == [[Share(key(number), 1)] for number in (1, 2, 0)]


def test_too_few_give_nothing_and_other_variants_give_nothing_of_theirs() -> None:
    shelves = Shelves([level(1, 2), level(2, 1), level(3, 50, variant=OTHER)])
    assert shelves.take(VARIANT, 4) is None
    assert shelves.available(VARIANT) == 3
    assert shelves.take(VARIANT, 3) == [Share(key(1), 2), Share(key(2), 1)]
    assert shelves.take(UUID(int=3), 1) is None


def test_what_an_archived_location_has_is_not_sold_and_a_level_counts_once_however_often_it_comes() -> None:
    place = {"variant_id": VARIANT, "position": 0, "location_id": UUID(int=9)}
    here = {"id": key(1), "on_hand": 5, "reserved": 2, "location_active": True, **place}
    closed = {"id": key(2), "on_hand": 7, "reserved": 0, "location_active": False, **place}
    shelves = Shelves.of([here, closed, here])
    assert shelves.available(VARIANT) == 3
    assert shelves.take(VARIANT, 3) == [Share(key(1), 3)]


@given(st.lists(st.integers(0, 20), max_size=6), st.lists(st.integers(1, 15), max_size=12))
def test_nothing_is_taken_that_is_not_there_and_all_or_nothing_is_given(
    there: list[int], asked: list[int]
) -> None:
    shelves = Shelves(list(starmap(level, enumerate(there))))
    left = dict(enumerate(there))
    for quantity in asked:
        shares = shelves.take(VARIANT, quantity)
        if shares is None:
            assert sum(left.values()) < quantity
            continue
        assert sum(share.quantity for share in shares) == quantity
        assert len({share.level_id for share in shares}) == len(shares)
        for share in shares:
            assert share.quantity > 0
            left[share.level_id.int - 100] -= share.quantity
        assert all(available >= 0 for available in left.values())
        assert shelves.available(VARIANT) == sum(left.values())
