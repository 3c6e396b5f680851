"""Watching an order: a snapshot, then all that becomes of it, resumed anywhere without loss or repeat."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.client import GraphQLFailed, Stream
from core.cursors import encode_cursor
from tests.api.shop import do, settle
from tests.support.sales import Store, open_store, some

WATCH = """
subscription ($id: ID!, $after: String) {
  orderStatus(orderId: $id, after: $after) {
    kind cursor event { kind status reason cursor } order { id status cursor }
  }
}
"""


@pytest.fixture
async def store(dsn: str, books: None) -> AsyncIterator[Store]:
    async with open_store(dsn) as opened:
        yield opened


async def _next(stream: Stream) -> dict[str, Any]:
    update: dict[str, Any] = (await stream.next())["orderStatus"]
    return update


async def test_an_order_is_followed_from_its_making_to_its_refund(store: Store) -> None:
    fable = await store.creator("fable")
    await store.shipping(fable)
    book = await store.variant(fable, requires_shipping=True)
    ordered = await store.order({book: 2})
    async with store.guest(ordered).socket() as socket:
        stream = await socket.subscribe(WATCH, id=ordered.id)
        snapshot = await _next(stream)
        assert (snapshot["kind"], snapshot["event"], snapshot["order"]["status"]) == ("SNAPSHOT", None, "PENDING")
        await store.confirm(ordered)
        await settle(store.world)
        owner = store.world.client("fable")
        await do(owner, "fulfilmentCreate", saleId=ordered.sales["fable"], lines=some(ordered, book, 1))
        await do(owner, "saleCancel", saleId=ordered.sales["fable"])
        await settle(store.world)
        seen = [await _next(stream) for _ in range(6)]
    assert [(each["event"]["kind"], each["event"]["status"]) for each in seen] == [
        ("PAID", "PAID"),
        ("PARTIALLY_FULFILLED", "PARTIALLY_FULFILLED"),
        ("LINES_CANCELED", "PARTIALLY_FULFILLED"),
        ("REFUND_STARTED", "PARTIALLY_FULFILLED"),
        ("FULFILLED", "FULFILLED"),
        ("PARTIALLY_REFUNDED", "FULFILLED"),
    ]
    assert [each["cursor"] for each in seen] == [encode_cursor(ordered.key, place) for place in range(2, 8)]
    # From every cursor it goes on right after it.
    for place, update in enumerate([snapshot, *seen[:-1]]):
        async with store.guest(ordered).socket() as socket:
            stream = await socket.subscribe(WATCH, id=ordered.id, after=update["cursor"])
            assert [(await _next(stream))["cursor"] for _ in seen[place:]] == [
                each["cursor"] for each in seen[place:]
            ]


async def test_a_cursor_that_was_never_given_is_answered_by_a_reset(store: Store) -> None:
    song = await store.variant(await store.creator("fable"))
    ordered = await store.paid({song: 1})
    for cursor in ("nonsense", encode_cursor(ordered.key, 99)):
        async with store.guest(ordered).socket() as socket:
            stream = await socket.subscribe(WATCH, id=ordered.id, after=cursor)
            assert [(await _next(stream))["kind"] for _ in range(2)] == ["RESET", "SNAPSHOT"]


async def test_a_payments_own_events_go_on_beside_the_orders(store: Store) -> None:
    song = await store.variant(await store.creator("fable"))
    ordered = await store.order({song: 1})
    client = (
        store.world.client_with(store.engine.guests.issue(ordered.payment_key)) if ordered.payment_key else None
    )
    assert client is not None
    watch = "subscription ($id: ID!) { paymentStatus(paymentId: $id) { kind payment { status } } }"
    async with client.socket() as socket:
        stream = await socket.subscribe(watch, id=ordered.payment)
        own = await socket.subscribe(WATCH, id=ordered.id)
        assert (await stream.next())["paymentStatus"]["kind"] == "SNAPSHOT"
        assert (await _next(own))["kind"] == "SNAPSHOT"
        await store.confirm(ordered)
        await settle(store.world)
        assert [(await _next(own))["event"]["kind"] for _ in range(2)] == ["PAID", "FULFILLED"]
        last = (await stream.next())["paymentStatus"]
        while last["payment"]["status"] != "SUCCEEDED":
            last = (await stream.next())["paymentStatus"]


async def test_others_watch_nothing(store: Store) -> None:
    song = await store.variant(await store.creator("fable"))
    ordered, other = await store.order({song: 1}), await store.order({song: 1})
    for client in (store.guest(other), store.world.client("stranger"), store.world.client("fable")):
        async with client.socket() as socket:
            stream = await socket.subscribe(WATCH, id=ordered.id)
            with pytest.raises(GraphQLFailed) as failed:
                await stream.next()
            assert failed.value.errors[0]["extensions"]["code"] == "NOT_FOUND"
