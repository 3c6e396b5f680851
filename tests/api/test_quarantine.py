"""Events that are not for this deployment: kept, counted, told of, and nothing of them settled."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest
import structlog.testing
from typer.testing import CliRunner, Result

from app.cli import cli
from core.clock import now
from core.ids import Noun, uuid7
from providers.payments.base import Event, Foreign
from services import gauges, inbox, webhooks
from services.inbox_events import ACCOUNT_ATTEMPTS
from services.measures import REGISTRY
from tests.faults.events import send, sent_by_sandbox
from tests.support.world import World, running_world

ACCOUNT = "acct_of_somebody"


@pytest.fixture
async def idle(dsn: str, books: None) -> AsyncIterator[World]:
    """A web server alone: nothing is delivered and nothing settled unless the test does it."""
    async with running_world(dsn, worker=False, deliveries=False) as running:
        yield running


class Judge:
    """What today's settings say of every event: why it is foreign, or whose it is."""

    def __init__(self, world: World) -> None:
        self.decode = world.sandbox.decode
        self.foreign: Foreign | None = None
        self.account: str | None = None

    def __call__(self, raw: bytes) -> Event:
        return replace(self.decode(raw), foreign=self.foreign, account=self.account)


@pytest.fixture
def judge(idle: World, monkeypatch: pytest.MonkeyPatch) -> Judge:
    given = Judge(idle)
    monkeypatch.setattr(idle.engine.provider, "decode", given)
    return given


async def told(world: World) -> str:
    """Have a tip paid, and all that the provider tells of it received; return the payment."""
    creator = await world.creator("fable")
    supporter = world.client("supporter")
    payment = str((await world.tip(supporter, creator))["payment"]["id"])
    await world.confirm(supporter, payment)
    for body in await sent_by_sandbox(world):
        assert (await send(world, body)).status_code == 200
    return payment


async def received(world: World) -> str:
    event = {"id": f"evt_{uuid7().hex}", "type": "a.type", "livemode": False}
    assert (await send(world, event)).status_code == 200
    return str(event["id"])


async def standing(world: World) -> set[tuple[str, int]]:
    rows = await world.engine.database.reader.fetch("select state, attempts from inbox_events")
    return {(row["state"], row["attempts"]) for row in rows}


async def errors(world: World) -> set[str]:
    rows = await world.engine.database.reader.fetch("select error from inbox_events")
    return {row["error"] for row in rows}


def count(outcome: str) -> float:
    return REGISTRY.get_sample_value("comptoir_events_settled_total", {"outcome": outcome}) or 0.0


@pytest.mark.parametrize("why", [Foreign.VERSION, Foreign.MODE])
async def test_foreign_event_is_quarantined_at_once_and_nothing_of_it_is_settled(
    idle: World, judge: Judge, why: Foreign
) -> None:
    payment = await told(idle)
    events = await idle.count("inbox_events")
    before = count("quarantined"), count("done"), count("dead")
    written = await idle.counts()
    judge.foreign = why

    with structlog.testing.capture_logs() as logs:
        assert await webhooks.process(idle.engine) == events
        assert await webhooks.process(idle.engine) == 0

    assert await standing(idle) == {("QUARANTINED", 1)}
    assert {error.split(":")[0] for error in await errors(idle)} == {f"FOREIGN {why}"}
    assert await idle.counts() == written
    assert await idle.status(payment) != "SUCCEEDED"
    assert (count("quarantined"), count("done"), count("dead")) == (before[0] + events, *before[1:])
    alarms = [line for line in logs if line["event"].startswith("webhook quarantined")]
    assert {line["log_level"] for line in alarms} == {"error"}
    assert len(alarms) == events
    read = await gauges.read(idle.engine.database.reader)
    assert (read["inbox_events", "quarantined"], read["inbox_events", "pending"]) == (events, 0)
    assert read["dead_letters", None] == 0


