"""Media: files that arrive at signed addresses whole or not at all, and pictures everybody sees."""

import hashlib
import io
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio
from PIL import Image

from core.ids import Noun
from tests.api.shop import Shop, ask, do, nothing_of, refused, unchanged

pytestmark = pytest.mark.asyncio(loop_scope="module")

PICTURES = "query ($id: ID!) { product(id: $id) { pictures { url alternativeText width height } } }"


def drawing(kind: str = "PNG", width: int = 3, height: int = 2, colour: str = "red") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(out, kind)
    return out.getvalue()


@pytest_asyncio.fixture(loop_scope="module")
async def web(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=shop.world.url) as client:
        yield client


async def announce(shop: Shop, size: int, kind: str = "PICTURE", **given: Any) -> tuple[str, str]:
    """Announce a file; return its id and the path its bytes are sent to."""
    made = await do(
        shop.owner,
        "mediaUpload",
        **{
            "creatorId": shop.creator,
            "kind": kind,
            "fileName": "a file",
            "contentType": "application/octet-stream",
            "size": str(size),
            **given,
        },
    )
    return made["media"]["id"], urlsplit(made["uploadUrl"]).path


async def upload(shop: Shop, web: httpx.AsyncClient, data: bytes, kind: str = "PICTURE") -> str:
    media, path = await announce(shop, len(data), kind)
    assert (await web.put(path, content=data)).status_code == 201
    return media


async def row(shop: Shop, media: str) -> Any:
    return await shop.world.engine.database.reader.fetchrow(
        "select * from media_files where id = $1", shop.world.key(Noun.MEDIA, media)
    )


def kept(shop: Shop) -> set[str]:
    """Return the names of all files in the store."""
    folder = Path(shop.world.settings.files_url)
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


# Arriving ---------------------------------------------------------------------------------------------------


async def test_file_arrives_whole_and_is_known_by_its_digest(shop: Shop, web: httpx.AsyncClient) -> None:
    data = bytes(range(256)) * 20_000
    media, path = await announce(shop, len(data), "DIGITAL", contentType="Application/ZIP", fileName=" a b.zip ")

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(data), 70_000):
            yield data[at : at + 70_000]

    answer = await web.put(path, content=pieces())

    assert (answer.status_code, answer.json()) == (201, {"id": media, "state": "STORED"})
    found = await row(shop, media)
    assert (found["state"], found["digest"], found["size"]) == ("STORED", hashlib.sha256(data).digest(), len(data))
    assert (found["file_name"], found["content_type"], found["width"]) == ("a b.zip", "application/zip", None)
    stored = shop.world.engine.files.read(str(found["id"]), 0, len(data))
    assert b"".join([piece async for piece in stored]) == data


async def test_same_file_sent_again_changes_nothing(shop: Shop, web: httpx.AsyncClient) -> None:
    data = drawing()
    media, path = await announce(shop, len(data))
    await web.put(path, content=data)
    before, files = await row(shop, media), kept(shop)

    again = await web.put(path, content=data)

    assert (again.status_code, again.json()) == (200, {"id": media, "state": "STORED"})
    assert (await row(shop, media), kept(shop)) == (before, files)


async def test_another_file_is_not_taken_for_the_first(shop: Shop, web: httpx.AsyncClient) -> None:
    media, path = await announce(shop, 5, "DIGITAL")
    await web.put(path, content=b"first")
    before, files = await row(shop, media), kept(shop)

    answer = await web.put(path, content=b"other")

    assert answer.status_code == 422
    assert answer.json()["code"] == "MEDIA_INVALID"
    assert (await row(shop, media), kept(shop)) == (before, files)
    stored = shop.world.engine.files.read(str(before["id"]), 0, 5)
    assert b"".join([piece async for piece in stored]) == b"first"


