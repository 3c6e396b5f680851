"""Where creators' files arrive, and where pictures of products are seen."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any, Final

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from app.http import trace_id
from app.pictures import NotAPictureError, look
from core import ids
from core.catalogue import MediaKind, MediaState
from core.errors import ErrorCode, Refused
from core.ids import Noun, uuid7
from models.database import DATABASE_ERRORS
from providers.storage.base import StorageError
from services import media
from services.engine import Engine

_STATUSES: Final = {
    ErrorCode.LINK_INVALID: 404,
    ErrorCode.MEDIA_TOO_LARGE: 413,
    ErrorCode.MEDIA_INVALID: 422,
}
# Whatever a creator uploaded, no browser runs it as a page of ours. Under one id there is never another picture.
_SEEN_HEADERS: Final = {
    "cache-control": "public, max-age=31536000, immutable",
    "content-security-policy": "default-src 'none'; sandbox",
}
_NO_STORE: Final = {"cache-control": "no-store"}
# Decoding a picture may take a lot of memory: not many at once.
_LOOKING: Final = 2

log = structlog.get_logger(__name__)


class Uploads:
    """Takes what is sent to signed addresses."""

    def __init__(self) -> None:
        self._looking = asyncio.Semaphore(_LOOKING)

    async def receive(self, request: Request) -> Response:
        """Take a file: 201 once it is kept, 200 if it was before.

        404: no address of ours, or no longer. 413: larger than was announced. 422: not what was announced, or no
        picture. 503: the store or the database is away for the moment. Each but the last says {code, message}.
        """
        engine: Engine = request.app.state.engine
        with structlog.contextvars.bound_contextvars(trace_id=trace_id(request)):
            try:
                row = await media.announced(engine, request.path_params["token"])
                fresh = await self._take(engine, row, request)
            except Refused as refused:
                return _problem(_STATUSES[refused.code], refused.code, refused.message)
            except ClientDisconnect:
                return _problem(400, ErrorCode.MEDIA_INVALID, "The file broke off. Send it again.")
            except (StorageError, *DATABASE_ERRORS) as error:
                log.error("file could not be kept", error=type(error).__name__)
                response = _problem(
                    503, ErrorCode.INTERNAL, "The file cannot be kept at the moment. Send it again."
                )
                response.headers["retry-after"] = "5"
                return response
        body = {"id": ids.encode(Noun.MEDIA, row["id"]), "state": MediaState.STORED.value}
        return JSONResponse(body, status_code=201 if fresh else 200, headers=_NO_STORE)

    async def _take(self, engine: Engine, row: Any, request: Request) -> bool:
        body = _Body(request, row["size"])
        body.ensure_fits()
        if row["state"] == MediaState.STORED:
            async for _ in body:
                pass
            if body.digest != row["digest"]:
                raise media.other_file()
            return False
        kept_as = f"uploads/{uuid7()}"
        try:
            arrived = await self._keep(engine, kept_as, body, row["kind"])
            fresh = await media.store(engine, row["id"], kept_as, arrived)
        except BaseException:
            # Shielded, because a client that hangs up ends this request.
            await asyncio.shield(_forget(engine, kept_as))
            raise
        if not fresh:
            await _forget(engine, kept_as)
        return fresh

    async def _keep(self, engine: Engine, key: str, body: "_Body", kind: str) -> media.Arrived:
        if kind == MediaKind.PICTURE:
            return await self._picture(engine, key, body)
        try:
            await engine.files.put(key, body)
        except Exception:
            # The store may show what went wrong with the bytes as an error of its own.
            if body.failure is not None:
                raise body.failure from None
            raise
        return media.Arrived(body.digest)

    async def _picture(self, engine: Engine, kept_as: str, body: "_Body") -> media.Arrived:
        data = b"".join([chunk async for chunk in body])
        try:
            async with self._looking:
                looked = await asyncio.to_thread(look, data)
        except NotAPictureError as error:
            raise Refused(ErrorCode.MEDIA_INVALID, str(error)) from None

        async def chunks() -> AsyncIterator[bytes]:
            yield data

        await engine.files.put(kept_as, chunks())
        return media.Arrived(body.digest, looked.content_type, looked.width, looked.height)


class _Body:
    """The bytes of a request, counted and digested on their way; more or fewer than were announced are refused."""

    def __init__(self, request: Request, size: int) -> None:
        self._request = request
        self._size = size
        self._digest = hashlib.sha256()
        self.failure: BaseException | None = None

    @property
    def digest(self) -> bytes:
        return self._digest.digest()

    def ensure_fits(self) -> None:
        """Refuse a length that is told beforehand and is not the announced one."""
        told = self._request.headers.get("content-length", "")
        if told.isdecimal() and int(told) != self._size:
            raise self._too_large() if int(told) > self._size else self._too_small()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the bytes as they come."""
        try:
            async for chunk in self._counted():
                yield chunk
        except (Refused, ClientDisconnect) as error:
            self.failure = error
            raise

    async def _counted(self) -> AsyncIterator[bytes]:
        seen = 0
        async for chunk in self._request.stream():
            seen += len(chunk)
            if seen > self._size:
                raise self._too_large()
            if chunk:
                self._digest.update(chunk)
                yield chunk
        if seen < self._size:
            raise self._too_small()

    def _too_large(self) -> Refused:
        return Refused(ErrorCode.MEDIA_TOO_LARGE, f"{self._size} bytes were announced, and more were sent.")

    def _too_small(self) -> Refused:
        return Refused(ErrorCode.MEDIA_INVALID, f"{self._size} bytes were announced, and fewer were sent.")


