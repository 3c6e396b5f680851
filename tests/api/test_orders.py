"""Orders: what buyers read, what a payment makes of them, and cancelling one."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from core.ids import Noun, encode, uuid7
from core.viewer import Viewer
from services import order_settlement, order_state, refunds, stock_reservations
from tests.api.shop import a_while_passes, ask, do, refused, settle
from tests.support.sales import Store, open_store
from tests.support.statements import is_own

ORDER = """
query ($id: ID!) { order(id: $id) {
  id number status statusReason statusMessage canCancel paidAt receiptUrl email
  subtotal { amount } discount { amount } shipping { amount } tax { amount } total { amount } refunded { amount }
  address { country postalCode }
  lines { id title quantity fulfilled canceled refunded unitPrice { amount } total { amount } }
  sales { id total { amount } creator { handle } shipping { title total { amount } } }
  discounts { title code amount { amount } }
  events { kind status reason }
  payment { id status }
} }
"""


@pytest.fixture
async def store(dsn: str, books: None) -> AsyncIterator[Store]:
    async with open_store(dsn) as opened:
        yield opened


async def _read(client: Any, order: str) -> Any:
    return (await client.run(ORDER, id=order))["order"]


async def test_a_buyer_reads_an_order_of_two_creators(store: Store) -> None:
    fable, gable = await store.creator("fable"), await store.creator("gable")
    await store.discount(fable, "SAVE")
    await store.shipping(fable, 500)
    book = await store.variant(fable, 2_000, requires_shipping=True, weight_grams=300)
    song = await store.variant(gable, 1_000)

    ordered = await store.order({book: 2, song: 1}, codes=["SAVE"])
    shown = await _read(store.guest(ordered), ordered.id)

    assert (shown["status"], shown["number"], shown["canCancel"]) == ("PENDING", None, True)
    assert (shown["paidAt"], shown["receiptUrl"]) == (None, None)
    amounts = {name: shown[name]["amount"] for name in ("subtotal", "discount", "shipping", "total", "refunded")}
    assert amounts == {
        "subtotal": "50.00",
        "discount": "4.00",
        "shipping": "5.00",
        "total": "51.00",
        "refunded": "0.00",
    }
    assert [(line["quantity"], line["total"]["amount"]) for line in shown["lines"]] == [
        (2, "36.00"),
        (1, "10.00"),
    ]
    sales = {sale["creator"]["handle"]: sale for sale in shown["sales"]}
    assert sales["fable"]["total"]["amount"] == "41.00"
    assert sales["fable"]["shipping"] == {"title": "Post", "total": {"amount": "5.00"}}
    assert (sales["gable"]["total"]["amount"], sales["gable"]["shipping"]) == ("10.00", None)
    assert [(each["code"], each["amount"]["amount"]) for each in shown["discounts"]] == [("SAVE", "4.00")]
    assert shown["address"]["country"] == "US"
    assert [event["kind"] for event in shown["events"]] == ["CREATED"]


async def test_a_payment_numbers_the_order_and_hands_over_what_is_not_shipped(store: Store) -> None:
    fable, gable = await store.creator("fable"), await store.creator("gable")
    await store.shipping(fable)
    book = await store.variant(fable, 2_000, stock=5, requires_shipping=True)
    song = await store.variant(gable, 1_000)

    ordered = await store.paid({book: 2, song: 1})

    shown = await _read(store.guest(ordered), ordered.id)
    assert (shown["status"], shown["number"], shown["canCancel"]) == ("PARTIALLY_FULFILLED", 1, False)
    assert shown["receiptUrl"].startswith(store.engine.links.base_url)
    assert [(line["fulfilled"], line["canceled"]) for line in shown["lines"]] == [(0, 0), (1, 0)]
    assert await store.kinds(ordered) == ["CREATED", "PAID", "PARTIALLY_FULFILLED"]
    fulfilment = await store.rows(
        "select f.automatic, l.quantity from fulfilments f join fulfilment_lines l on l.fulfilment_id = f.id"
    )
    assert [tuple(row) for row in fulfilment] == [(True, 1)]
    assert await store.left(book) == 3


async def test_an_order_that_costs_nothing_is_paid_at_once(store: Store) -> None:
    fable = await store.creator("fable")
    gift = await store.variant(fable, 0, product={"pays_what_they_want": True})

    ordered = await store.order({gift: 1})

    assert ordered.payment is None
    assert await store.status(ordered) == "FULFILLED"
    assert await store.kinds(ordered) == ["CREATED", "PAID", "FULFILLED"]
    payload = await ask(store.guest(ordered), "orderCancel", orderId=ordered.id)
    assert [error["code"] for error in payload["errors"]] == ["ORDER_NOT_CANCELABLE"]


async def test_numbers_have_no_gaps_and_follow_the_payments(store: Store) -> None:
    fable = await store.creator("fable")
    song = await store.variant(fable)
    ordered = [await store.order({song: 1}) for _ in range(4)]

    for each in (ordered[2], ordered[0], ordered[3]):
        await store.confirm(each)
    await settle(store.world)

    numbers = [await store.world.scalar("select number from orders where id = $1", each.key) for each in ordered]
    assert numbers == [2, None, 1, 3]
    assert await store.world.scalar("select last_number from order_counter") == 3


async def test_tips_cost_an_order_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch in which nothing was ordered asks nothing about orders."""

    async def never(*_: Any, **__: Any) -> None:
        raise AssertionError("orders were looked for")

    monkeypatch.setattr(order_state, "lock_of_payments", never)
    await store.creator("fable")
    creator = encode(Noun.CREATOR, await store.world.scalar("select id from creators"))
    client = store.world.client("supporter")
    payment = (await store.world.tip(client, creator))["payment"]["id"]
    await store.world.confirm(client, payment)
    await settle(store.world)
    assert await store.world.status(payment) == "SUCCEEDED"


