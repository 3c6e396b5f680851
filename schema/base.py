"""What every noun of the contract is made of: nodes, edges between them, access, and the request's context."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, ParamSpec, Protocol, TypeVar
from uuid import UUID

import strawberry
from strawberry.schema_directive import Location

from core.viewer import Viewer
from schema.enums import Scope

P = ParamSpec("P")
T = TypeVar("T")


class Loads(Protocol):
    """The batch functions behind every edge, for one operation."""

    async def load(self, name: str, key: UUID) -> Any:
        """Return the object an edge named ``name`` leads to from ``key``, or None."""
        ...


class Context(Protocol):
    """What a field may ask of the request it is resolved for."""

    viewer: Viewer
    loaders: Loads


Info = strawberry.Info[Context, None]


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    name="access",
    description="Who may use a field. Without it a field is public. What one may not see looks like nothing.",
)
class Access:
    """The permission a field states.

    ``guests``: also without signing in, as the description says. ``operators``: also with FINANCE_WRITE, and then
    for anybody's objects.
    """

    scope: Scope
    guests: bool = False
    operators: bool = False


@strawberry.interface(description="Anything with an id that `node` finds.")
class Node:
    id: strawberry.ID = strawberry.field(description="Opaque, stable, and the same everywhere.")


def computed(*, description: str, directives: Sequence[object] = ()) -> Callable[[Callable[P, T]], T]:
    """Declare a field with a function; Strawberry's own decorator is untyped when called with a description."""
    decorate: Callable[[Callable[P, T]], T] = strawberry.field(description=description, directives=directives)
    return decorate


def edge(loader: str, key: Callable[[Any], UUID | None], description: str) -> Any:
    """Declare a field that leads to another object, loaded for all rows of a level at once.

    ``loader`` names a batch function of ``resolvers.loaders``; ``key`` takes the key from the object, None
    leading nowhere.
    """

    async def follow(root: Any, info: Info) -> Any:
        value = key(root)
        return None if value is None else await info.context.loaders.load(loader, value)

    return strawberry.field(resolver=follow, description=description)


_nested: Final[dict[str, Callable[..., Awaitable[Any]]]] = {}


def bind(name: str, function: Callable[..., Awaitable[Any]]) -> None:
    """Give a nested field with arguments its function; done once, where the schema is put together."""
    _nested[name] = function


def nested(name: str) -> Callable[..., Awaitable[Any]]:
    """Return the function bound to a nested field declared by name."""
    return _nested[name]


def unbound(names: set[str]) -> set[str]:
    """Return which of the declared names have no function."""
    return names - set(_nested)


def access(scope: Scope, *, guests: bool = False, operators: bool = False) -> list[object]:
    """Return the directive that states a field's permission."""
    return [Access(scope=scope, guests=guests, operators=operators)]
