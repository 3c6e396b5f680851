"""``comptoir ledger``: what each command prints where, and how it ends."""

import asyncio
import json
import os
import subprocess  # ruff: ignore[suspicious-subprocess-import] - runs our own program
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from typer.testing import CliRunner, Result

import ledger
from app.cli import cli
from app.settings import CHECKOUT
from core.clock import now
from ledger import Posted
from tests.ledger.ledger_helpers import CLEARING, FEES, group, opened, pending, post_one, posted_balances

Run = Callable[..., Awaitable[Result]]


@pytest.fixture
def comptoir(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command on the test's database, wide enough for every line."""
    monkeypatch.setenv("DATABASE_URL", dsn)
    monkeypatch.setenv("COMPTOIR_STATE_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)

    async def run(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, cli, ["ledger", *arguments])

    return run


def says(result: Result, status: int, *words: str) -> bool:
    """Tell whether a command failed with a sentence and printed nothing else."""
    assert not result.stdout
    assert all(word in " ".join(result.stderr.split()) for word in words), result.stderr
    return result.exit_code == status


# verify ---------------------------------------------------------------------------------------------------


async def test_verify_prints_a_line_for_each_invariant(comptoir: Run, connection: asyncpg.Connection) -> None:
    result = await comptoir("verify")
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    assert [line[0] for line in lines] == [str(number) for number in range(1, 17)]
    assert {line[1] for line in lines} == {"ok", "absent"}
    assert [line[2] for line in lines] == [finding.name for finding in await ledger.verify(connection)]


async def test_verify_prints_every_line_and_fails_where_one_is_broken(
    comptoir: Run, owner: asyncpg.Connection
) -> None:
    clearing, creator = await opened(owner, CLEARING, pending())
    await post_one(owner, (clearing, creator, 5))
    await owner.execute("update ledger.account set posted = 6 where id = $1", creator)

    result = await comptoir("verify")

    assert result.exit_code == 1
    lines = [line.split() for line in result.stdout.splitlines()]
    assert len(lines) == 16
    assert {line[0] for line in lines if line[1] == "BROKEN"} == {"1", "5"}


async def test_verify_takes_a_clearing_account_for_broken_once_it_is_overdue(
    comptoir: Run, owner: asyncpg.Connection
) -> None:
    clearing, creator = await opened(owner, CLEARING, pending())
    await post_one(owner, (clearing, creator, 5))
    line = [line for line in (await comptoir("verify")).stdout.splitlines() if line.startswith("13")]
    assert "ok" in line[0]
    assert CLEARING.code in line[0]
    assert (await comptoir("verify", "--clearing-overdue", "1")).exit_code == 0

    result = await comptoir("verify", "--clearing-overdue", "0")
    assert result.exit_code == 1
    assert [line.split()[1] for line in result.stdout.splitlines() if line.startswith("13")] == ["BROKEN"]
    assert says(await comptoir("verify", "--clearing-overdue", "-1"), 2, "--clearing-overdue")


# statement ------------------------------------------------------------------------------------------------


@pytest.fixture
async def code(connection: asyncpg.Connection) -> str:
    """The code of an account with three lines."""
    spec = pending()
    clearing, creator, fees = await opened(connection, CLEARING, spec, FEES)
    for _ in range(3):
        await post_one(connection, (clearing, creator, 100), (creator, fees, 1))
    return spec.code


async def test_statement_is_written_in_three_ways(comptoir: Run, code: str) -> None:
    table, csv, text = [
        (await comptoir("statement", code, *how)).stdout_bytes.decode()
        for how in ([], ["--format", "csv"], ["--format", "json"])
    ]
    assert len(table.splitlines()) == 7
    assert len(csv.split("\r\n")) == 8
    rows = json.loads(text)
    assert [(row["amount"], row["balance"]) for row in rows[:3]] == [
        ("1.00", "1.00"),
        ("-0.01", "0.99"),
        ("1.00", "1.99"),
    ]
    assert [row["version"] for row in rows] == [1, 2, 3, 4, 5, 6]


async def test_statement_of_a_striped_account_is_one(comptoir: Run, code: str) -> None:
    result = await comptoir("statement", FEES.code, "--format", "json")
    assert [(row["version"], row["balance_minor"]) for row in json.loads(result.stdout)] == [
        (1, 1),
        (2, 2),
        (3, 3),
    ]


async def test_statement_is_limited_by_times_and_number(
    comptoir: Run, code: str, connection: asyncpg.Connection
) -> None:
    account = await connection.fetchval("select id from ledger.account where code = $1", code)
    lines = await ledger.statement(account, on=connection)
    second, third = lines[2].posted_at, lines[4].posted_at

    async def versions(*options: str) -> list[int]:
        result = await comptoir("statement", code, "--format", "json", *options)
        assert result.exit_code == 0, result.stderr
        return [row["version"] for row in json.loads(result.stdout)]

    assert await versions("--from", second.isoformat(), "--to", third.isoformat()) == [3, 4]
    # Without an offset it is UTC, and with another one the same moment.
    assert await versions("--from", second.replace(tzinfo=None).isoformat()) == [3, 4, 5, 6]
    assert await versions("--limit", "2", "--from", second.isoformat()) == [3, 4]
    assert await versions("--to", lines[0].posted_at.date().isoformat()) == []
    tomorrow = (now() + timedelta(days=1)).date().isoformat()
    assert await versions("--from", lines[0].posted_at.date().isoformat(), "--to", tomorrow) == [1, 2, 3, 4, 5, 6]


async def test_statement_that_cannot_be_written_is_one_sentence(comptoir: Run, code: str) -> None:
    assert says(
        await comptoir("statement", "platform:nothing:USD"), 1, "There is no account platform:nothing:USD."
    )
    assert says(await comptoir("statement", "[red]x[/]"), 1, "There is no account [red]x[/].")
    assert says(await comptoir("statement", f"{FEES.code}#2"), 1, "There is no account")
    for time in ("2026-13-01", "yesterday", "", "0001-01-01T00:00:00+14:00"):
        assert says(await comptoir("statement", code, "--from", time), 2, "--from", "is no time")
        assert says(await comptoir("statement", code, "--to", time), 2, "--to", "is no time")
    assert says(
        await comptoir("statement", code, "--from", "2026-02-01", "--to", "2026-01-01"), 2, "is later than"
    )
    assert says(await comptoir("statement", code, "--format", "xml"), 2, "--format")
    assert says(await comptoir("statement", code, "--limit", "0"), 2, "--limit")
    assert says(await comptoir("statement"), 2, "Missing argument")


async def test_closed_pipe_ends_a_statement_quietly(dsn: str, code: str, connection: asyncpg.Connection) -> None:
    account = await connection.fetchval("select id from ledger.account where code = $1", code)
    (clearing,) = await opened(connection, CLEARING)
    await ledger.post([group(*[(clearing, account, 1)] * 10) for _ in range(500)], on=connection)

    def first_line() -> tuple[bytes, bytes, int]:
        with subprocess.Popen(
            [sys.executable, "-m", "app", "ledger", "statement", code, "--format", "csv"],
            cwd=CHECKOUT,
            env={**os.environ, "DATABASE_URL": dsn},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            line = process.stdout.readline()
            process.stdout.close()
            return line, process.stderr.read(), process.wait(20)

    line, said, status = await asyncio.to_thread(first_line)
    assert line.startswith(b"version,posted_at,")
    assert said == b""
    assert status == 141


# assets ---------------------------------------------------------------------------------------------------


async def test_assets_are_listed_and_declared(comptoir: Run, connection: asyncpg.Connection) -> None:
    listed = (await comptoir("assets")).stdout
    assert all(word in listed for word in ("JPY", "KWD", "fiat"))
    assert "BTC" not in listed

    for _ in range(2):
        result = await comptoir("assets", "declare", "BTC", "--scale", "8", "--kind", "token")
        assert result.exit_code == 0, result.stderr
        assert result.stdout.startswith("BTC is declared: token, scale 8.")
    assert "BTC" in (await comptoir("assets")).stdout
    assert (await ledger.assets(on=connection))["BTC"].scale == 8


async def test_asset_that_cannot_be_declared_is_one_sentence(
    comptoir: Run, connection: asyncpg.Connection
) -> None:
    before = await ledger.assets(on=connection)
    declare = ("assets", "declare")
    assert says(
        await comptoir(*declare, "USD", "--scale", "3", "--kind", "fiat"), 1, "USD is declared with scale 2"
    )
    assert says(await comptoir(*declare, "USD", "--scale", "2", "--kind", "token"), 1, "USD is declared with")
    assert says(await comptoir(*declare, "btc", "--scale", "8", "--kind", "token"), 1, "btc cannot be declared")
    assert says(await comptoir(*declare, "BTC", "--scale", "31", "--kind", "token"), 2, "--scale")
    assert says(await comptoir(*declare, "BTC", "--scale", "1.5", "--kind", "token"), 2, "--scale")
    assert says(await comptoir(*declare, "BTC", "--scale", "8", "--kind", "coin"), 2, "--kind")
    assert says(await comptoir(*declare, "BTC", "--kind", "token"), 2, "--scale")
    assert await ledger.assets(on=connection) == before


# hammer ---------------------------------------------------------------------------------------------------


async def hammered(folder: Path, *options: str) -> tuple[int | None, str, str]:
    """Run a short hammer as a program: only a main thread hears of interrupts."""
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "app", "ledger", "hammer", "--seconds", "1", "--processes", "1", *options],
        cwd=CHECKOUT,
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    printed, said = await process.communicate()
    return process.returncode, printed.decode(), said.decode()


def logs_in(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("comptoir-hammer-*")]


async def test_hammer_says_what_it_did_and_leaves_nothing_behind(
    comptoir: Run, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    clearing, creator = await opened(connection, CLEARING, pending())
    assert isinstance(await post_one(connection, (clearing, creator, 5)), Posted)

    status, printed, said = await hammered(tmp_path, "--seed", "5")

    lines = printed.splitlines()
    assert status == 0, (lines, said)
    assert lines[0].startswith("Processes: 1, with 6 connections each, for 1 s, on 177 accounts of their own")
    assert lines[0].endswith("Seed: 5.")
    assert any(line.startswith("all ") for line in lines)
    assert any("deadlocks 0" in line for line in lines)
    assert lines[-1] == "All is well."
    assert logs_in(tmp_path) == []
    held = "select count(*) from ledger.account where provider = 'hammer' having sum(posted) <> 0 or sum(held_out) <> 0"
    assert await connection.fetch(held) == []
    assert await posted_balances(connection, clearing, creator) == [-5, 5]
    assert (await comptoir("verify")).exit_code == 0


async def test_hammer_that_finds_something_wrong_fails_and_keeps_its_logs(
    comptoir: Run, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    # What is written is not what was asked, and no invariant of the books can know.
    await owner.execute(
        "create function ledger.spoil() returns trigger language plpgsql as"
        " $$ begin new.reference := gen_random_uuid(); return new; end $$;"
        " create trigger spoil before insert on ledger.movement_first for each row"
        " when (new.kind = 'hammer.1') execute function ledger.spoil()"
    )
    status, printed, said = await hammered(tmp_path)

    assert status == 1
    assert " became " in printed
    assert "BROKEN" not in printed
    assert "Something is wrong" in said
    (folder,) = logs_in(tmp_path)
    assert folder in said


async def test_hammer_takes_only_what_makes_sense(comptoir: Run) -> None:
    for option in (["--seconds", "0"], ["--processes", "0"], ["--processes", "65"], ["--seed", "x"]):
        assert says(await comptoir("hammer", *option), 2, option[0])
