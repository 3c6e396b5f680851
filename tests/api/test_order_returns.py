"""Returns of goods: asked for by the buyer, received or declined by the creator."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from core.ids import uuid7
from tests.api.shop import ask, do, settle
from tests.support.sales import Ordered, Store, open_store, some


@pytest.fixture
async def store(dsn: str, books: None) -> AsyncIterator[Store]:
    async with open_store(dsn) as opened:
        yield opened


@pytest.fixture
async def sent(store: Store) -> tuple[Ordered, UUID]:
    """Three of something, sent by one creator, and a song by another."""
    fable, gable = await store.creator("fable"), await store.creator("gable")
    await store.shipping(fable)
    book = await store.variant(fable, 1_000, stock=3, requires_shipping=True)
    song = await store.variant(gable, 700)
    ordered = await store.paid({book: 3, song: 1})
    await do(store.world.client("fable"), "fulfilmentCreate", saleId=ordered.sales["fable"])
    return ordered, book


async def _asked(store: Store, ordered: Ordered, variant: UUID, quantity: int) -> str:
    payload = await do(
        store.guest(ordered),
        "orderReturnRequest",
        orderId=ordered.id,
        lines=some(ordered, variant, quantity),
        reason="It is too heavy.",
    )
    (returned,) = payload["orderReturns"]
    assert (returned["status"], returned["reason"]) == ("REQUESTED", "It is too heavy.")
    return str(returned["id"])


async def test_what_comes_back_is_paid_back_and_can_be_sold_again(
    store: Store, sent: tuple[Ordered, UUID]
) -> None:
    ordered, book = sent
    returned = await _asked(store, ordered, book, 2)
    owner = store.world.client("fable")
    key = str(uuid7())

    payload = await do(owner, "orderReturnReceive", returnId=returned, idempotencyKey=key)
    await settle(store.world)

    assert payload["orderReturn"]["status"] == "RECEIVED"
    assert payload["refund"]["amount"]["amount"] == "20.00"
    assert await store.line(ordered, book) == {
        "fulfilled": 3,
        "canceled": 0,
        "returned": 2,
        "refunded": 2,
        "amount": 2_000,
        "tax": 0,
    }
    assert await store.left(book) == 2
    assert (await store.kinds(ordered))[-4:] == [
        "RETURN_REQUESTED",
        "RETURN_RECEIVED",
        "REFUND_STARTED",
        "PARTIALLY_REFUNDED",
    ]
    again = await do(owner, "orderReturnReceive", returnId=returned, idempotencyKey=key)
    assert again["refund"]["id"] == payload["refund"]["id"]
    closed = await ask(owner, "orderReturnReceive", returnId=returned)
    assert [error["code"] for error in closed["errors"]] == ["RETURN_CLOSED"]
    assert await store.world.count("refunds") == 1


async def test_what_comes_back_broken_is_not_sold_again(store: Store, sent: tuple[Ordered, UUID]) -> None:
    ordered, book = sent
    returned = await _asked(store, ordered, book, 1)
    owner = store.world.client("fable")
    payload = await do(owner, "orderReturnReceive", returnId=returned, restock=False, refund=False)
    assert payload["refund"] is None
    assert (await store.line(ordered, book))["returned"] == 1
    assert await store.left(book) == 0
    assert await store.world.count("refunds") == 0


async def test_no_more_comes_back_than_was_sent(store: Store, sent: tuple[Ordered, UUID]) -> None:
    ordered, book = sent
    await _asked(store, ordered, book, 2)
    payload = await ask(
        store.guest(ordered), "orderReturnRequest", orderId=ordered.id, lines=some(ordered, book, 2)
    )
    assert [(error["code"], error["available"]) for error in payload["errors"]] == [("QUANTITY_TOO_LARGE", 1)]
    assert await store.world.count("order_returns") == 1


async def test_a_return_of_no_line_is_none(store: Store, sent: tuple[Ordered, UUID]) -> None:
    ordered, _ = sent
    kinds = await store.kinds(ordered)

    payload = await ask(store.guest(ordered), "orderReturnRequest", orderId=ordered.id, lines=[])

    assert [(error["code"], error["path"]) for error in payload["errors"]] == [
        ("INPUT_INVALID", ["input", "lines"])
    ]
    assert await store.world.count("order_returns") == 0
    assert await store.kinds(ordered) == kinds


async def test_what_is_not_shipped_does_not_come_back(store: Store) -> None:
    song = await store.variant(await store.creator("fable"))
    ordered = await store.paid({song: 1})
    payload = await ask(store.guest(ordered), "orderReturnRequest", orderId=ordered.id)
    assert [(error["code"], error["available"]) for error in payload["errors"]] == [("QUANTITY_TOO_LARGE", 0)]


async def test_a_return_is_declined_or_cancelled_once(store: Store, sent: tuple[Ordered, UUID]) -> None:
    ordered, book = sent
    owner, buyer = store.world.client("fable"), store.guest(ordered)
    first, second = await _asked(store, ordered, book, 1), await _asked(store, ordered, book, 1)

    declined = await do(owner, "orderReturnDecline", returnId=first)
    canceled = await do(buyer, "orderReturnCancel", returnId=second)

    assert declined["orderReturn"]["status"] == "DECLINED"
    assert canceled["orderReturn"]["status"] == "CANCELED"
    for client, mutation, key in ((buyer, "orderReturnCancel", first), (owner, "orderReturnReceive", second)):
        payload = await ask(client, mutation, returnId=key)
        assert [error["code"] for error in payload["errors"]] == ["RETURN_CLOSED"]
    assert (await store.kinds(ordered))[-2:] == ["RETURN_DECLINED", "RETURN_CANCELED"]
    assert (await store.line(ordered, book))["returned"] == 0
    # What is not coming back after all can be asked for again.
    await _asked(store, ordered, book, 3)


async def test_each_side_does_its_own(store: Store, sent: tuple[Ordered, UUID]) -> None:
    ordered, book = sent
    returned = await _asked(store, ordered, book, 1)
    others = (store.world.client("gable"), store.world.client("stranger"))
    for client in others:
        for mutation in ("orderReturnReceive", "orderReturnDecline", "orderReturnCancel"):
            payload = await ask(client, mutation, returnId=returned)
            assert [error["code"] for error in payload["errors"]] == ["NOT_FOUND"]
    payload = await ask(store.world.client("fable"), "orderReturnCancel", returnId=returned)
    assert [error["code"] for error in payload["errors"]] == ["NOT_FOUND"]
    payload = await ask(store.world.client("fable"), "orderReturnRequest", orderId=ordered.id)
    assert [error["code"] for error in payload["errors"]] == ["NOT_FOUND"]
    assert await store.world.scalar("select status from order_returns") == "REQUESTED"
