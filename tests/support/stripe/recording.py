"""The adapter's one door, watched: what goes through it is checked against what the SDK says it takes."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from providers.payments.stripe.client import Answer, Client

from .sdk import operation
from .typed import violations


@dataclass(slots=True)
class Recording:
    """The operations that were asked for, and what was wrong with their parameters."""

    operations: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)
    further_pages: int = 0

    def note(self, call: Callable[..., Awaitable[Any]], params: Mapping[str, Any] | None) -> None:
        if not hasattr(call, "__self__"):
            # A further page of a list of v2, by the address that Stripe gave.
            assert not params, params
            self.further_pages += 1
            return
        found = operation(call)
        self.operations.add(found.name)
        if found.params is None:
            self.wrong += [f"{found.name} takes no parameters"] if params else []
            return
        self.wrong += [
            f"{found.name}: {each}"
            for each in violations(dict(params or {}), found.params, owner=found.owner, closed=True)
        ]


def recorded(client: Client) -> Recording:
    """Watch a client from now on."""
    recording, ask = Recording(), client.ask

    async def watched(
        call: Callable[..., Awaitable[Any]],
        *ids: str,
        params: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> Answer:
        recording.note(call, params)
        return await ask(call, *ids, params=params, **more)

    client.ask = watched  # type: ignore[method-assign]
    return recording
