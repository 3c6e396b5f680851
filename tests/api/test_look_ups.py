"""Events that tell too little: what they name is looked up outside any transaction, and settled with them once."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from core.clock import now, set_ahead, wall
from core.ids import Noun, uuid7
from models.database import Database
from providers.payments.base import (
    Event,
    Fact,
    LookUp,
    ProviderAction,
    ProviderError,
    ProviderErrorCode,
    Subject,
    WebhookRejected,
)
from services import look_ups, payouts, webhooks
from services.measures import REGISTRY
from tests.faults.events import send, sent_by_sandbox
from tests.support.payouts import running_till
from tests.support.telling_little import look_ups as look_ups_of
from tests.support.telling_little import tell_little
from tests.support.world import World, eventually, running_world

PAYMENT = LookUp(Subject.PAYMENT, "sbx_1")


@pytest.fixture
async def idle(dsn: str, books: None) -> AsyncIterator[World]:
    """A web server alone; business time is the wall clock's again at its end."""
    async with running_world(dsn, worker=False, deliveries=False) as running:
        yield running


@dataclass
class Provider:
    """What the provider answers to look-ups, and what it was asked. ``wanted`` is what an event tells too little of."""

    answers: dict[LookUp, Any] = field(default_factory=dict)
    asked: list[LookUp] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    meanwhile: Callable[[], Any] | None = None

    def translate(self, event: Event) -> Sequence[Fact | LookUp]:
        wanted: Any = event.body.get("wanted", [])
        return [LookUp(Subject.PAYMENT, one) for one in wanted]

    async def fetch(self, subject: Subject, reference: str) -> Sequence[Fact]:
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        self.asked.append(LookUp(subject, reference))
        await asyncio.sleep(0)
        if self.meanwhile is not None:
            await self.meanwhile()
        self.at_once -= 1
        answer = self.answers.get(LookUp(subject, reference), ())
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return] # as the test says


@pytest.fixture
def provider(idle: World, monkeypatch: pytest.MonkeyPatch) -> Provider:
    given = Provider()
    monkeypatch.setattr(idle.engine.provider, "translate", given.translate)
    monkeypatch.setattr(idle.engine.provider, "fetch", given.fetch)
    return given


async def received(world: World, *wanted: str) -> str:
    """Have an event received that names objects; return its id."""
    event = {"id": f"evt_{uuid7().hex}", "type": "a.type", "livemode": False, "wanted": wanted}
    assert (await send(world, event)).status_code == 200
    return str(event["id"])


async def row(world: World, event_id: str) -> Any:
    return await world.engine.database.reader.fetchrow("select * from inbox_events where event_id = $1", event_id)


async def standing(world: World) -> set[tuple[str, int, str | None]]:
    rows = await world.engine.database.reader.fetch("select state, attempts, error from inbox_events")
    return {(one["state"], one["attempts"], one["error"]) for one in rows}


def refusal(code: ProviderErrorCode) -> ProviderError:
    return ProviderError(code, ProviderAction.LATER)


