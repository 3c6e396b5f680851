"""What a resolver has at hand: the engine, the viewer, and fresh loaders for its operation."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from uuid import UUID

import strawberry
from strawberry.dataloader import DataLoader

from core.viewer import ANONYMOUS, Viewer
from resolvers.loaders import LOADERS
from services.engine import Engine

KeyT = TypeVar("KeyT")
FoundT = TypeVar("FoundT")


class Loaders:
    """The batch functions of one operation: each is called once per level, with all keys of that level."""

    def __init__(self, engine: Engine, viewer: Viewer) -> None:
        self._engine = engine
        self._viewer = viewer
        self._by_function: dict[Callable[..., Any], DataLoader[Any, Any]] = {}

    async def load(self, name: str, key: UUID) -> object:
        """Return what the loader of an edge finds under a key, or None."""
        return await self.batched(LOADERS[name], key)

    async def batched(
        self, function: Callable[[Engine, Viewer, Sequence[KeyT]], Awaitable[list[FoundT]]], key: KeyT
    ) -> FoundT:
        """Return what a batch function finds under a key; for fields whose arguments are a part of the key."""
        loader = self._by_function.get(function)
        if loader is None:

            async def load_all(keys: list[KeyT]) -> list[FoundT]:
                return await function(self._engine, self._viewer, keys)

            loader = self._by_function[function] = DataLoader(load_fn=load_all)
        found: FoundT = await loader.load(key)
        return found


@dataclass(slots=True)
class Context:
    """The context of one operation. ``replayed`` says whether a mutation was answered from an earlier one."""

    engine: Engine
    viewer: Viewer = ANONYMOUS
    trace_id: str = ""
    replayed: bool | None = None
    connection_params: dict[str, object] | None = None
    loaders: Loaders = field(init=False)

    def __post_init__(self) -> None:
        """Give the operation loaders of its own."""
        self.forget()

    def forget(self) -> None:
        """Start with fresh loaders: what was read for one operation or event is stale for the next."""
        self.loaders = Loaders(self.engine, self.viewer)

    def for_operation(self) -> "Context":
        """Return a context for one more operation of the same connection."""
        return replace(self, replayed=None)


Info = strawberry.Info[Context, None]
