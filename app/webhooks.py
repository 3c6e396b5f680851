"""Where payment providers send their webhooks."""

import time
from typing import Final

import structlog
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from app.http import BodyTooLarge, read_body, trace_id
from models.database import DATABASE_ERRORS
from providers.payments.base import WebhookRejected
from services import measures, webhooks
from services.engine import Engine

MAXIMUM_WEBHOOK_BYTES: Final = 1024 * 1024

# What was not read is not waited for.
_CLOSE: Final = {"connection": "close"}

log = structlog.get_logger(__name__)


async def receive(request: Request) -> Response:
    """Answer 200 once an event is stored, and not before.

    400: it cannot be believed. 404: no such provider. 413: too large, judged before reading past the cap.
    503: the database is away; the provider sends it again.
    """
    engine: Engine = request.app.state.engine
    if request.path_params["provider"] != engine.provider.name:
        return PlainTextResponse("There is no such provider here.\n", status_code=404)
    trace = trace_id(request)
    began = time.perf_counter()
    with structlog.contextvars.bound_contextvars(trace_id=trace):
        outcome, response = await _receive(engine, request, trace)
    measures.WEBHOOKS_RECEIVED.labels(engine.provider.name, outcome).inc()
    measures.WEBHOOK_RECEIPT_SECONDS.observe(time.perf_counter() - began)
    return response


async def _receive(engine: Engine, request: Request, trace: str) -> tuple[str, Response]:
    """Return what came of a webhook, in a word, and the answer to it."""
    try:
        body = await read_body(request, MAXIMUM_WEBHOOK_BYTES)
        await webhooks.receive(engine, request.headers, body, trace)
    except BodyTooLarge:
        return "too_large", PlainTextResponse("A webhook has at most 1 MiB.\n", status_code=413, headers=_CLOSE)
    except WebhookRejected as rejected:
        log.warning("webhook refused", provider=engine.provider.name, reason=str(rejected))
        return "unverified", PlainTextResponse("This webhook could not be verified.\n", status_code=400)
    except DATABASE_ERRORS as error:
        log.error("webhook could not be stored", provider=engine.provider.name, error=type(error).__name__)
        headers = {"retry-after": "5"}
        return "unavailable", PlainTextResponse("Try again later.\n", status_code=503, headers=headers)
    return "stored", PlainTextResponse("ok\n")
