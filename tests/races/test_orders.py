"""One order paid, cancelled, sent and given back by several at the same moment."""

import asyncio
from typing import Any, Final

import asyncpg
import pytest

from core.clock import now
from core.errors import ErrorCode, Refused
from core.ids import Noun, uuid7
from core.viewer import Viewer
from providers.payments.base import CancelPayment
from services import orders, stock_reservations
from tests.api.shop import ask, do, settle
from tests.support.orders import insert
from tests.support.sales import Ordered, Store, some
from tests.support.world import World, eventually

# An order itself, or what it counts towards.
HOLDS: Final = {
    "orders": "select from orders where id = $1 for no key update",
    "usage_counters": "select from usage_counters where scope = (select 'buyer:' || buyer_key from orders where id = $1) "
    "for no key update",
}


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


async def _held_up(store: Store, number: int, *tasks: asyncio.Task[Any]) -> None:
    """Wait until so many statements wait for locks, or until one of the tasks is done."""

    async def reached() -> bool:
        waiting: int = await store.world.scalar("select count(*) from pg_locks where not granted")
        return waiting >= number or any(task.done() for task in tasks)

    await eventually(reached)


@pytest.mark.parametrize("held_up_at", ["orders", "usage_counters"])
async def test_orders_paid_and_cancelled_in_one_settlement_and_a_checkout_do_not_wait_for_each_other(
    store: Store, owner: asyncpg.Connection, held_up_at: str
) -> None:
    """Settlement locks all its orders, then all their stock, before it cancels what a checkout waits for."""
    fable = await store.creator("fable")
    limited = {"per_buyer_limit": 1}
    low, high = sorted([await store.variant(fable, stock=5, product=limited) for _ in range(2)])
    canceled, paid = await store.order({high: 1}), await store.order({low: 1})
    await store.confirm(paid)
    reference = await store.world.scalar(
        "select provider_reference from payments where id = $1", canceled.payment_key
    )
    await store.engine.provider.cancel(CancelPayment(idempotency_key="cancel", provider_reference=reference))
    cart, viewer = await store.cart({low: 1, high: 1})
    async with owner.transaction():
        key = canceled.key if held_up_at == "usage_counters" else paid.key
        await owner.execute(HOLDS[held_up_at], key)
        settling = asyncio.create_task(settle(store.world))
        await _held_up(store, 1, settling)
        buying = asyncio.create_task(store.check_out(cart, viewer, 2_000))
        await _held_up(store, 2, buying)

    _, bought = await asyncio.gather(settling, buying)

    assert await store.status(paid) == "FULFILLED"
    assert await store.status(canceled) == "CANCELED"
    assert bought.payment is not None
    assert [await store.left(variant) for variant in (low, high)] == [3, 4]
    assert await store.rows("select 1 from inbox_events where state <> 'DONE' or attempts > 1") == []


async def test_stock_of_a_payment_that_is_being_captured_is_nobody_elses(
    store: Store, owner: asyncpg.Connection
) -> None:
    fable = await store.creator("fable")
    rare = await store.variant(fable, stock=1, product={"manual_capture": True})
    ordered = await store.order({rare: 1})
    await store.confirm(ordered)
    await settle(store.world)
    cart, viewer = await store.cart({rare: 1})
    await do(store.world.client("fable"), "paymentCapture", paymentId=ordered.payment)
    assert ordered.payment is not None
    assert await store.world.status(ordered.payment) == "PROCESSING"
    await owner.execute("update stock_reservations set expires_at = $1", now())

    await asyncio.gather(*(stock_reservations.expire(store.engine) for _ in range(3)))
    with pytest.raises(Refused) as refused:
        await store.check_out(cart, viewer, 1_000)

    assert refused.value.code is ErrorCode.OUT_OF_STOCK
    assert await store.left(rare) == 0
    await settle(store.world)
    assert await store.status(ordered) == "FULFILLED"
    assert await store.rows("select 1 from stock_reservations where state <> 'TAKEN'") == []
    assert await store.world.count("orders") == 1


async def test_files_set_while_a_payment_settles_reach_its_buyer(store: Store, owner: asyncpg.Connection) -> None:
    """Settlement has seen no files, and whoever sets them sees no order that is paid: the later of both looks."""
    fable = await store.creator("fable")
    song, other = await store.variant(fable), await store.variant(fable)
    paying, unpaid, elsewhere = [await store.order({sold: 1}) for sold in (song, song, other)]
    for ordered in (paying, elsewhere):
        await store.confirm(ordered)
    at = now()
    media = await insert(
        owner,
        "media_files",
        creator_id=fable,
        kind="DIGITAL",
        state="STORED",
        file_name="song.flac",
        content_type="audio/flac",
        size=3,
        digest=b"0" * 32,
        created_at=at,
        updated_at=at,
    )
    given = {"variantId": store.id(Noun.VARIANT, song), "mediaIds": [store.id(Noun.MEDIA, media)]}
    async with owner.transaction():
        # What settlement takes last: it has looked for files by then, and has not committed.
        await owner.execute("select from order_counter for no key update")
        settling = asyncio.create_task(settle(store.world))
        await _held_up(store, 1, settling)
        setting = asyncio.create_task(ask(store.world.client("fable"), "variantFilesSet", **given))
        await _held_up(store, 2, setting)

    _, payload = await asyncio.gather(settling, setting)

    assert payload["errors"] == []
    granted = await store.rows(
        "select l.order_id, g.state from access_grants g join order_lines l on l.id = g.line_id"
    )
    assert [tuple(row) for row in granted] == [(paying.key, "ACTIVE")]
    assert [await store.status(each) for each in (paying, unpaid, elsewhere)] == [
        "FULFILLED",
        "PENDING",
        "FULFILLED",
    ]
