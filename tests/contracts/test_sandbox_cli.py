"""``comptoir sandbox``: scenarios, the clock and the status, from the command line."""

import asyncio
from pathlib import Path

import asyncpg
import pytest
from typer.testing import CliRunner

from app.cli_sandbox import sandbox_cli
from providers.payments.sandbox import SandboxControl

from .sandboxes import charged, sandbox

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "sandbox" / "refund-that-fails.toml"


@pytest.fixture
def address(dsn: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("DATABASE_URL", dsn)
    return dsn


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(sandbox_cli, list(arguments))
    return result.exit_code, result.output


async def ahead(dsn: str) -> float:
    async with asyncpg.create_pool(dsn, min_size=1, max_size=1) as pool:
        return (await SandboxControl(pool).clock_ahead()).total_seconds()


async def charge(dsn: str) -> None:
    async with asyncpg.create_pool(dsn, min_size=1, max_size=1) as pool:
        await charged(sandbox(pool))


def test_scenario_is_played_step_by_step(address: str) -> None:
    asyncio.run(charge(address))
    status, said = run("play", str(EXAMPLE), "--set", "payment=latest")
    assert status == 0, said
    assert "A refund that fails after it had succeeded" in said
    assert "4. The bank gives the money back." in said
    status, said = run("status")
    assert (status, "refunds" in said, "172800.0" in said) == (0, True, True)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["play", str(EXAMPLE)], "Say what $payment is"),
        (["play", str(EXAMPLE), "--set", "payment"], "is not NAME=VALUE"),
        (["play", str(EXAMPLE), "--set", "payment=nobody"], "step 1: the sandbox refuses (NOT_FOUND"),
        (["play", "/nowhere.toml"], "cannot be read"),
        (["advance", "soon"], "A duration is written as"),
        (["advance", "9999d"], "ten years at the most"),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(arguments: list[str], why: str, address: str) -> None:
    status, said = run(*arguments)
    assert status in {1, 2}
    assert why in said
    assert asyncio.run(ahead(address)) == 0


def test_clock_is_moved_forward(address: str) -> None:
    status, said = run("advance", "1d12h")
    assert (status, "1 day, 12:00:00 ahead" in said) == (0, True)
    assert asyncio.run(ahead(address)) == 36 * 3600
