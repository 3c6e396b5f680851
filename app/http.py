"""GraphQL over HTTP, to the letter of its specification (GraphQL over HTTP, September 2025 draft)."""

import re
import secrets
from dataclasses import dataclass
from typing import Any, Final

import orjson
import structlog
from graphql import GraphQLError, OperationType
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.auth import Authenticator
from app.errors import shown
from app.graphql import ComptoirSchema, NotAllowedError
from core.errors import ErrorCode, Refused
from models.database import DATABASE_ERRORS
from resolvers.context import Context
from resolvers.fields import top_level
from services.engine import Engine

GRAPHQL_RESPONSE: Final = "application/graphql-response+json"
JSON: Final = "application/json"

# The longest operation we know of is a product with its description of 10,000 characters.
MAXIMUM_BODY_BYTES: Final = 256 * 1024
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_QUERIES: Final = frozenset({OperationType.QUERY})
_QUERIES_AND_MUTATIONS: Final = frozenset({OperationType.QUERY, OperationType.MUTATION})

log = structlog.get_logger(__name__)


class BodyTooLarge(Exception):  # ruff: ignore[error-suffix-on-exception-name] - an answer
    """A request's body is over the cap; nothing beyond it was read."""


async def read_body(request: Request, limit: int) -> bytes:
    """Read a body of at most ``limit`` bytes. Raises ``BodyTooLarge`` before reading past it."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise BodyTooLarge
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise BodyTooLarge
        parts.append(part)
    return b"".join(parts)


def trace_id(request: Any) -> str:
    """Return the id under which this request can be found in the logs: the caller's (W3C), or a new one."""
    given = _TRACEPARENT.fullmatch(request.headers.get("traceparent", ""))
    return given.group(1) if given else secrets.token_hex(16)


