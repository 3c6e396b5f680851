"""Logs: one JSON object a line in production, readable lines in development; never personal data or secrets."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import orjson
import structlog

from app.redaction import frames_of, redact


def _dumps(value: Any, **_: Any) -> str:
    return orjson.dumps(value, default=str).decode()


def _exception(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Render an error without its text, which may be what somebody sent."""
    given = event.pop("exc_info", None)
    error = given if isinstance(given, BaseException) else (sys.exc_info()[1] if given is True else None)
    if isinstance(given, tuple):
        error = given[1]
    if error is not None:
        event["exception"] = frames_of(error)
    return event


def _shared() -> list[Any]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def formatter(*, production: bool) -> structlog.stdlib.ProcessorFormatter:
    """Return what makes a line of a record, ours or a library's."""
    final: list[Any]
    if production:
        final = [_exception, redact, structlog.processors.JSONRenderer(serializer=_dumps)]
    else:
        # Plain tracebacks: the values of local variables may be what somebody sent, or a secret.
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
        final = [redact, renderer]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_shared(),
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *final],
    )


def configure_logs(*, production: bool) -> None:
    """Set up logging for this process, libraries' included."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(production=production))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    for noisy in ("httpx", "httpcore", "uvicorn.access", "tortoise", "pgqueuer"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*_shared(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