async def test_foreign_event_keeps_none_of_its_batch_back(
    idle: World, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, foreign = await received(idle), await received(idle)

    def some(raw: bytes) -> Event:
        event = judge.decode(raw)
        return replace(event, foreign=Foreign.MODE) if event.id == foreign else event

    monkeypatch.setattr(idle.engine.provider, "decode", some)

    await webhooks.process(idle.engine)

    rows = await idle.engine.database.reader.fetch("select event_id, state from inbox_events")
    assert {row["event_id"]: row["state"] for row in rows} == {own: "DONE", foreign: "QUARANTINED"}


async def test_quarantined_event_that_is_tried_again_is_judged_by_todays_settings(
    idle: World, judge: Judge
) -> None:
    payment = await told(idle)
    judge.foreign = Foreign.VERSION
    await webhooks.process(idle.engine)
    number = await idle.count("inbox_events")

    assert await inbox.retry_dead(idle.engine) == 0
    assert await inbox.retry_quarantined(idle.engine) == number
    assert await standing(idle) == {("PENDING", 0)}
    await webhooks.process(idle.engine)
    assert await standing(idle) == {("QUARANTINED", 1)}

    judge.foreign = None
    assert await inbox.retry_quarantined(idle.engine) == number
    await webhooks.process(idle.engine)

    assert await standing(idle) == {("DONE", 0)}
    assert await errors(idle) == {None}
    assert await idle.status(payment) == "SUCCEEDED"
    assert await inbox.retry_quarantined(idle.engine) == 0


# Accounts ---------------------------------------------------------------------------------------------------


async def test_event_of_an_account_nobody_has_is_waited_for_and_then_quarantined(
    idle: World, judge: Judge, owner: asyncpg.Connection
) -> None:
    payment = await told(idle)
    judge.account = ACCOUNT
    before = count("quarantined"), count("put_off")
    events = await idle.count("inbox_events")

    for attempt in range(1, ACCOUNT_ATTEMPTS + 1):
        assert await webhooks.process(idle.engine) == events
        state = "QUARANTINED" if attempt == ACCOUNT_ATTEMPTS else "PENDING"
        assert await standing(idle) == {(state, attempt)}
        assert {error.split(":")[0] for error in await errors(idle)} == {"FOREIGN ACCOUNT"}
        assert await idle.scalar("select min(due_at) from inbox_events") > now() - timedelta(seconds=1)
        await owner.execute("update inbox_events set due_at = now()")

    assert await webhooks.process(idle.engine) == 0
    assert await idle.status(payment) != "SUCCEEDED"
    assert (count("quarantined"), count("put_off")) == (
        before[0] + events,
        before[1] + events * (ACCOUNT_ATTEMPTS - 1),
    )


async def opened(world: World, owner: asyncpg.Connection, provider: str = "sandbox") -> None:
    """Let the account be that of a creator."""
    creator = world.key(Noun.CREATOR, await world.creator("gable"))
    await owner.execute(
        "insert into payout_accounts (creator_id, provider, provider_reference, country, missing, created_at, "
        "updated_at) values ($1, $2, $3, 'ZZ', '[]', now(), now())",
        creator,
        provider,
        ACCOUNT,
    )


async def test_event_of_an_account_that_was_still_being_opened_is_settled(
    idle: World, judge: Judge, owner: asyncpg.Connection
) -> None:
    payment = await told(idle)
    judge.account = ACCOUNT
    await webhooks.process(idle.engine)
    assert {state for state, _ in await standing(idle)} == {"PENDING"}

    await opened(idle, owner)
    await owner.execute("update inbox_events set due_at = now()")
    await webhooks.process(idle.engine)

    assert {state for state, _ in await standing(idle)} == {"DONE"}
    assert await idle.status(payment) == "SUCCEEDED"


async def test_account_of_another_provider_is_not_ours(
    idle: World, judge: Judge, owner: asyncpg.Connection
) -> None:
    await received(idle)
    await opened(idle, owner, provider="another")
    judge.account = ACCOUNT

    await webhooks.process(idle.engine)

    assert await standing(idle) == {("PENDING", 1)}


# The command line -------------------------------------------------------------------------------------------


@pytest.fixture
def comptoir(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a command on the test's database."""
    monkeypatch.setenv("DATABASE_URL", dsn)
    monkeypatch.setenv("COMPTOIR_STATE_DIRECTORY", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    async def run(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, cli, ["webhooks", *arguments])

    return run


@pytest.fixture
async def quarantined(owner: asyncpg.Connection) -> None:
    """An event that is not for us, one that was given up, and one that is settled."""
    for event_id, state in (("evt_foreign", "QUARANTINED"), ("evt_dead", "DEAD"), ("evt_done", "DONE")):
        await owner.execute(
            "insert into inbox_events (provider, event_id, type, body, state, attempts, due_at, received_at, error) "
            "values ('sandbox', $1, 'a.type', $2, $3, 8, now(), now(), 'FOREIGN MODE: it is of another mode')",
            event_id,
            orjson.dumps({"id": event_id}),
            state,
        )


async def states(owner: asyncpg.Connection) -> dict[str, tuple[str, int]]:
    rows = await owner.fetch("select event_id, state, attempts from inbox_events")
    return {row["event_id"]: (row["state"], row["attempts"]) for row in rows}


@pytest.mark.usefixtures("quarantined")
async def test_quarantined_events_are_listed_and_shown_with_why(comptoir: Any) -> None:
    listed = await comptoir("list", "--state", "quarantined")
    shown = await comptoir("show", "evt_foreign")

    (line,) = listed.stdout.splitlines()[1:]
    assert line.split()[1:4] == ["evt_foreign", "a.type", "quarantined"]
    assert line.endswith("FOREIGN MODE: it is of another mode")
    assert "QUARANTINED" in shown.stdout
    assert "FOREIGN MODE: it is of another mode" in shown.stdout
    assert "tried next" not in shown.stdout


@pytest.mark.usefixtures("quarantined")
@pytest.mark.parametrize("arguments", [["evt_foreign"], ["--quarantined"]])
async def test_quarantined_events_are_tried_again_with_all_attempts(
    comptoir: Any, owner: asyncpg.Connection, arguments: list[str]
) -> None:
    result = await comptoir("retry", *arguments)

    assert (result.exit_code, result.stdout) == (0, "1 event will be settled.\n")
    assert await states(owner) == {
        "evt_foreign": ("PENDING", 0),
        "evt_dead": ("DEAD", 8),
        "evt_done": ("DONE", 8),
    }


@pytest.mark.usefixtures("quarantined")
async def test_retry_of_the_dead_leaves_what_is_not_for_us(comptoir: Any, owner: asyncpg.Connection) -> None:
    await comptoir("retry", "--dead")

    assert (await states(owner))["evt_foreign"] == ("QUARANTINED", 8)
    wrong = await comptoir("retry", "--dead", "--quarantined")
    assert wrong.exit_code == 2
    assert "Name events" in wrong.stderr