async def test_repeated_announcement_is_one_file(shop: Shop) -> None:
    first, _ = await announce(shop, 5, "DIGITAL", idempotencyKey="announce-once")
    again, _ = await announce(shop, 5, "DIGITAL", idempotencyKey="announce-once")

    assert first == again


@pytest.mark.parametrize("kind", ["DIGITAL", "PICTURE"])
@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize(("sent", "status", "code"), [(4, 422, "MEDIA_INVALID"), (6, 413, "MEDIA_TOO_LARGE")])
async def test_more_or_fewer_bytes_than_announced_leave_nothing(
    shop: Shop, web: httpx.AsyncClient, kind: str, told: bool, sent: int, status: int, code: str
) -> None:
    media, path = await announce(shop, 5, kind)
    files = kept(shop)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(sent):
            yield b"x"

    answer = await web.put(path, content=b"x" * sent if told else pieces())

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    found = await row(shop, media)
    assert (found["state"], found["digest"]) == ("WAITING", None)
    assert kept(shop) == files


async def test_upload_that_breaks_off_leaves_nothing_and_may_be_sent_again(
    shop: Shop, web: httpx.AsyncClient
) -> None:
    data = b"x" * 200_000
    media, path = await announce(shop, len(data), "DIGITAL")
    files = kept(shop)

    async def broken() -> AsyncIterator[bytes]:
        yield data[:100_000]
        raise RuntimeError("the client is gone")

    with pytest.raises(RuntimeError, match="the client is gone"):
        await web.put(path, content=broken(), headers={"content-length": str(len(data))})

    assert (await row(shop, media))["state"] == "WAITING"
    assert (await web.put(path, content=data)).status_code == 201
    assert kept(shop) == files | {str(shop.world.key(Noun.MEDIA, media))}


@pytest.mark.parametrize("token", ["nonsense", "a.b.c"])
async def test_address_that_is_none_of_ours_is_refused(web: httpx.AsyncClient, token: str) -> None:
    answer = await web.put(f"/media/uploads/{token}", content=b"x")

    assert (answer.status_code, answer.json()["code"]) == (404, "LINK_INVALID")
    assert "cache-control" in answer.headers


async def test_link_for_something_else_takes_no_file(shop: Shop, web: httpx.AsyncClient) -> None:
    media, _ = await announce(shop, 5, "DIGITAL")
    key = shop.world.key(Noun.MEDIA, media)
    for purpose, lifetime in (("download", timedelta(hours=1)), ("upload", timedelta(seconds=-1))):
        token, _ = shop.world.engine.links.issue(purpose, key, lifetime)
        answer = await web.put(f"/media/uploads/{token}", content=b"12345")
        assert (answer.status_code, answer.json()["code"]) == (404, "LINK_INVALID")
    assert (await row(shop, media))["state"] == "WAITING"


@pytest.mark.parametrize(
    ("given", "code", "field"),
    [
        ({"size": "0"}, "MEDIA_INVALID", "size"),
        ({"size": "-1"}, "MEDIA_INVALID", "size"),
        ({"size": str(20 * 1024 * 1024 + 1)}, "MEDIA_TOO_LARGE", "size"),
        ({"kind": "DIGITAL", "size": str(2 * 1024**3 + 1)}, "MEDIA_TOO_LARGE", "size"),
        ({"size": str(2**70)}, "MEDIA_TOO_LARGE", "size"),
        ({"contentType": "nonsense"}, "MEDIA_INVALID", "contentType"),
        ({"contentType": "text/html; charset=utf-8"}, "MEDIA_INVALID", "contentType"),
        ({"contentType": "a/b\r\nX: y"}, "MEDIA_INVALID", "contentType"),
        ({"fileName": ""}, "INPUT_INVALID", "fileName"),
        ({"fileName": "../etc/passwd"}, "INPUT_INVALID", "fileName"),
        ({"fileName": "a\\b"}, "INPUT_INVALID", "fileName"),
        ({"fileName": "a\nb"}, "INPUT_INVALID", "fileName"),
        ({"fileName": "x" * 201}, "INPUT_INVALID", "fileName"),
    ],
    ids=lambda given: str(given)[:40],
)
async def test_announcement_that_makes_no_sense_is_refused(
    shop: Shop, given: dict[str, Any], code: str, field: str
) -> None:
    before = await shop.world.count("media_files")
    good = {
        "creatorId": shop.creator,
        "kind": "PICTURE",
        "fileName": "a.png",
        "contentType": "image/png",
        "size": "100",
    }

    async with unchanged(shop.world):
        payload = await ask(shop.owner, "mediaUpload", **{**good, **given})

    (error,) = payload["errors"]
    assert (error["code"], error["path"]) == (code, ["input", field])
    assert (payload["media"], payload["uploadUrl"]) == (None, None)
    assert await shop.world.count("media_files") == before


