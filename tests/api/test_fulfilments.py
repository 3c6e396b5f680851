"""Fulfilments: what is sent, in parts, and never more than was sold."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from core.ids import uuid7
from core.scopes import OPERATOR_SCOPES
from tests.api.shop import ask, do
from tests.support.sales import Ordered, Store, open_store, some


@pytest.fixture
async def store(dsn: str, books: None) -> AsyncIterator[Store]:
    async with open_store(dsn) as opened:
        yield opened


@pytest.fixture
async def bought(store: Store) -> tuple[Ordered, UUID]:
    """Five of something that is shipped, paid."""
    fable = await store.creator("fable")
    await store.shipping(fable)
    book = await store.variant(fable, stock=9, requires_shipping=True)
    return await store.paid({book: 5}), book


async def test_an_order_is_sent_in_parts(store: Store, bought: tuple[Ordered, UUID]) -> None:
    ordered, book = bought
    owner = store.world.client("fable")

    first = await do(
        owner,
        "fulfilmentCreate",
        saleId=ordered.sales["fable"],
        lines=some(ordered, book, 2),
        carrier=" Parcel Service ",
        trackingNumber="PS 1",
        trackingUrl="https://parcels.example/PS1",
    )
    second = await do(owner, "fulfilmentCreate", saleId=ordered.sales["fable"], lines=some(ordered, book, 1))
    assert await store.status(ordered) == "PARTIALLY_FULFILLED"
    last = await do(owner, "fulfilmentCreate", saleId=ordered.sales["fable"])

    assert first["fulfilment"]["carrier"] == "Parcel Service"
    assert first["fulfilment"]["lines"] == [{"quantity": 2, "line": {"id": ordered.lines[book]}}]
    assert [each["sale"]["status"] for each in (first, second, last)] == [
        "PARTIALLY_FULFILLED",
        "PARTIALLY_FULFILLED",
        "FULFILLED",
    ]
    assert last["fulfilment"]["lines"][0]["quantity"] == 2
    assert await store.kinds(ordered) == [
        "CREATED",
        "PAID",
        "PARTIALLY_FULFILLED",
        "PARTIALLY_FULFILLED",
        "FULFILLED",
    ]


async def test_no_more_is_sent_than_was_sold(store: Store, bought: tuple[Ordered, UUID]) -> None:
    ordered, book = bought
    owner, sale = store.world.client("fable"), ordered.sales["fable"]
    await do(owner, "fulfilmentCreate", saleId=sale, lines=some(ordered, book, 3))
    for lines in (some(ordered, book, 3), some(ordered, book, 1) * 3):
        payload = await ask(owner, "fulfilmentCreate", saleId=sale, lines=lines)
        (error,) = payload["errors"]
        assert (error["code"], error["available"]) == ("QUANTITY_TOO_LARGE", 2)
    await do(owner, "fulfilmentCreate", saleId=sale)
    payload = await ask(owner, "fulfilmentCreate", saleId=sale)
    assert [(error["code"], error["available"]) for error in payload["errors"]] == [("QUANTITY_TOO_LARGE", 0)]
    assert (await store.line(ordered, book))["fulfilled"] == 5
    assert await store.world.count("fulfilments") == 2


async def test_sending_no_line_sends_none(store: Store, bought: tuple[Ordered, UUID]) -> None:
    ordered, book = bought
    owner, sale = store.world.client("fable"), ordered.sales["fable"]

    payload = await ask(owner, "fulfilmentCreate", saleId=sale, lines=[])

    assert [(error["code"], error["path"]) for error in payload["errors"]] == [
        ("INPUT_INVALID", ["input", "lines"])
    ]
    assert (await store.line(ordered, book))["fulfilled"] == 0
    assert await store.world.count("fulfilments") == 0
    assert await store.kinds(ordered) == ["CREATED", "PAID"]


async def test_the_same_key_sends_once(store: Store, bought: tuple[Ordered, UUID]) -> None:
    ordered, book = bought
    given = {"saleId": ordered.sales["fable"], "lines": some(ordered, book, 1), "idempotencyKey": str(uuid7())}
    owner = store.world.client("fable")
    assert await do(owner, "fulfilmentCreate", **given) == await do(owner, "fulfilmentCreate", **given)
    assert (await store.line(ordered, book))["fulfilled"] == 1
    payload = await ask(owner, "fulfilmentCreate", **{**given, "carrier": "Another"})
    assert [error["code"] for error in payload["errors"]] == ["IDEMPOTENCY_KEY_REUSED"]


async def test_what_is_not_paid_is_not_sent(store: Store) -> None:
    fable = await store.creator("fable")
    await store.shipping(fable)
    book = await store.variant(fable, requires_shipping=True)
    ordered = await store.order({book: 1})
    for mutation in ("fulfilmentCreate", "saleCancel", "saleRefund"):
        payload = await ask(store.world.client("fable"), mutation, saleId=ordered.sales["fable"])
        assert [error["code"] for error in payload["errors"]] == ["ORDER_NOT_PAID"]
    assert (await store.line(ordered, book))["fulfilled"] == 0
    assert await store.kinds(ordered) == ["CREATED"]


@pytest.mark.parametrize(
    "url", ["http://parcels.example/1", "https://", "https://a b.example", "javascript:alert(1)", "https://u@h/é"]
)
async def test_parcels_are_followed_over_https(store: Store, bought: tuple[Ordered, UUID], url: str) -> None:
    ordered, _ = bought
    payload = await ask(
        store.world.client("fable"), "fulfilmentCreate", saleId=ordered.sales["fable"], trackingUrl=url
    )
    assert [(error["code"], error["path"]) for error in payload["errors"]] == [
        ("INPUT_INVALID", ["input", "trackingUrl"])
    ]
    assert await store.world.count("fulfilments") == 0


async def test_tracking_can_be_said_later(store: Store, bought: tuple[Ordered, UUID]) -> None:
    ordered, _ = bought
    owner = store.world.client("fable")
    sent = await do(owner, "fulfilmentCreate", saleId=ordered.sales["fable"], carrier="Parcel Service")
    changed = await do(
        owner, "fulfilmentUpdate", fulfilmentId=sent["fulfilment"]["id"], trackingUrl="https://parcels.example/7"
    )
    assert changed["fulfilment"]["carrier"] == "Parcel Service"
    assert changed["fulfilment"]["trackingUrl"] == "https://parcels.example/7"
    assert (await store.kinds(ordered))[-2:] == ["FULFILLED", "TRACKING_CHANGED"]
    assert await store.status(ordered) == "FULFILLED"


async def test_only_the_seller_and_operators_send(store: Store, bought: tuple[Ordered, UUID]) -> None:
    ordered, book = bought
    await store.creator("gable")
    sale = ordered.sales["fable"]
    for client in (store.world.client("gable"), store.world.client("stranger")):
        payload = await ask(client, "fulfilmentCreate", saleId=sale)
        assert [error["code"] for error in payload["errors"]] == ["NOT_FOUND"]
    payload = await ask(store.guest(ordered), "fulfilmentCreate", saleId=sale)
    assert [error["code"] for error in payload["errors"]] == ["UNAUTHENTICATED"]
    assert (await store.line(ordered, book))["fulfilled"] == 0
    operator = store.world.client("operator", OPERATOR_SCOPES)
    assert (await do(operator, "fulfilmentCreate", saleId=sale))["sale"]["status"] == "FULFILLED"
