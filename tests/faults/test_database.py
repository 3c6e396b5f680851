"""The database gone for a while, answers lost, webhooks lost, doubled, early or poisonous: settled once all the same."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final

import asyncpg
import orjson
import pytest

import ledger
from app.observed import unwrapped
from app.postgres import Lease
from core.ids import Noun, uuid7
from ledger import AccountKind, chart
from models.database import Database
from providers.payments.base import (
    ConfirmPayment,
    CreatePayment,
    PaymentFact,
    ProviderAction,
    ProviderError,
    ProviderErrorCode,
)
from providers.payments.sandbox import SandboxProvider
from services import maturing, sweeper, webhooks
from tests.faults.events import send, sent_by_sandbox, succeeded
from tests.faults.shop import Customer, audit, everything_told, open_shop, settled
from tests.support.processes import Deployment
from tests.support.world import BUY, PAYMENT, World, eventually, running_world

_TERMINATE: Final = "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1"


class Outage:
    """Takes one database away from everybody, as its server's end of the connections."""

    def __init__(self, admin: asyncpg.Connection, database: str) -> None:
        self._admin = admin
        self._database = database

    async def terminate(self) -> None:
        """End every connection; new ones are welcome."""
        await self._admin.execute("select 1")
        await self._admin.fetch(_TERMINATE, self._database)

    @asynccontextmanager
    async def lasting(self) -> AsyncIterator[None]:
        """End every connection and take no new ones meanwhile."""
        await self._admin.execute(f"alter database {self._database} with allow_connections false")
        try:
            await self.terminate()
            yield
        finally:
            await self._admin.execute(f"alter database {self._database} with allow_connections true")


@pytest.fixture
async def outage(lease: Lease, dsn: str) -> AsyncIterator[Outage]:
    """The test's database, to be taken away."""
    admin = await asyncpg.connect(lease.dsn("postgres"))
    owner = await asyncpg.connect(dsn)
    database = await owner.fetchval("select current_database()")
    await owner.close()
    yield Outage(admin, database)
    await admin.close()


async def confirmed(world: World, creator: str, number: int, method: str = "tok_success") -> list[Any]:
    """Send and confirm so many tips; return their payments' rows."""
    supporter = world.client("supporter")
    sent = await asyncio.gather(*(world.tip(supporter, creator) for _ in range(number)))
    payments = [payload["payment"]["id"] for payload in sent]
    await asyncio.gather(*(world.confirm(supporter, payment, method) for payment in payments))
    keys = [world.key(Noun.PAYMENT, payment) for payment in payments]
    rows = await world.engine.database.reader.fetch("select * from payments where id = any($1::uuid[])", keys)
    return sorted(rows, key=lambda row: keys.index(row["id"]))


async def statuses(world: World) -> list[str]:
    rows = await world.engine.database.reader.fetch("select status from payments order by id")
    return [row["status"] for row in rows]


async def inbox(world: World) -> dict[str, tuple[str, int]]:
    """Return the state and the attempts of each event received."""
    rows = await world.engine.database.reader.fetch("select event_id, state, attempts from inbox_events")
    return {row["event_id"]: (row["state"], row["attempts"]) for row in rows}


# The database goes away -----------------------------------------------------------------------------------


async def test_all_connections_ended_again_and_again_while_tips_settle(
    deployed: Deployment, outage: Outage
) -> None:
    web = await deployed.web()
    worker = deployed.worker()
    creator, _ = await open_shop(deployed)
    paid = asyncio.Semaphore(0)

    async def one() -> str:
        customer = Customer(deployed)
        payment = await customer.tip(creator)
        await customer.pay(payment)
        paid.release()
        return payment

    async with asyncio.TaskGroup() as group:
        paying = [group.create_task(one()) for _ in range(20)]
        for _ in range(3):
            for _ in range(4):
                await paid.acquire()
            await outage.terminate()
    payments = [task.result() for task in paying]
    await deployed.hours_pass()

    await settled(deployed, *payments)
    await deployed.hours_pass()
    await everything_told(deployed)
    await audit(deployed, payments)
    await web.ready()
    assert not web.has_ended()
    assert not worker.has_ended()


