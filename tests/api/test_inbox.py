"""The inbox: what cannot be settled comes back ever later, is given up in the end, and holds nobody up."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest
import structlog.testing

from app.engine import open_engine
from app.settings import Settings
from core.clock import now, set_ahead, wall
from core.ids import uuid7
from providers.payments.base import Capabilities, Event, WebhookRejected
from providers.payments.sandbox.webhooks import sign, signing_keys
from services import inbox, webhooks
from services.engine import Engine
from services.measures import REGISTRY

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
async def settings(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, state_directory=tmp_path)


@pytest.fixture
async def engine(dsn: str, settings: Settings) -> AsyncIterator[Engine]:
    async with open_engine(settings, dsn, subscribers=False) as opened:
        yield opened


@pytest.fixture
def moved_clock() -> Any:
    yield set_ahead
    set_ahead(timedelta(0))


async def received(engine: Engine, settings: Settings, trace_id: str | None = TRACE, **changed: Any) -> str:
    """Have a signed event received; return its id."""
    event = {"id": f"evt_{uuid7().hex}", "type": "nothing.we.know", "livemode": False, "data": {}, **changed}
    body = orjson.dumps(event)
    key = signing_keys(settings.webhook_secrets)[0]
    await webhooks.receive(engine, sign(key, str(event["id"]), body.decode(), wall()), body, trace_id)
    return str(event["id"])


async def row(owner: asyncpg.Connection, event_id: str) -> Any:
    return await owner.fetchrow("select * from inbox_events where event_id = $1", event_id)


def count(outcome: str) -> float:
    return REGISTRY.get_sample_value("comptoir_events_settled_total", {"outcome": outcome}) or 0.0


def lags() -> float:
    return REGISTRY.get_sample_value("comptoir_settle_lag_seconds_count") or 0.0


def untranslatable(engine: Engine, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def translate(_: Event) -> Any:
        raise error

    monkeypatch.setattr(engine.provider, "translate", translate)


async def test_event_is_kept_with_the_trace_of_the_request_that_brought_it(
    engine: Engine, settings: Settings, owner: asyncpg.Connection
) -> None:
    event_id = await received(engine, settings)

    stored = await row(owner, event_id)

    assert (stored["trace_id"], stored["state"], stored["attempts"]) == (TRACE, "PENDING", 0)


async def test_settled_event_is_counted_once_and_its_lag_measured(
    engine: Engine, settings: Settings, owner: asyncpg.Connection
) -> None:
    event_id = await received(engine, settings)
    before, lag = count("done"), lags()

    assert await webhooks.process(engine) == 1
    assert await webhooks.process(engine) == 0

    assert (await row(owner, event_id))["state"] == "DONE"
    assert (count("done"), lags()) == (before + 1, lag + 1)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (WebhookRejected("no object"), "untranslatable: no object"),
        (KeyError("what Ann wrote"), "untranslatable: KeyError"),
    ],
)
async def test_event_that_cannot_be_translated_is_dead_at_once_and_the_others_are_settled(
    engine: Engine,
    settings: Settings,
    owner: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    reason: str,
) -> None:
    whole = [await received(engine, settings) for _ in range(2)]
    poison = await received(engine, settings, type="poison")
    translate = engine.provider.translate

    def choke(event: Event) -> Any:
        if event.type == "poison":
            raise error
        return translate(event)

    monkeypatch.setattr(engine.provider, "translate", choke)
    before = count("dead"), count("done")
    with structlog.testing.capture_logs() as logs:
        await webhooks.process(engine)

    stored = await row(owner, poison)
    assert (stored["state"], stored["attempts"], stored["error"]) == ("DEAD", 1, reason)
    assert {(await row(owner, event_id))["state"] for event_id in whole} == {"DONE"}
    assert (count("dead"), count("done")) == (before[0] + 1, before[1] + 2)
    said = next(line for line in logs if line["event"] == "webhook not settled")
    assert (said["trace_id"], said["event_id"], said["dead"]) == (TRACE, poison, True)


async def test_event_that_fails_comes_back_ever_later_and_is_given_up_in_the_end(
    engine: Engine,
    settings: Settings,
    owner: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    moved_clock: Any,
) -> None:
    async def fail(*_: object, **__: object) -> Any:
        raise RuntimeError("what Ann wrote")

    monkeypatch.setattr(webhooks, "settle_batch", fail)
    event_id = await received(engine, settings)
    delays: list[timedelta] = []
    before = count("put_off"), count("dead")
    for attempt in range(1, webhooks._ATTEMPTS + 1):
        begun = now()
        assert await webhooks.process(engine) == 1
        stored = await row(owner, event_id)
        assert (stored["attempts"], stored["error"]) == (attempt, "RuntimeError")
        assert stored["state"] == ("DEAD" if attempt == webhooks._ATTEMPTS else "PENDING")
        delays.append(stored["due_at"] - begun)
        # Not due yet: nobody takes it.
        assert await webhooks.process(engine) == 0
        moved_clock(stored["due_at"] - wall() + timedelta(seconds=1))
    assert await webhooks.process(engine) == 0

    for number, delay in enumerate(delays, start=1):
        longest = min(timedelta(seconds=0.5) * 2**number, timedelta(minutes=30))
        assert longest / 2 <= delay <= longest + timedelta(seconds=10)
    assert (count("put_off"), count("dead")) == (before[0] + webhooks._ATTEMPTS - 1, before[1] + 1)


async def test_delays_differ_so_that_not_all_come_back_at_once() -> None:
    delays = {webhooks._delay(8) for _ in range(20)}

    assert len(delays) > 10
    assert all(timedelta(seconds=64) <= delay <= timedelta(seconds=128) for delay in delays)


async def test_signature_is_as_old_as_the_wall_clock_says(
    engine: Engine, settings: Settings, owner: asyncpg.Connection, moved_clock: Any
) -> None:
    moved_clock(timedelta(days=30))

    event_id = await received(engine, settings)

    stored = await row(owner, event_id)
    assert stored["received_at"] > wall() + timedelta(days=29)
    assert await webhooks.process(engine) == 1


# An operator ------------------------------------------------------------------------------------------------


async def test_dead_event_that_is_tried_again_has_all_its_attempts(
    engine: Engine, settings: Settings, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    event_id = await received(engine, settings)
    with monkeypatch.context() as broken:
        untranslatable(engine, broken, WebhookRejected("no object"))
        await webhooks.process(engine)
    assert (await row(owner, event_id))["state"] == "DEAD"

    assert await inbox.retry(engine, [event_id]) == {event_id}

    stored = await row(owner, event_id)
    assert (stored["state"], stored["attempts"]) == ("PENDING", 0)
    await webhooks.process(engine)
    stored = await row(owner, event_id)
    assert (stored["state"], stored["error"]) == ("DONE", None)


async def test_waiting_event_that_is_tried_again_is_due_and_keeps_its_count(
    engine: Engine, settings: Settings, owner: asyncpg.Connection
) -> None:
    event_id = await received(engine, settings)
    await owner.execute("update inbox_events set attempts = 7, due_at = now() + interval '1 hour'")
    assert await webhooks.process(engine) == 0
    number = str((await row(owner, event_id))["id"])

    assert await inbox.retry(engine, [number, "9" * 30, "evt_nobody_knows"]) == {number}

    assert (await row(owner, event_id))["attempts"] == 7
    assert await webhooks.process(engine) == 1


async def test_settled_event_is_not_tried_again(
    engine: Engine, settings: Settings, owner: asyncpg.Connection
) -> None:
    event_id = await received(engine, settings)
    await webhooks.process(engine)
    before = await row(owner, event_id)

    assert await inbox.retry(engine, [event_id]) == frozenset()
    assert await inbox.retry_dead(engine) == 0

    assert await row(owner, event_id) == before


async def test_replay_keeps_what_never_came_as_it_was_sent(
    engine: Engine, settings: Settings, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = await received(engine, settings)
    asked: list[datetime] = []
    raws = {f"evt_lost_{number}": b'{"n":  %d}' % number for number in range(1_001)}

    async def events(since: datetime) -> AsyncIterator[Event]:
        asked.append(since)
        yield Event(known, "nothing.we.know", {}, b"another body")
        for event_id, raw in raws.items():
            yield Event(event_id, "nothing.we.know", {}, raw)

    monkeypatch.setattr(engine.provider, "events", events)
    since = now() - timedelta(days=3)
    before = await row(owner, known)

    assert await inbox.replay(engine, since) == 1_001
    assert await inbox.replay(engine, since) == 0

    assert asked == [since, since]
    stored = await owner.fetch(
        "select event_id, body, state, trace_id from inbox_events where event_id <> $1", known
    )
    assert {entry["event_id"]: entry["body"] for entry in stored} == raws
    assert {(entry["state"], entry["trace_id"]) for entry in stored} == {("PENDING", None)}
    assert await row(owner, known) == before


async def test_replay_of_a_provider_that_does_not_tell_twice_is_refused(
    engine: Engine, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine.provider, "capabilities", Capabilities({}, frozenset()))

    with pytest.raises(inbox.ReplayUnsupported, match="sandbox does not tell its events a second time"):
        await inbox.replay(engine, now())

    assert await owner.fetchval("select count(*) from inbox_events") == 0
