"""The front door: HTTP in, Stripe's shapes out."""

import asyncio
import contextlib
import copy
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as HttpRoute

from .calls import ROUTES, Call, Route
from .faults import Fault, Faults, Plan
from .keys import Kept, Keys
from .refunds import refunds_of
from .refusals import Body, Refused, malformed
from .rendering import expanded
from .store import API_VERSION, Store
from .typed import Violation, violations
from .wire import form, shaped

_LISTS = {("charge", "refunds"): refunds_of}
_FAILED: Body = {"error": {"type": "api_error", "message": "An unknown error occurred."}}
_TOO_MANY: Body = {
    "error": {"type": "invalid_request_error", "message": "Too many requests.", "code": "rate_limit"}
}


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that was taken: what it was, and with what."""

    operation: str
    call: str
    params: dict[str, Any]
    key: str | None
    account: str | None
    status: int
    replayed: bool


class Door:
    """Takes requests one at a time: what they do happens in one step of the loop."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.keys = Keys(store)
        self.faults = Faults()
        self.seen: list[Seen] = []
        methods = ["GET", "POST", "DELETE"]
        self.app = Starlette(routes=[HttpRoute("/{path:path}", self.answer, methods=methods)])

    async def answer(self, request: Request) -> Response:
        text = (await request.body()).decode()
        # The path as it was sent: an id that smuggles a slash in is not to be taken for a longer path.
        path = request.scope["raw_path"].decode().split("?")[0]
        plan = self.faults.of(f"{request.method} {path}")
        name = self.store.new_id("req")
        status, body, kept = 500, _FAILED, None
        if plan is not None and plan.fault is Fault.RATE_LIMITED:
            status, body = 429, _TOO_MANY
        elif plan is None or plan.fault is not Fault.ERROR_BEFORE:
            try:
                status, body, kept = await self._answered(request, path, text, plan, name)
            except Exception as error:  # ruff: ignore[blind-except] - whatever it is, the stand-in is wrong
                self.store.mistakes.append(f"{request.method} {path}: {error!r}")
        if plan is not None and plan.fault is Fault.NO_ANSWER:
            await plan.hold()
        headers = {
            "date": formatdate(self.store.clock.now, usegmt=True),
            "request-id": name,
            "stripe-version": API_VERSION,
        }
        if kept is not None:
            headers |= {"idempotent-replayed": "true", "original-request": kept.request}
        return JSONResponse(body, status, headers)

    async def _answered(
        self, request: Request, path: str, text: str, plan: Plan | None, name: str
    ) -> tuple[int, Body, Kept | None]:
        """Return the status and the body, and what was kept if they are an answer from before."""
        try:
            account = self._account(request)
            route, ids = _route(request.method, path)
            params = self._params(route, request, text)
            call = Call(self.store, ids, params, account, path)
            key = request.headers.get("idempotency-key")
            if not key or request.method == "GET":
                status, body, _ = await self._once(route, call, plan, request)
                return status, body, None
            return await self._keyed(route, call, plan, request, (route.operation.is_v2, account, key), name)
        except Refused as refused:
            return refused.status, refused.body, None

    async def _keyed(
        self,
        route: Route,
        call: Call,
        plan: Plan | None,
        request: Request,
        key: tuple[bool, str | None, str],
        name: str,
    ) -> tuple[int, Body, Kept | None]:
        asked, at = copy.deepcopy(call.params), call.now
        before = self.keys.begin(key, call.path, asked)
        if before is not None:
            self._note(route, request, asked, before.status, replayed=True)
            return before.status, before.body, before
        kept = None
        try:
            status, body, stored = await self._once(route, call, plan, request)
            if stored:
                kept = Kept(call.path, asked, status, body, at, name)
        finally:
            self.keys.end(key, kept)
        return status, body, None

    async def _once(self, route: Route, call: Call, plan: Plan | None, request: Request) -> tuple[int, Body, bool]:
        if plan is not None and plan.fault is Fault.HELD:
            await plan.hold()
        asked = copy.deepcopy(call.params)
        status, body, stored = self._carried_out(route, call, plan, request.method)
        self._note(route, request, asked, status, replayed=False)
        return status, body, stored

    def _carried_out(self, route: Route, call: Call, plan: Plan | None, method: str) -> tuple[int, Body, bool]:
        """Return the status, the body, and whether they are kept for the key."""
        store = self.store
        before = store.clock.now
        if method != "GET":
            store.clock.tick()
        try:
            told = self._told(route, call)
        except Refused as refused:
            if not refused.effect:
                store.clock.now = before
            self.settle_afterwards()
            return refused.status, refused.body, refused.stored
        self.settle_afterwards()
        if plan is not None and plan.fault is Fault.ERROR_AFTER:
            return 500, _FAILED, True
        return 200, told, True

    def _told(self, route: Route, call: Call) -> Body:
        store = self.store
        body = route.handler(call)
        # A list is a copy already; what is stored is not to be changed by whoever is told of it.
        told = body if body.get("object") == "list" or "data" in body else store.view(body)
        told = expanded(store, told, call.params.get("expand", []), _LISTS)
        found = violations(told, route.operation.answer, owner=route.operation.owner, closed=True)
        store.mistakes += [f"answer to {route.operation.name}: {each}" for each in found]
        return orjson.loads(orjson.dumps(told))  # type: ignore[no-any-return]

    def settle_afterwards(self) -> None:
        actions, self.store.after_answer = self.store.after_answer, []
        for action in actions:
            action()

    def _account(self, request: Request) -> str | None:
        """Return the connected account that a request is made for; refuse who may not ask at all."""
        settings = self.store.settings
        if request.headers.get("authorization") != f"Bearer {settings.api_key}":
            raise Refused("Invalid API Key provided.", status=401, stored=False)
        if (version := request.headers.get("stripe-version")) != API_VERSION:
            self.store.mistakes.append(f"asked in version {version}, which the stand-in does not speak")
            raise malformed("Invalid Stripe API version.", None, None)
        account = request.headers.get("stripe-account")
        if account is None or account == settings.account:
            return None
        if account not in self.store.rows or account in self.store.revoked:
            raise Refused(
                f"The provided key does not have access to account '{account}' (or that account does not exist). "
                "Application access may have been revoked.",
                status=403,
                code="account_invalid",
                stored=False,
            )
        return account

    def _params(self, route: Route, request: Request, text: str) -> dict[str, Any]:
        """Return a request's parameters as their types have them. Refuses what the SDK does not know."""
        operation = route.operation
        if operation.is_v2 and request.method == "POST":
            params = orjson.loads(text or "{}")
        else:
            raw = form(str(request.url.query) if request.method in {"GET", "DELETE"} else text)
            params = shaped(raw, operation.params, operation.owner) if operation.params is not None else raw
        # Of v2's lists the address of the next page says where it begins: in a way that is nobody's business.
        following = params.pop("page", None) if operation.is_v2 and request.method == "GET" else None
        if operation.params is None:
            found = [Violation(name, "unknown") for name in params]
        else:
            found = violations(params, operation.params, owner=operation.owner, closed=True)
        if found:
            raise _refusal(found[0])
        if aside := set(params) - route.honours:
            self.store.mistakes.append(f"{operation.name}: the stand-in does nothing about {sorted(aside)}")
            raise malformed(f"The stand-in does nothing about {sorted(aside)}.", None, None)
        return params if following is None else {**params, "page": following}

    def _note(
        self, route: Route, request: Request, params: dict[str, Any], status: int, *, replayed: bool
    ) -> None:
        headers = request.headers
        self.seen.append(
            Seen(
                route.operation.name,
                f"{request.method} {request.url.path}",
                params,
                headers.get("idempotency-key"),
                headers.get("stripe-account"),
                status,
                replayed,
            )
        )