def count(outcome: str) -> float:
    return REGISTRY.get_sample_value("comptoir_events_settled_total", {"outcome": outcome}) or 0.0


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The statements of each transaction from now on."""
    found: list[list[str]] = []
    transaction = Database.transaction

    @asynccontextmanager
    async def logged(database: Database) -> AsyncIterator[Any]:
        async with transaction(database) as opened:
            found.append([])
            own = found[-1]
            with opened.connection.query_logger(lambda record: own.append(record.query)):
                yield opened

    monkeypatch.setattr(Database, "transaction", logged)
    return found


# Once for all -----------------------------------------------------------------------------------------------


async def test_object_that_many_events_name_is_asked_for_once_and_all_are_settled_together(
    idle: World, provider: Provider, statements: list[list[str]]
) -> None:
    events = [await received(idle, "sbx_1") for _ in range(20)]
    both = await received(idle, "sbx_1", "sbx_2")
    before = count("done")

    assert await webhooks.process(idle.engine) == 21

    assert sorted(one.provider_reference for one in provider.asked) == ["sbx_1", "sbx_2"]
    assert await standing(idle) == {("DONE", 0, None)}
    assert count("done") == before + 21
    assert [(await row(idle, event))["state"] for event in (*events, both)] == ["DONE"] * 21
    # One that claims them, one that settles them.
    assert len(statements) == 2
    assert await webhooks.process(idle.engine) == 0


async def test_provider_is_asked_a_few_at_once_and_within_no_transaction(
    idle: World, provider: Provider, owner: asyncpg.Connection
) -> None:
    for number in range(3):
        await received(idle, *(f"sbx_{number}_{part}" for part in range(10)))
    open_ones: list[int] = []

    async def count_transactions() -> None:
        sql = "select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in %'"
        await owner.execute("select pg_stat_clear_snapshot()")
        open_ones.append(await owner.fetchval(sql))

    lock = asyncio.Lock()

    async def one_at_a_time() -> None:
        async with lock:
            await count_transactions()

    provider.meanwhile = one_at_a_time

    await webhooks.process(idle.engine)

    assert len(provider.asked) == 30
    assert 1 < provider.most_at_once <= look_ups._AT_ONCE
    assert set(open_ones) == {0}


async def test_batch_without_look_ups_costs_no_statement_more(idle: World, statements: list[list[str]]) -> None:
    for _ in range(3):
        await received(idle)

    await webhooks.process(idle.engine)

    (batch,) = statements
    claimed, marked = (one for one in batch if "public" not in one and "_events" in one)
    assert "for update skip locked" in claimed
    assert "state = 'DONE'" in marked
    assert not any("payout_accounts" in one for one in batch)


async def test_thousand_look_ups_are_few_transactions(
    idle: World, provider: Provider, owner: asyncpg.Connection, statements: list[list[str]]
) -> None:
    await owner.execute(
        "insert into inbox_events (provider, event_id, type, body, state, attempts, due_at, received_at) "
        "select 'sandbox', 'evt_' || n, 'a.type', convert_to(format("
        """'{"id": "evt_%s", "type": "a.type", "livemode": false, "wanted": ["sbx_%s"]}', n, n), 'UTF8'), """
        "'PENDING', 0, now(), now() from generate_series(1, 1000) n"
    )

    while await webhooks.process(idle.engine):
        pass

    assert len(provider.asked) == len(set(provider.asked)) == 1_000
    assert await standing(idle) == {("DONE", 0, None)}
    assert len(statements) <= 20


# Claims -----------------------------------------------------------------------------------------------------


@pytest.fixture
def clock() -> Any:
    yield set_ahead
    set_ahead(timedelta(0))


async def test_claimed_event_whose_worker_died_comes_back_with_no_attempt_lost(
    idle: World, provider: Provider, clock: Any
) -> None:
    event_id = await received(idle, "sbx_1")

    taken = await webhooks.take(idle.engine)

    # And then whoever took it is gone.
    stored = await row(idle, event_id)
    assert taken.number == 1
    assert (stored["state"], stored["attempts"], stored["error"]) == ("PENDING", 0, None)
    assert stored["due_at"] > now() + idle.engine.provider_timeout
    assert await webhooks.process(idle.engine) == 0
    assert provider.asked == []
    clock(stored["due_at"] - wall() + timedelta(seconds=1))
    assert await webhooks.process(idle.engine) == 1
    assert provider.asked == [PAYMENT]
    assert await standing(idle) == {("DONE", 0, None)}


async def test_event_that_somebody_else_settled_meanwhile_is_not_settled_again(
    idle: World, provider: Provider, owner: asyncpg.Connection
) -> None:
    event_id = await received(idle, "sbx_1")
    provider.answers[PAYMENT] = refusal(ProviderErrorCode.NOT_FOUND)

    async def settle_elsewhere() -> None:
        await owner.execute("update inbox_events set state = 'DONE', processed_at = received_at")

    provider.meanwhile = settle_elsewhere
    before = count("done"), count("put_off")

    await webhooks.process(idle.engine)

    stored = await row(idle, event_id)
    assert (stored["state"], stored["attempts"], stored["error"]) == ("DONE", 0, None)
    assert stored["processed_at"] == stored["received_at"]
    assert (count("done"), count("put_off")) == before


async def test_event_whose_claim_has_ended_is_not_asked_for_and_comes_back(
    idle: World, provider: Provider, clock: Any
) -> None:
    await received(idle, "sbx_1")
    taken = await webhooks.take(idle.engine)
    assert taken.waiting is not None
    clock(taken.waiting.until - wall())

    await webhooks.look_up(idle.engine, taken.waiting)

    assert provider.asked == []
    assert await standing(idle) == {("PENDING", 0, None)}
    assert await webhooks.process(idle.engine) == 1
    assert await standing(idle) == {("DONE", 0, None)}


async def test_two_workers_share_look_ups(idle: World, provider: Provider) -> None:
    for number in range(10):
        await received(idle, f"sbx_{number}")

    assert sum(await asyncio.gather(*(webhooks.process(idle.engine, 5) for _ in range(2)))) == 10

    assert len(provider.asked) == len(set(provider.asked)) == 10
    assert await standing(idle) == {("DONE", 0, None)}


# Refusals ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [ProviderErrorCode.UNAVAILABLE, ProviderErrorCode.RATE_LIMITED])
async def test_event_is_never_given_up_because_the_provider_is_away(
    idle: World, provider: Provider, owner: asyncpg.Connection, code: ProviderErrorCode
) -> None:
    event_id = await received(idle, "sbx_1")
    provider.answers[PAYMENT] = refusal(code)
    before = count("put_off"), count("dead")

    for attempt in range(1, 31):
        assert await webhooks.process(idle.engine) == 1
        stored = await row(idle, event_id)
        expected = ("PENDING", min(attempt, webhooks._ATTEMPTS_AWAY), f"look-up: {code}")
        assert (stored["state"], stored["attempts"], stored["error"]) == expected
        assert now() < stored["due_at"] < now() + timedelta(minutes=5)
        assert await webhooks.process(idle.engine) == 0
        await owner.execute("update inbox_events set due_at = now()")
    assert (count("put_off"), count("dead")) == (before[0] + 30, before[1])

    provider.answers = {}
    await webhooks.process(idle.engine)
    assert (await row(idle, event_id))["state"] == "DONE"
    assert (await row(idle, event_id))["error"] is None


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (refusal(ProviderErrorCode.NOT_FOUND), "look-up: NOT_FOUND"),
        (refusal(ProviderErrorCode.MISCONFIGURED), "look-up: MISCONFIGURED"),
        (KeyError("what Ann wrote"), "look-up: KeyError"),
    ],
    ids=["not found", "misconfigured", "mistake"],
)
async def test_look_up_that_is_refused_for_ever_is_given_up_in_the_end(
    idle: World, provider: Provider, owner: asyncpg.Connection, error: Exception, reason: str
) -> None:
    event_id = await received(idle, "sbx_1")
    provider.answers[PAYMENT] = error

    for attempt in range(1, webhooks._ATTEMPTS + 1):
        assert await webhooks.process(idle.engine) == 1
        stored = await row(idle, event_id)
        state = "DEAD" if attempt == webhooks._ATTEMPTS else "PENDING"
        assert (stored["state"], stored["attempts"], stored["error"]) == (state, attempt, reason)
        await owner.execute("update inbox_events set due_at = now()")
    assert await webhooks.process(idle.engine) == 0


async def test_refusal_of_one_object_holds_up_none_of_the_others(idle: World, provider: Provider) -> None:
    lost = await received(idle, "sbx_1", "sbx_2")
    others = [await received(idle, "sbx_2"), await received(idle), await received(idle, "sbx_3")]
    provider.answers[PAYMENT] = refusal(ProviderErrorCode.NOT_FOUND)

    await webhooks.process(idle.engine)

    assert (await row(idle, lost))["error"] == "look-up: NOT_FOUND"
    assert [(await row(idle, one))["state"] for one in others] == ["DONE"] * 3


async def test_provider_that_is_away_is_not_asked_for_everything_in_vain(idle: World, provider: Provider) -> None:
    for number in range(60):
        await received(idle, f"sbx_{number}")
        provider.answers[LookUp(Subject.PAYMENT, f"sbx_{number}")] = refusal(ProviderErrorCode.UNAVAILABLE)

    assert await webhooks.process(idle.engine) == 60

    assert len(provider.asked) <= look_ups._AT_ONCE
    assert await standing(idle) == {("PENDING", 1, "look-up: UNAVAILABLE")}


# With facts -------------------------------------------------------------------------------------------------


async def test_poisonous_answer_is_set_aside_and_the_others_of_its_batch_are_settled(
    idle: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell_little(idle.sandbox)
    creator = await idle.creator("fable")
    supporter = idle.client("supporter")
    for _ in range(3):
        await idle.confirm(supporter, (await idle.tip(supporter, creator))["payment"]["id"])
    settle = webhooks.settle_batch
    poison = await idle.scalar("select id from payments order by id limit 1")

    async def choke(settling: Any, facts: Sequence[Any], **given: Any) -> Any:
        if any(fact.reference == poison for fact in facts):
            raise RuntimeError("what Ann wrote")
        return await settle(settling, facts, **given)

    monkeypatch.setattr(webhooks, "settle_batch", choke)
    for body in await sent_by_sandbox(idle):
        await send(idle, body)

    while await webhooks.process(idle.engine):
        pass

    rows = await idle.engine.database.reader.fetch("select id, status from payments order by id")
    assert [one["status"] == "SUCCEEDED" for one in rows] == [False, True, True]
    assert await standing(idle) == {("DONE", 0, None), ("PENDING", 1, "RuntimeError")}


async def test_account_and_payouts_that_are_looked_up_go_all_the_way(dsn: str) -> None:
    async with running_till(dsn) as till:
        tell_little(till.world.sandbox)
        fetch, asked = till.world.sandbox.fetch, []

        async def counted(subject: Subject, reference: str) -> Sequence[Fact]:
            asked.append(subject)
            return await fetch(subject, reference)

        till.world.sandbox.fetch = counted  # type: ignore[method-assign] # for this server alone
        await till.open(country="FR")
        await till.control.make_account_ready("latest")
        await till.told()
        assert await till.world.scalar("select ready from payout_accounts")
        paid, failed = await till.requested("20.00"), await till.requested("30.00")
        await till.advances(paid)
        await till.control.pay_payout("latest")
        await till.advances(failed)
        await till.control.fail_payout("latest")

        await till.told()
        await payouts.sweep(till.world.engine)
        await till.told()

        assert [(await till.seen(one))["status"] for one in (paid, failed)] == ["PAID", "FAILED"]
        assert await till.balances() == {"available": 7_500, "payout": 0, "connected": 0}
        assert {Subject.ACCOUNT, Subject.TRANSFER, Subject.PAYOUT, Subject.PAYMENT} <= set(asked)
        assert await standing(till.world) == {("DONE", 0, None)}


async def test_event_that_cannot_be_translated_is_dead_and_nothing_is_asked(
    idle: World, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    def choke(_: Event) -> Any:
        raise WebhookRejected("no object")

    await received(idle, "sbx_1")
    monkeypatch.setattr(idle.engine.provider, "translate", choke)

    await webhooks.process(idle.engine)

    assert provider.asked == []
    assert await standing(idle) == {("DEAD", 1, "untranslatable: no object")}


async def test_what_needs_no_look_up_does_not_wait_for_a_provider_that_is_silent(dsn: str, books: None) -> None:
    async with running_world(dsn) as world:
        translate, fetch = world.sandbox.translate, world.sandbox.fetch
        hanging, answering = asyncio.Event(), asyncio.Event()

        def little(event: Event) -> Sequence[Fact | LookUp]:
            return look_ups_of(event) if event.type == "charge.updated" else translate(event)

        async def silent(subject: Subject, reference: str) -> Sequence[Fact]:
            hanging.set()
            await answering.wait()
            return await fetch(subject, reference)

        world.sandbox.translate = little  # type: ignore[method-assign] # for this server alone
        world.sandbox.fetch = silent  # type: ignore[method-assign] # as above
        creator, supporter = await world.creator("fable"), world.client("supporter")
        await world.paid_tip(supporter, creator)
        await asyncio.wait_for(hanging.wait(), 20)

        second = await world.paid_tip(supporter, creator)

        charged = "select available_on is not null from payments where id = $1"
        assert not await world.scalar(charged, world.key(Noun.PAYMENT, second))
        answering.set()

        async def told() -> bool:
            return bool(await world.scalar("select bool_and(available_on is not null) from payments"))

        await eventually(told, 20, lambda: "what was looked up was never settled")
