"""Files that are sold: choosing them, and fetching them by links."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from app.downloads import disposition
from core.clock import now
from core.ids import Noun, encode, uuid7
from core.scopes import PERSONAL_SCOPES, Scope
from core.viewer import ANONYMOUS, Viewer
from providers.storage.base import StorageError
from services import access
from tests.support.digital import Stall, fetch, open_stall, run, url_of, variant_id
from tests.support.orders import Made, make_cart, make_order
from tests.support.world import World, running_world

BOOK = bytes(range(256)) * 12_000
"""Three pieces of the store's, the last of them not full."""


@pytest.fixture
async def idle(dsn: str) -> AsyncIterator[World]:
    """A server alone."""
    async with running_world(dsn, worker=False, deliveries=False) as running:
        yield running


@pytest.fixture
async def stall(idle: World, owner: asyncpg.Connection) -> Stall:
    return await open_stall(idle, owner)


async def bought(stall: Stall, content: bytes = BOOK, limit: int | None = None, **media: Any) -> Made:
    """Sell a file to the buyer."""
    variant = await stall.variant(await stall.media(content, **media), download_limit=limit)
    return await make_order(stall.owner, stall.creator, variant, buyer=stall.buyer)


async def url(stall: Stall, made: Made) -> str:
    [download] = await stall.downloads(made.line)
    return url_of(download)


async def used(stall: Stall) -> int:
    return int(await stall.world.scalar("select coalesce(sum(used), 0) from downloads"))


async def remaining_of(stall: Stall, made: Made) -> list[int | None]:
    return [download.remaining for download in await stall.downloads(made.line)]


async def remaining(stall: Stall, made: Made) -> int | None:
    [download] = await stall.downloads(made.line)
    return download.remaining


def problem(response: httpx.Response) -> tuple[int, str]:
    assert set(response.json()) == {"code", "message"}
    assert response.json()["message"]
    return response.status_code, response.json()["code"]


# Fetching -----------------------------------------------------------------------------------------------------


async def test_the_buyer_fetches_what_was_bought(stall: Stall) -> None:
    made = await bought(stall, limit=3, name="Ein Märchen.epub")
    [download] = await stall.downloads(made.line)

    response = await fetch(url_of(download))

    assert (download.file_name, download.size, download.remaining) == ("Ein Märchen.epub", len(BOOK), 3)
    assert download.expires_at is not None
    assert timedelta(minutes=59) < download.expires_at - now() <= timedelta(hours=1)
    assert response.status_code == 200
    assert response.content == BOOK
    headers = response.headers
    assert headers["content-length"] == str(len(BOOK))
    assert headers["content-type"] == "application/epub+zip"
    assert headers["accept-ranges"] == "bytes"
    assert headers["cache-control"] == "no-store"
    assert headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert headers.get_list("x-content-type-options") == ["nosniff"]
    assert headers["content-disposition"] == (
        "attachment; filename=\"Ein M_rchen.epub\"; filename*=UTF-8''Ein%20M%C3%A4rchen.epub"
    )
    assert "content-range" not in headers
    assert await remaining(stall, made) == 2


async def test_a_part_is_206_and_all_parts_make_the_file(stall: Stall) -> None:
    link = await url(stall, await bought(stall))
    half = len(BOOK) // 2

    first = await fetch(link, range=f"bytes=0-{half - 1}")
    rest = await fetch(link, range=f"bytes={half}-", if_range=first.headers["etag"])
    end = await fetch(link, range="bytes=-5")

    assert [answer.status_code for answer in (first, rest, end)] == [206, 206, 206]
    assert first.content + rest.content == BOOK
    assert first.headers["content-range"] == f"bytes 0-{half - 1}/{len(BOOK)}"
    assert rest.headers["content-range"] == f"bytes {half}-{len(BOOK) - 1}/{len(BOOK)}"
    assert rest.headers["content-length"] == str(len(BOOK) - half)
    assert end.content == BOOK[-5:]
    assert await used(stall) == 1


async def test_a_part_of_another_version_is_the_whole_file(stall: Stall) -> None:
    link = await url(stall, await bought(stall, b"abc"))

    response = await fetch(link, range="bytes=1-", if_range='"another"')

    assert (response.status_code, response.content) == (200, b"abc")


async def test_several_ranges_are_answered_with_the_whole_file(stall: Stall) -> None:
    link = await url(stall, await bought(stall, b"abc"))

    response = await fetch(link, range="bytes=0-0,2-2")

    assert (response.status_code, response.content) == (200, b"abc")


