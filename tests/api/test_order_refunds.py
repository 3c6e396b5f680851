"""Refunds of sales: money by line, stock back on the shelf, downloads that end, and what a failure gives back."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from core.ids import uuid7
from core.scopes import OPERATOR_SCOPES
from providers.payments.base import DisputeState
from providers.payments.sandbox import SandboxControl
from services import refunds
from services.order_state import Line
from tests.api.shop import a_while_passes, ask, do, settle, usd
from tests.support.sales import Ordered, Store, open_store, some

REFUND = "query ($id: ID!) { refund(id: $id) { id } }"
REFUNDS = "query ($handle: String!) { creator(handle: $handle) { refunds(first: 9) { nodes { id } } } }"


@pytest.fixture
async def store(dsn: str, books: None) -> AsyncIterator[Store]:
    async with open_store(dsn) as opened:
        yield opened


async def _of_two(store: Store) -> tuple[Ordered, UUID, UUID]:
    """Three books that are shipped by one creator, and a song by another: paid."""
    fable, gable = await store.creator("fable"), await store.creator("gable")
    await store.shipping(fable, 500)
    book = await store.variant(fable, 1_000, stock=5, requires_shipping=True)
    song = await store.variant(gable, 700)
    return await store.paid({book: 3, song: 1}), book, song


async def _refunded(store: Store) -> int:
    return int(await store.world.scalar("select sum(amount) from refunds where status <> 'FAILED'") or 0)


async def test_cancelling_what_was_not_sent_gives_it_back(store: Store) -> None:
    ordered, book, _ = await _of_two(store)
    owner = store.world.client("fable")

    payload = await do(owner, "saleCancel", saleId=ordered.sales["fable"], lines=some(ordered, book, 1))
    await settle(store.world)

    assert payload["refund"]["amount"]["amount"] == "10.00"
    assert await store.line(ordered, book) == {
        "fulfilled": 0,
        "canceled": 1,
        "returned": 0,
        "refunded": 1,
        "amount": 1_000,
        "tax": 0,
    }
    assert await store.left(book) == 3
    assert await store.kinds(ordered) == [
        "CREATED",
        "PAID",
        "PARTIALLY_FULFILLED",
        "LINES_CANCELED",
        "REFUND_STARTED",
        "PARTIALLY_REFUNDED",
    ]
    # The rest of it, and with the last of it its shipping: nothing was ever sent.
    rest = await do(owner, "saleCancel", saleId=ordered.sales["fable"])
    await settle(store.world)
    assert rest["refund"]["amount"]["amount"] == "25.00"
    assert await store.left(book) == 5
    assert await _refunded(store) == 3_500
    assert await store.status(ordered) == "FULFILLED"
    again = await ask(owner, "saleCancel", saleId=ordered.sales["fable"])
    assert [(error["code"], error["available"]) for error in again["errors"]] == [("QUANTITY_TOO_LARGE", 0)]


async def test_what_is_given_back_comes_out_of_that_creators_part(store: Store) -> None:
    ordered, book, _ = await _of_two(store)
    await do(
        store.world.client("fable"), "saleRefund", saleId=ordered.sales["fable"], lines=some(ordered, book, 2)
    )
    await settle(store.world)
    rows = await store.rows(
        "select c.handle, (s.returned_net + s.returned_fee + s.returned_tax)::int as back "
        "from payment_shares s join creators c on c.id = s.creator_id"
    )
    assert {row["handle"]: row["back"] for row in rows} == {"fable": 2_000, "gable": 0}


async def test_shipping_goes_back_when_it_is_asked_for(store: Store) -> None:
    ordered, book, _ = await _of_two(store)
    owner, sale = store.world.client("fable"), ordered.sales["fable"]
    await do(owner, "fulfilmentCreate", saleId=sale)

    one = await do(owner, "saleRefund", saleId=sale, lines=some(ordered, book, 3), restock=True)
    assert one["refund"]["amount"]["amount"] == "30.00"
    assert await store.line(ordered, book) == {
        "fulfilled": 3,
        "canceled": 0,
        "returned": 3,
        "refunded": 3,
        "amount": 3_000,
        "tax": 0,
    }
    assert await store.left(book) == 5
    other = await do(owner, "saleRefund", saleId=sale, lines=[], shipping=True)
    assert other["refund"]["amount"]["amount"] == "5.00"
    await settle(store.world)
    nothing = await ask(owner, "saleRefund", saleId=sale, lines=[], shipping=True)
    assert [error["code"] for error in nothing["errors"]] == ["QUANTITY_TOO_LARGE"]
    assert await _refunded(store) == 3_500


@pytest.mark.parametrize("again", [False, True])
async def test_a_refund_that_names_no_line_gives_back_none_of_them(store: Store, again: bool) -> None:
    """With lines left to give back, too: nobody meant all of them by naming none."""
    ordered, book, _ = await _of_two(store)
    owner, sale = store.world.client("fable"), ordered.sales["fable"]
    await do(owner, "fulfilmentCreate", saleId=sale)
    if again:
        back = await do(owner, "saleRefund", saleId=sale, lines=[], shipping=True)
        assert back["refund"]["amount"]["amount"] == "5.00"
    before = await store.line(ordered, book), await _refunded(store), await store.kinds(ordered)

    payload = await ask(owner, "saleRefund", saleId=sale, lines=[], shipping=again)

    assert payload["refund"] is None
    assert [(error["code"], error["path"]) for error in payload["errors"]] == [
        ("QUANTITY_TOO_LARGE", ["input", "lines"])
    ]
    assert before == (await store.line(ordered, book), await _refunded(store), await store.kinds(ordered))
    assert (before[0]["refunded"], before[1]) == (0, 500 if again else 0)
    assert await store.left(book) == 2


async def test_cancelling_no_line_cancels_none(store: Store) -> None:
    ordered, book, _ = await _of_two(store)
    kinds = await store.kinds(ordered)

    payload = await ask(store.world.client("fable"), "saleCancel", saleId=ordered.sales["fable"], lines=[])

    assert [(error["code"], error["path"]) for error in payload["errors"]] == [
        ("INPUT_INVALID", ["input", "lines"])
    ]
    assert (await store.line(ordered, book))["canceled"] == 0
    assert (await _refunded(store), await store.left(book), await store.kinds(ordered)) == (0, 2, kinds)


async def test_all_of_a_sale_is_what_is_left_of_it_after_a_refund_of_the_payment_as_a_whole(store: Store) -> None:
    fable, gable = await store.creator("fable"), await store.creator("gable")
    book, song = await store.variant(fable, 1_000, stock=5), await store.variant(gable, 1_000)
    ordered = await store.paid({book: 2, song: 1})
    owner, sale = store.world.client("fable"), ordered.sales["fable"]
    operator = store.world.client("operator", OPERATOR_SCOPES)
    await do(operator, "refundCreate", paymentId=ordered.payment, amount=usd("3.00"))
    await settle(store.world)

    one = await do(owner, "saleRefund", saleId=sale, lines=some(ordered, book, 1))
    assert one["refund"]["amount"]["amount"] == "10.00"
    rest = await do(owner, "saleRefund", saleId=sale)
    await settle(store.world)

    # Two of the three were given back of it already.
    assert rest["refund"]["amount"]["amount"] == "8.00"
    assert (await store.line(ordered, book))["refunded"] == 2
    assert await _refunded(store) == 300 + 1_000 + 800
    nothing = await ask(owner, "saleRefund", saleId=sale)
    assert [error["code"] for error in nothing["errors"]] == ["QUANTITY_TOO_LARGE"]
    assert await store.world.count("refunds") == 3


async def test_a_creator_reads_the_refund_of_their_own_sale_of_a_shared_payment_and_no_other(store: Store) -> None:
    ordered, _, _ = await _of_two(store)
    clients = {handle: store.world.client(handle) for handle in ("fable", "gable")}
    own = {
        handle: (await do(client, "saleRefund", saleId=ordered.sales[handle]))["refund"]["id"]
        for handle, client in clients.items()
    }
    await settle(store.world)

    for handle, client in clients.items():
        listed = (await client.run(REFUNDS, handle=handle))["creator"]["refunds"]["nodes"]
        assert listed == [{"id": own[handle]}]
        for seller, refund in own.items():
            seen = await client.run(REFUND, id=refund)
            assert seen["refund"] == ({"id": refund} if seller == handle else None)
    for client in (store.world.client("stranger"), store.world.client()):
        assert (await client.run(REFUND, id=own["fable"]))["refund"] is None


async def test_a_refund_of_a_shared_payment_as_a_whole_is_none_of_its_creators(store: Store) -> None:
    ordered, _, _ = await _of_two(store)
    operator = store.world.client("operator", OPERATOR_SCOPES)
    refund = (await do(operator, "refundCreate", paymentId=ordered.payment, amount=usd("3.00")))["refund"]["id"]

    assert (await operator.run(REFUND, id=refund))["refund"] == {"id": refund}
    for handle in ("fable", "gable"):
        client = store.world.client(handle)
        assert (await client.run(REFUND, id=refund))["refund"] is None
        assert (await client.run(REFUNDS, handle=handle))["creator"]["refunds"]["nodes"] == []


async def test_everything_given_back_ends_the_order_and_its_downloads(store: Store) -> None:
    fable = await store.creator("fable")
    key = await store.variant(fable, 900, licence_policy="GENERATED")
    ordered = await store.paid({key: 2})
    assert await store.world.scalar("select state from access_grants") == "ACTIVE"

    payload = await do(store.world.client("fable"), "saleRefund", saleId=ordered.sales["fable"])
    await settle(store.world)

    assert payload["refund"]["amount"]["amount"] == "18.00"
    assert await store.status(ordered) == "REFUNDED"
    assert await store.kinds(ordered) == ["CREATED", "PAID", "FULFILLED", "REFUND_STARTED", "REFUNDED"]
    assert await store.world.scalar("select state from access_grants") == "REVOKED"
    assert await store.rows("select 1 from licence_keys where state <> 'REVOKED'") == []


async def test_a_refund_of_the_whole_payment_ends_the_order_too(store: Store) -> None:
    fable = await store.creator("fable")
    await store.shipping(fable)
    book = await store.variant(fable, 1_000, stock=4, requires_shipping=True)
    ordered = await store.paid({book: 2})
    owner = store.world.client("fable")

    await do(owner, "refundCreate", paymentId=ordered.payment, amount=usd("5.00"))
    await settle(store.world)
    assert await store.kinds(ordered) == ["CREATED", "PAID", "PARTIALLY_REFUNDED"]
    await do(owner, "refundCreate", paymentId=ordered.payment)
    await settle(store.world)

    assert await store.status(ordered) == "REFUNDED"
    assert (await store.line(ordered, book))["canceled"] == 2
    assert await store.left(book) == 4
    too_much = await ask(owner, "saleRefund", saleId=ordered.sales["fable"])
    assert [error["code"] for error in too_much["errors"]] == ["REFUND_TOO_LARGE"]
    assert (await store.line(ordered, book))["refunded"] == 0


async def test_no_more_of_a_line_goes_back_than_was_sold(store: Store) -> None:
    ordered, book, _ = await _of_two(store)
    owner, sale = store.world.client("fable"), ordered.sales["fable"]
    await do(owner, "saleRefund", saleId=sale, lines=some(ordered, book, 2))
    payload = await ask(owner, "saleRefund", saleId=sale, lines=some(ordered, book, 2))
    assert [(error["code"], error["available"]) for error in payload["errors"]] == [("QUANTITY_TOO_LARGE", 1)]
    assert (await store.line(ordered, book))["refunded"] == 2
    assert await _refunded(store) == 2_000


async def test_the_same_key_gives_back_once(store: Store) -> None:
    ordered, book, _ = await _of_two(store)
    owner = store.world.client("fable")
    given = {
        "saleId": ordered.sales["fable"],
        "lines": some(ordered, book, 1),
        "idempotencyKey": str(uuid7()),
    }
    one, other = await do(owner, "saleRefund", **given), await do(owner, "saleRefund", **given)
    assert one["refund"]["id"] == other["refund"]["id"]
    assert await store.world.count("refunds") == 1


async def test_a_creator_gives_back_nothing_of_anothers(store: Store) -> None:
    ordered, book, song = await _of_two(store)
    gable = store.world.client("gable")
    for sale, variant in (("fable", book), ("gable", book)):
        payload = await ask(gable, "saleRefund", saleId=ordered.sales[sale], lines=some(ordered, variant, 1))
        assert [error["code"] for error in payload["errors"]] == ["NOT_FOUND"]
    assert await store.world.count("refunds") == 0
    assert (await store.line(ordered, song))["refunded"] == 0


async def test_a_refund_that_fails_later_is_undone(store: Store) -> None:
    fable = await store.creator("fable")
    song = await store.variant(fable, 900, licence_policy="GENERATED")
    ordered = await store.paid({song: 1})
    await do(store.world.client("fable"), "saleRefund", saleId=ordered.sales["fable"])
    await settle(store.world)
    assert await store.status(ordered) == "REFUNDED"

    await _fail_refund(store)

    assert await store.status(ordered) == "FULFILLED"
    assert (await store.kinds(ordered))[-2:] == ["REFUNDED", "REFUND_UNDONE"]
    assert await store.line(ordered, song) == {
        "fulfilled": 1,
        "canceled": 0,
        "returned": 0,
        "refunded": 0,
        "amount": 0,
        "tax": 0,
    }
    assert await store.world.scalar("select state from access_grants") == "ACTIVE"
    assert await store.world.scalar("select undone_at is not null from order_refund_items")
    # And it can be given back once more.
    await do(store.world.client("fable"), "saleRefund", saleId=ordered.sales["fable"])
    await settle(store.world)
    assert await store.status(ordered) == "REFUNDED"


async def test_a_partial_refund_that_fails_gives_its_line_back(store: Store) -> None:
    ordered, book, _ = await _of_two(store)
    await do(
        store.world.client("fable"), "saleRefund", saleId=ordered.sales["fable"], lines=some(ordered, book, 1)
    )
    await settle(store.world)
    await _fail_refund(store)
    assert (await store.kinds(ordered))[-2:] == ["PARTIALLY_REFUNDED", "REFUND_FAILED"]
    assert (await store.line(ordered, book))["refunded"] == 0
    assert await store.status(ordered) == "PARTIALLY_FULFILLED"


async def test_a_chargeback_ends_downloads_and_winning_it_brings_them_back(store: Store) -> None:
    fable = await store.creator("fable")
    song = await store.variant(fable, 900, licence_policy="GENERATED")
    ordered = await store.paid({song: 1})
    control = SandboxControl(store.engine.database.writer)
    await control.open_dispute(str(ordered.payment_key))
    await settle(store.world)
    assert await store.status(ordered) == "FULFILLED"
    assert await store.world.scalar("select state from access_grants") == "REVOKED"
    refused = await ask(store.world.client("fable"), "saleRefund", saleId=ordered.sales["fable"])
    assert [error["code"] for error in refused["errors"]] == ["PAYMENT_NOT_REFUNDABLE"]
    assert (await store.line(ordered, song))["refunded"] == 0

    reference = await store.world.scalar("select provider_reference from disputes")
    await control.close_dispute(reference, DisputeState.LOST)
    await settle(store.world)
    assert await store.status(ordered) == "CHARGED_BACK"

    await control.close_dispute(reference, DisputeState.WON)
    await settle(store.world)
    assert await store.status(ordered) == "FULFILLED"
    assert await store.kinds(ordered) == ["CREATED", "PAID", "FULFILLED", "CHARGED_BACK", "CHARGEBACK_UNDONE"]
    assert await store.world.scalar("select state from access_grants") == "ACTIVE"


async def test_giving_back_what_cost_nothing_moves_no_money(store: Store) -> None:
    fable = await store.creator("fable")
    gift = await store.variant(fable, 0, product={"pays_what_they_want": True}, licence_policy="GENERATED")
    ordered = await store.order({gift: 1})
    payload = await do(store.world.client("fable"), "saleRefund", saleId=ordered.sales["fable"])
    assert payload["refund"] is None
    assert await store.status(ordered) == "REFUNDED"
    assert await store.world.count("refunds") == 0
    assert await store.world.scalar("select state from access_grants") == "REVOKED"


async def test_a_refund_nobody_asked_for_yet_is_asked_for_by_the_worker(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever wrote it is gone between the commit and the call."""
    ordered, book, _ = await _of_two(store)

    async def gone(*_: Any, **__: Any) -> None:
        return None

    with monkeypatch.context() as patched:
        patched.setattr(refunds, "ask", gone)
        await do(
            store.world.client("fable"), "saleRefund", saleId=ordered.sales["fable"], lines=some(ordered, book, 1)
        )
    assert await store.world.count("sandbox.refund") == 0
    await store.engine.database.writer.execute("update refunds set calling_until = now() - interval '1 second'")
    while await refunds.sweep(store.engine):
        pass
    await settle(store.world)
    assert await store.world.count("sandbox.refund") == 1
    assert (await store.kinds(ordered))[-1] == "PARTIALLY_REFUNDED"


@pytest.mark.parametrize(
    ("total", "tax", "quantity"), [(1_000, 167, 3), (3, 2, 5), (1, 1, 2), (999, 0, 7), (0, 0, 4)]
)
def test_all_of_a_line_is_exactly_all_of_its_money(total: int, tax: int, quantity: int) -> None:
    row = {"id": uuid7(), "total": total, "tax": tax, "quantity": quantity}
    line = Line(row, fulfilled=0, canceled=0, returned=0, refunded=0, refunded_amount=0, refunded_tax=0)
    for _ in range(quantity):
        amount, share = line.price_of(1)
        assert 0 <= share <= amount
        line.refunded += 1
        line.refunded_amount += amount
        line.refunded_tax += share
    assert (line.refunded_amount, line.refunded_tax) == (total, tax)


async def _fail_refund(store: Store) -> None:
    """Let the provider tell that the money of the last refund came back."""
    reference = await store.world.scalar("select provider_reference from refunds order by id desc limit 1")
    await SandboxControl(store.engine.database.writer).fail_refund(reference)
    await a_while_passes(store.world)