async def test_a_buyer_cancels_before_paying(store: Store) -> None:
    fable = await store.creator("fable")
    await store.discount(fable, "ONCE", usage_limit=1)
    book = await store.variant(fable, stock=3)
    ordered = await store.order({book: 2}, codes=["ONCE"])
    assert await store.left(book) == 1
    assert await store.world.scalar("select sum(used) from usage_counters") == 1

    key = str(uuid7())
    payload = await do(store.guest(ordered), "orderCancel", orderId=ordered.id, idempotencyKey=key)

    assert (payload["order"]["status"], payload["order"]["canCancel"]) == ("CANCELED", False)
    assert await store.left(book) == 3
    assert await store.world.scalar("select sum(used) from usage_counters") == 0
    assert await store.kinds(ordered) == ["CREATED", "CANCELED"]
    again = await do(store.guest(ordered), "orderCancel", orderId=ordered.id, idempotencyKey=key)
    assert again == payload
    refused_now = await ask(store.guest(ordered), "orderCancel", orderId=ordered.id)
    assert [error["code"] for error in refused_now["errors"]] == ["ORDER_NOT_CANCELABLE"]
    assert await store.kinds(ordered) == ["CREATED", "CANCELED"]


async def test_a_paid_order_cannot_be_cancelled_by_its_buyer(store: Store) -> None:
    song = await store.variant(await store.creator("fable"))
    ordered = await store.paid({song: 1})

    payload = await ask(store.guest(ordered), "orderCancel", orderId=ordered.id)

    refused(
        payload,
        "ORDER_NOT_CANCELABLE",
        "orderId",
        says="This order is paid, or was cancelled before. See its status.",
    )
    assert await store.status(ordered) == "FULFILLED"