def _refusal(found: Violation) -> Refused:
    if found.problem == "unknown":
        return malformed(f"Received unknown parameter: {found.path}", found.path, "parameter_unknown")
    if found.problem == "missing":
        return malformed(f"Missing required param: {found.path}.", found.path, "parameter_missing")
    code = "parameter_invalid_integer" if found.wanted == "integer" else None
    return malformed(f"Invalid {found.path}: must be {found.wanted}", found.path, code)


def _route(method: str, path: str) -> tuple[Route, tuple[str, ...]]:
    for route in ROUTES:
        if route.operation.verb == method and (match := route.operation.pattern.fullmatch(path)):
            return route, match.groups()
    raise Refused(f"Unrecognized request URL ({method}: {path}).", status=404, stored=False)


@contextlib.asynccontextmanager
async def serving(door: Door, port: int = 0) -> AsyncGenerator[int]:
    """Serve on loopback, in this event loop; yield the port."""
    config = uvicorn.Config(
        door.app, host="127.0.0.1", port=port, log_config=None, lifespan="off", date_header=False, access_log=False
    )
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]
    task = asyncio.create_task(server.serve())
    try:
        while not server.started:
            if task.done():
                await task
                raise RuntimeError("the stand-in does not start")
            await asyncio.sleep(0.001)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        door.faults.release_all()
        server.should_exit = True
        server.force_exit = True
        await task
