"""``comptoir doctor``: what it prints, and how it ends."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from app.cli_doctor import doctor
from app.engine import open_engine
from app.settings import Settings
from providers.payments.base import Capability
from services.reconciliation import Check, DifferenceCode, State
from tests.reconciliation.faults import paid, pay
from tests.reconciliation.scene import Scene, found
from tests.support.edited_provider import edited

Run = Callable[..., Awaitable[Result]]

cli = typer.Typer()
cli.command()(doctor)


@pytest.fixture
def comptoir(scene: Scene, dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the doctor on the scene's database, wide enough for every line."""
    monkeypatch.setenv("DATABASE_URL", dsn)
    monkeypatch.setenv("COMPTOIR_STATE_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)

    async def run(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, cli, list(arguments))

    return run


def lines(result: Result) -> dict[str, str]:
    """Return what is said of each check."""
    head, _, _ = result.stdout.partition("\n\n")
    return {name: rest.strip() for name, _, rest in (line.partition(" ") for line in head.splitlines())}


async def test_clean_system_is_a_line_for_each_check_and_exit_code_zero(comptoir: Run, scene: Scene) -> None:
    await paid(scene)
    result = await comptoir("--grace", "0s")
    assert result.exit_code == 0, result.output
    said = lines(result)
    assert list(said) == [check.value for check in Check]
    assert all(each.startswith("ok") for each in said.values())
    assert "Nothing differs. Compared everything with sandbox." in result.stdout


async def test_difference_is_told_with_why_and_what_to_do_and_exit_code_one(comptoir: Run, scene: Scene) -> None:
    payment = await paid(scene)
    await scene.run("delete from tips")
    result = await comptoir("--grace", "0s")
    assert result.exit_code == 1
    assert lines(result)["items"].startswith("1 difference")
    told = result.stdout.partition("ITEM_MISSING")[2]
    assert pay(payment) in told
    assert "there is none." in told
    assert "Why it matters: " in told
    assert "What to do: " in told
    assert "1 difference. Compared everything" in result.stdout


async def test_fix_mends_what_is_safe_says_so_and_leaves_the_rest(comptoir: Run, scene: Scene) -> None:
    await scene.tip()
    result = await comptoir("--grace", "0s")
    assert result.exit_code == 1
    assert await scene.owner.fetchval("select count(*) from ledger.request") == 0

    result = await comptoir("--grace", "0s", "--fix")
    assert result.exit_code == 0, result.output
    assert "mended LINE_NOT_IN_LEDGER" in result.stdout
    assert "Nothing differs, " in result.stdout
    assert await scene.owner.fetchval("select count(*) from ledger.request") == 2

    await scene.run("delete from tips")
    result = await comptoir("--grace", "0s", "--fix")
    assert result.exit_code == 1
    assert "mended" not in result.stdout


async def test_json_is_one_object_with_all_of_it(comptoir: Run, scene: Scene) -> None:
    payment = await paid(scene, 1_234)
    await scene.run("update payments set captured = captured - 1")
    result = await comptoir("--grace", "0s", "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert (report["provider"], report["clean"], report["differences"], report["mended"]) == (
        "sandbox",
        False,
        1,
        0,
    )
    assert report["entries"] == 1
    assert [check["check"] for check in report["checks"]] == [check.value for check in Check]
    (difference,) = [difference for check in report["checks"] for difference in check["differences"]]
    assert difference["code"] == "CAPTURE_AMOUNT_DIFFERS"
    assert difference["subject"] == {"kind": "payment", "id": pay(payment)}
    assert (difference["expected_minor"], difference["found_minor"], difference["currency"]) == (
        1_233,
        1_234,
        "USD",
    )
    assert (difference["safe"], difference["mended"]) == (False, False)


async def test_younger_than_the_grace_is_not_judged(comptoir: Run, scene: Scene) -> None:
    await scene.tip()
    assert (await comptoir()).exit_code == 0
    assert (await comptoir("--grace", "1h")).exit_code == 0
    assert (await comptoir("--grace", "0s")).exit_code == 1


async def test_since_leaves_out_what_did_not_change_since(comptoir: Run, scene: Scene) -> None:
    await paid(scene)
    await scene.run("delete from tips")
    await scene.run("update payments set updated_at = updated_at - interval '3 days'")
    assert (await comptoir("--since", "7d")).exit_code == 1
    result = await comptoir("--since", "2d")
    assert result.exit_code == 0, result.output
    assert "not compared as a whole" in lines(result)["balance"]
    assert "Compared what changed since " in result.stdout
    assert (await comptoir("--since", "2026-01-01")).exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--since", "yesterday"), "--since yesterday is no time"),
        (("--since", "2026-13-01"), "--since 2026-13-01 is no time"),
        (("--since", "999999w"), "--since 999999w is longer than a hundred years"),
        (("--grace", "5"), "--grace 5 is no span of time"),
        (("--grace", "9999999w"), "--grace 9999999w is longer than a hundred years"),
        (("--grace", "-5m"), "--grace -5m is no span of time"),
        (("--mend",), "No such option"),
    ],
)
async def test_what_was_asked_wrongly_is_exit_code_two_and_nothing_is_compared(
    comptoir: Run, scene: Scene, arguments: tuple[str, ...], says: str
) -> None:
    result = await comptoir(*arguments)
    assert result.exit_code == 2
    assert says in " ".join(result.stderr.split())
    assert not result.stdout
    assert await scene.owner.fetchval("select count(*) from reconciliations") == 0


