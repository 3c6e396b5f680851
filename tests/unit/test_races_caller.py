"""Starting everybody in the same moment, and waiting."""

import asyncio

import pytest

from races.caller import MOST_AT_ONCE, Meter, RaceError, expect, together, until
from races.overlap import Interval


async def test_everybody_starts_before_anybody_goes_on() -> None:
    started = 0
    seen = []

    async def start() -> int:
        nonlocal started
        started += 1
        mine = started
        await asyncio.sleep(0)
        seen.append(started)
        return mine

    assert await together(Meter(), [], [start] * 10) == list(range(1, 11))
    assert seen == [10] * 10


async def test_one_who_fails_is_told_of_after_everybody_has_finished() -> None:
    finished = []

    async def fail() -> None:
        raise RaceError("this one")

    async def go_on() -> None:
        await asyncio.sleep(0.01)
        finished.append(1)

    with pytest.raises(RaceError, match="this one"):
        await together(Meter(), [], [fail, go_on, go_on])

    assert len(finished) == 2


async def test_more_than_may_be_at_once_are_refused() -> None:
    ran = []

    async def start() -> None:
        ran.append(1)

    with pytest.raises(RaceError, match="more than"):
        await together(Meter(), [], [start] * (MOST_AT_ONCE + 1))

    assert ran == []


async def test_only_what_is_sent_meanwhile_is_counted() -> None:
    meter = Meter()

    async def start() -> None:
        assert meter.is_running
        meter.intervals.append(Interval(1, 2))

    await together(meter, [], [start])

    assert not meter.is_running
    assert meter.intervals == [Interval(1, 2)]


async def test_waiting_ends_with_what_is_found_or_with_a_complaint() -> None:
    found = iter([None, None, "it"])

    async def look() -> str | None:
        return next(found, None)

    assert await until(look, 5, lambda: "nothing") == "it"
    with pytest.raises(RaceError, match="nothing came within 0 s"):
        await until(look, 0, lambda: "nothing came")


def test_what_is_not_so_is_told() -> None:
    expect(condition=True, complaint="never said")
    with pytest.raises(RaceError, match="this is not so"):
        expect(condition=False, complaint="this is not so")
