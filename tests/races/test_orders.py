"""One order paid, cancelled, sent and given back by several at the same moment."""

import asyncio
from typing import Any

import pytest

from core.errors import Refused
from core.ids import uuid7
from core.viewer import Viewer
from services import orders
from tests.api.shop import ask, settle
from tests.support.sales import Ordered, Store, some
from tests.support.world import World


@pytest.fixture
def store(idle: World) -> Store:
    return Store(idle)


def codes(answers: list[Any]) -> list[str]:
    return sorted(error["code"] for answer in answers for error in answer["errors"])


async def test_paying_and_cancelling_at_once_has_one_end(store: Store) -> None:
    fable = await store.creator("fable")
    book = await store.variant(fable, stock=40)
    made = [await store.order({book: 1}) for _ in range(8)]

    async def pay(ordered: Ordered) -> Any:
        try:
            return await store.confirm(ordered)
        except Refused as refused:
            return refused

    async def cancel(ordered: Ordered) -> Any:
        assert ordered.payment_key is not None
        try:
            viewer = Viewer(payment_id=ordered.payment_key)
            return await orders.cancel(store.engine, viewer, orders.Cancel(ordered.key, str(uuid7())))
        except Refused as refused:
            return refused

    await asyncio.gather(*(step(ordered) for ordered in made for step in (pay, cancel)))
    await settle(store.world)

    ends = [await store.status(ordered) for ordered in made]
    assert set(ends) <= {"FULFILLED", "CANCELED"}
    for ordered, end in zip(made, ends, strict=True):
        kinds = await store.kinds(ordered)
        assert kinds == (["CREATED", "PAID", "FULFILLED"] if end == "FULFILLED" else ["CREATED", "CANCELED"])
    paid = ends.count("FULFILLED")
    assert await store.left(book) == 40 - paid
    numbers = await store.rows("select number from orders where number is not null order by number")
    assert [row["number"] for row in numbers] == list(range(1, paid + 1))


async def test_many_orders_paid_at_once_are_numbered_without_gaps(store: Store) -> None:
    song = await store.variant(await store.creator("fable"))
    made = [await store.order({song: 1}) for _ in range(12)]
    await asyncio.gather(*map(store.confirm, made))
    await asyncio.gather(*(settle(store.world) for _ in range(3)))
    numbers = await store.rows("select number from orders order by number")
    assert [row["number"] for row in numbers] == list(range(1, 13))


async def test_no_more_is_sent_or_cancelled_than_was_sold(store: Store) -> None:
    fable = await store.creator("fable")
    await store.shipping(fable)
    book = await store.variant(fable, stock=4, requires_shipping=True)
    ordered = await store.paid({book: 4})
    owner, sale = store.world.client("fable"), ordered.sales["fable"]

    answers = await asyncio.gather(
        *(
            ask(owner, mutation, saleId=sale, lines=some(ordered, book, 1))
            for mutation in ("fulfilmentCreate", "saleCancel")
            for _ in range(5)
        )
    )
    await settle(store.world)

    assert codes(list(answers)) == ["QUANTITY_TOO_LARGE"] * 6
    line = await store.line(ordered, book)
    assert line["fulfilled"] + line["canceled"] == 4
    assert line["refunded"] == line["canceled"]
    assert await store.left(book) == line["canceled"]
    sent = await store.world.scalar("select coalesce(sum(quantity), 0)::int from fulfilment_lines")
    assert sent == line["fulfilled"]
    back = await store.world.scalar("select coalesce(sum(amount), 0)::int from refunds")
    # Where all was cancelled, shipping went back with the last of it.
    assert back == line["canceled"] * 1_000 + (500 if line["canceled"] == 4 else 0)
    await store.kinds(ordered)


async def test_twenty_fulfilments_under_one_key_are_one(store: Store) -> None:
    fable = await store.creator("fable")
    await store.shipping(fable)
    book = await store.variant(fable, requires_shipping=True)
    ordered = await store.paid({book: 3})
    given = {"saleId": ordered.sales["fable"], "lines": some(ordered, book, 1), "idempotencyKey": str(uuid7())}
    owner = store.world.client("fable")
    answers = await asyncio.gather(*(ask(owner, "fulfilmentCreate", **given) for _ in range(20)))
    assert codes(list(answers)) == []
    assert len({answer["fulfilment"]["id"] for answer in answers}) == 1
    assert (await store.line(ordered, book))["fulfilled"] == 1
