"""Metrics for Prometheus: what this process measured, and what stands in the database, at ``/metrics``."""

import asyncio
import hmac
import socket
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from app.settings import Settings
from models.database import DATABASE_ERRORS, PoolOrConnection
from services import gauges, measures
from services.engine import Engine
from services.relay import Relay

_NAMESPACE: Final = "comptoir"
# However many ask, the database is asked once a second at most.
_KEEP_SECONDS: Final = 1.0


def endpoint(settings: Settings) -> Callable[[Request], Awaitable[Response]]:
    """Return what answers at ``/metrics``, in an application whose state has an ``engine`` and maybe a ``relay``.

    With ``metrics_token`` it is shown to whoever sends that as a bearer token: 401 otherwise. Without one
    development shows it to everybody, and production to nobody: 404.
    """
    token = settings.metrics_token.get_secret_value()
    latest = _Latest()

    async def metrics(request: Request) -> Response:
        if not token and settings.is_production:
            return PlainTextResponse("Not Found", status_code=404)
        if token and not _is_shown(token, request.headers.get("authorization", "")):
            return PlainTextResponse(
                "Metrics are shown to who sends COMPTOIR_METRICS_TOKEN as a bearer token.\n",
                status_code=401,
                headers={"www-authenticate": "Bearer"},
            )
        engine: Engine = request.app.state.engine
        values = await latest.read(engine.database.reader)
        registry = CollectorRegistry()
        registry.register(_Values(values, getattr(request.app.state, "relay", None)))
        registry.register(measures.REGISTRY)
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"content-type": content_type, "cache-control": "no-store"})

    return metrics


def _is_shown(token: str, authorization: str) -> bool:
    scheme, _, given = authorization.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())


class _Latest:
    """The numbers of the database as they were a moment ago."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._read_at = float("-inf")
        self._values: gauges.Values | None = None

    async def read(self, on: PoolOrConnection) -> gauges.Values | None:
        """Return them, or nothing while the database does not answer."""
        async with self._lock:
            if time.monotonic() - self._read_at >= _KEEP_SECONDS:
                try:
                    self._values = await gauges.read(on)
                except (*DATABASE_ERRORS, TimeoutError):
                    self._values = None
                self._read_at = time.monotonic()
            return self._values


class _Values(Collector):
    """Shows numbers that were read before."""

    def __init__(self, values: gauges.Values | None, relay: Relay | None) -> None:
        self._values = values
        self._relay = relay

    def collect(self) -> Iterable[Metric]:
        """Return them as metrics."""
        yield _gauge("database_up", "1 if the database answered.", float(self._values is not None))
        if self._relay is not None:
            yield _gauge("relay_leading", "1 if the relay of this process leads.", float(self._relay.leading))
            yield _gauge(
                "relay_lag_seconds",
                "How long the relay of this process has kept the oldest change of status waiting.",
                self._relay.oldest_waiting_seconds,
            )
        for gauge in gauges.GAUGES if self._values is not None else ():
            labels = [] if gauge.label is None else [gauge.label]
            family = GaugeMetricFamily(f"{_NAMESPACE}_{gauge.name}", gauge.help, labels=labels)
            for (name, value), number in (self._values or {}).items():
                if name == gauge.name:
                    family.add_metric([] if value is None else [value], number)
            yield family


def _gauge(name: str, says: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{_NAMESPACE}_{name}", says, value=value)


async def serve_metrics(settings: Settings, engine: Engine) -> None:
    """Serve ``/metrics`` on the worker's own port until cancelled. Raises ``OSError`` when the port is taken."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.worker_metrics_port))
        app = Starlette(routes=[Route("/metrics", endpoint(settings))])
        app.state.engine = engine
        config = uvicorn.Config(
            app,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=1,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
        )
        server = _Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="metrics server")
        try:
            await asyncio.shield(serving)
        finally:
            server.should_exit = True
            await asyncio.wait({serving})


class _Server(uvicorn.Server):
    """A server beside the work of a process, to which its signals belong."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield
