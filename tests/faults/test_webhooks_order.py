"""Every permutation of each flow, one by one and in one batch: told in any order, a payment ends the same."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import orjson
import pytest

from core.ids import Noun
from providers.payments.base import ConfirmPayment
from services import webhooks
from tests.faults.webhook_delivery import (
    assert_paid_once,
    assert_story,
    inbox_states,
    process_all,
    sending,
    told_again,
    until_waiting,
    written,
)
from tests.faults.webhook_flows import FLOWS, AtTheProvider, Played, ThroughTheApi, events_of, play
from tests.support.world import World, eventually, running_world


def moved(at: str, by: timedelta) -> str:
    """Return the moment of an event, a little later."""
    return (datetime.fromisoformat(at) + by).isoformat()


async def one_by_one(world: World, told: list[list[str]]) -> None:
    """Deliver each payment's events in its order, and settle after each."""
    async with sending(world) as sender:
        for step in zip(*told, strict=True):
            await sender.send_all(step)
            await process_all(world)


async def in_one_batch(world: World, told: list[list[str]]) -> None:
    """Deliver all of each payment's events in its order, and settle them together."""
    async with sending(world) as sender:
        for bodies in told:
            await sender.send_all(bodies)
    await process_all(world)


@pytest.mark.parametrize("name", FLOWS)
async def test_every_permutation_of_a_flow_ends_the_same(idle: World, name: str) -> None:
    flow = FLOWS[name]
    creator = await idle.creator("fable")
    orders = flow.orders()
    everything: list[Played] = []

    for payer, deliver in (
        (AtTheProvider, one_by_one),
        (AtTheProvider, in_one_batch),
        (ThroughTheApi, one_by_one),
    ):
        played = await play(idle, flow, creator, len(orders), payer)
        everything += played
        await deliver(idle, [one.in_order(order) for one, order in zip(played, orders, strict=True)])

    ended = await idle.engine.database.reader.fetch("select * from payments order by id")
    assert {(row["status"], row["reason"]) for row in ended} == {(flow.status, flow.reason)}
    assert await inbox_states(idle) == {("DONE", 0)}
    for one in everything:
        await assert_story(idle, one.key, flow.status, flow.reason)
    last = {one.key: orjson.loads(one.last_state)["data"]["object"] for one in everything}
    for row in ended:
        assert row["provider_state"] == last[row["id"]]["state"]
        assert row["provider_state_at"].isoformat().replace("+00:00", "Z") == last[row["id"]]["at"]
    charges = [body for one in everything for body in one.bodies if orjson.loads(body)["type"] == "charge.updated"]
    await assert_paid_once(idle, [one.key for one in everything] if flow.paid else [], charges)
    assert all((row["matures_at"] is not None) == flow.paid for row in ended)

    # All of it again, as it was and under other ids, the other way round: nothing changes any more.
    before = await written(idle)
    every = [body for one in reversed(everything) for body in reversed(one.bodies)]
    await in_one_batch(idle, [every, [told_again(body) for body in every]])
    assert await written(idle) == before
    assert await inbox_states(idle) == {("DONE", 0)}


@pytest.mark.parametrize("first", ["the answer", "the webhook"])
async def test_api_answer_and_webhook_at_once_settle_once(
    idle: World, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    creator = await idle.creator("fable")
    supporter = idle.client("supporter")
    payment = (await idle.tip(supporter, creator))["payment"]["id"]
    key = idle.key(Noun.PAYMENT, payment)
    provider = idle.engine.provider
    confirm = provider.confirm_payment
    settling: list[asyncio.Task[Any]] = []
    held = owner.transaction()
    taken = asyncio.Event()

    async def settle_webhooks() -> None:
        settling.append(asyncio.create_task(webhooks.process(idle.engine)))

    async def answered_while_the_webhooks_are_here(command: ConfirmPayment) -> Any:
        fact = await confirm(command)
        bodies = (await events_of(idle))[str(key)]
        async with sending(idle) as sender:
            await sender.send_all(bodies)
        # Both come to the payment's row while it is taken, and so one right after the other.
        await held.start()
        await owner.execute("select from payments where id = $1 for update", key)
        if first == "the webhook":
            await settle_webhooks()
            await until_waiting(owner, 1)
        taken.set()
        return fact

    monkeypatch.setattr(provider, "confirm_payment", answered_while_the_webhooks_are_here)
    confirming = asyncio.create_task(idle.confirm(supporter, payment))
    await asyncio.wait_for(taken.wait(), 60)
    await until_waiting(owner, 1 if first == "the answer" else 2)
    if first == "the answer":
        await settle_webhooks()
        await until_waiting(owner, 2)
    await held.commit()

    assert (await confirming)["errors"] == []
    assert await settling[0] == 2
    assert await idle.status(payment) == "SUCCEEDED"
    assert await inbox_states(idle) == {("DONE", 0)}
    await assert_story(idle, key, "SUCCEEDED")
    charge = (await events_of(idle))[str(key)][1]
    await assert_paid_once(idle, [key], [charge])
    assert await idle.scalar("select count(*) from payments where calling_until is not null") == 0


@pytest.mark.parametrize("turned", [False, True], ids=["as told", "the other way round"])
async def test_two_states_of_one_instant_are_looked_up_at_the_provider(
    dsn: str, books: None, monkeypatch: pytest.MonkeyPatch, turned: bool
) -> None:
    monkeypatch.setattr("app.worker._SWEEP_SECONDS", 0.05)
    # Unless something calls for it, nobody looks anything up while this test runs.
    async with running_world(dsn, deliveries=False, settle_grace_seconds=3600) as world:
        creator = await world.creator("fable")
        flow = FLOWS["3-D Secure completed"]
        tied, distinct = await play(world, flow, creator, 2, AtTheProvider)
        asked: list[object] = []
        fetch = world.engine.provider.fetch

        async def counted(*arguments: Any) -> Any:
            asked.append(arguments[-1])
            return await fetch(*arguments)

        monkeypatch.setattr(world.engine.provider, "fetch", counted)
        references = await world.engine.database.reader.fetch("select id, provider_reference from payments")
        reference = {row["id"]: row["provider_reference"] for row in references}
        both: dict[Any, list[str]] = {}
        for one, apart in ((tied, timedelta(0)), (distinct, timedelta(microseconds=1))):
            event = orjson.loads(one.bodies[0])
            told = event["data"]["object"]
            at = moved(told["at"], apart)
            other = told | {"at": at, "state": "PROCESSING", "action_url": None}
            processing = event | {"id": f"{event['id']}_tie", "type": "payment.processing"}
            processing["data"] = {"object": other}
            both[one.key] = [one.bodies[0], orjson.dumps(processing).decode()][:: -1 if turned else 1]

        async with sending(world) as sender:
            for key in (distinct.key, tied.key):
                await sender.send_all(both[key])

        async def settled() -> bool:
            sql = "select status = 'SUCCEEDED' from payments where id = $1"
            return bool(await world.scalar(sql, tied.key))

        await eventually(settled, 20, lambda: "the provider was not asked")
        assert asked == [reference[tied.key]]
        assert await world.scalar("select status from payments where id = $1", distinct.key) == "PROCESSING"
        await assert_story(world, tied.key, "SUCCEEDED")
        sql = "select array_agg(key) from ledger.request where key like 'capture:%'"
        assert await world.scalar(sql) == [f"capture:{tied.key}"]
        assert await inbox_states(world) == {("DONE", 0)}