async def test_file_for_the_creator_of_somebody_else_is_refused_like_for_none(shop: Shop) -> None:
    given = {"kind": "DIGITAL", "fileName": "a", "contentType": "a/b", "size": "1"}

    theirs = await ask(shop.stranger, "mediaUpload", creatorId=shop.creator, **given)
    missing = await ask(shop.stranger, "mediaUpload", creatorId=nothing_of(Noun.CREATOR), **given)

    assert theirs == missing
    refused(theirs, "NOT_FOUND", "creatorId", says="There is no such creator. Check the id that was sent.")


# Pictures ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "AVIF"])
async def test_picture_is_what_its_bytes_say(shop: Shop, web: httpx.AsyncClient, kind: str) -> None:
    data = drawing(kind, 5, 4)

    media = await upload(shop, web, data)

    found = await row(shop, media)
    assert (found["content_type"], found["width"], found["height"]) == (f"image/{kind.lower()}", 5, 4)
    seen = await web.get(f"/media/{media}")
    assert (seen.status_code, seen.content) == (200, data)
    assert seen.headers["content-type"] == f"image/{kind.lower()}"
    assert seen.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert seen.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in seen.headers["content-security-policy"]
    assert seen.headers["etag"] == f'"{hashlib.sha256(data).hexdigest()}"'


@pytest.mark.parametrize(
    "data",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"<html><script>alert(1)</script></html>",
        drawing()[:40],
        drawing("JPEG", 64, 64)[:-300],
        drawing("AVIF", 64, 48)[:-12] + bytes(12),
        drawing("BMP"),
        drawing("PNG", 20_001, 1),
        drawing("PNG", 8_000, 6_300),
        drawing("PNG", 15_000, 10_000),
    ],
    ids=["svg", "html", "cut", "cut-jpeg", "damaged-avif", "bmp", "wide", "bomb", "larger-bomb"],
)
async def test_what_is_no_picture_is_refused(shop: Shop, web: httpx.AsyncClient, data: bytes) -> None:
    media, path = await announce(shop, len(data))
    files = kept(shop)

    answer = await web.put(path, content=data)

    assert (answer.status_code, answer.json()["code"]) == (422, "MEDIA_INVALID")
    assert (await row(shop, media))["state"] == "WAITING"
    assert kept(shop) == files
    assert (await web.get(f"/media/{media}")).status_code == 404


async def test_picture_that_one_has_is_not_sent_again(shop: Shop, web: httpx.AsyncClient) -> None:
    media = await upload(shop, web, drawing(colour="blue"))
    etag = (await web.get(f"/media/{media}")).headers["etag"]

    for known in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        answer = await web.get(f"/media/{media}", headers={"if-none-match": known})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    other = await web.get(f"/media/{media}", headers={"if-none-match": '"x"'})
    head = await web.head(f"/media/{media}")
    assert other.status_code == 200
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(other.content)))


async def test_files_that_are_no_pictures_are_not_to_be_seen(shop: Shop, web: httpx.AsyncClient) -> None:
    sold = await upload(shop, web, drawing(), "DIGITAL")
    waiting, _ = await announce(shop, 5)

    for name in (sold, waiting, nothing_of(Noun.MEDIA), "nonsense", shop.product):
        answer = await web.get(f"/media/{name}")
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")


