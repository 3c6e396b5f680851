"""Lists: Relay connections with stable cursors, filters and sorts."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Generic, TypeVar

import strawberry

from schema.base import computed

T = TypeVar("T")


@strawberry.type(description="Where a page stands in its list.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether there is more after this page.")
    has_previous_page: bool = strawberry.field(description="Whether there is more before this page.")
    start_cursor: str | None = strawberry.field(description="The cursor of the first item.")
    end_cursor: str | None = strawberry.field(description="The cursor of the last item.")


@strawberry.type(description="An item with its place in the list.")
class Edge(Generic[T]):
    node: T = strawberry.field(description="The item.")
    cursor: str = strawberry.field(description="Send it as `after` or `before` to go on from here.")


@strawberry.type(description="A page of a list.")
class Connection(Generic[T]):
    edges: list[Edge[T]] = strawberry.field(description="The items with their cursors.")
    nodes: list[T] = strawberry.field(description="The items alone.")
    page_info: PageInfo = strawberry.field(description="Where this page stands.")
    count: strawberry.Private[Callable[[], Awaitable[int]]]

    @computed(description="How many items the whole list has. Counted only when asked for.")
    async def total_count(self) -> int:
        return await self.count()


@strawberry.input(description="Conditions on a text; all that are given must hold.")
class StringFilter:
    eq: str | None = strawberry.field(default=None, description="Equal to.")
    in_: list[str] | None = strawberry.field(default=None, name="in", description="One of.")
    contains: str | None = strawberry.field(default=None, description="Contains, without regard to case.")
    starts_with: str | None = strawberry.field(default=None, description="Starts with, without regard to case.")


@strawberry.input(description="Conditions on a moment; all that are given must hold.")
class DateTimeFilter:
    gte: datetime | None = strawberry.field(default=None, description="At or after.")
    lt: datetime | None = strawberry.field(default=None, description="Before.")


First = Annotated[
    int | None,
    strawberry.argument(description="How many from the start, 1 to 100. One of `first` and `last` is needed."),
]
After = Annotated[str | None, strawberry.argument(description="Start after this cursor.")]
Last = Annotated[int | None, strawberry.argument(description="How many from the end, 1 to 100.")]
Before = Annotated[str | None, strawberry.argument(description="End before this cursor.")]
WHERE: Final = strawberry.argument(description="Only those that meet this; all of them without it.")
SORT: Final = strawberry.argument(description="In which order.")


@dataclass(frozen=True, slots=True)
class PageArguments:
    """The four arguments of every list, as resolvers hand them on."""

    first: int | None = None
    after: str | None = None
    last: int | None = None
    before: str | None = None
