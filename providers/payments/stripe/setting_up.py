"""Making the three endpoints at Stripe, or bringing those that are there up to date."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from core.ids import uuid7
from providers.payments.stripe.client import API_VERSION, Client
from providers.payments.stripe.endpoints import (
    EVENTS,
    MARK,
    NAMES,
    Comparison,
    Endpoint,
    Role,
    compare,
    event_destination,
    webhook_endpoint,
)

_PAGE: Final = 100
_DESTINATIONS: Final = 20  # Stripe allows 16 at most


class Done(StrEnum):
    """What was done about an endpoint."""

    MADE = "MADE"
    UPDATED = "UPDATED"
    KEPT = "KEPT"


@dataclass(frozen=True, slots=True)
class Made:
    """An endpoint as it now is. ``secret`` only of one just made: Stripe never tells it again.

    ``outdated`` are others for the same, which were left alone: what they send more is either double or of another
    version of the API.
    """

    role: Role
    done: Done
    id: str
    secret: str | None = field(default=None, repr=False)
    outdated: tuple[Endpoint, ...] = ()


async def endpoints(client: Client) -> Sequence[Endpoint]:
    """Return every webhook endpoint of v1 of the account. Raises ProviderError."""
    found: list[Endpoint] = []
    params: dict[str, object] = {"limit": _PAGE}
    while True:
        answer = await client.ask(client.stripe.v1.webhook_endpoints.list_async, params=params)
        page = [webhook_endpoint(body) for body in _data(answer.body)]
        found += page
        if not page or answer.body.get("has_more") is not True:
            return found
        params["starting_after"] = page[-1].id


async def destinations(client: Client) -> Sequence[Endpoint]:
    """Return the event destinations of v2 that are thin, as the others are endpoints of v1 as well."""
    params = {"limit": _DESTINATIONS, "include": ["webhook_endpoint.url"]}
    answer = await client.ask(client.stripe.v2.core.event_destinations.list_async, params=params)
    return [each for body in _data(answer.body) if (each := event_destination(body)).thin]


async def set_up(client: Client, url: str) -> AsyncIterator[Made]:
    """Make what is missing and bring up to date what differs, for an address. Raises ProviderError.

    Each is told as soon as it is there: a secret is told once, and must not be lost when the next one fails. Done
    again, it changes nothing.
    """
    found = await endpoints(client)
    for role in (Role.PLATFORM, Role.CONNECTED):
        yield await _one(client, compare(role, found, url=url, version=API_VERSION), url)
    thin = await destinations(client)
    yield await _one(client, compare(Role.ACCOUNTS, thin, url=url, version=API_VERSION), url)


async def _one(client: Client, compared: Comparison, url: str) -> Made:
    role, endpoint = compared.role, compared.endpoint
    if endpoint is None or compared.wrong_version:
        # The version of an endpoint cannot be changed: another one takes over.
        body = await (_make_thin(client, url) if role is Role.ACCOUNTS else _make(client, role, url))
        left = () if endpoint is None else (endpoint, *compared.others)
        return Made(role, Done.MADE, str(body.get("id", "")), _secret(body), left)
    if endpoint.enabled and endpoint.role is role and not (compared.lacking or compared.superfluous):
        return Made(role, Done.KEPT, endpoint.id, outdated=compared.others)
    await (_update_thin if role is Role.ACCOUNTS else _update)(client, endpoint, role)
    return Made(role, Done.UPDATED, endpoint.id, outdated=compared.others)


async def _make(client: Client, role: Role, url: str) -> Mapping[str, object]:
    params = {
        "url": url,
        "enabled_events": list(EVENTS[role]),
        "api_version": API_VERSION,
        "connect": role is Role.CONNECTED,
        "description": f"Comptoir: {NAMES[role]}",
        "metadata": {MARK: role.value},
    }
    call = client.stripe.v1.webhook_endpoints.create_async
    return (await client.ask(call, params=params, key=_key())).body


async def _make_thin(client: Client, url: str) -> Mapping[str, object]:
    params = {
        "name": f"Comptoir: {NAMES[Role.ACCOUNTS]}",
        "type": "webhook_endpoint",
        "webhook_endpoint": {"url": url},
        "event_payload": "thin",
        "enabled_events": list(EVENTS[Role.ACCOUNTS]),
        # Accounts of v2 are other accounts than the one that manages them.
        "events_from": ["@accounts"],
        "include": ["webhook_endpoint.signing_secret", "webhook_endpoint.url"],
        "metadata": {MARK: Role.ACCOUNTS.value},
    }
    call = client.stripe.v2.core.event_destinations.create_async
    return (await client.ask(call, params=params, key=_key())).body


async def _update(client: Client, endpoint: Endpoint, role: Role) -> None:
    params = {"enabled_events": list(EVENTS[role]), "disabled": False, "metadata": {MARK: role.value}}
    await client.ask(client.stripe.v1.webhook_endpoints.update_async, endpoint.id, params=params, key=_key())


async def _update_thin(client: Client, endpoint: Endpoint, role: Role) -> None:
    service = client.stripe.v2.core.event_destinations
    params = {"enabled_events": list(EVENTS[role]), "metadata": {MARK: role.value}}
    await client.ask(service.update_async, endpoint.id, params=params, key=_key())
    if not endpoint.enabled:
        await client.ask(service.enable_async, endpoint.id, key=_key())


def _key() -> str:
    # Of each run its own: what a run before left is found by looking, and an answer from before may be of an
    # endpoint that was deleted since.
    return f"endpoint:{uuid7()}"


def _secret(body: Mapping[str, object]) -> str | None:
    target = body.get("webhook_endpoint")
    secret = target.get("signing_secret") if isinstance(target, Mapping) else body.get("secret")
    return secret if isinstance(secret, str) else None


def _data(body: Mapping[str, object]) -> Sequence[Mapping[str, object]]:
    data = body.get("data")
    return [each for each in data if isinstance(each, Mapping)] if isinstance(data, list) else []
