"""Adaptive batching: under light load each item is sent at once, under heavy load many go together.

No timer: while one batch is on its way the next one collects, and leaves when the first is back. So a lone item
waits for nothing, and a rush turns into large batches by itself.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Final, Generic, TypeVar

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

LARGEST_BATCH: Final = 200


class Batcher(Generic[ItemT, ResultT]):
    """Hands items to ``run`` in batches, in order, one batch at a time; each item gets its own result.

    ``run`` writes a batch whole or not at all and returns a result per item. If a batch of several fails, each
    of its items is run alone, so that a bad one never fails its neighbours.
    """

    def __init__(
        self, run: Callable[[Sequence[ItemT]], Awaitable[Sequence[ResultT]]], largest: int = LARGEST_BATCH
    ) -> None:
        self._run = run
        self._largest = largest
        self._waiting: deque[tuple[ItemT, asyncio.Future[ResultT]]] = deque()
        self._running: asyncio.Task[None] | None = None

    async def submit(self, item: ItemT) -> ResultT:
        """Return an item's result, or raise what ``run`` raised for it alone.

        Who is cancelled while waiting hears no more of it; the item is run all the same.
        """
        future: asyncio.Future[ResultT] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._running is None:
            # In a context of its own: a batch is nobody's request, and not logged under the first one's trace.
            self._running = asyncio.get_running_loop().create_task(self._drain(), context=Context())
        return await future

    async def _drain(self) -> None:
        try:
            while self._waiting:
                number = min(len(self._waiting), self._largest)
                await self._send([self._waiting.popleft() for _ in range(number)])
        finally:
            self._running = None

    async def _send(self, batch: Sequence[tuple[ItemT, asyncio.Future[ResultT]]]) -> None:
        try:
            results = await self._run([item for item, _ in batch])
        except TimeoutError as error:
            # One by one each of them would wait as long.
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        except Exception as error:  # ruff: ignore[blind-except] - handed to whoever submitted the item
            if len(batch) > 1:
                for one in batch:
                    await self._send([one])
            elif not batch[0][1].done():
                batch[0][1].set_exception(error)
            return
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)
