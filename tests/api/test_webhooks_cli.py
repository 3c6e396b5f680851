"""``comptoir webhooks``: what each command prints where, what it does, and how it ends."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner, Result

from app.cli import cli
from app.settings import CHECKOUT
from providers.payments.base import Capabilities
from providers.payments.sandbox import SandboxProvider
from services import webhooks
from tests.support.world import World, running_world

Run = Callable[..., Awaitable[Result]]


@pytest.fixture
def comptoir(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command on the test's database."""
    monkeypatch.setenv("DATABASE_URL", dsn)
    monkeypatch.setenv("COMPTOIR_STATE_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.chdir(tmp_path)

    async def run(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, cli, ["webhooks", *arguments])

    return run


@pytest.fixture
async def events(owner: asyncpg.Connection) -> None:
    """Three events: settled, waiting and given up."""
    for event_id, state, attempts, error in (
        ("evt_done", "DONE", 0, None),
        ("evt_waiting", "PENDING", 3, "no such payment yet"),
        ("evt_dead", "DEAD", 20, "untranslatable: [odd]"),
    ):
        await owner.execute(
            "insert into inbox_events (provider, event_id, type, body, state, attempts, due_at, received_at, "
            "processed_at, error, trace_id) values ('sandbox', $1, 'payment.succeeded', $2, $3, $4, "
            "now() + interval '1 hour', '2026-01-31T12:00:00Z', case $3 when 'DONE' then now() end, $5, 'ab12')",
            event_id,
            b'{"id":"%s","note":"[bold]as it came[/]"}' % event_id.encode(),
            state,
            attempts,
            error,
        )


@pytest.fixture
async def silent(dsn: str) -> AsyncIterator[World]:
    """A server that hears nothing from its provider."""
    async with running_world(dsn, worker=False, deliveries=False) as world:
        yield world


async def program(*arguments: str) -> tuple[int | None, str]:
    """Run a command in a process of its own, for beside a server in this one; return how it ended and what it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app", "webhooks", *arguments), cwd=CHECKOUT, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode()


def says(result: Result, status: int, *words: str) -> bool:
    """Tell whether a command failed with a sentence and printed nothing else."""
    assert not result.stdout
    assert "Traceback" not in result.stderr
    assert all(word in " ".join(result.stderr.split()) for word in words), result.stderr
    return result.exit_code == status


async def states(owner: asyncpg.Connection) -> dict[str, tuple[str, int]]:
    rows = await owner.fetch("select event_id, state, attempts from inbox_events")
    return {row["event_id"]: (row["state"], row["attempts"]) for row in rows}


BEFORE = {"evt_done": ("DONE", 0), "evt_waiting": ("PENDING", 3), "evt_dead": ("DEAD", 20)}


# list -----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("events")
async def test_list_has_a_line_for_each_event_the_latest_first(comptoir: Run) -> None:
    result = await comptoir("list")

    assert result.exit_code == 0, result.output
    heading, *lines = result.stdout.splitlines()
    assert heading.split() == ["id", "event", "type", "state", "attempts", "received", "reason"]
    assert [line.split()[1] for line in lines] == ["evt_dead", "evt_waiting", "evt_done"]
    assert lines[0].split()[2:6] == ["payment.succeeded", "dead", "20", "2026-01-31T12:00:00Z"]
    assert lines[0].endswith("untranslatable: [odd]")


@pytest.mark.usefixtures("events")
@pytest.mark.parametrize(
    ("arguments", "listed"),
    [
        (["--state", "dead"], ["evt_dead"]),
        (["--state", "pending"], ["evt_waiting"]),
        (["--state", "done"], ["evt_done"]),
        (["--limit", "2"], ["evt_dead", "evt_waiting"]),
    ],
)
async def test_list_shows_what_was_asked_for(comptoir: Run, arguments: list[str], listed: list[str]) -> None:
    result = await comptoir("list", *arguments)

    assert [line.split()[1] for line in result.stdout.splitlines()[1:]] == listed


async def test_list_of_nothing_says_so(comptoir: Run) -> None:
    assert says(await comptoir("list", "--state", "dead"), 0, "There are none.")


@pytest.mark.parametrize("arguments", [["--state", "lost"], ["--limit", "0"], ["--limit", "many"], ["--colour"]])
async def test_list_asked_wrongly_says_so(comptoir: Run, arguments: list[str]) -> None:
    result = await comptoir("list", *arguments)

    assert says(result, 2, arguments[0])


# show -----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("events")
async def test_show_tells_all_of_an_event_by_either_of_its_names(comptoir: Run, owner: asyncpg.Connection) -> None:
    number = await owner.fetchval("select id from inbox_events where event_id = 'evt_dead'")

    by_id, by_number = await comptoir("show", "evt_dead"), await comptoir("show", str(number))

    assert by_id.exit_code == 0, by_id.output
    assert by_id.stdout == by_number.stdout
    head, _, body = by_id.stdout.partition("\n\n")
    lines = dict(line.split("  ", 1) for line in head.splitlines())
    assert {title.strip(): value.strip() for title, value in lines.items()} == {
        "id": str(number),
        "event": "evt_dead",
        "type": "payment.succeeded",
        "provider": "sandbox",
        "state": "DEAD",
        "attempts": "20",
        "received": "2026-01-31T12:00:00+00:00",
        "reason": "untranslatable: [odd]",
        "trace id": "ab12",
    }
    assert body == '{\n  "id": "evt_dead",\n  "note": "[bold]as it came[/]"\n}\n'


@pytest.mark.usefixtures("events")
async def test_show_of_an_event_that_is_not_there_fails(comptoir: Run) -> None:
    for name in ("evt_nobody_knows", "999999", "9" * 40):
        assert says(await comptoir("show", name), 1, f"There is no event {name} in the inbox.")


async def test_show_of_a_body_that_is_no_json_shows_its_bytes(comptoir: Run, owner: asyncpg.Connection) -> None:
    await owner.execute(
        "insert into inbox_events (provider, event_id, type, body, state, attempts, due_at, received_at) "
        "values ('sandbox', 'evt_1', 't', '\\xff7b', 'DEAD', 1, now(), now())"
    )

    assert (await comptoir("show", "evt_1")).stdout.endswith("\n\\xff{\n")


# retry ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("events")
async def test_retry_takes_the_events_that_are_named(comptoir: Run, owner: asyncpg.Connection) -> None:
    result = await comptoir("retry", "evt_dead", "evt_waiting", "evt_dead")

    assert (result.exit_code, result.stdout) == (0, "2 events will be settled.\n")
    assert await states(owner) == {**BEFORE, "evt_dead": ("PENDING", 0)}
    assert (
        await owner.fetchval("select count(*) from inbox_events where state = 'PENDING' and due_at <= now()") == 2
    )


@pytest.mark.usefixtures("events")
async def test_retry_of_all_that_is_dead_leaves_the_others(comptoir: Run, owner: asyncpg.Connection) -> None:
    result = await comptoir("retry", "--dead")

    assert (result.exit_code, result.stdout) == (0, "1 event will be settled.\n")
    assert await states(owner) == {**BEFORE, "evt_dead": ("PENDING", 0)}
    again = await comptoir("retry", "--dead")
    assert (again.exit_code, again.stdout) == (0, "0 events will be settled.\n")


@pytest.mark.usefixtures("events")
async def test_retry_names_what_it_could_not_take(comptoir: Run, owner: asyncpg.Connection) -> None:
    result = await comptoir("retry", "evt_done", "evt_dead", "evt_nobody_knows")

    assert (result.exit_code, result.stdout) == (1, "1 event will be settled.\n")
    assert "Not in the inbox, or settled already: evt_done, evt_nobody_knows." in result.stderr
    assert await states(owner) == {**BEFORE, "evt_dead": ("PENDING", 0)}


@pytest.mark.usefixtures("events")
@pytest.mark.parametrize("arguments", [[], ["evt_dead", "--dead"]])
async def test_retry_wants_either_names_or_all(
    comptoir: Run, owner: asyncpg.Connection, arguments: list[str]
) -> None:
    assert says(await comptoir("retry", *arguments), 2, "Name events, or say --dead")
    assert await states(owner) == BEFORE


# replay ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("comptoir")
async def test_replay_heals_an_outage(silent: World) -> None:
    creator = await silent.creator("fable")
    payment = (await silent.tip(silent.client("supporter"), creator))["payment"]["id"]
    await silent.confirm(silent.client("supporter"), payment)
    assert await silent.count("inbox_events") == 0

    status, said = await program("replay", "--since", "1h")

    kept = await silent.count("inbox_events")
    assert kept > 0
    assert (status, said) == (0, f"{kept} events had never come and will be settled.\n")
    while await webhooks.process(silent.engine):
        pass
    assert await silent.status(payment) == "SUCCEEDED"
    again = await program("replay", "--since", "2026-01-01")
    assert again == (0, "0 events had never come and will be settled.\n")


@pytest.mark.parametrize(
    "since", ["yesterday", "", "3", "3w", "d", "-1d", "2026-13-01", "9999999d", "999999d", "3099-01-01"]
)
async def test_replay_since_no_time_says_so(comptoir: Run, since: str, owner: asyncpg.Connection) -> None:
    assert says(await comptoir("replay", f"--since={since}"), 2, f"--since {since}")
    assert await owner.fetchval("select count(*) from inbox_events") == 0


async def test_replay_wants_to_know_since_when(comptoir: Run) -> None:
    assert says(await comptoir("replay"), 2, "--since")


async def test_replay_of_a_provider_that_tells_once_is_refused(
    comptoir: Run, monkeypatch: pytest.MonkeyPatch, owner: asyncpg.Connection
) -> None:
    made: Any = SandboxProvider.__init__

    def init(self: Any, *arguments: Any, **options: Any) -> None:
        made(self, *arguments, **options)
        self.capabilities = Capabilities(self.capabilities.currencies, frozenset())

    monkeypatch.setattr(SandboxProvider, "__init__", init)

    result = await comptoir("replay", "--since", "3d")

    assert says(result, 1, "The provider sandbox does not tell its events a second time.")
    assert await owner.fetchval("select count(*) from inbox_events") == 0