async def test_others_see_nothing_of_an_order(store: Store) -> None:
    song = await store.variant(await store.creator("fable"))
    ordered, other = await store.paid({song: 1}), await store.order({song: 1})

    for client in (
        store.guest(other),
        store.world.client("stranger"),
        store.world.client(),
        store.world.client("fable"),
    ):
        assert await _read(client, ordered.id) is None
        found = await client.run("query ($id: ID!) { node(id: $id) { id } }", id=ordered.id)
        assert found == {"node": None}
        payload = await ask(client, "orderCancel", orderId=ordered.id)
        assert {error["code"] for error in payload["errors"]} == {"NOT_FOUND"}
    payment_token = store.engine.guests.issue(ordered.payment_key) if ordered.payment_key else ""
    assert (await _read(store.world.client_with(payment_token), ordered.id))["number"] == 1


async def test_a_late_success_takes_the_stock_again(store: Store) -> None:
    """The reservation lapsed, and the payment succeeded after all: what is there is sold."""
    book = await store.variant(await store.creator("fable"), stock=2)
    ordered = await store.order({book: 2})
    await _lapse(store)
    assert await store.left(book) == 2

    await store.confirm(ordered)
    await settle(store.world)

    assert await store.status(ordered) == "FULFILLED"
    assert await store.left(book) == 0


async def test_what_was_sold_out_when_the_payment_arrived_is_given_back(store: Store) -> None:
    fable = await store.creator("fable")
    await store.shipping(fable, 500)
    book = await store.variant(fable, 1_000, stock=1, requires_shipping=True)
    song = await store.variant(fable, 700)
    ordered = await store.order({book: 1, song: 1})
    await store.confirm(ordered)
    # Somebody else bought the last one while the payment was on its way.
    await store.engine.database.writer.execute("update stock_reservations set state = 'RELEASED'")
    await store.engine.database.writer.execute("update stock_levels set on_hand = 0, reserved = 0")
    await settle(store.world)

    shown = await _read(store.guest(ordered), ordered.id)
    assert (shown["status"], shown["statusReason"]) == ("FULFILLED", "STOCK_LOST")
    assert "sold out" in shown["statusMessage"]
    assert await store.line(ordered, book) == {
        "fulfilled": 0,
        "canceled": 1,
        "returned": 0,
        "refunded": 1,
        "amount": 1_000,
        "tax": 0,
    }
    assert await store.kinds(ordered) == ["CREATED", "PAID", "STOCK_LOST", "REFUND_STARTED", "FULFILLED"]
    # The book with all shipping of the only thing that is shipped stays apart: the song is of the same part.
    refund = await store.rows("select amount::int as amount, status from refunds")
    assert [tuple(row) for row in refund] == [(1_000, "CREATED")]

    await _sweep(store)

    assert await store.kinds(ordered) == [
        "CREATED",
        "PAID",
        "STOCK_LOST",
        "REFUND_STARTED",
        "FULFILLED",
        "PARTIALLY_REFUNDED",
    ]
    shown = await _read(store.guest(ordered), ordered.id)
    assert (shown["statusReason"], shown["refunded"]["amount"]) == (None, "10.00")


async def test_all_lost_is_all_given_back_with_its_shipping(store: Store) -> None:
    fable = await store.creator("fable")
    await store.shipping(fable, 500)
    book = await store.variant(fable, 1_000, stock=2, requires_shipping=True)
    ordered = await store.order({book: 2})
    await store.confirm(ordered)
    await store.engine.database.writer.execute("update stock_reservations set state = 'RELEASED'")
    await store.engine.database.writer.execute("update stock_levels set on_hand = 1, reserved = 0")
    await settle(store.world)
    await _sweep(store)

    assert await store.status(ordered) == "REFUNDED"
    assert await store.world.scalar("select refunded::int from payments") == 2_500
    assert await store.left(book) == 1


