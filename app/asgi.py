"""The web process: routes, and what runs beside them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import downloads, metrics, webhooks
from app.auth import Authenticator, fetch_from
from app.clock import follow_clock, read_clock
from app.engine import open_engine
from app.graphql import ComptoirSchema
from app.http import GraphQLEndpoint
from app.media import Uploads, see
from app.memory import settle_memory
from app.observed import unwrapped
from app.receipts import receipt
from app.settings import Settings
from app.supervisor import Supervisor
from app.websocket import SubscriptionEndpoint
from models.database import DATABASE_ERRORS
from providers.payments.sandbox import SandboxProvider, routes
from providers.payments.sandbox.control_api import control_routes
from services.relay import Relay

STATIC: Final = Path(__file__).resolve().parent / "static"
PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; connect-src 'self'; worker-src 'self'; base-uri 'none'; "
    "frame-ancestors 'none'; form-action 'none'"
)
_SECURITY_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
)


class NoRedisError(Exception):
    """A second web process without Redis: its subscribers would hear nothing."""


def application(settings: Settings, dsn: str) -> Starlette:
    """Return the ASGI application for settings that were checked, on a database that is migrated."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with open_engine(settings, dsn, subscribers=True) as engine:
            relay = Relay(dsn, engine.bus)
            if settings.redis_url is None and not await relay.try_lead():
                await relay.close()
                raise NoRedisError("Another web process serves this database. Set REDIS_URL to run more than one.")
            engine.relay_wake = relay.wake
            relay.start()
            schema = ComptoirSchema(introspection=not settings.is_production)
            authenticator = Authenticator(
                engine,
                issuer=settings.issuer,
                audience=settings.jwt_audience,
                fetch_keys=_keys_of(settings),
            )
            app.state.engine = engine
            app.state.relay = relay
            app.state.schema = schema
            app.state.http = GraphQLEndpoint(schema, engine, authenticator, get=not settings.is_production)
            app.state.socket = SubscriptionEndpoint(schema, engine, authenticator, settings.cors_origins)
            supervisor = Supervisor()
            sandbox = unwrapped(engine.provider)
            if isinstance(sandbox, SandboxProvider):
                # The sandbox's own pages are part of the sandbox, and there only with it.
                app.router.routes.extend(routes(sandbox))
                if not settings.is_production:
                    app.router.routes.extend(control_routes(sandbox))
                    await read_clock(sandbox)
                    supervisor.start("business time", partial(follow_clock, sandbox))
            settle_memory()
            try:
                yield
            finally:
                await supervisor.stop()
                await relay.close()

    return Comptoir(
        routes=_routes(settings),
        lifespan=lifespan,
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(
                CORSMiddleware,
                allow_origins=list(settings.cors_origins),
                allow_methods=["GET", "POST", "PUT"],
                allow_headers=["authorization", "content-type", "traceparent"],
                max_age=3600,
            ),
        ],
    )


def _keys_of(settings: Settings) -> Callable[[], Awaitable[dict[str, Any]]]:
    if not settings.is_own_issuer:
        return fetch_from(settings.jwks_url)

    async def own_keys() -> dict[str, Any]:
        return settings.development.public_keys()

    return own_keys


def _routes(settings: Settings) -> list[BaseRoute]:
    found: list[BaseRoute] = [
        Route("/graphql", _GraphQLOverHttp()),
        WebSocketRoute("/graphql", _GraphQLOverWebSocket()),
        Route("/webhooks/{provider}", webhooks.receive, methods=["POST"]),
        Route("/downloads/{token}", downloads.download, methods=["GET"]),
        Route("/media/uploads/{token}", Uploads().receive, methods=["PUT"]),
        Route("/media/{id}", see, methods=["GET"]),
        Route("/receipts/{token}", receipt, methods=["GET"]),
        Route("/metrics", metrics.endpoint(settings)),
        Route("/health/live", _live),
        Route("/health/ready", _ready),
    ]
    if settings.is_own_issuer:

        async def keys(_: Request) -> Response:
            return JSONResponse(settings.development.public_keys())

        found.append(Route("/.well-known/jwks.json", keys))
    if not settings.is_production:
        found += [
            Route("/", _home),
            Route("/graphiql", _graphiql),
            Mount("/static", StaticFiles(directory=STATIC, check_dir=False)),
        ]
    return found


class _GraphQLOverHttp:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await scope["app"].state.http(scope, receive, send)


class _GraphQLOverWebSocket:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await scope["app"].state.socket(scope, receive, send)


class Comptoir(Starlette):
    """The application. GraphQL by clients that are no browsers takes the short way.

    Without an Origin there is nothing for CORS to answer, the path needs no routing, and the endpoint answers
    for its own errors: the way through the layers for all that took a tenth of a tip.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._graphql = SecurityHeaders(_GraphQLOverHttp())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http" and scope["path"] == "/graphql" and not _has_origin(scope):
            scope["app"] = self
            await self._graphql(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def _has_origin(scope: Scope) -> bool:
    return any(name == b"origin" for name, _ in scope["headers"])


async def _home(_: Request) -> Response:
    return RedirectResponse("/graphiql")


async def _graphiql(_: Request) -> Response:
    page = STATIC / "index.html"
    if not page.is_file():
        return PlainTextResponse("The GraphiQL page is not built: run `make web`.\n", status_code=404)
    return FileResponse(page, headers={"content-security-policy": PAGE_POLICY, "cache-control": "no-cache"})


async def _live(_: Request) -> Response:
    """Say that the process runs; nothing more is asked."""
    return JSONResponse({"status": "ok"})


async def _ready(request: Request) -> Response:
    """Say whether this process can do its work: 200, or 503 with what is wrong."""
    state = request.app.state
    problems: list[str] = []
    try:
        await state.engine.database.reader.fetchval("select 1", timeout=2)
    except (*DATABASE_ERRORS, TimeoutError) as error:
        problems.append(f"database: {type(error).__name__}")
    if not state.relay.healthy:
        problems.append("relay: failing; it is tried again")
    if not getattr(state.engine.bus, "healthy", True):
        problems.append("bus: not connected")
    if problems:
        return JSONResponse({"status": "not ready", "problems": problems}, status_code=503)
    return JSONResponse({"status": "ok", "relay": "leading" if state.relay.leading else "standing by"})


class SecurityHeaders:
    """Adds the headers that keep browsers from guessing and leaking."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, with headers added to its answer."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *_SECURITY_HEADERS]
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)
