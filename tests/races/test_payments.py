"""One payment confirmed, cancelled, settled and matured by several at the same moment."""

import asyncio
from typing import Any

import pytest

from core.ids import uuid7
from services import maturing, sweeper, webhooks
from tests.faults.events import send, sent_by_sandbox, succeeded
from tests.support.world import BUY, CANCEL, World

_CAPTURES = "select count(*) from ledger.request where key like 'capture:%'"


async def settle_all(world: World) -> None:
    """Deliver all the sandbox has to say, and settle it."""
    for body in await sent_by_sandbox(world):
        await send(world, body)
    while await webhooks.process(world.engine):
        assert await world.scalar("select max(attempts) from inbox_events") == 0


async def rows_of(world: World, sql: str) -> list[Any]:
    rows: list[Any] = await world.engine.database.reader.fetch(sql)
    return rows


def counted(monkeypatch: pytest.MonkeyPatch, world: World, name: str) -> list[Any]:
    """Return a list that grows by each call of the provider."""
    calls: list[Any] = []
    original = getattr(world.engine.provider, name)

    async def instead(command: Any) -> Any:
        calls.append(command)
        return await original(command)

    monkeypatch.setattr(world.engine.provider, name, instead)
    return calls


async def test_six_confirmations_with_six_keys_charge_once(idle: World, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = counted(monkeypatch, idle, "confirm_payment")
    creator = await idle.creator("fable")
    supporter = idle.client("supporter")
    payment = (await idle.tip(supporter, creator))["payment"]["id"]

    answers = await asyncio.gather(*(idle.confirm(supporter, payment) for _ in range(6)))

    assert sum(answer["errors"] == [] for answer in answers) == 1
    codes = {error["code"] for answer in answers for error in answer["errors"]}
    assert codes <= {"PAYMENT_IN_PROGRESS", "PAYMENT_NOT_CONFIRMABLE"}
    assert len(calls) == 1
    assert await idle.scalar("select count(*) from sandbox.request where command = 'CONFIRM'") == 1
    await settle_all(idle)
    assert await idle.status(payment) == "SUCCEEDED"
    assert await idle.scalar(_CAPTURES) == 1


async def test_six_confirmations_with_one_key_charge_once(idle: World, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = counted(monkeypatch, idle, "confirm_payment")
    creator = await idle.creator("fable")
    supporter = idle.client("supporter")
    payment = (await idle.tip(supporter, creator))["payment"]["id"]

    answers = await asyncio.gather(*(idle.confirm(supporter, payment, key="the-same") for _ in range(6)))

    assert all(answer["errors"] == [] for answer in answers)
    assert len(calls) == 1
    assert await idle.scalar("select count(*) from sandbox.request where command = 'CONFIRM'") == 1


async def test_confirming_and_cancelling_at_once_has_one_outcome(idle: World) -> None:
    product = await idle.product("fable", await idle.creator("fable"), stock=12)
    buyers = [idle.client(f"buyer-{number}") for number in range(12)]
    bought = await asyncio.gather(*(buyer.run(BUY, product=product, key=str(uuid7())) for buyer in buyers))
    payments = [data["purchaseCreate"]["payment"]["id"] for data in bought]
    assert await idle.scalar("select sum(on_hand - reserved)::int from stock_levels") == 0

    async def cancel(buyer: Any, payment: str) -> Any:
        return (await buyer.run(CANCEL, payment=payment, key=str(uuid7())))["paymentCancel"]

    pairs = list(zip(buyers, payments, strict=True))
    # Every other pair the other way round, so that each of the two comes first now and then.
    calls = [
        call
        for number, (buyer, payment) in enumerate(pairs)
        for call in ((cancel(buyer, payment), idle.confirm(buyer, payment))[:: 1 if number % 2 else -1])
    ]
    await asyncio.gather(*calls)
    await settle_all(idle)

    statuses = [row["status"] for row in await rows_of(idle, "select status from payments")]
    assert set(statuses) <= {"SUCCEEDED", "CANCELED"}
    sold = statuses.count("SUCCEEDED")
    assert await idle.scalar("select sum(on_hand - reserved)::int from stock_levels") == 12 - sold
    assert await idle.scalar("select count(*) from stock_reservations where state = 'TAKEN'") == sold
    assert await idle.scalar(_CAPTURES) == sold
    states = await rows_of(
        idle, "select p.status = s.state as agree from payments p join sandbox.payment s on s.reference = p.id"
    )
    assert [row["agree"] for row in states] == [True] * 12


async def test_one_payment_told_of_by_many_events_to_several_workers_is_settled_once(
    idle: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    creator = await idle.creator("fable")
    supporter = idle.client("supporter")
    payment = (await idle.tip(supporter, creator))["payment"]["id"]
    await idle.confirm(supporter, payment)
    row = (await rows_of(idle, "select * from payments"))[0]
    for _ in range(8):
        await send(idle, succeeded(row))
    met = asyncio.Barrier(4)
    settle = webhooks._settle_rows

    async def together(*arguments: Any) -> Any:
        # Each of four workers holds two events before any of them settles.
        await met.wait()
        return await settle(*arguments)

    monkeypatch.setattr(webhooks, "_settle_rows", together)

    async with asyncio.timeout(20):
        taken = await asyncio.gather(*(webhooks.process(idle.engine, 2) for _ in range(4)))

    assert taken == [2, 2, 2, 2]
    assert await idle.status(payment) == "SUCCEEDED"
    assert await idle.scalar(_CAPTURES) == 1
    assert await idle.scalar("select count(*) from inbox_events where state = 'DONE'") == 8
    assert await idle.scalar("select count(*) from payment_events where status = 'SUCCEEDED'") == 1
    assert await idle.scalar("select sum(payments) from earning_days") == 1


async def test_settling_from_the_inbox_and_looking_up_at_once_settles_once(idle: World) -> None:
    creator = await idle.creator("fable")
    supporter = idle.client("supporter")
    sent = await asyncio.gather(*(idle.tip(supporter, creator) for _ in range(10)))
    await asyncio.gather(*(idle.confirm(supporter, payload["payment"]["id"]) for payload in sent))
    for body in await sent_by_sandbox(idle):
        await send(idle, body)
    await idle.engine.database.writer.execute("update payments set calling_until = now()")

    await asyncio.gather(sweeper.sweep(idle.engine), webhooks.process(idle.engine), sweeper.sweep(idle.engine))

    statuses = [row["status"] for row in await rows_of(idle, "select status from payments")]
    assert statuses == ["SUCCEEDED"] * 10
    assert await idle.scalar(_CAPTURES) == 10
    assert await idle.scalar("select count(*) from payment_events where status = 'SUCCEEDED'") == 10
    assert await idle.scalar("select sum(payments) from earning_days") == 10


async def test_batches_of_the_same_payments_in_opposite_order_do_not_deadlock(idle: World) -> None:
    creators = [await idle.creator(handle) for handle in ("fable", "gable")]
    supporter = idle.client("supporter")
    sent = [await idle.tip(supporter, creator) for creator in creators for _ in range(5)]
    await asyncio.gather(*(idle.confirm(supporter, payload["payment"]["id"]) for payload in sent))
    rows = await rows_of(idle, "select * from payments order by id")
    facts = [
        idle.engine.provider.translate(webhooks.Event("evt", "payment.succeeded", succeeded(row))) for row in rows
    ]
    forward = [fact for (fact,) in facts]

    await asyncio.gather(
        *(idle.engine.settle(idle.engine, forward[::step], look_up_at=None) for step in (1, -1, 1, -1))
    )

    assert await idle.scalar(_CAPTURES) == 10
    assert await idle.scalar("select sum(payments) from earning_days") == 10


async def test_several_workers_mature_each_earning_once(idle: World) -> None:
    creator = await idle.creator("fable")
    supporter = idle.client("supporter")
    sent = await asyncio.gather(*(idle.tip(supporter, creator) for _ in range(20)))
    await asyncio.gather(*(idle.confirm(supporter, payload["payment"]["id"]) for payload in sent))
    await settle_all(idle)
    await idle.engine.database.writer.execute("update payments set matures_at = succeeded_at")

    matured = await asyncio.gather(*(maturing.mature(idle.engine, 10) for _ in range(6)))

    while more := await maturing.mature(idle.engine, 10):
        matured.append(more)
    assert sum(matured) == 20
    assert await idle.scalar("select count(*) from ledger.request where key like 'earning:%'") == 20
    assert await idle.scalar("select posted from ledger.account where kind = 'pending'") == 0
    assert await idle.scalar("select posted from ledger.account where kind = 'available'") == 20 * 475
