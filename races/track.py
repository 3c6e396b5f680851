"""Where a race is run: the servers in turn, the creators, and as many guests as it wants."""

import itertools
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from races.caller import Caller, Meter, expect, together
from races.guests import Guest, Order, Payment
from races.shop import Creator, Product

T = TypeVar("T")


@dataclass
class Track:
    """One race's servers and people; every connection is closed by ``close``."""

    urls: Sequence[str]
    tokens: Sequence[str]
    method: str
    meter: Meter = field(default_factory=Meter)
    _turn: Iterator[str] = field(init=False)
    _callers: list[Caller] = field(default_factory=list)
    _creators: list[Creator] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._turn = itertools.cycle(self.urls)

    def caller(self, token: str | None = None) -> Caller:
        """Return somebody with a connection to the server whose turn it is."""
        made = Caller(next(self._turn), self.meter, token)
        self._callers.append(made)
        return made

    async def creator(self, number: int = 0) -> Creator:
        """Return the creator of a token. Raises ``RaceError``."""
        made = await Creator.of(self.caller(self.tokens[number]))
        self._creators.append(made)
        return made

    def guests(self, count: int) -> list[Guest]:
        """Return so many guests."""
        return [Guest(self.caller(), self.method, number) for number in range(count)]

    async def carts(
        self, guests: Sequence[Guest], lines: Sequence[tuple[Product, int]], codes: Sequence[str] = ()
    ) -> None:
        """Have all guests make the same cart at once. Raises ``RaceError``."""
        replies = await self.each(guests, lambda guest: guest.cart(lines, codes))
        for reply in replies:
            reply.done("a cart")

    async def each(self, guests: Sequence[Guest], do: Callable[[Guest], Awaitable[T]]) -> list[T]:
        """Have all guests do something in the same moment. Raises ``RaceError``."""
        starts = [partial(do, guest) for guest in guests]
        return await together(self.meter, [guest.caller for guest in guests], starts)

    async def paid(self, lines: Sequence[tuple[Product, int]]) -> tuple[Guest, Order, Payment]:
        """Return a guest whose order is paid, before anything is raced. Raises ``RaceError``."""
        guest = await self.ordered(lines)
        (await guest.confirm()).done("a payment")
        order, payment = await guest.settled()
        expect(order.is_paid, f"an order that nobody raced for is {order.status}")
        return guest, order, payment

    async def ordered(self, lines: Sequence[tuple[Product, int]]) -> Guest:
        """Return a guest whose order waits for its payment. Raises ``RaceError``."""
        (guest,) = self.guests(1)
        (await guest.cart(lines)).done("a cart")
        (await guest.checkout()).done("a checkout")
        return guest

    async def clear(self) -> None:
        """Take off sale what was offered. Raises ``RaceError``."""
        for creator in self._creators:
            await creator.clear()

    def close(self) -> None:
        """Hang up for everybody."""
        for caller in self._callers:
            caller.close()