async def test_webhook_is_answered_503_while_the_database_is_away_and_settled_when_sent_again(
    deployed: Deployment, outage: Outage
) -> None:
    web = await deployed.web()
    creator, _ = await open_shop(deployed)
    customer = Customer(deployed)
    payment = await customer.tip(creator)
    await customer.pay(payment)
    bodies = [row["body"] for row in await deployed.pool.fetch("select body::text as body from sandbox.event")]

    async with outage.lasting():
        answers = [await send(deployed, body) for body in bodies]
        assert {answer.status_code for answer in answers} == {503}
        assert all("retry-after" in answer.headers for answer in answers)
        assert "problems" in await web.health()

    await web.ready()
    assert [(await send(deployed, body)).status_code for body in bodies] == [200] * len(bodies)
    deployed.worker()
    await settled(deployed, payment)
    await everything_told(deployed)
    await audit(deployed, [payment])


async def test_worker_waits_out_an_outage_and_settles_afterwards(deployed: Deployment, outage: Outage) -> None:
    web = await deployed.web()
    worker = deployed.worker()
    creator, _ = await open_shop(deployed)
    customer = Customer(deployed)
    payments = [await customer.tip(creator)]
    await customer.pay(payments[0])
    await settled(deployed, *payments)

    async with outage.lasting():

        async def complains() -> bool:
            return "background task failed" in worker.said

        await eventually(complains, 20, lambda: "the worker did not notice")

    await web.ready()
    payments.append(await customer.tip(creator))
    await customer.pay(payments[1])
    await deployed.hours_pass()
    await settled(deployed, *payments)
    await everything_told(deployed)
    await audit(deployed, payments)
    assert not worker.has_ended()


# Poison ---------------------------------------------------------------------------------------------------


async def test_poisonous_events_are_set_aside_and_the_batch_is_settled(idle: World) -> None:
    creator = await idle.creator("fable")
    good, cheated, other = await confirmed(idle, creator, 3)
    events = {payment["id"]: succeeded(payment) for payment in (good, cheated, other)}
    more = succeeded(cheated, amount=1_000_000, captured=1_000_000)
    another_object = succeeded(other, id="sbx_" + "0" * 32)
    malformed = succeeded(good)
    del malformed["data"]["object"]["amount"]
    unknown = succeeded({**dict(good), "id": uuid7()})
    for event in (more, *events.values(), another_object, malformed, unknown):
        assert (await send(idle, event)).status_code == 200

    assert await webhooks.process(idle.engine) == 7

    assert await statuses(idle) == ["SUCCEEDED"] * 3
    states = await inbox(idle)
    assert {states[event["id"]] for event in events.values()} == {("DONE", 0)}
    assert {states[event["id"]] for event in (more, another_object, malformed)} == {("DEAD", 1)}
    assert states[unknown["id"]] == ("PENDING", 1)
    captured = "select count(*) from ledger.request where key like 'capture:%'"
    assert await idle.scalar(captured) == 3


async def test_payment_that_the_ledger_refuses_waits_and_the_rest_of_the_batch_is_settled(
    idle: World, owner: asyncpg.Connection
) -> None:
    first, second = await idle.creator("fable"), await idle.creator("gable")
    payments = [
        *await confirmed(idle, first, 2),
        *await confirmed(idle, second, 1),
        *await confirmed(idle, first, 1),
    ]
    refused = payments[2]
    account = chart.creator(AccountKind.PENDING, "USD", idle.key(Noun.CREATOR, second))
    account_id = (await idle.engine.accounts.ids([account]))[account]
    await ledger.close_account(account_id, on=owner)
    events = [succeeded(payment) for payment in payments]
    for event in events:
        await send(idle, event)

    await webhooks.process(idle.engine)

    assert await statuses(idle) == ["SUCCEEDED", "SUCCEEDED", "PROCESSING", "SUCCEEDED"]
    states = await inbox(idle)
    assert [states[event["id"]] for event in events] == [("DONE", 0), ("DONE", 0), ("PENDING", 1), ("DONE", 0)]
    assert await idle.scalar("select count(*) from payment_events where payment_id = $1", refused["id"]) == 3

    await ledger.reopen_account(account_id, on=owner)
    await owner.execute("update inbox_events set due_at = now()")
    assert await webhooks.process(idle.engine) == 1
    assert await statuses(idle) == ["SUCCEEDED"] * 4