async def test_a_part_beyond_the_file_is_416_and_counts_nothing(stall: Stall) -> None:
    link = await url(stall, await bought(stall, b"abc", limit=1))

    response = await fetch(link, range="bytes=3-")

    assert (response.status_code, response.content) == (416, b"")
    assert response.headers["content-range"] == "bytes */3"
    assert await used(stall) == 0


async def test_head_tells_about_the_file_and_counts_nothing(stall: Stall) -> None:
    made = await bought(stall, limit=1)
    link = await url(stall, made)

    told = await fetch(link, "HEAD", range="bytes=5-")
    got = await fetch(link)

    assert (told.status_code, told.content) == (200, b"")
    names = ("content-length", "etag", "content-disposition", "accept-ranges", "content-type")
    assert [told.headers[name] for name in names] == [got.headers[name] for name in names]
    assert got.status_code == 200
    assert await used(stall) == 1


async def test_nothing_but_reading_is_answered(stall: Stall) -> None:
    link = await url(stall, await bought(stall))

    assert (await fetch(link, "POST")).status_code == 405
    assert await used(stall) == 0


# Counting -----------------------------------------------------------------------------------------------------


async def test_each_start_counts_and_what_goes_on_counts_nothing(stall: Stall) -> None:
    made = await bought(stall, limit=3)
    link = await url(stall, made)

    for part in (None, "bytes=1000-", "bytes=2000-2999", "bytes=0-", "bytes=5-"):
        answer = await fetch(link, **({} if part is None else {"range": part}))
        assert answer.status_code in {200, 206}

    assert await remaining(stall, made) == 1


async def test_what_does_not_begin_at_the_start_counts_when_nothing_of_the_link_was_counted(stall: Stall) -> None:
    made = await bought(stall, limit=2)
    link = await url(stall, made)

    first = await fetch(link, range="bytes=1-")
    again = await fetch(link, range="bytes=1-")

    assert (first.status_code, again.status_code) == (206, 206)
    assert await remaining(stall, made) == 1


async def test_beyond_the_limit_nothing_is_sent_and_there_is_no_link(stall: Stall) -> None:
    made = await bought(stall, limit=1)
    counted, spare = await url(stall, made), await url(stall, made)
    assert (await fetch(counted)).status_code == 200

    assert problem(await fetch(counted)) == (410, "DOWNLOAD_LIMIT_REACHED")
    assert problem(await fetch(spare)) == (410, "DOWNLOAD_LIMIT_REACHED")
    assert (await fetch(counted, range="bytes=5-")).status_code == 206
    [download] = await stall.downloads(made.line)
    assert (download.url, download.expires_at, download.remaining) == (None, None, 0)
    assert await used(stall) == 1


async def test_a_link_that_came_after_the_last_start_resumes_nothing(stall: Stall) -> None:
    made = await bought(stall, limit=2)
    assert (await fetch(await url(stall, made))).status_code == 200
    later = await url(stall, made)
    await stall.owner.execute('update downloads set used = "limit"')

    assert problem(await fetch(later, range="bytes=1-")) == (410, "DOWNLOAD_LIMIT_REACHED")
    assert await used(stall) == 2


async def test_the_limit_is_that_of_the_sale(stall: Stall) -> None:
    made = await bought(stall, limit=2)
    await stall.owner.execute("update product_variants set download_limit = 9")

    assert await remaining(stall, made) == 2


async def test_of_twenty_starts_at_once_three_are_within_a_limit_of_three(stall: Stall) -> None:
    made = await bought(stall, limit=3)
    links = [await url(stall, made) for _ in range(20)]

    answers = await asyncio.gather(*(fetch(link) for link in links))

    assert sorted(answer.status_code for answer in answers) == [200] * 3 + [410] * 17
    assert all(answer.content == BOOK for answer in answers if answer.status_code == 200)
    assert await used(stall) == 3


async def test_of_twenty_parts_at_once_that_do_not_begin_at_the_start_one_counts(stall: Stall) -> None:
    made = await bought(stall, limit=1)
    link = await url(stall, made)

    answers = await asyncio.gather(*(fetch(link, range=f"bytes={1 + place}-") for place in range(20)))

    assert {answer.status_code for answer in answers} == {206}
    assert await used(stall) == 1