async def _forget(engine: Engine, key: str) -> None:
    try:
        await engine.files.delete(key)
    except StorageError as error:
        log.warning("what was left of an upload could not be deleted", key=key, error=str(error))


async def see(request: Request) -> Response:
    """Answer the id of a picture with it: 200, or 304 to who has it. 404: no picture. 503: the store is away."""
    with structlog.contextvars.bound_contextvars(trace_id=trace_id(request)):
        try:
            return await _picture(request.app.state.engine, request)
        except (StorageError, *DATABASE_ERRORS) as error:
            log.error("picture could not be served", error=type(error).__name__)
            response = _problem(503, ErrorCode.INTERNAL, "The picture cannot be fetched at the moment. Try again.")
            response.headers["retry-after"] = "5"
            return response


async def _picture(engine: Engine, request: Request) -> Response:
    key = ids.decode(Noun.MEDIA, request.path_params["id"])
    rows = [] if key is None else await media.by_id(engine, [key])
    if not rows or rows[0]["kind"] != MediaKind.PICTURE or rows[0]["state"] != MediaState.STORED:
        return _problem(404, ErrorCode.NOT_FOUND, "There is no such picture.")
    row = rows[0]
    etag = f'"{row["digest"].hex()}"'
    headers = {**_SEEN_HEADERS, "etag": etag}
    if _knows(request, etag):
        return Response(status_code=304, headers=headers)
    headers |= {"content-length": str(row["size"]), "content-type": row["content_type"]}
    if request.method == "HEAD":
        return Response(headers=headers)
    pieces = engine.files.read(str(row["id"]), 0, row["size"])
    # Before anything is said: a picture the store has not got is no answer of 200.
    first = await anext(pieces)

    async def whole() -> AsyncIterator[bytes]:
        yield first
        async for piece in pieces:
            yield piece

    return StreamingResponse(whole(), headers=headers)


def _knows(request: Request, etag: str) -> bool:
    """Return whether a client has this already (RFC 9110, section 13.1.2: weak comparison)."""
    known = [part.strip().removeprefix("W/") for part in request.headers.get("if-none-match", "").split(",")]
    return etag in known or "*" in known


def _problem(status: int, code: ErrorCode, message: str) -> JSONResponse:
    return JSONResponse({"code": code.value, "message": message}, status_code=status, headers=_NO_STORE)
