"""Adaptive batching."""

import asyncio
from collections.abc import Sequence

import pytest

from core.batcher import Batcher


class Slow:
    """Answers each number with its double, one batch at a time, once it is let go."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go = asyncio.Event()

    async def run(self, numbers: Sequence[int]) -> list[int]:
        self.batches.append(list(numbers))
        await self.go.wait()
        if 13 in numbers:
            raise ValueError("thirteen")
        return [number * 2 for number in numbers]


async def test_a_lone_item_leaves_at_once_and_a_rush_goes_together() -> None:
    slow = Slow()
    batcher = Batcher(slow.run)
    waiting = [asyncio.ensure_future(batcher.submit(number)) for number in range(6)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    late = asyncio.ensure_future(batcher.submit(6))
    await asyncio.sleep(0)
    slow.go.set()

    assert await asyncio.gather(*waiting, late) == [0, 2, 4, 6, 8, 10, 12]
    assert slow.batches == [[0, 1, 2, 3, 4, 5], [6]]


async def test_no_batch_is_larger_than_the_largest() -> None:
    slow = Slow()
    slow.go.set()
    batcher = Batcher(slow.run, largest=4)

    assert await asyncio.gather(*(batcher.submit(number) for number in range(10))) == [n * 2 for n in range(10)]
    assert [len(batch) for batch in slow.batches] == [4, 4, 2]


async def test_a_bad_item_fails_alone() -> None:
    slow = Slow()
    slow.go.set()
    batcher = Batcher(slow.run)

    answers = await asyncio.gather(*(batcher.submit(n) for n in (12, 13, 14)), return_exceptions=True)

    assert answers[0] == 24
    assert isinstance(answers[1], ValueError)
    assert answers[2] == 28


async def test_who_stops_waiting_disturbs_nobody() -> None:
    slow = Slow()
    batcher = Batcher(slow.run)
    gone, stays = (asyncio.ensure_future(batcher.submit(number)) for number in (1, 2))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    gone.cancel()
    slow.go.set()

    assert await stays == 4
    with pytest.raises(asyncio.CancelledError):
        await gone
