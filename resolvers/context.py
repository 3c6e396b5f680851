"""What a resolver has at hand: the engine, the viewer, and fresh loaders for its operation."""

from dataclasses import dataclass, field, replace
from uuid import UUID

import strawberry
from strawberry.dataloader import DataLoader

from core.viewer import ANONYMOUS, Viewer
from resolvers.loaders import LOADERS
from services.engine import Engine


class Loaders:
    """The batch functions of one operation: each is called once per level, with all keys of that level."""

    def __init__(self, engine: Engine, viewer: Viewer) -> None:
        self._engine = engine
        self._viewer = viewer
        self._by_name: dict[str, DataLoader[UUID, object]] = {}

    async def load(self, name: str, key: UUID) -> object:
        """Return what the loader finds under a key, or None."""
        loader = self._by_name.get(name)
        if loader is None:
            function = LOADERS[name]

            async def load_all(keys: list[UUID]) -> list[object]:
                return await function(self._engine, self._viewer, keys)

            loader = self._by_name[name] = DataLoader(load_fn=load_all)
        return await loader.load(key)


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
