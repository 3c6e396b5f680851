"""Errors made fit to show: expected ones as they are, others masked and logged."""

import structlog
from graphql import GraphQLError

from core.errors import ErrorCode, Refused
from models.database import DATABASE_ERRORS
from resolvers.fields import top_level

log = structlog.get_logger(__name__)


def shown(error: GraphQLError, trace_id: str) -> GraphQLError:
    """Return an error as a client may see it: expected ones as they are, others masked, with a trace id."""
    original = error.original_error
    while isinstance(original, GraphQLError) and original.original_error is not None:
        original = original.original_error
    if isinstance(original, Refused):
        refused = top_level(original)
        return GraphQLError(refused.message, nodes=error.nodes, path=error.path, extensions=refused.extensions)
    if original is None or isinstance(original, GraphQLError):
        code = (error.extensions or {}).get("code", ErrorCode.INPUT_INVALID.value)
        return GraphQLError(
            error.message,
            nodes=error.nodes,
            source=error.source,
            positions=error.positions,
            path=error.path,
            extensions={"code": code},
        )
    trace = None if isinstance(original, DATABASE_ERRORS) else original
    kind = type(original).__name__
    log.error("operation failed", trace_id=trace_id, path=error.path, error=kind, exc_info=trace)
    return GraphQLError(
        "Something broke on our side. Quote the trace id when reporting it.",
        nodes=error.nodes,
        path=error.path,
        extensions={"code": ErrorCode.INTERNAL.value, "traceId": trace_id},
    )