class _Unfit(Exception):  # ruff: ignore[error-suffix-on-exception-name] - an answer
    """A request that is not a GraphQL request."""

    def __init__(
        self,
        status: int,
        message: str,
        code: ErrorCode = ErrorCode.INPUT_INVALID,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.headers = headers or {}


@dataclass(frozen=True, slots=True)
class _Asked:
    query: str
    variables: dict[str, Any] | None
    operation_name: str | None


class GraphQLEndpoint:
    """The ASGI application at ``/graphql`` for HTTP. ``get`` allows queries by GET as well."""

    def __init__(self, schema: ComptoirSchema, engine: Engine, authenticator: Authenticator, *, get: bool) -> None:
        self._schema = schema
        self._engine = engine
        self._authenticator = authenticator
        self._get = get

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        trace = trace_id(request)
        try:
            with structlog.contextvars.bound_contextvars(trace_id=trace):
                response = await self._answer(request, trace)
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    async def _answer(self, request: Request, trace: str) -> Response:
        media_type = _negotiated(request.headers.get("accept"))
        if media_type is None:
            return _response(
                406,
                JSON,
                _problem(f"This answers with {GRAPHQL_RESPONSE} or {JSON}.", ErrorCode.INPUT_INVALID),
            )
        try:
            asked, allowed = await self._asked(request)
            viewer = await self._authenticator.viewer(request.headers.get("authorization"))
        except _Unfit as unfit:
            return _response(unfit.status, media_type, _problem(unfit.message, unfit.code), unfit.headers)
        except Refused as refused:
            headers = {"www-authenticate": 'Bearer error="invalid_token"'}
            return _response(401, media_type, _problem(refused.message, refused.code), headers)
        except DATABASE_ERRORS as error:
            masked = shown(GraphQLError("", original_error=error), trace)
            return _response(503, media_type, {"errors": [masked.formatted]}, {"retry-after": "5"})
        context = Context(self._engine, viewer, trace)
        try:
            answer = await self._schema.answer(
                asked.query, asked.variables, asked.operation_name, context, allowed
            )
        except NotAllowedError as error:
            if error.operation is OperationType.SUBSCRIPTION:
                message = "Subscriptions are served over WebSocket, with the subprotocol graphql-transport-ws."
                return _response(400, media_type, _problem(message, ErrorCode.INPUT_INVALID))
            message = "Mutations are sent by POST."
            return _response(405, media_type, _problem(message, ErrorCode.INPUT_INVALID), {"allow": "POST"})
        body: dict[str, Any] = {}
        if not answer.is_request_error:
            body["data"] = answer.data
        if answer.errors:
            body["errors"] = [error.formatted for error in answer.errors]
        if answer.extensions:
            body["extensions"] = answer.extensions
        unrun = answer.is_request_error and media_type == GRAPHQL_RESPONSE
        return _response(400 if unrun else 200, media_type, body)

    async def _asked(self, request: Request) -> tuple[_Asked, frozenset[OperationType]]:
        if request.method == "GET" and self._get:
            return _from_parameters(request), _QUERIES
        if request.method != "POST":
            allow = "GET, POST" if self._get else "POST"
            raise _Unfit(405, "Operations are sent by POST.", headers={"allow": allow})
        content_type = request.headers.get("content-type", "")
        if not _is_json(content_type):
            raise _Unfit(415, f"Send the operation as {JSON}, in UTF-8.")
        try:
            body = await read_body(request, MAXIMUM_BODY_BYTES)
        except BodyTooLarge:
            message = f"An operation has at most {MAXIMUM_BODY_BYTES} bytes."
            raise _Unfit(413, message, ErrorCode.LIMIT_EXCEEDED, {"connection": "close"}) from None
        try:
            return _from_json(orjson.loads(body)), _QUERIES_AND_MUTATIONS
        except orjson.JSONDecodeError:
            raise _Unfit(400, "The body is not JSON.") from None


def _negotiated(accept: str | None) -> str | None:
    """Choose the media type of the answer; None when the client takes neither."""
    if accept is None or not accept.strip():
        return JSON
    weights: dict[str, float] = {}
    for part in accept.split(","):
        media, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        charset = next((p[8:].strip('"') for p in parameters if p.startswith("charset=")), "utf-8")
        try:
            weight = float(quality)
        except ValueError:
            weight = 0.0
        if charset in {"utf-8", "utf8"}:
            weights[media] = max(weight, weights.get(media, 0.0))
    anything = max(weights.get("*/*", 0.0), weights.get("application/*", 0.0))
    ours = {GRAPHQL_RESPONSE: weights.get(GRAPHQL_RESPONSE, 0.0), JSON: weights.get(JSON, anything)}
    best = max(ours, key=lambda media: ours[media])
    return best if ours[best] > 0 else None


def _is_json(content_type: str) -> bool:
    media, *parameters = (piece.strip().lower() for piece in content_type.split(";"))
    charset = next((p[8:].strip('"') for p in parameters if p.startswith("charset=")), "utf-8")
    return media == JSON and charset in {"utf-8", "utf8"}


def _from_parameters(request: Request) -> _Asked:
    given: dict[str, Any] = dict(request.query_params)
    for name in ("variables", "extensions"):
        if given.get(name):
            try:
                given[name] = orjson.loads(given[name])
            except orjson.JSONDecodeError:
                raise _Unfit(400, f"The parameter {name} is not JSON.") from None
        else:
            given.pop(name, None)
    return _from_json(given)


def _from_json(given: Any) -> _Asked:
    if isinstance(given, list):
        raise _Unfit(400, "Send one operation at a time: batches are not taken.", ErrorCode.LIMIT_EXCEEDED)
    if not isinstance(given, dict):
        raise _Unfit(400, "Send a JSON object with a query.")
    query = given.get("query")
    if not isinstance(query, str) or not query.strip():
        raise _Unfit(400, "Send the operation as text in query.")
    variables, name, extensions = (given.get(key) for key in ("variables", "operationName", "extensions"))
    if variables is not None and not isinstance(variables, dict):
        raise _Unfit(400, "Send variables as an object.")
    if name is not None and not isinstance(name, str):
        raise _Unfit(400, "Send operationName as text.")
    if extensions is not None and not isinstance(extensions, dict):
        raise _Unfit(400, "Send extensions as an object.")
    return _Asked(query, variables, name or None)


def _problem(message: str, code: ErrorCode) -> dict[str, Any]:
    return {"errors": [top_level(Refused(code, message)).formatted]}


def _response(
    status: int, media_type: str, body: dict[str, Any], headers: dict[str, str] | None = None
) -> Response:
    return Response(
        orjson.dumps(body),
        status_code=status,
        headers={**(headers or {}), "cache-control": "no-store"},
        media_type=f"{media_type}; charset=utf-8",
    )
