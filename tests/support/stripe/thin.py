"""Thin events: that something changed, and of which object."""

from stripe.events._event_classes import (  # ruff: ignore[import-private-name] - nothing public tells it
    get_v2_event_class,
)

from .refusals import Body
from .store import Store, stamp


def tell_thin(store: Store, kind: str, related: Body, data: Body | None = None) -> None:
    """Let a thin event of a v2 object be told; ``data`` only to who reads the event."""
    event = {
        "id": store.new_id("evt"),
        "object": "v2.core.event",
        "context": related["id"],
        "created": stamp(store.clock.now),
        "livemode": False,
        "reason": None,
        "related_object": {
            "id": related["id"],
            "type": related["object"],
            "url": f"/v2/core/accounts/{related['id']}",
        },
        "type": kind,
    } | ({} if data is None else {"data": data})
    store.check(event, get_v2_event_class(kind), kind)
    store.add(event)
    store.events.append(event)
