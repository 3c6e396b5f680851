"""One order's money given back by line and as a whole at the same moment: never more than was captured."""

import asyncio

import pytest

from core.ids import uuid7
from tests.api.shop import ask, settle, usd
from tests.races.test_orders import codes
from tests.support.sales import Store, some
from tests.support.world import World


@pytest.fixture
def store(idle: World) -> Store:
    return Store(idle)


async def _given_back(store: Store) -> int:
    found: int = await store.world.scalar("select (refunded + refund_pending)::int from payments")
    return found


async def test_two_refunds_of_one_line_at_once_are_one(store: Store) -> None:
    fable = await store.creator("fable")
    song = await store.variant(fable, 1_000)
    ordered = await store.paid({song: 2})
    owner, sale = store.world.client("fable"), ordered.sales["fable"]
    answers = await asyncio.gather(
        *(ask(owner, "saleRefund", saleId=sale, lines=some(ordered, song, 2)) for _ in range(2))
    )
    await settle(store.world)
    assert codes(list(answers)) == ["QUANTITY_TOO_LARGE"]
    assert [error["available"] for answer in answers for error in answer["errors"]] == [0]
    assert await _given_back(store) == 2_000
    assert await store.world.count("sandbox.refund") == 1
    assert await store.status(ordered) == "REFUNDED"


async def test_lines_and_the_whole_at_once_give_back_no_more_than_was_captured(store: Store) -> None:
    fable = await store.creator("fable")
    song = await store.variant(fable, 1_000)
    ordered = await store.paid({song: 5})
    owner, sale = store.world.client("fable"), ordered.sales["fable"]
    answers = await asyncio.gather(
        *(ask(owner, "saleRefund", saleId=sale, lines=some(ordered, song, 1)) for _ in range(5)),
        *(ask(owner, "refundCreate", paymentId=ordered.payment, amount=usd("10.00")) for _ in range(5)),
    )
    await settle(store.world)
    assert set(codes(list(answers))) == {"REFUND_TOO_LARGE"}
    assert await _given_back(store) == 5_000
    assert await store.world.scalar("select sum(amount)::int from sandbox.refund") == 5_000
    line = await store.line(ordered, song)
    by_lines = await store.world.scalar("select coalesce(sum(amount), 0)::int from order_refund_items")
    assert by_lines == line["amount"] == line["refunded"] * 1_000
    assert await store.status(ordered) == "REFUNDED"
    await store.kinds(ordered)


async def test_two_creators_at_once_give_back_each_their_own(store: Store) -> None:
    fable, gable = await store.creator("fable"), await store.creator("gable")
    book, song = await store.variant(fable, 1_000), await store.variant(gable, 700)
    ordered = await store.paid({book: 2, song: 3})
    answers = await asyncio.gather(
        *(
            ask(store.world.client(handle), "saleRefund", saleId=ordered.sales[handle])
            for handle in ("fable", "gable")
            for _ in range(3)
        )
    )
    await settle(store.world)
    assert codes(list(answers)) == ["QUANTITY_TOO_LARGE"] * 4
    assert await _given_back(store) == 4_100
    rows = await store.rows(
        "select c.handle, (s.returned_net + s.returned_fee + s.returned_tax)::int as back "
        "from payment_shares s join creators c on c.id = s.creator_id"
    )
    assert {row["handle"]: row["back"] for row in rows} == {"fable": 2_000, "gable": 2_100}
    assert await store.status(ordered) == "REFUNDED"


async def test_one_key_gives_back_once_however_often_it_is_sent(store: Store) -> None:
    song = await store.variant(await store.creator("fable"), 1_000)
    ordered = await store.paid({song: 4})
    given = {"saleId": ordered.sales["fable"], "lines": some(ordered, song, 1), "idempotencyKey": str(uuid7())}
    owner = store.world.client("fable")
    answers = await asyncio.gather(*(ask(owner, "saleRefund", **given) for _ in range(10)))
    assert codes(list(answers)) == []
    assert len({answer["refund"]["id"] for answer in answers}) == 1
    assert await _given_back(store) == 1_000
