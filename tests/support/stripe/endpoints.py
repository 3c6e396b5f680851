"""Where events are sent: webhook endpoints of v1, event destinations of v2."""

import secrets

from stripe import WebhookEndpointService
from stripe.v2.core import EventDestinationService

from .accounts import not_found, page_v2
from .calls import Call, answers, page
from .refusals import Body
from .store import API_VERSION, stamp


@answers(
    WebhookEndpointService.create_async,
    "api_version", "connect", "description", "enabled_events", "metadata", "url",
)  # fmt: skip
def create(call: Call) -> Body:
    params = call.params
    endpoint = {
        "id": call.store.new_id("we"),
        "object": "webhook_endpoint",
        "api_version": params.get("api_version"),
        # An endpoint of connected accounts' events is of an application; nothing else tells it.
        "application": "ca_StandIn" if params.get("connect") else None,
        "created": call.now,
        "description": params.get("description"),
        "enabled_events": params["enabled_events"],
        "livemode": False,
        "metadata": params.get("metadata", {}),
        "status": "enabled",
        "url": params["url"],
    }
    call.store.add(endpoint)
    return {**endpoint, "secret": f"whsec_{secrets.token_urlsafe(24)}"}


@answers(WebhookEndpointService.list_async, "ending_before", "limit", "starting_after")
def list_endpoints(call: Call) -> Body:
    return page(call, call.store.all("webhook_endpoint"))


@answers(WebhookEndpointService.retrieve_async)
def retrieve(call: Call) -> Body:
    return call.get("webhook_endpoint")


@answers(WebhookEndpointService.update_async, "description", "disabled", "enabled_events", "metadata", "url")
def update(call: Call) -> Body:
    endpoint, params = call.get("webhook_endpoint"), call.params
    endpoint |= {name: params[name] for name in ("description", "enabled_events", "url") if name in params}
    endpoint["metadata"] |= params.get("metadata", {})
    if "disabled" in params:
        endpoint["status"] = "disabled" if params["disabled"] else "enabled"
    return endpoint


@answers(WebhookEndpointService.delete_async)
def delete(call: Call) -> Body:
    endpoint = call.get("webhook_endpoint")
    del call.store.rows[endpoint["id"]]
    return {**endpoint, "deleted": True}


@answers(
    EventDestinationService.create_async,
    "description", "enabled_events", "event_payload", "events_from", "include", "metadata", "name",
    "snapshot_api_version", "type", "webhook_endpoint",
)  # fmt: skip
def create_destination(call: Call) -> Body:
    params = call.params
    destination = {
        "id": call.store.new_id("ed"),
        "object": "v2.core.event_destination",
        "created": stamp(call.now),
        "description": params.get("description", ""),
        "enabled_events": params["enabled_events"],
        "event_payload": params["event_payload"],
        "events_from": params.get("events_from", ["@self"]),
        "livemode": False,
        "metadata": params.get("metadata", {}),
        "name": params["name"],
        "snapshot_api_version": API_VERSION if params["event_payload"] == "snapshot" else None,
        "status": "enabled",
        "type": params["type"],
        "updated": stamp(call.now),
        "webhook_endpoint": {"url": params["webhook_endpoint"]["url"]},
    }
    call.store.add(destination)
    told = _shown(call, destination)
    if "webhook_endpoint.signing_secret" in params.get("include", []):
        told["webhook_endpoint"]["signing_secret"] = f"whsec_{secrets.token_urlsafe(24)}"
    return told


def _shown(call: Call, destination: Body) -> Body:
    told = call.store.view(destination)
    asked = "webhook_endpoint.url" in call.params.get("include", [])
    told["webhook_endpoint"] = {"url": destination["webhook_endpoint"]["url"] if asked else None}
    return told


def _destination(call: Call) -> Body:
    row = call.store.rows.get(call.ids[0])
    if row is None or row.body["object"] != "v2.core.event_destination":
        raise not_found("Event destination", call.ids[0])
    return row.body


@answers(EventDestinationService.list_async, "include", "limit")
def list_destinations(call: Call) -> Body:
    return page_v2(call, [_shown(call, each) for each in call.store.all("v2.core.event_destination")])


@answers(EventDestinationService.retrieve_async, "include")
def retrieve_destination(call: Call) -> Body:
    return _shown(call, _destination(call))


@answers(EventDestinationService.update_async, "description", "enabled_events", "include", "metadata", "name")
def update_destination(call: Call) -> Body:
    destination, params = _destination(call), call.params
    destination |= {name: params[name] for name in ("description", "enabled_events", "name") if name in params}
    destination["metadata"] |= params.get("metadata", {})
    destination["updated"] = stamp(call.now)
    return _shown(call, destination)


@answers(EventDestinationService.enable_async, "include")
def enable(call: Call) -> Body:
    _destination(call)["status"] = "enabled"
    return _shown(call, _destination(call))


@answers(EventDestinationService.disable_async, "include")
def disable(call: Call) -> Body:
    _destination(call)["status"] = "disabled"
    return _shown(call, _destination(call))
