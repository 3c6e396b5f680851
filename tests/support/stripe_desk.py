"""The corner of Stripe in which an account is set up: its webhook endpoints, its state, what its key may.

Strict: what it is asked with has to be what the SDK's types say, or it is noted as a mistake. It runs in a thread, so
that commands with an event loop of their own can be played against it.
"""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from stripe import WebhookEndpointService
from stripe.v2.core import AccountService, EventDestinationService, EventService

from tests.support.stripe.sdk import operation
from tests.support.stripe.typed import violations

KEY = "sk_test_51NonesuchKey"
READS = (
    *("payment_intents", "charges", "refunds", "disputes", "customers", "transfers", "payouts"),
    *("balance_transactions", "events"),
)
_LISTS = {
    "/v1/webhook_endpoints": WebhookEndpointService.list_async,
    "/v2/core/accounts": AccountService.list_async,
    "/v2/core/event_destinations": EventDestinationService.list_async,
    "/v2/core/events": EventService.list_async,
}


@dataclass
class Desk:
    """What the account is like, and everything that was asked of it."""

    url: str = ""
    live: bool = False
    ahead: timedelta = timedelta(0)
    account: dict[str, Any] = field(
        default_factory=lambda: {
            "id": "acct_1NonesuchPlatform",
            "object": "account",
            "country": "US",
            "charges_enabled": True,
            "payouts_enabled": True,
            "capabilities": {"card_payments": "active", "transfers": "active"},
        }
    )
    currencies: tuple[str, ...] = ("usd",)
    endpoints: list[dict[str, Any]] = field(default_factory=list)
    destinations: list[dict[str, Any]] = field(default_factory=list)
    schedules: dict[str, str] = field(default_factory=dict)
    forbidden: dict[str, str] = field(default_factory=dict)
    """Paths, and the permission that is lacking for them."""
    broken: set[str] = field(default_factory=set)
    echoes: tuple[int, str] | None = None
    """A status and a kind of error to answer everything with, and a sentence of all that was sent."""
    page: int = 100
    asked: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)

    @property
    def written(self) -> list[tuple[str, str, dict[str, Any]]]:
        return [each for each in self.asked if each[0] == "POST"]

    def answer(self, verb: str, path: str, params: dict[str, Any], account: str | None) -> tuple[int, Any]:
        self.asked.append((verb, path, params))
        if verb == "GET" and path in _LISTS:
            self._check(_LISTS[path], params)
        if path in self.broken:
            return 500, _error("Nonesuch broke", "api_error")
        if path in self.forbidden:
            sentence = (
                f"The provided key 'rk_test_*****{KEY[-6:]}' does not have the required permissions for this "
            )
            sentence += (
                f"endpoint. Having the '{self.forbidden[path]}' permission would allow this request to continue."
            )
            return 403, _error(sentence, "invalid_request_error")
        match verb, path.split("/")[1:]:
            case "GET", ["v1", "account"]:
                return 200, self.account
            case "GET", ["v1", "balance"]:
                amounts = [{"amount": 0, "currency": code} for code in self.currencies]
                return 200, {"object": "balance", "livemode": self.live, "available": amounts, "pending": []}
            case "GET", ["v1", "balance_settings"]:
                schedule = {"interval": self.schedules[account or ""]}
                return 200, {"object": "balance_settings", "payments": {"payouts": {"schedule": schedule}}}
            case "GET", ["v2", "core", "events"]:
                return 200, {"data": [], "next_page_url": None}
            case "GET", ["v2", "core", "accounts"]:
                return 200, {"data": [{"id": name, "object": "v2.core.account"} for name in self.schedules]}
            case "GET", ["v1", "webhook_endpoints"]:
                return 200, self._page(params)
            case "GET", ["v2", "core", "event_destinations"]:
                return 200, {"data": self.destinations, "next_page_url": None}
            case "GET", ["v1", name] if name in READS:
                return 200, {"object": "list", "data": [], "has_more": False, "url": path}
            case "POST", ["v1", "webhook_endpoints", *ids]:
                return 200, self._endpoint(ids, params)
            case "POST", ["v2", "core", "event_destinations", *ids]:
                return 200, self._destination(ids, params)
        self.mistakes.append(f"{verb} {path}")
        return 404, _error("Unrecognized request URL", "invalid_request_error")

    def _page(self, params: dict[str, Any]) -> dict[str, Any]:
        ids = [each["id"] for each in self.endpoints]
        first = ids.index(params["starting_after"]) + 1 if "starting_after" in params else 0
        rows = [{**each, "secret": None} for each in self.endpoints[first : first + self.page]]
        more = len(self.endpoints) > first + self.page
        return {"object": "list", "data": rows, "has_more": more, "url": "/v1/webhook_endpoints"}

    def _endpoint(self, ids: list[str], params: dict[str, Any]) -> dict[str, Any]:
        service = WebhookEndpointService
        self._check(service.update_async if ids else service.create_async, params)
        if not ids:
            made = {
                "id": f"we_1{secrets.token_hex(8)}",
                "object": "webhook_endpoint",
                "api_version": params.get("api_version"),
                "status": "enabled",
                "connected": params.get("connect", False),
                **{name: params[name] for name in ("url", "enabled_events", "metadata")},
            }
            self.endpoints.append(made)
            return {**made, "secret": f"whsec_{secrets.token_hex(16)}"}
        (found,) = [each for each in self.endpoints if each["id"] == ids[0]]
        found["enabled_events"] = params.get("enabled_events", found["enabled_events"])
        found["metadata"] = {**found["metadata"], **params.get("metadata", {})}
        found["status"] = "disabled" if params.get("disabled", found["status"] == "disabled") else "enabled"
        return found

    def _destination(self, ids: list[str], params: dict[str, Any]) -> dict[str, Any]:
        service = EventDestinationService
        if not ids:
            self._check(service.create_async, params)
            made = {
                "id": f"ed_1{secrets.token_hex(8)}",
                "object": "v2.core.event_destination",
                "status": "enabled",
                **{name: params[name] for name in ("enabled_events", "event_payload", "events_from", "metadata")},
                "webhook_endpoint": {"url": params["webhook_endpoint"]["url"]},
            }
            self.destinations.append(made)
            told = {**made["webhook_endpoint"], "signing_secret": f"whsec_{secrets.token_hex(16)}"}
            return {**made, "webhook_endpoint": told}
        (found,) = [each for each in self.destinations if each["id"] == ids[0]]
        if ids[1:] == ["enable"]:
            found["status"] = "enabled"
            return found
        self._check(service.update_async, params)
        found["enabled_events"] = params["enabled_events"]
        found["metadata"] = {**found["metadata"], **params["metadata"]}
        return found

    def _check(self, method: Any, params: dict[str, Any]) -> None:
        asked = operation(method)
        wrong = violations(params, asked.params, owner=asked.owner)
        self.mistakes += [f"{asked.name}: {each}" for each in wrong]


