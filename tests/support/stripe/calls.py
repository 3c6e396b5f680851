"""A call, and the table of all that the stand-in answers."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from .refusals import Body, malformed, missing
from .sdk import Operation, operation
from .store import Store


@dataclass(frozen=True, slots=True)
class Call:
    """``ids`` are the path's, in order; ``account`` is the connected account it is made for."""

    store: Store
    ids: tuple[str, ...]
    params: dict[str, Any]
    account: str | None
    path: str

    @property
    def now(self) -> int:
        return self.store.clock.now

    def get(self, kind: str, number: int = 0) -> Body:
        """Return the object that the path names."""
        return self.store.get(kind, self.ids[number], self.account)


Handler = Callable[[Call], Body]


@dataclass(frozen=True, slots=True)
class Route:
    operation: Operation
    handler: Handler
    honours: frozenset[str]


ROUTES: list[Route] = []


def answers(method: Callable[..., Any], *honours: str) -> Callable[[Handler], Handler]:
    """Let a function answer what a method of the SDK's services asks.

    ``honours`` are the parameters that it does something about: any other is refused aloud, since a parameter
    that is taken and left aside would make a test lie.
    """

    def add(handler: Handler) -> Handler:
        found = operation(method)
        ROUTES.append(
            Route(found, handler, frozenset({*honours, "expand"} - ({"expand"} if found.is_v2 else set())))
        )
        return handler

    return add


def page(call: Call, found: Iterable[Body]) -> Body:
    """Return a page of a v1 list: the newest first, after ``starting_after``, within ``created``."""
    limit = call.params.get("limit", 10)
    if not 1 <= limit <= 100:
        raise malformed("This value must be between 1 and 100", "limit", "parameter_invalid_integer")
    rows = [body for body in found if _within(body["created"], call.params.get("created"))]
    if "starting_after" in call.params:
        rows = _after(rows, call.params["starting_after"], "starting_after")
    if "ending_before" in call.params:
        rows = list(reversed(_after(list(reversed(rows)), call.params["ending_before"], "ending_before")))
        more, rows = len(rows) > limit, rows[-limit:]
    else:
        more, rows = len(rows) > limit, rows[:limit]
    return {
        "object": "list",
        "data": [call.store.view(body) for body in rows],
        "has_more": more,
        "url": call.path,
    }


def whole(store: Store, found: Iterable[Body], url: str) -> Body:
    """Return the first ten of a list that is part of an object."""
    rows = list(found)
    return {
        "object": "list",
        "data": [store.view(body) for body in rows[:10]],
        "has_more": len(rows) > 10,
        "url": url,
    }


def _after(rows: list[Body], reference: str, param: str) -> list[Body]:
    ids = [row["id"] for row in rows]
    if reference not in ids:
        raise missing("object", reference, param)
    return rows[ids.index(reference) + 1 :]


def _within(created: int, wanted: int | dict[str, int] | None) -> bool:
    if wanted is None:
        return True
    if isinstance(wanted, int):
        return created == wanted
    tests = {"gt": created.__gt__, "gte": created.__ge__, "lt": created.__lt__, "lte": created.__le__}
    return all(tests[name](bound) for name, bound in wanted.items())
