"""Places on the way of an event that tells too little where a worker can be made to kill itself."""

from collections.abc import Callable
from typing import Any, Final

import ledger
from providers.payments.sandbox import SandboxProvider
from services import webhooks
from tests.faults.places import _after, _before
from tests.support.telling_little import tell_little


def _telling_little(arm: Callable[[], None]) -> Callable[[], None]:
    def armed() -> None:
        tell_little(SandboxProvider)
        arm()

    return armed


def _nowhere() -> None:
    """Let it live."""


def _of_something(arguments: tuple[Any, ...]) -> bool:
    # What only claims events to be looked up settles no facts.
    return bool(arguments[1])


LITTLE: Final = "events tell little"
"""No place at all: a worker that lives, and has to look everything up."""

LOOK_UPS: Final = {
    place: _telling_little(arm)
    for place, arm in {
        "events to be looked up about to be claimed": _before(webhooks, "_lease"),
        "events to be looked up claimed, not committed": _after(webhooks, "_lease"),
        "events claimed, provider not asked": _before(webhooks, "look_up"),
        "events looked up, not settled": _after(SandboxProvider, "fetch"),
        "looked-up facts about to be settled": _before(webhooks, "settle_batch", _of_something),
        "looked-up facts settled, events not marked": _after(
            webhooks, "settle_batch", lambda _, arguments: _of_something(arguments)
        ),
        "looked-up events marked, ledger not posted": _before(ledger, "post"),
        "looked-up events posted, not committed": _after(ledger, "post"),
        "events looked up and committed": _after(webhooks, "look_up"),
    }.items()
}
ALL: Final = {**LOOK_UPS, LITTLE: _telling_little(_nowhere)}