async def test_provider_that_is_away_is_a_difference(
    comptoir: Run, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await paid(scene)
    payment = await scene.tip(method=None)
    await scene.told()
    _edit(monkeypatch, lambda provider: provider.silent.update({"balance_entries", "events", "fetch"}))
    result = await comptoir("--grace", "0s", "--fix")
    assert result.exit_code == 1
    said = lines(result)
    silent = {name for name, each in said.items() if each.startswith("1 difference")}
    assert silent == {"books", "balance", "standing", "events"}
    assert "The provider could not be asked (UNAVAILABLE)" in result.stdout
    assert (await scene.row("payments", payment))["status"] == "PENDING"


async def test_what_a_provider_cannot_do_is_said_and_no_difference(
    comptoir: Run, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await paid(scene)
    _edit(monkeypatch, lambda provider: provider.without(Capability.BALANCE_FEED, Capability.EVENT_REPLAY))
    result = await comptoir("--grace", "0s")
    assert result.exit_code == 0, result.output
    said = lines(result)
    unable = {name for name, each in said.items() if each.startswith("not possible with this provider")}
    assert unable == {"books", "balance", "events"}


def _edit(monkeypatch: pytest.MonkeyPatch, change: Callable[..., None]) -> None:
    """Change the provider of every engine that is opened from now on."""
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def opened(settings: Settings, dsn: str, *, subscribers: bool):
        async with open_engine(settings, dsn, subscribers=subscribers) as engine:
            engine.provider = edited(engine.provider)
            change(engine.provider)
            yield engine

    monkeypatch.setattr("app.engine.open_engine", opened)


async def test_reconciliation_is_recorded_without_personal_data(scene: Scene) -> None:
    await scene.tip()
    await scene.run("update users set name = 'Somebody'")
    report = await scene.reconcile(mend=True)
    row = await scene.owner.fetchrow("select * from reconciliations")
    assert (row["provider"], row["entries"]) == ("sandbox", 1)
    assert (row["differences"], row["mended"]) == (report.found, report.mended)
    assert row["mended"] > 0
    assert row["started_at"] <= row["finished_at"]
    findings = json.loads(row["findings"])
    codes = {difference["code"] for check in findings for difference in check["differences"]}
    assert codes == {each.code.value for each in report.differences}
    assert "Somebody" not in row["findings"]
    assert "payer" not in {
        difference["subject"]["id"] for check in findings for difference in check["differences"]
    }


async def test_each_check_is_announced_as_it_begins(scene: Scene) -> None:
    heard: list[Check] = []
    report = await scene.reconcile(tell=heard.append)
    assert found(report) == []
    assert set(heard) == set(Check) - {Check.BALANCE}
    assert {result.state for result in report.checks} == {State.DONE}


async def test_mending_that_does_not_help_says_why(scene: Scene) -> None:
    await scene.tip()
    scene.provider.silent.update({"fetch", "find"})
    report = await scene.reconcile(mend=True)
    difference = next(each for each in report.differences if each.code is DifferenceCode.LINE_NOT_IN_LEDGER)
    assert not difference.mended
    assert difference.failure == "The provider could not be asked (UNAVAILABLE)."
