"""What Stripe has to send, to where, and how what is set up there compares with it. Pure.

Three endpoints at one address, each with a secret of its own: the platform's own events, those of connected
accounts, and those of Accounts v2, which are thin: they name the account and say nothing of it.
"""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

MARK: Final = "comptoir"
"""The name in the metadata under which an endpoint of ours says which it is."""

PATH: Final = "/webhooks/stripe"


class Role(StrEnum):
    """Which of the three endpoints one is."""

    PLATFORM = "platform"
    CONNECTED = "connected"
    ACCOUNTS = "accounts"


EVENTS: Final[Mapping[Role, tuple[str, ...]]] = {
    Role.PLATFORM: (
        "charge.captured",
        "charge.dispute.closed",
        "charge.dispute.created",
        "charge.dispute.funds_reinstated",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.updated",
        "charge.updated",
        "payment_intent.amount_capturable_updated",
        "payment_intent.canceled",
        "payment_intent.payment_failed",
        "payment_intent.processing",
        "payment_intent.requires_action",
        "payment_intent.succeeded",
        "payout.canceled",
        "payout.created",
        "payout.failed",
        "payout.paid",
        "payout.updated",
        "refund.created",
        "refund.failed",
        "refund.updated",
        "transfer.created",
        "transfer.reversed",
        "transfer.updated",
    ),
    Role.CONNECTED: (
        "payout.canceled",
        "payout.created",
        "payout.failed",
        "payout.paid",
        "payout.updated",
    ),
    Role.ACCOUNTS: (
        "v2.core.account.closed",
        "v2.core.account.updated",
        "v2.core.account[configuration.recipient].capability_status_updated",
        "v2.core.account[configuration.recipient].updated",
        "v2.core.account[requirements].updated",
    ),
}
"""Exactly the events that are translated, by the endpoint that sends them."""

NAMES: Final[Mapping[Role, str]] = {
    Role.PLATFORM: "the platform's own events",
    Role.CONNECTED: "the events of connected accounts",
    Role.ACCOUNTS: "the thin events of Accounts v2",
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A webhook endpoint or an event destination as Stripe tells of it; ``role`` only where our mark says it.

    ``version`` is that of the API its events are written in: None for thin ones, which have none.
    """

    id: str
    role: Role | None
    url: str
    events: frozenset[str]
    enabled: bool
    thin: bool
    version: str | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """How what was found for a role compares with what it should be; nothing found is ``endpoint`` None.

    ``lacking`` and ``superfluous`` are events; ``others`` are more endpoints for the same, each of which sends
    every event once more.
    """

    role: Role
    endpoint: Endpoint | None
    lacking: tuple[str, ...] = ()
    superfluous: tuple[str, ...] = ()
    wrong_version: bool = False
    others: tuple[Endpoint, ...] = ()

    @property
    def right(self) -> bool:
        """Whether there is nothing to do."""
        return (
            self.endpoint is not None
            and self.endpoint.enabled
            and not (self.lacking or self.superfluous or self.wrong_version or self.others)
        )


def webhook_endpoint(body: Mapping[str, object]) -> Endpoint:
    """Read a webhook endpoint of v1. Total."""
    version = body.get("api_version")
    return Endpoint(
        id=_text(body.get("id")),
        role=_role(body),
        url=_text(body.get("url")),
        events=_texts(body.get("enabled_events")),
        enabled=body.get("status") == "enabled",
        thin=False,
        version=version if isinstance(version, str) else None,
    )


def event_destination(body: Mapping[str, object]) -> Endpoint:
    """Read an event destination of v2, of which the address was included. Total."""
    target, version = body.get("webhook_endpoint"), body.get("snapshot_api_version")
    return Endpoint(
        id=_text(body.get("id")),
        role=_role(body),
        url=_text(target.get("url")) if isinstance(target, Mapping) else "",
        events=_texts(body.get("enabled_events")),
        enabled=body.get("status") == "enabled",
        thin=body.get("event_payload") == "thin",
        version=version if isinstance(version, str) else None,
    )


def compare(role: Role, found: Iterable[Endpoint], *, url: str, version: str) -> Comparison:
    """Return how what was found at our address compares with what a role should be.

    An endpoint without our mark is the role's when it sends exactly its events: somebody made it by hand.
    """
    here = [
        endpoint
        for endpoint in found
        if same_url(endpoint.url, url)
        and endpoint.thin == (role is Role.ACCOUNTS)
        and (endpoint.role is role or (endpoint.role is None and endpoint.events == set(EVENTS[role])))
    ]
    if not here:
        return Comparison(role, None)
    # What is right already is kept, and of those the enabled one.
    here.sort(key=lambda each: (_is_outdated(each, version), not each.enabled, each.role is None, each.id))
    best, *others = here
    return Comparison(
        role,
        best,
        lacking=tuple(sorted(set(EVENTS[role]) - best.events)),
        superfluous=tuple(sorted(best.events - set(EVENTS[role]))),
        wrong_version=_is_outdated(best, version),
        others=tuple(others),
    )


def strangers(found: Iterable[Endpoint], known: Sequence[Comparison], *, url: str) -> tuple[Endpoint, ...]:
    """Return the endpoints at our address that are none of the three."""
    ours = {
        endpoint.id
        for comparison in known
        for endpoint in (comparison.endpoint, *comparison.others)
        if endpoint is not None
    }
    return tuple(each for each in found if same_url(each.url, url) and each.id not in ours)


def url_problem(url: str, *, stand_in: bool) -> str | None:
    """Return why Stripe cannot send webhooks to an address, in a sentence, or None.

    Where something on this machine stands in for Stripe (``stand_in``), it reaches this machine.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host = ""
    if not host or parts.scheme not in {"http", "https"}:
        return "The address of webhooks must be a whole one: https://pay.example.com/webhooks/stripe."
    if parts.username or parts.password or parts.query or parts.fragment:
        return "The address of webhooks has no password, no query and no fragment."
    if not parts.path.endswith(PATH):
        return f"The address of webhooks ends in {PATH}, where this server receives them."
    if stand_in:
        return None
    if parts.scheme != "https":
        return (
            "Stripe sends webhooks to https addresses only: give the one under which the world sees this server."
        )
    if is_private(host):
        return (
            "Stripe cannot reach an address of this machine or network. Give the one under which the world sees "
            "this server, or forward events with Stripe's own command line: docs/stripe.md says how."
        )
    return None


def is_private(host: str) -> bool:
    """Return whether a host is surely not on the public internet."""
    if host == "localhost" or host.endswith((".localhost", ".local", ".internal")):
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False


def same_url(one: str, other: str) -> bool:
    """Return whether two addresses are the same but for a slash at the end."""
    return one.rstrip("/") == other.rstrip("/")


def _is_outdated(endpoint: Endpoint, version: str) -> bool:
    return not endpoint.thin and endpoint.version != version


def _role(body: Mapping[str, object]) -> Role | None:
    metadata = body.get("metadata")
    mark = metadata.get(MARK) if isinstance(metadata, Mapping) else None
    return Role(mark) if isinstance(mark, str) and mark in set(Role) else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: object) -> frozenset[str]:
    return frozenset(each for each in value if isinstance(each, str)) if isinstance(value, list) else frozenset()
