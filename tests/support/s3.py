"""As much of an S3-compatible store as a file store asks of one, in memory, over real HTTP."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import md5
from urllib.parse import unquote
from xml.sax.saxutils import unescape

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.support.world import free_port

ACCESS_KEY = "an-access-key"


@dataclass
class Bucket:
    """What is kept, what is on its way in parts, and what was asked."""

    objects: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    failing: bool = False

    async def answer(self, request: Request) -> Response:
        """Answer one request of the protocol."""
        key, query, body = request.path_params.get("key", ""), request.query_params, await request.body()
        self.asked.append(request.method)
        if self.failing:
            return Response(status_code=403)
        if ACCESS_KEY not in request.headers.get("authorization", ""):
            return _xml("<Error><Code>AccessDenied</Code></Error>", 403)
        if request.method == "POST":
            return self._post(key, query, body)
        if request.method == "PUT":
            return self._put(key, query, body, request.headers.get("x-amz-copy-source"))
        if request.method == "DELETE":
            if "uploadId" in query:
                self.uploads.pop(query["uploadId"], None)
            else:
                self.objects.pop(key, None)
            return Response(status_code=204)
        return self._get(key, request)

    def _put(self, key: str, query: QueryParams, body: bytes, source: str | None) -> Response:
        if "uploadId" in query:
            self.uploads[query["uploadId"]][int(query["partNumber"])] = body
        elif source is not None:
            kept = self.objects.get(unquote(source).lstrip("/").partition("/")[2])
            if kept is None:
                return _xml("<Error><Code>NoSuchKey</Code></Error>", 404)
            self.objects[key] = kept
            return _xml(f"<CopyObjectResult><ETag>{_etag(kept)}</ETag></CopyObjectResult>")
        else:
            self.objects[key] = body
        return Response(headers={"etag": _etag(body)})

    def _post(self, key: str, query: QueryParams, body: bytes) -> Response:
        if "uploads" in query:
            name = f"upload-{len(self.uploads)}"
            self.uploads[name] = {}
            return _xml(
                "<InitiateMultipartUploadResult><Bucket>bucket</Bucket>"
                f"<Key>{key}</Key><UploadId>{name}</UploadId></InitiateMultipartUploadResult>"
            )
        if "delete" in query:
            keys = [unescape(found) for found in re.findall(r"<Key>(.*?)</Key>", body.decode())]
            for found in keys:
                self.objects.pop(found, None)
            gone = "".join(f"<Deleted><Key>{found}</Key></Deleted>" for found in keys)
            return _xml(f"<DeleteResult>{gone}</DeleteResult>")
        parts = self.uploads.pop(query["uploadId"])
        self.objects[key] = b"".join(parts[number] for number in sorted(parts))
        etag = _etag(self.objects[key])
        return _xml(
            "<CompleteMultipartUploadResult><Location>x</Location><Bucket>bucket</Bucket>"
            f"<Key>{key}</Key><ETag>{etag}</ETag></CompleteMultipartUploadResult>"
        )

    def _get(self, key: str, request: Request) -> Response:
        kept = self.objects.get(key)
        if kept is None:
            return _xml("<Error><Code>NoSuchKey</Code></Error>", 404)
        headers = {"etag": _etag(kept), "last-modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
        span = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("range", ""))
        if span is None:
            return Response(kept, headers=headers)
        start, end = int(span[1]), min(int(span[2]), len(kept) - 1)
        headers["content-range"] = f"bytes {start}-{end}/{len(kept)}"
        return Response(kept[start : end + 1], status_code=206, headers=headers)


def _etag(data: bytes) -> str:
    return f'"{md5(data, usedforsecurity=False).hexdigest()}"'


def _xml(text: str, status: int = 200) -> Response:
    return Response(f'<?xml version="1.0" encoding="UTF-8"?>{text}', status, media_type="application/xml")


@asynccontextmanager
async def running_bucket() -> AsyncIterator[tuple[str, Bucket]]:
    """Run a bucket named ``bucket`` on loopback; give its endpoint and what is in it."""
    bucket, port = Bucket(), free_port()
    methods = ["GET", "HEAD", "PUT", "POST", "DELETE"]
    paths = ("/bucket", "/bucket/{key:path}")
    app = Starlette(routes=[Route(path, bucket.answer, methods=methods) for path in paths])
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, timeout_graceful_shutdown=2)
    )
    serving = asyncio.create_task(server.serve())
    try:
        while not server.started:
            assert not serving.done(), "the bucket did not start"
            await asyncio.sleep(0.005)
        yield f"http://127.0.0.1:{port}", bucket
    finally:
        server.should_exit = True
        await serving