async def test_event_that_fails_for_ever_is_dead_after_twenty_attempts(
    idle: World, owner: asyncpg.Connection
) -> None:
    creator = await idle.creator("fable")
    (payment,) = await confirmed(idle, creator, 1)
    event = succeeded({**dict(payment), "id": uuid7()})
    await send(idle, event)
    for attempt in range(1, 20):
        assert await webhooks.process(idle.engine) == 1
        assert (await inbox(idle))[event["id"]] == ("PENDING", attempt)
        assert await webhooks.process(idle.engine) == 0
        await owner.execute("update inbox_events set due_at = now()")
    await webhooks.process(idle.engine)

    assert (await inbox(idle))[event["id"]] == ("DEAD", 20)


async def test_earning_that_the_ledger_refuses_does_not_keep_others_from_maturing(
    idle: World, owner: asyncpg.Connection
) -> None:
    first, second = await idle.creator("fable"), await idle.creator("gable")
    await confirmed(idle, second, 1)
    await confirmed(idle, first, 2)
    for body in await sent_by_sandbox(idle):
        await send(idle, body)
    await webhooks.process(idle.engine)
    account = chart.creator(AccountKind.AVAILABLE, "USD", idle.key(Noun.CREATOR, second))
    account_id = (await idle.engine.accounts.ids([account]))[account]
    await ledger.close_account(account_id, on=owner)
    await owner.execute("update payments set matures_at = succeeded_at")

    await maturing.mature(idle.engine)

    matured = "select count(*) from payments where matured_at is not null"
    assert await idle.scalar(matured) == 2
    await ledger.reopen_account(account_id, on=owner)
    await maturing.mature(idle.engine)
    assert await idle.scalar(matured) == 3


async def test_payment_that_the_ledger_refuses_does_not_keep_the_sweeper_from_the_others(
    idle: World, owner: asyncpg.Connection
) -> None:
    first, second = await idle.creator("fable"), await idle.creator("gable")
    account = chart.creator(AccountKind.PENDING, "USD", idle.key(Noun.CREATOR, second))
    account_id = (await idle.engine.accounts.ids([account]))[account]
    await ledger.close_account(account_id, on=owner)
    await confirmed(idle, first, 2)
    await confirmed(idle, second, 1)
    await confirmed(idle, first, 2)
    await owner.execute("update payments set calling_until = now()")

    await sweeper.sweep(idle.engine)

    assert sorted(await statuses(idle)) == ["PROCESSING", *["SUCCEEDED"] * 4]