async def test_a_file_the_store_has_lost_is_503_and_counts_nothing(stall: Stall) -> None:
    made = await bought(stall, limit=1)
    link = await url(stall, made)
    await stall.engine.files.delete(str(await stall.world.scalar("select id from media_files")))

    response = await fetch(link)

    assert problem(response) == (503, "INTERNAL")
    assert response.headers["retry-after"] == "5"
    assert await used(stall) == 0


# Links --------------------------------------------------------------------------------------------------------


async def test_a_link_that_is_none_of_ours_says_no_more(stall: Stall) -> None:
    made = await bought(stall, limit=1)
    link = await url(stall, made)
    links, file_id = stall.engine.links, str(await stall.world.scalar("select id from media_files"))
    grant = await stall.world.scalar("select id from access_grants")
    claims = {"file": file_id, "issued": now().isoformat(), "nonce": "1"}
    hour = timedelta(hours=1)
    tokens = {
        "tampered": link.rsplit("/", 1)[1][:-2] + "AA",
        "nonsense": "nonsense",
        "expired": links.issue("download", grant, timedelta(seconds=-1), **claims)[0],
        "for something else": links.issue("receipt", grant, hour, **claims)[0],
        "no such grant": links.issue("download", uuid7(), hour, **claims)[0],
        "another file": links.issue("download", grant, hour, **{**claims, "file": str(uuid7())})[0],
    }

    answers = {name: await fetch(f"{stall.world.url}/downloads/{token}") for name, token in tokens.items()}

    assert {name: problem(answer) for name, answer in answers.items()} == dict.fromkeys(
        tokens, (404, "LINK_INVALID")
    )
    assert len({answer.text for answer in answers.values()}) == 1
    assert await used(stall) == 0


async def test_what_was_given_back_is_neither_started_nor_resumed(stall: Stall) -> None:
    made = await bought(stall)
    link = await url(stall, made)
    assert (await fetch(link, range="bytes=0-9")).status_code == 206

    await access.revoke([made.line], "REFUNDED", on=stall.owner, at=now())

    assert problem(await fetch(link)) == (403, "ACCESS_REVOKED")
    assert problem(await fetch(link, range="bytes=10-")) == (403, "ACCESS_REVOKED")
    head = await fetch(link, "HEAD")
    assert (head.status_code, head.content) == (403, b"")
    [download] = await stall.downloads(made.line)
    assert (download.url, download.file_name) == (None, "book.epub")
    assert await used(stall) == 1

    await access.restore([made.line], on=stall.owner, at=now())

    assert (await fetch(link, range="bytes=10-")).status_code == 206
    assert (await stall.downloads(made.line))[0].url is not None


async def test_what_was_charged_back_is_not_fetched(stall: Stall) -> None:
    made = await bought(stall)
    link = await url(stall, made)
    await stall.owner.execute("update orders set status = 'CHARGED_BACK'")

    assert problem(await fetch(link)) == (403, "ACCESS_REVOKED")
    assert await used(stall) == 0


async def test_files_are_shown_to_their_buyer_alone(stall: Stall) -> None:
    variant = await stall.variant(await stall.media(b"abc"))
    cart = await make_cart(stall.owner)
    guests = await make_order(stall.owner, stall.creator, variant, cart=cart)
    paid = await make_order(stall.owner, stall.creator, variant, price=500, buyer=stall.buyer)
    creator_user = await stall.world.scalar("select user_id from creators")

    def signed_in(user: UUID, without: Scope | None = None) -> Viewer:
        return Viewer(user_id=user, scopes=PERSONAL_SCOPES - {without})

    for line, viewer in [
        (guests.line, Viewer(cart_id=cart)),
        (paid.line, signed_in(stall.buyer)),
        (paid.line, Viewer(payment_id=paid.payment)),
    ]:
        assert len(await stall.seen("downloads_of_line", line, viewer)) == 1, viewer
    for line, viewer in [
        (guests.line, Viewer(cart_id=uuid7())),
        (guests.line, signed_in(stall.buyer)),
        (guests.line, ANONYMOUS),
        (paid.line, signed_in(stall.buyer, Scope.ACCOUNT_READ)),
        (paid.line, Viewer(payment_id=uuid7())),
        (paid.line, signed_in(creator_user)),
        (paid.line, ANONYMOUS),
    ]:
        assert await stall.seen("downloads_of_line", line, viewer) is None, viewer


