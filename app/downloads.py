"""Where bought files are fetched, by signed links: whole, or in parts (RFC 9110, section 14)."""

import re
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import quote

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from app.http import trace_id
from app.ranges import Span, span_of
from core.errors import ErrorCode, Refused
from models.database import DATABASE_ERRORS
from providers.storage.base import StorageError
from services import downloads
from services.engine import Engine

_STATUSES: Final = {
    ErrorCode.LINK_INVALID: 404,
    ErrorCode.ACCESS_REVOKED: 403,
    ErrorCode.DOWNLOAD_LIMIT_REACHED: 410,
}
_NO_STORE: Final = {"cache-control": "no-store"}
# Whatever a creator uploaded, no browser runs it as a page of ours.
_POLICY: Final = "default-src 'none'; sandbox"
_MEDIA_TYPE: Final = re.compile(r"[\w.+!#$&^-]+/[\w.+!#$&^-]+", re.ASCII)
_UNPLAIN: Final = re.compile(r"[^A-Za-z0-9 ._()-]")
# What RFC 5987, 3.2.1 calls attr-char, beside letters and digits.
_ATTRIBUTE_CHARACTERS: Final = "!#$&+-.^_`|~"

log = structlog.get_logger(__name__)


async def download(request: Request) -> Response:
    """Answer a link with its file: 200, or 206 with a part of it; a HEAD counts nothing.

    403: the purchase was given back. 404: no link of ours, or no longer. 410: downloaded as often as it may be.
    416: no such part. 503: the file or the database is away for the moment.
    """
    engine: Engine = request.app.state.engine
    with structlog.contextvars.bound_contextvars(trace_id=trace_id(request)):
        try:
            return await _answer(engine, request)
        except Refused as refused:
            return _problem(_STATUSES[refused.code], refused.code, refused.message)
        except (StorageError, *DATABASE_ERRORS) as error:
            log.error("file could not be served", error=type(error).__name__)
            response = _problem(503, ErrorCode.INTERNAL, "The file cannot be fetched at the moment. Try again.")
            response.headers["retry-after"] = "5"
            return response


async def _answer(engine: Engine, request: Request) -> Response:
    found = await downloads.read_link(engine, request.path_params["token"])
    etag = f'"{found.digest.hex()}"'
    headers = {
        **_NO_STORE,
        "accept-ranges": "bytes",
        "etag": etag,
        "content-disposition": disposition(found.file_name),
        "content-security-policy": _POLICY,
        "content-type": _media_type(found.content_type),
    }
    if request.method == "HEAD":
        # A range is of a GET alone (RFC 9110, 14.2).
        return Response(headers={**headers, "content-length": str(found.size)})
    span = span_of(request.headers.get("range"), request.headers.get("if-range"), size=found.size, etag=etag)
    if span is None:
        return Response(
            status_code=416,
            headers={**_NO_STORE, "accept-ranges": "bytes", "content-range": f"bytes */{found.size}"},
        )
    resumed = span.start > 0
    downloads.ensure_left(found, resumed=resumed)
    pieces = engine.files.read(str(found.file_id), span.start, span.end)
    # Not before it is known to be there: what cannot be sent is not counted.
    first = await anext(pieces)
    await downloads.count(engine, found, resumed=resumed)
    return StreamingResponse(
        _body(first, pieces), status_code=206 if span.part else 200, headers={**headers, **_extent(span)}
    )


def _extent(span: Span) -> dict[str, str]:
    length = {"content-length": str(span.length)}
    return {**length, "content-range": span.content_range} if span.part else length


async def _body(first: bytes, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in pieces:
        yield piece


def _media_type(given: str) -> str:
    return given if _MEDIA_TYPE.fullmatch(given) else "application/octet-stream"


def disposition(file_name: str) -> str:
    """Return Content-Disposition for a file to keep (RFC 6266): a plain name, and the real one beside it."""
    name = re.sub(r"[/\\\x00-\x1f\x7f]", "_", file_name)
    plain = _UNPLAIN.sub("_", name)
    if plain == name:
        return f'attachment; filename="{plain}"'
    whole = quote(name, safe=_ATTRIBUTE_CHARACTERS)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{whole}"


def _problem(status: int, code: ErrorCode, message: str) -> JSONResponse:
    return JSONResponse({"code": code.value, "message": message}, status_code=status, headers=_NO_STORE)