async def test_a_payment_after_a_cancellation_counts_again(store: Store) -> None:
    """The provider told of a success after all: the order is paid, whatever was released."""
    fable = await store.creator("fable")
    await store.discount(fable, "ONCE", usage_limit=1)
    book = await store.variant(fable, 1_000, stock=1)
    ordered = await store.order({book: 1}, codes=["ONCE"])
    await do(store.guest(ordered), "orderCancel", orderId=ordered.id)
    at = await store.world.scalar("select now()")
    async with store.engine.database.transaction() as transaction:
        connection = transaction.connection
        await connection.execute(
            "update payments set provider_state = 'SUCCEEDED', status = 'SUCCEEDED', captured = gross, "
            "succeeded_at = $1",
            at,
        )
        rows = await connection.fetch("select * from payments")
        await order_settlement.paid(rows, on=connection, at=at)
        await order_settlement.paid(rows, on=connection, at=at)
        await connection.execute(
            "update payments set provider_state = 'CANCELED', status = 'CANCELED', captured = 0, succeeded_at = null"
        )

    assert await store.status(ordered) == "FULFILLED"
    assert await store.kinds(ordered) == ["CREATED", "CANCELED", "PAID", "FULFILLED"]
    assert await store.world.scalar("select sum(used) from usage_counters") == 1
    assert await store.left(book) == 0
    assert (await store.line(ordered, book))["canceled"] == 0


async def test_many_orders_are_paid_in_as_many_statements_as_one(store: Store) -> None:
    fable, gable = await store.creator("fable"), await store.creator("gable")
    await store.discount(fable, "SAVE", usage_limit=99)
    book = await store.variant(fable, 1_000, stock=50)
    key = await store.variant(gable, 500, licence_policy="GENERATED")
    made = [await store.order({book: 1, key: 1}, codes=["SAVE"]) for _ in range(7)]
    counts = []
    for batch in (made[:1], made[1:2], made[2:]):
        seen: list[str] = []
        async with store.engine.database.transaction() as transaction:
            connection = transaction.connection
            ids = [ordered.payment_key for ordered in batch]
            await connection.execute(
                "update payments set provider_state = 'SUCCEEDED', status = 'SUCCEEDED', captured = gross, "
                "succeeded_at = now() where id = any($1::uuid[])",
                ids,
            )
            rows = await connection.fetch("select * from payments where id = any($1::uuid[])", ids)
            with connection.query_logger(lambda record, seen=seen: seen.append(record.query)):
                await order_settlement.paid(rows, on=connection, at=rows[0]["succeeded_at"])
        counts.append(len(list(filter(is_own, seen))))
    assert counts[1] == counts[2] <= 8
    assert [await store.status(ordered) for ordered in made] == ["FULFILLED"] * 7


async def test_a_signed_in_buyer_pages_through_their_orders(store: Store) -> None:
    song = await store.variant(await store.creator("fable"))
    client = store.world.client("supporter")
    user = store.world.key(Noun.USER, (await client.run("{ me { id } }"))["me"]["id"])
    for _ in range(3):
        cart, viewer = await store.cart({song: 1}, viewer=Viewer(user_id=UUID(str(user))))
        await store.check_out(cart, viewer)
    listing = (
        "query ($after: String) { me { orders(first: 2, after: $after) { totalCount nodes { id status } "
        "pageInfo { endCursor hasNextPage } } } }"
    )
    first = (await client.run(listing))["me"]["orders"]
    assert (first["totalCount"], len(first["nodes"]), first["pageInfo"]["hasNextPage"]) == (3, 2, True)
    rest = (await client.run(listing, after=first["pageInfo"]["endCursor"]))["me"]["orders"]
    assert len({node["id"] for node in [*first["nodes"], *rest["nodes"]]}) == 3
    none = await client.run(
        "{ me { orders(first: 5, where: {status: {in: [PAID, REFUNDED]}}) { nodes { id } } } }"
    )
    assert none["me"]["orders"]["nodes"] == []


async def _lapse(store: Store) -> None:
    writer = store.engine.database.writer
    await writer.execute("update stock_reservations set expires_at = now() - interval '1 minute'")
    while await stock_reservations.expire(store.engine):
        pass


async def _sweep(store: Store) -> None:
    while await refunds.sweep(store.engine):
        pass
    await a_while_passes(store.world)