# Lost, doubled, early -------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["tok_success", "tok_timeout", "tok_processing"])
async def test_payment_whose_webhooks_are_all_lost_is_looked_up(
    dsn: str, books: None, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr("app.worker._SWEEP_SECONDS", 0.05)
    monkeypatch.setattr("services.sweeper._RETRY_AFTER", timedelta(seconds=0.2))
    async with running_world(dsn, deliveries=False, settle_grace_seconds=0.2) as world:
        sandbox = unwrapped(world.engine.provider)
        assert isinstance(sandbox, SandboxProvider)
        sandbox._processing_time = timedelta(seconds=0.3)
        (payment,) = await confirmed(world, await world.creator("fable"), 1, method)

        async def provider_is_done() -> bool:
            # Without deliveries nobody but the test lets the sandbox's time pass.
            await sandbox.run_due()
            return await world.scalar("select state from sandbox.payment") == "SUCCEEDED"

        await eventually(provider_is_done)

        async def found() -> bool:
            return await statuses(world) == ["SUCCEEDED"]

        await eventually(found, 5, lambda: "nobody looked it up")
        assert await world.scalar("select count(*) from inbox_events") == 0
        captured, charged = await world.scalar("select array_agg(key order by key) from ledger.request")
        assert captured == f"capture:{payment['id']}"
        assert charged.startswith("charge:sandbox:")


async def test_confirmation_whose_answer_is_lost_is_reconciling_then_settled_once(world: World) -> None:
    creator = await world.creator("fable")
    supporter = world.client("supporter")
    payment = (await world.tip(supporter, creator))["payment"]["id"]

    answer = await world.confirm(supporter, payment, "tok_timeout", key="same")
    again = await world.confirm(supporter, payment, "tok_timeout", key="same")

    assert answer["errors"] == again["errors"] == []
    assert {answer["payment"]["status"], again["payment"]["status"]} <= {"RECONCILING", "PROCESSING", "SUCCEEDED"}
    await world.until(payment, "SUCCEEDED")
    assert await world.scalar("select count(*) from sandbox.request where command = 'CONFIRM'") == 1
    assert await world.scalar("select count(*) from ledger.request where key like 'capture:%'") == 1


async def test_event_that_arrives_before_our_own_call_has_returned_is_settled(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    creator = await world.creator("fable")
    provider = world.engine.provider
    original = provider.create_payment

    async def slow(command: CreatePayment) -> PaymentFact:
        fact = await original(command)
        call = ConfirmPayment(f"elsewhere:{uuid7()}", fact.provider_reference, "tok_success", None)
        await provider.confirm_payment(call)

        async def settled_already() -> bool:
            return await statuses(world) == ["SUCCEEDED"]

        await eventually(settled_already)
        return fact

    monkeypatch.setattr(provider, "create_payment", slow)
    supporter = world.client("supporter")

    sent = await world.tip(supporter, creator)

    assert sent["errors"] == []
    assert sent["payment"]["status"] == "SUCCEEDED"
    payment = (await supporter.run(PAYMENT, id=sent["payment"]["id"]))["payment"]
    assert [event["status"] for event in payment["events"]] == ["CREATED", "SUCCEEDED"]
    assert await world.scalar("select count(*) from payments where calling_until is not null") == 0


async def test_event_sent_a_hundred_times_at_once_is_stored_and_settled_once(idle: World) -> None:
    creator = await idle.creator("fable")
    (payment,) = await confirmed(idle, creator, 1)
    event = orjson.dumps(succeeded(payment)).decode()

    async def settle() -> None:
        while await webhooks.process(idle.engine) == 0:
            await asyncio.sleep(0.001)

    settling = asyncio.create_task(settle())
    answers = await asyncio.gather(*(send(idle, event) for _ in range(100)))
    await settling
    await webhooks.process(idle.engine)

    assert {answer.status_code for answer in answers} == {200}
    assert await idle.count("inbox_events") == 1
    assert await statuses(idle) == ["SUCCEEDED"]
    assert await idle.scalar("select count(*) from payment_events where status = 'SUCCEEDED'") == 1
    assert await idle.scalar("select count(*) from ledger.request") == 1


async def test_two_events_of_one_fact_settle_it_once(idle: World) -> None:
    creator = await idle.creator("fable")
    (payment,) = await confirmed(idle, creator, 1)
    for _ in range(2):
        await send(idle, succeeded(payment))
        await webhooks.process(idle.engine)
    for _ in range(2):
        await send(idle, succeeded(payment))
    await webhooks.process(idle.engine)

    assert {state for state, _ in (await inbox(idle)).values()} == {"DONE"}
    assert await idle.scalar("select count(*) from ledger.request") == 1
    assert await idle.scalar("select count(*) from payment_events where status = 'SUCCEEDED'") == 1
    assert await idle.scalar("select sum(payments) from earning_days") == 1


# Many -----------------------------------------------------------------------------------------------------

_MANY: Final = """
    with made as (
        insert into payments (id, kind, creator_id, currency, gross, fixed_fee, fee, tax, net, fee_rule_id,
            maturity_delay_seconds,
            provider, provider_reference, status, sequence, provider_state, provider_state_at, authorized, captured,
            reconciling, created_at, updated_at)
        select gen_random_uuid(), 'tip', $1, 'USD', 500, 0, 25, 0, 475, (select id from fee_rules where kind = 'tip'), 0,
            'sandbox', 'sbx_' || lpad(to_hex(number), 32, '0'), 'PENDING', 2, 'REQUIRES_METHOD', now(), 0, 0,
            false, now(), now()
        from generate_series(1, $2) number
        returning *
    ),
    events as (
        insert into payment_events (payment_id, sequence, status, at)
        select made.id, e.sequence, e.status, now() from made, (values (1, 'CREATED'), (2, 'PENDING')) e (sequence, status)
    )
    select * from made
"""
_COUNT_UPDATES: Final = """
    create table public.account_updates (account bigint);
    create function public.count_update() returns trigger language plpgsql as $$
    begin insert into public.account_updates values (new.id); return null; end $$;
    create trigger count_update after update on ledger.account for each row execute function public.count_update();
"""


async def test_500_payments_of_one_creator_are_one_batch_and_one_update_of_each_account(
    idle: World, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    creator = idle.key(Noun.CREATOR, await idle.creator("fable"))
    # What an account needs once is not a batch's cost.
    rows = await owner.fetch(_MANY, creator, 501)
    await send(idle, succeeded(rows[500]))
    await webhooks.process(idle.engine)
    await owner.execute(_COUNT_UPDATES)
    events = [succeeded(row) for row in rows[:500]]
    await owner.executemany(
        "insert into inbox_events (provider, event_id, type, body, state, attempts, due_at, received_at) "
        "values ('sandbox', $1, $2, $3, 'PENDING', 0, now(), now())",
        [(event["id"], event["type"], orjson.dumps(event)) for event in events],
    )
    statements: list[str] = []
    transaction = Database.transaction

    @asynccontextmanager
    async def logged(database: Database) -> AsyncIterator[Any]:
        async with transaction(database) as opened:
            with opened.connection.query_logger(lambda record: statements.append(record.query)):
                yield opened

    monkeypatch.setattr(Database, "transaction", logged)

    assert await webhooks.process(idle.engine) == 500

    assert await idle.scalar("select count(*) from payments where status = 'SUCCEEDED'") == 501
    pending = "select version from ledger.account where kind = 'pending'"
    assert await idle.scalar(pending) == 501
    updates = await owner.fetch("select account, count(*) from account_updates group by account")
    assert len(updates) == 3
    assert {row["count"] for row in updates} == {1}
    assert len(statements) <= 8, statements
    assert await idle.scalar("select net from earning_days") == 501 * 475


async def test_purchase_its_provider_never_got_is_cancelled_in_the_end_and_gives_back_what_it_reserved(
    idle: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    creator = await idle.creator("fable")
    product = await idle.product("fable", creator, stock=1)

    async def refuse(_: object) -> None:
        raise ProviderError(ProviderErrorCode.MISCONFIGURED, ProviderAction.FIX_CONFIG)

    monkeypatch.setattr(idle.engine.provider, "create_payment", refuse)
    await idle.client("supporter").run(BUY, product=product, key="only")
    assert await idle.scalar("select sum(on_hand - reserved)::int from stock_levels") == 0
    await idle.engine.database.writer.execute(
        "update payments set created_at = now() - interval '2 days', calling_until = now()"
    )

    await sweeper.sweep(idle.engine)

    assert await statuses(idle) == ["CANCELED"]
    assert await idle.scalar("select sum(on_hand - reserved)::int from stock_levels") == 1