async def test_what_is_not_paid_has_no_files(stall: Stall) -> None:
    variant = await stall.variant(await stall.media(b"abc"))
    made = await make_order(stall.owner, stall.creator, variant, buyer=stall.buyer, paid=False)

    assert await stall.downloads(made.line) == []


# Choosing -----------------------------------------------------------------------------------------------------

FILES = "files { mediaId fileName contentType size }"


async def set_files(stall: Stall, variant: UUID, *media: UUID, key: str | None = None) -> dict[str, Any]:
    ids = [encode(Noun.MEDIA, media_id) for media_id in media]
    return await run(stall.seller, "variantFilesSet", FILES, key, variantId=variant_id(variant), mediaIds=ids)


async def names(stall: Stall, made: Made) -> list[str]:
    return [download.file_name for download in await stall.downloads(made.line)]


async def test_files_are_sold_in_the_order_they_are_chosen_in(stall: Stall) -> None:
    variant = await stall.variant()
    one, two = await stall.media(b"1", "one"), await stall.media(b"22", "two")

    chosen = await set_files(stall, variant, two, one)

    assert chosen["errors"] == []
    assert chosen["files"] == [
        {
            "mediaId": encode(Noun.MEDIA, media_id),
            "fileName": name,
            "contentType": "application/epub+zip",
            "size": size,
        }
        for media_id, name, size in ((two, "two", "2"), (one, "one", "1"))
    ]
    made = await make_order(stall.owner, stall.creator, variant, buyer=stall.buyer)
    assert await names(stall, made) == ["two", "one"]


async def test_buyers_keep_what_they_ordered_and_get_what_comes_later(stall: Stall) -> None:
    variant = await stall.variant()
    one, two = await stall.media(b"1", "one"), await stall.media(b"2", "two")
    await set_files(stall, variant, one)
    early = await make_order(stall.owner, stall.creator, variant, buyer=stall.buyer)

    await set_files(stall, variant, two)

    late = await make_order(stall.owner, stall.creator, variant, buyer=stall.buyer)
    assert sorted(await names(stall, early)) == ["one", "two"]
    assert await names(stall, late) == ["two"]
    [kept] = [file for file in await stall.downloads(early.line) if file.file_name == "one"]
    assert (await fetch(url_of(kept))).content == b"1"


async def test_the_first_file_reaches_those_who_bought_before_there_was_one(stall: Stall) -> None:
    variant, other = await stall.variant(download_limit=2), await stall.variant()
    early, unpaid, canceled, refunded, charged_back, elsewhere = [
        await make_order(stall.owner, stall.creator, sold, buyer=stall.buyer, paid=paid)
        for sold, paid in [(variant, True), (variant, False), *[(variant, True)] * 3, (other, True)]
    ]
    await stall.owner.execute("update order_lines set fulfilled = 0, canceled = 1 where id = $1", canceled.line)
    await stall.owner.execute("update order_lines set refunded = 1 where id = $1", refunded.line)
    await stall.owner.execute("update orders set status = 'CHARGED_BACK' where id = $1", charged_back.order)
    assert await stall.downloads(early.line) == []

    for _ in range(2):
        assert (await set_files(stall, variant, await stall.media(b"1")))["errors"] == []

    assert len(await stall.downloads(early.line)) == 2
    assert await remaining_of(stall, early) == [2, 2]
    for made in (unpaid, canceled, refunded, charged_back, elsewhere):
        assert await stall.downloads(made.line) == []
    assert await stall.world.count("access_grants") == 1


async def test_files_that_are_chosen_again_are_the_same_rows(stall: Stall) -> None:
    variant = await stall.variant()
    one = await stall.media(b"1", "one")

    for media in ((one,), (), (one,)):
        assert (await set_files(stall, variant, *media))["errors"] == []

    assert await stall.world.count("variant_files") == 1
    assert await stall.world.scalar("select removed_at from variant_files") is None


async def test_one_key_chooses_once(stall: Stall) -> None:
    variant, one = await stall.variant(), await stall.media(b"1", "one")

    first = await set_files(stall, variant, one, key="the-same")
    again = await set_files(stall, variant, one, key="the-same")
    other = await set_files(stall, variant, key="the-same")

    assert first == again
    assert [error["code"] for error in other["errors"]] == ["IDEMPOTENCY_KEY_REUSED"]
    assert await stall.world.scalar("select count(*) from variant_files where removed_at is null") == 1