async def test_file_is_seen_by_its_creator_alone(shop: Shop, web: httpx.AsyncClient) -> None:
    media = await upload(shop, web, drawing())
    query = "query ($id: ID!) { node(id: $id) { ... on Media { state width url fileName contentType } } }"

    found = (await shop.owner.run(query, id=media))["node"]

    assert (found["state"], found["width"], found["contentType"]) == ("STORED", 3, "image/png")
    assert found["url"].endswith(f"/media/{media}")
    for client in (shop.nobody, shop.stranger, shop.world.client("fable", frozenset())):
        assert (await client.run(query, id=media))["node"] is None


async def test_pictures_of_a_product_are_replaced_in_order(shop: Shop, web: httpx.AsyncClient) -> None:
    product = await shop.world.product("fable", shop.creator)
    first = await upload(shop, web, drawing(width=7))
    second = await upload(shop, web, drawing(width=8))

    async def choose(*pictures: tuple[str, str | None]) -> list[tuple[str, str | None, int]]:
        given = [{"mediaId": media, "alternativeText": text} for media, text in pictures]
        await do(shop.owner, "productPicturesSet", productId=product, pictures=given)
        found = (await shop.nobody.run(PICTURES, id=product))["product"]["pictures"]
        return [(p["url"].rpartition("/")[2], p["alternativeText"], p["width"]) for p in found]

    assert await choose((second, None), (first, "A line")) == [(second, None, 8), (first, "A line", 7)]
    assert await choose((first, None)) == [(first, None, 7)]
    assert await choose((first, "One"), (second, "Two")) == [(first, "One", 7), (second, "Two", 8)]
    assert await choose() == []


async def test_picture_that_is_none_is_not_chosen(shop: Shop, web: httpx.AsyncClient) -> None:
    product = await shop.world.product("fable", shop.creator)
    sold = await upload(shop, web, b"12345", "DIGITAL")
    waiting, _ = await announce(shop, 5)
    creator = await shop.world.creator("painter")
    made = await do(
        shop.world.client("painter"),
        "mediaUpload",
        creatorId=creator,
        kind="PICTURE",
        fileName="a",
        contentType="image/png",
        size="5",
    )

    for media, code in (
        (sold, "MEDIA_INVALID"),
        (waiting, "MEDIA_INVALID"),
        (made["media"]["id"], "NOT_FOUND"),
        (nothing_of(Noun.MEDIA), "NOT_FOUND"),
    ):
        async with unchanged(shop.world):
            payload = await ask(shop.owner, "productPicturesSet", productId=product, pictures=[{"mediaId": media}])
        (error,) = payload["errors"]
        assert (error["code"], error["path"]) == (code, ["input", "pictures", "0", "mediaId"])
    assert (await shop.nobody.run(PICTURES, id=product))["product"]["pictures"] == []


async def test_pictures_of_somebody_elses_product_are_not_changed(shop: Shop, web: httpx.AsyncClient) -> None:
    media = await upload(shop, web, drawing())

    theirs = await ask(shop.stranger, "productPicturesSet", productId=shop.product, pictures=[{"mediaId": media}])
    missing = await ask(
        shop.stranger, "productPicturesSet", productId=nothing_of(Noun.PRODUCT), pictures=[{"mediaId": media}]
    )

    assert theirs == missing
    refused(theirs, "NOT_FOUND", "productId", says="There is no such product. Check the id that was sent.")


async def test_browsers_of_other_origins_may_send_files(shop: Shop, web: httpx.AsyncClient) -> None:
    _, path = await announce(shop, 5, "DIGITAL")
    headers = {"origin": "https://front.test", "access-control-request-method": "PUT"}

    answer = await web.options(path, headers=headers)

    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://front.test"
