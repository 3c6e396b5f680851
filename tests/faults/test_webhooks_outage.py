"""Webhooks in a storm: a burst, the database gone in the middle of it, and an endpoint that is silent for days."""

import asyncio
import random
from datetime import timedelta
from typing import Final

import asyncpg
import pytest

from app.engine import open_engine
from benchmarks.load import connected, post
from core import ids
from core.ids import Noun, uuid7
from providers.payments.base import Refund, RefundReason
from tests.faults.shop import Customer, audit, everything_told, open_shop, settled
from tests.faults.webhook_burst import bodies_of_all, charged_at_the_provider, provider_gives_up
from tests.faults.webhook_delivery import sending, signed, until_waiting
from tests.support.processes import Deployment
from tests.support.world import eventually, free_port

_BURST: Final = 5_000
_CONNECTIONS: Final = 64
_SETTLE_SECONDS: Final = 120


async def test_burst_of_five_thousand_events_is_settled_with_none_lost(deployed: Deployment) -> None:
    web = await deployed.web()
    creator = deployed.key(Noun.CREATOR, await deployed.creator("fable"))
    keys = await charged_at_the_provider(deployed, creator, _BURST // 2)
    bodies = await bodies_of_all(deployed.pool)
    assert len(bodies) == _BURST
    random.Random(_BURST).shuffle(bodies)
    secret = deployed.settings.webhook_secrets[0]
    requests = iter([post("/webhooks/sandbox", body.encode(), signed(body, secret)) for body in bodies])
    answers: list[int] = []
    # The provider's own deliveries go nowhere: what is here, the burst has brought.
    worker = deployed.worker(deliver_to=free_port())

    async with connected(deployed.settings.port, _CONNECTIONS) as connections, asyncio.TaskGroup() as group:

        async def keep_sending() -> None:
            for request in requests:
                answer = await connections.ask(request)
                answers.append(answer.status)

        for _ in range(_CONNECTIONS):
            group.create_task(keep_sending())

    assert answers == [200] * _BURST
    assert await deployed.count("inbox_events") == _BURST

    async def all_done() -> bool:
        return bool(await deployed.scalar("select count(*) from inbox_events where state = 'DONE'") == _BURST)

    await eventually(all_done, _SETTLE_SECONDS, lambda: "not everything was settled")
    assert await deployed.scalar("select max(attempts) from inbox_events") == 0
    await provider_gives_up(deployed.pool)
    await everything_told(deployed)
    await audit(deployed, [ids.encode(Noun.PAYMENT, key) for key in keys])
    assert not web.has_ended()
    assert not worker.has_ended()


async def test_database_that_goes_away_while_webhooks_are_being_stored_stores_none_of_them(
    deployed: Deployment, owner: asyncpg.Connection
) -> None:
    web = await deployed.web()
    creator = deployed.key(Noun.CREATOR, await deployed.creator("fable"))
    keys = await charged_at_the_provider(deployed, creator, 5)
    bodies = await bodies_of_all(deployed.pool)

    async with sending(deployed) as sender:
        async with owner.transaction():
            await owner.execute("lock table inbox_events in share mode")
            waiting = [asyncio.create_task(sender.send(body)) for body in bodies]
            while not all(task.done() for task in waiting):
                # Each in the middle of its insert, its connection is cut.
                for pid in await until_waiting(owner):
                    await owner.fetch("select pg_terminate_backend($1, 5000)", pid)
                await asyncio.wait(waiting, timeout=0.05)
        assert [task.result() for task in waiting] == [503] * len(bodies)
        assert await deployed.count("inbox_events") == 0
        await web.ready()
        await sender.send_all(bodies)

    deployed.worker(deliver_to=free_port())
    payments = [ids.encode(Noun.PAYMENT, key) for key in keys]
    await settled(deployed, *payments)
    await provider_gives_up(deployed.pool)
    await everything_told(deployed)
    await audit(deployed, payments)
    assert await deployed.count("inbox_events") == len(bodies)


async def _matured(deployed: Deployment) -> bool:
    return bool(await deployed.scalar("select bool_and(matured_at is not null) from payments"))


_TAKEN: Final = {
    "before anything is written": "select from payments for update",
    "with the status written": "select from ledger.account for update",
}


@pytest.mark.parametrize("moment", _TAKEN)
async def test_database_that_goes_away_while_events_are_being_settled_leaves_nothing_half_done(
    deployed: Deployment, owner: asyncpg.Connection, moment: str
) -> None:
    await deployed.web()
    creator = deployed.key(Noun.CREATOR, await deployed.creator("fable"))
    worker = deployed.worker(deliver_to=free_port())
    # The first opens the accounts that the others are then waited for at.
    first = await charged_at_the_provider(deployed, creator, 1)
    async with sending(deployed) as sender:
        await sender.send_all(await bodies_of_all(deployed.pool))
        await settled(deployed, ids.encode(Noun.PAYMENT, first[0]))
        await eventually(lambda: _matured(deployed), 30)
        before = await deployed.scalar("select count(*) from ledger.request where key not like 'earning:%'")
        keys = await charged_at_the_provider(deployed, creator, 4)
        async with owner.transaction():
            await owner.execute(_TAKEN[moment])
            await sender.send_all(await bodies_of_all(deployed.pool))
            for pid in await until_waiting(owner):
                await owner.fetch("select pg_terminate_backend($1, 5000)", pid)
            states = {
                (row["state"], row["attempts"])
                for row in await deployed.pool.fetch(
                    "select distinct state, attempts from inbox_events where state <> 'DONE'"
                )
            }
            assert states == {("PENDING", 0)}
            statuses = "select array_agg(distinct status) from payments where id = any($1::uuid[])"
            assert await deployed.scalar(statuses, keys) == ["PENDING"]
            sql = "select count(*) from ledger.request where key not like 'earning:%'"
            assert await deployed.scalar(sql) == before

    payments = [ids.encode(Noun.PAYMENT, key) for key in (*first, *keys)]
    await settled(deployed, *payments)
    await provider_gives_up(deployed.pool)
    await everything_told(deployed)
    await audit(deployed, payments)
    assert await deployed.scalar("select count(*) from inbox_events where state <> 'DONE'") == 0
    assert not worker.has_ended()


async def replayed(deployed: Deployment) -> str:
    """Have the provider's events of the last four days fetched from the command line; return what it says."""
    process = deployed._process("replay", ["webhooks", "replay", "--since", "4d"], None, None)
    process.start()
    assert await process.ended(60) == 0, process.said
    return process.said


async def test_endpoint_that_was_silent_for_three_days_is_healed_by_looking_up_and_by_replay(
    deployed: Deployment,
) -> None:
    web = await deployed.web()
    worker = deployed.worker(deliver_to=free_port())
    creator, _ = await open_shop(deployed)
    customer = Customer(deployed)
    payments = []
    for method in ("tok_success", "tok_timeout", "tok_processing", "tok_success"):
        payments.append(await customer.tip(creator))
        await customer.pay(payments[-1], method)
    # Of these nobody here has asked for anything: only the provider knows.
    reference = await deployed.scalar(
        "select provider_reference from payments where id = $1", deployed.key(Noun.PAYMENT, payments[0])
    )
    async with open_engine(deployed.settings, deployed.dsn, subscribers=False) as engine:
        await settled(deployed, *payments)
        reason = RefundReason.REQUESTED_BY_CUSTOMER
        await engine.provider.refund(Refund("made at the provider", uuid7(), reference, 200, reason))

    await deployed.pool.execute("select sandbox.advance_clock($1::interval)", timedelta(days=3))
    # By then the provider has given up.
    await provider_gives_up(deployed.pool)
    await eventually(lambda: _matured(deployed), 30)

    # Looked up, every payment is settled and charged, and its earning has matured.
    assert await deployed.count("inbox_events") == 0
    assert await _posted(deployed, "capture") == await _posted(deployed, "charge") == 4
    assert await _posted(deployed, "earning") == 4
    assert await deployed.scalar("select sum(posted) from ledger.account where kind = 'available'") == 4 * 475
    assert await deployed.scalar("select count(*) from refunds") == 0

    told = await deployed.scalar("select count(*) from sandbox.event")
    assert f"{told} events had never come" in await replayed(deployed)
    await settled(deployed, payments[0], status="PARTIALLY_REFUNDED")
    await everything_told(deployed)
    assert "0 events had never come" in await replayed(deployed)

    assert await deployed.count("inbox_events") == told
    assert await deployed.scalar("select max(attempts) from inbox_events") == 0
    await settled(deployed, *payments[1:])
    assert await _posted(deployed, "capture") == await _posted(deployed, "charge") == 4
    assert await _posted(deployed, "refund") == 1
    left = await deployed.scalar("select sum(posted) from ledger.account where kind = 'available'")
    assert left == 4 * 475 - 190
    assert await deployed.scalar("select sum(posted) from ledger.account where kind = 'clearing'") == 0
    assert not web.has_ended()
    assert not worker.has_ended()


async def _posted(deployed: Deployment, what: str) -> int:
    sql = "select count(*) from ledger.request where outcome = 'posted' and key like $1 || ':%'"
    count: int = await deployed.scalar(sql, what)
    return count
