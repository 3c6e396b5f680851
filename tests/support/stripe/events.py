"""Events: listed again, and signed as Stripe signs what it sends."""

import hashlib
import hmac
from collections.abc import Iterator
from datetime import UTC, datetime

import orjson
from stripe import EventService

from .calls import Call, answers, page
from .refusals import Body, malformed
from .store import API_VERSION, Store

_STABLE = ("id", "object", "payment_intent", "charge", "balance_transaction", "failure_balance_transaction")


@answers(EventService.list_async, "created", "ending_before", "limit", "starting_after", "type", "types")
def list_events(call: Call) -> Body:
    if len(call.params.get("types", [])) > 20:
        raise malformed("There can be no more than 20 types.", "types", None)
    wanted = set(call.params.get("types", [])) | ({call.params["type"]} if "type" in call.params else set())
    return page(
        call,
        (
            _in_default_version(call.store, event)
            for event in _kept(call.store, call.account)
            if not wanted or event["type"] in wanted
        ),
    )


def _in_default_version(store: Store, event: Body) -> Body:
    """Return an event as it is listed: in the account's version, of whose objects only the ids are as in ours."""
    version = store.settings.default_version
    if version == API_VERSION:
        return event
    source = event["data"]["object"]
    told = {name: value for name, value in source.items() if name in _STABLE}
    return {**event, "api_version": version, "data": {"object": told}}


def _kept(store: Store, account: str | None) -> Iterator[Body]:
    kept = store.settings.events_kept
    return (
        event
        for event in store.all("event", account)
        if kept is None or event["created"] >= store.clock.now - kept
    )


@answers(EventService.retrieve_async)
def retrieve(call: Call) -> Body:
    return _in_default_version(call.store, call.get("event"))


def signed(event: Body, secret: str, at: datetime | None = None) -> tuple[dict[str, str], bytes]:
    """Return the headers and the body that Stripe would send an event as, at a moment: now unless told."""
    # A thin event is sent without what it changed: that has to be read.
    hidden = {"data", "changes"} if event["object"] == "v2.core.event" else set()
    told = {name: value for name, value in event.items() if name not in hidden}
    body = orjson.dumps(told, option=orjson.OPT_INDENT_2)
    moment = int((at or datetime.now(UTC)).timestamp())
    signature = hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    headers = {
        "content-type": "application/json; charset=utf-8",
        "stripe-signature": f"t={moment},v1={signature},v0={'0' * 64}",
    }
    return headers, body