@contextmanager
def running_desk() -> Iterator[Desk]:
    """Run it on a free port."""
    desk = Desk()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(desk))
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    desk.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield desk
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(desk: Desk) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer("GET", _formed(urlsplit(self.path).query))

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["content-length"] or 0)).decode()
            is_json = "json" in (self.headers["content-type"] or "")
            self._answer("POST", json.loads(raw or "{}") if is_json else _formed(raw))

        def _answer(self, verb: str, params: dict[str, Any]) -> None:
            sent = f"{self.headers['authorization']} {self.path} {params}"
            if desk.echoes is not None:
                desk.asked.append((verb, urlsplit(self.path).path, params))
                status, kind = desk.echoes
                body = _error(sent, kind) if kind else sent
            elif self.headers["authorization"] != f"Bearer {KEY}":
                status, body = (
                    401,
                    _error(f"Invalid API Key provided: {self.headers['authorization']}", "invalid_request_error"),
                )
            else:
                path = urlsplit(self.path).path
                status, body = desk.answer(verb, path, params, self.headers["stripe-account"])
            raw = json.dumps(body).encode()
            self.send_response_only(status)
            self.send_header("date", format_datetime(datetime.now(UTC) + desk.ahead, usegmt=True))
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, format: str, *arguments: object) -> None:  # ruff: ignore[builtin-argument-shadowing] - its name there
            """Say nothing."""

    return Handler


def _error(sentence: str, kind: str) -> dict[str, Any]:
    return {"error": {"type": kind, "message": sentence}}


def _formed(text: str) -> dict[str, Any]:
    """Read a form of Stripe's: names with brackets are lists and mappings."""
    found: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        first, _, rest = name.partition("[")
        if not rest:
            found[first] = {"true": True, "false": False}.get(value, int(value) if value.isdecimal() else value)
        elif rest.removesuffix("]").isdecimal() or rest == "]":
            found.setdefault(first, []).append(value)
        else:
            found.setdefault(first, {})[rest.removesuffix("]")] = value
    return found
