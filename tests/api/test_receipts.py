"""Receipts: a page for whoever holds its link, in the client's own way of writing amounts."""

import base64
import hashlib
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from html.parser import HTMLParser

import asyncpg
import httpx
import pytest

from app.postgres import Lease
from app.receipts import locale_of
from services import receipts
from tests.api.shop import do, settle
from tests.support.sales import Ordered, Store, open_store
from tests.support.world import eventually

HOSTILE = "<script>alert('x')</script><img src=x onerror=alert(1)>"


@pytest.fixture
async def store(dsn: str, books: None) -> AsyncIterator[Store]:
    async with open_store(dsn) as opened:
        yield opened


async def _link(store: Store, ordered: Ordered) -> str:
    found = await store.guest(ordered).run("query ($id: ID!) { order(id: $id) { receiptUrl } }", id=ordered.id)
    url = found["order"]["receiptUrl"]
    # The server's own address is configured; the test's is another port.
    return f"{store.world.url.removesuffix('/graphql')}/receipts/{url.rpartition('/')[2]}"


async def _page(url: str, language: str | None = None) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(url, headers={} if language is None else {"accept-language": language})


async def test_a_receipt_says_what_was_bought(store: Store) -> None:
    fable, gable = await store.creator("fable"), await store.creator("gable")
    await store.discount(fable, "SAVE")
    await store.shipping(fable, 500)
    book = await store.variant(fable, 1_234_50, requires_shipping=True, product={"title": "A book"})
    song = await store.variant(gable, 700, product={"title": "A song"})
    ordered = await store.paid({book: 2, song: 1}, codes=["SAVE"])
    await do(store.world.client("gable"), "saleRefund", saleId=ordered.sales["gable"])
    await settle(store.world)

    url = await _link(store, ordered)
    answer = await _page(url)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    for text in (
        "Receipt 1",
        "A book",
        "A song",
        "Sold by fable",
        "Sold by gable",
        "$2,469.00",
        "SAVE",
        "Post",
        "-$246.90",
        "$2,234.10",
        "$7.00",
        "Given back",
        "The money was given back",
        "Springfield",
    ):
        assert text in answer.text, text
    german = await _page(url, "xx, de;q=0.9, en;q=0.1")
    assert "2.469,00" in german.text
    assert "2,469.00" not in german.text


class _Tags(HTMLParser):
    """What a page's elements are, and what attributes they have."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes.update(name for name, _ in attrs)


async def test_nothing_a_seller_writes_runs(store: Store) -> None:
    fable = await store.creator("fable")
    await store.engine.database.writer.execute("update creators set display_name = $1", HOSTILE)
    song = await store.variant(fable, 700, product={"title": HOSTILE}, sku=HOSTILE)
    ordered = await store.paid({song: 1})
    answer = await _page(await _link(store, ordered))
    assert "<script" not in answer.text
    assert "<img" not in answer.text
    assert answer.text.count("&lt;script&gt;") >= 3
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    (style,) = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    assert base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() in policy
    # Nothing is fetched from anywhere, and nothing leads anywhere.
    tags = _Tags()
    tags.feed(answer.text)
    assert tags.attributes & {"src", "href", "srcset", "action", "style", "onerror"} == set()
    assert "table" in tags.names
    assert answer.headers["cache-control"] == "private, no-store"


async def test_a_link_ends_and_opens_nothing_else(store: Store) -> None:
    song = await store.variant(await store.creator("fable"))
    ordered, unpaid = await store.paid({song: 1}), await store.order({song: 1})
    links = store.engine.links
    tokens = [
        links.issue("receipt", ordered.key, timedelta(seconds=-1))[0],
        links.issue("download", ordered.key, timedelta(hours=1))[0],
        links.issue("receipt", unpaid.key, timedelta(hours=1))[0],
        "nonsense",
    ]
    base = store.world.url.removesuffix("/graphql")
    for token in tokens:
        answer = await _page(f"{base}/receipts/{token}")
        assert (answer.status_code, answer.json()["code"]) == (404, "LINK_INVALID")


async def test_a_receipt_is_503_while_the_database_is_away(store: Store, lease: Lease) -> None:
    song = await store.variant(await store.creator("fable"), 700, product={"title": "A song"})
    url = await _link(store, await store.paid({song: 1}))
    name = await store.world.scalar("select current_database()")
    admin = await asyncpg.connect(lease.dsn("postgres"))
    try:
        await admin.execute(f"alter database {name} allow_connections false")
        await admin.fetch("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", name)
        away = [await _page(url) for _ in range(3)]
    finally:
        await admin.execute(f"alter database {name} allow_connections true")
        await admin.close()

    for answer in away:
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert answer.headers["cache-control"] == "no-store"
        assert answer.json() == {
            "code": "INTERNAL",
            "message": "The receipt cannot be shown at the moment. Try again.",
        }

    async def shown() -> bool:
        return (await _page(url)).status_code == 200

    await eventually(shown)
    assert "A song" in (await _page(url)).text


def test_taxes_are_summed_by_rate() -> None:
    lines = [
        {"tax_name": "VAT", "tax_basis_points": 1_900, "total": 1_190, "tax": 190},
        {"tax_name": "VAT", "tax_basis_points": 700, "total": 107, "tax": 7},
        {"tax_name": None, "tax_basis_points": 0, "total": 50, "tax": 0},
    ]
    parts = [
        {
            "shipping_tax_name": "VAT",
            "shipping_tax_basis_points": 1_900,
            "shipping_total": 595,
            "shipping_tax": 95,
        }
    ]
    assert [(each.basis_points, each.base, each.tax) for each in receipts.taxes_of(lines, parts)] == [
        (1_900, 1_500, 285),
        (700, 100, 7),
    ]


@pytest.mark.parametrize(
    ("accepted", "locale"),
    [
        (None, "en"),
        ("", "en"),
        ("de", "de"),
        ("fr-CA, fr;q=0.8", "fr_CA"),
        ("xx-YY, ja;q=0.5", "ja"),
        ("en;q=0.1, nl;q=0.9", "nl"),
        ("../../etc/passwd", "en"),
        ("de;q=0", "en"),
        ("*", "en"),
    ],
)
def test_a_client_says_how_it_writes_amounts(accepted: str | None, locale: str) -> None:
    assert str(locale_of(accepted)) == locale