async def test_what_cannot_be_sold_is_refused_and_nothing_changes(stall: Stall) -> None:
    await stall.world.creator("gable")
    gable = await stall.world.scalar("select id from creators where handle = 'gable'")
    one = await stall.media(b"1", "one")
    variant = await stall.variant(one)
    others = await stall.media(b"2", creator_id=gable)
    picture = await stall.media(b"3", kind="PICTURE")
    waiting = await stall.media(b"4", state="WAITING")

    for media, code, path in [
        ([one, others], "NOT_FOUND", ["input", "mediaIds", "1"]),
        ([uuid7()], "NOT_FOUND", ["input", "mediaIds", "0"]),
        ([picture], "MEDIA_INVALID", ["input", "mediaIds", "0"]),
        ([one, waiting], "MEDIA_INVALID", ["input", "mediaIds", "1"]),
        ([one, one], "INPUT_INVALID", ["input", "mediaIds"]),
        ([uuid7() for _ in range(101)], "INPUT_INVALID", ["input", "mediaIds"]),
    ]:
        refused = await set_files(stall, variant, *media)
        assert refused["files"] is None
        assert [(error["code"], error["path"]) for error in refused["errors"]] == [(code, path)]
    foreign = await run(
        stall.world.client("gable"), "variantFilesSet", FILES, variantId=variant_id(variant), mediaIds=[]
    )

    assert [(error["code"], error["path"]) for error in foreign["errors"]] == [
        ("NOT_FOUND", ["input", "variantId"])
    ]
    assert await stall.world.count("variant_files") == 1
    assert await stall.world.scalar("select removed_at from variant_files") is None


# Names --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("book.epub", 'attachment; filename="book.epub"'),
        ("A book (2).epub", 'attachment; filename="A book (2).epub"'),
        ('a"b\\c.txt', "attachment; filename=\"a_b_c.txt\"; filename*=UTF-8''a%22b_c.txt"),
        ("../etc/passwd", 'attachment; filename=".._etc_passwd"'),
        ("a\r\nSet-Cookie: b", "attachment; filename=\"a__Set-Cookie_ b\"; filename*=UTF-8''a__Set-Cookie%3A%20b"),
        ("書.pdf", "attachment; filename=\"_.pdf\"; filename*=UTF-8''%E6%9B%B8.pdf"),
    ],
)
def test_a_file_is_kept_under_its_name(name: str, header: str) -> None:
    assert disposition(name) == header


# Interrupted --------------------------------------------------------------------------------------------------


async def test_who_leaves_in_the_middle_may_come_back(stall: Stall) -> None:
    content = BOOK * 4
    made = await bought(stall, content, limit=1)
    link = await url(stall, made)
    async with httpx.AsyncClient() as client, client.stream("GET", link) as response:
        piece = await anext(response.aiter_raw())

    rest = await fetch(link, range=f"bytes={len(piece)}-")

    assert piece + rest.content == content
    assert await used(stall) == 1


async def test_a_file_that_breaks_off_in_the_store_is_not_taken_for_whole(
    stall: Stall, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await bought(stall)
    link = await url(stall, made)

    async def breaks_off(_: str, start: int, end: int) -> AsyncIterator[bytes]:
        yield BOOK[start : end // 2]
        raise StorageError("The file could not be read.")

    monkeypatch.setattr(stall.engine.files, "read", breaks_off)

    with pytest.raises(httpx.RemoteProtocolError):
        await fetch(link)


# From the order -----------------------------------------------------------------------------------------------

ORDER = """
query ($id: ID!) { order(id: $id) { lines {
    downloads { id fileName size remaining url expiresAt }
    licenceKeys { id key state activations activationLimit }
} } }
"""


async def test_an_order_shows_its_buyer_the_files_and_keys(stall: Stall) -> None:
    variant = await stall.variant(
        await stall.media(b"abc"), licence_policy="GENERATED", licence_activations=2, download_limit=3
    )
    cart = await make_cart(stall.owner)
    made = await make_order(stall.owner, stall.creator, variant, cart=cart)
    guest = stall.world.client_with(stall.engine.guests.issue_for_cart(cart))

    [line] = (await guest.run(ORDER, id=encode(Noun.ORDER, made.order)))["order"]["lines"]

    [download], [licence] = line["downloads"], line["licenceKeys"]
    assert (download["fileName"], download["size"], download["remaining"]) == ("book.epub", "3", 3)
    assert (await fetch(download["url"])).content == b"abc"
    assert (licence["state"], licence["activationLimit"]) == ("ASSIGNED", 2)
    assert len(licence["key"]) == 23
