"""The command line of the ledger: ``comptoir ledger``."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from app.console import ensure_migrated, err, fail, load_settings, out, reached_database
from app.statement_formats import Format

if TYPE_CHECKING:
    import ledger
    from ledger.connections import Connection
    from ledger.hammer import Report

ledger_cli = typer.Typer(no_args_is_help=True, help="Prove the books, try them hard, and read them.")
assets_cli = typer.Typer(invoke_without_command=True, help="Show what amounts can be amounts of.")
ledger_cli.add_typer(assets_cli, name="assets")

_CLOSED_PIPE = 128 + signal.SIGPIPE  # as of a program that the signal ended
_ASKED_WRONGLY = 2


class AssetKind(StrEnum):
    """What an asset can be."""

    FIAT = "fiat"
    TOKEN = "token"  # ruff: ignore[hardcoded-password-string] - the other kind of token
    POINTS = "points"


@ledger_cli.command()
def verify(
    clearing_overdue: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="HOURS",
            help="Take a clearing account that is not at zero for broken once it has not moved for so long.",
        ),
    ] = None,
) -> None:
    """Check every invariant of the ledger, a line each; exit with 1 if one is broken."""
    import asyncpg

    import ledger

    settings = load_settings()
    overdue = None if clearing_overdue is None else timedelta(hours=clearing_overdue)

    async def run(dsn: str) -> list[ledger.Finding]:
        connection = await asyncpg.connect(dsn)
        try:
            return await ledger.verify(connection, clearing_overdue=overdue)
        finally:
            await connection.close()

    with reached_database(settings) as dsn, err.status("Verifying…"):
        ensure_migrated(dsn)
        findings = asyncio.run(run(dsn))
    if not _told(findings):
        sys.exit(1)


def _told(findings: "list[ledger.Finding]") -> bool:
    """Print a line for each invariant; return whether none is broken."""
    from ledger import Status

    marks = {Status.OK: "[green]ok[/]", Status.BROKEN: "[red]BROKEN[/]"}
    for finding in findings:
        mark = marks.get(finding.status, f"[yellow]{finding.status.value}[/]")
        detail = f" — {escape(finding.detail)}" if finding.detail else ""
        out.print(f"{finding.number:>2}  {mark}  {finding.name}{detail}", soft_wrap=True)
    return all(finding.status is not Status.BROKEN for finding in findings)


@ledger_cli.command()
def hammer(
    seconds: Annotated[int, typer.Option(min=1, help="How long to post.")] = 20,
    processes: Annotated[int, typer.Option(min=1, max=64, help="How many processes post at the same time.")] = 4,
    seed: Annotated[
        int | None,
        typer.Option(help="Choose as an earlier run with this seed did; what meets what still differs."),
    ] = None,
) -> None:
    """Try the ledger as hard as it goes, then prove that every answer was true and every invariant holds.

    Made for a staging database: everything happens on accounts of its own, which it leaves empty.
    Its processes, PostgreSQL and its backends may be killed meanwhile. Exits with 1 if anything is wrong.
    """
    import tempfile
    from pathlib import Path

    from ledger.hammer import HammerError, Plan, run
    from models.database import APP_ROLE

    def say(line: str) -> None:
        out.print(escape(line), soft_wrap=True)

    async def hammer_until_interrupted(plan: Plan) -> "tuple[Report, list[ledger.Finding]]":
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def interrupt() -> None:
            say("Ending early; another interrupt ends everything.")
            stop.set()
            loop.remove_signal_handler(signal.SIGINT)

        loop.add_signal_handler(signal.SIGINT, interrupt)
        return await run(plan, say, stop)

    settings = load_settings()
    with reached_database(settings) as dsn:
        ensure_migrated(dsn)
        folder = Path(tempfile.mkdtemp(prefix="comptoir-hammer-"))
        plan = Plan.of(dsn=dsn, role=APP_ROLE, seconds=seconds, processes=processes, seed=seed, folder=folder)
        try:
            report, findings = asyncio.run(hammer_until_interrupted(plan))
        except HammerError as error:
            with suppress(OSError):
                folder.rmdir()  # only where nothing was logged
            fail(str(error))
        sound = _told(findings)
        if not (report.well and sound):
            fail(f"Something is wrong, as said above. What was asked and answered is logged in {folder}.")
        plan.remove_logs()
    out.print("All is well.")


@ledger_cli.command()
def bench(
    quick: Annotated[bool, typer.Option("--quick", help="One short round, for tuning.")] = False,
    growth: Annotated[bool, typer.Option("--growth", help="Add what ten million movements change.")] = False,
) -> None:
    """Measure what a transfer costs, beside the least it could cost, on a PostgreSQL of its own.

    Touches no database of yours. Part of the source code, as [bold]make bench-ledger[/] is.
    """
    import subprocess  # ruff: ignore[suspicious-subprocess-import] - starts our own program

    from app.settings import CHECKOUT

    if not (CHECKOUT / "benchmarks" / "ledger.py").exists():
        fail("The benchmark comes with the source code, not with the installed package: run it in a checkout.")
    command = [sys.executable, "-m", "benchmarks.ledger", *(["--quick"] if quick else [])]
    environment = {**os.environ, **({"GROWTH": "1"} if growth else {})}
    # ruff: ignore[subprocess-without-shell-equals-true] - our own program
    sys.exit(subprocess.run(command, cwd=CHECKOUT, env=environment, check=False).returncode)


@ledger_cli.command()
def statement(
    account: Annotated[
        str,
        typer.Argument(
            help="The account's code: platform:fees:USD, sandbox:clearing:USD, creator:UUID:available:USD."
        ),
    ],
    since: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="TIME",
            help="Lines posted then or later: 2026-01-31, or 2026-01-31T12:00:00Z. UTC unless it says otherwise.",
        ),
    ] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Lines posted before then.")] = None,
    form: Annotated[Format, typer.Option("--format", help="How to write it.")] = Format.TABLE,
    limit: Annotated[int | None, typer.Option(min=1, help="No more lines than that, the oldest.")] = None,
) -> None:
    """Write an account's statement, the oldest line first, each with the balance after it.

    CSV is as RFC 4180 has it; JSON is one array with a line for each object.
    Both tell amounts twice: as whole numbers of the smallest unit and as decimal text.
    Lines are written while others are still being read, so that the longest statement takes no more memory.
    """
    from app.statement_export import export, find_account

    begin, end = _moment(since, "--from"), _moment(until, "--to")
    if begin is not None and end is not None and begin > end:
        fail(f"--from {since} is later than --to {until}.", _ASKED_WRONGLY)
    settings = load_settings()

    async def run(dsn: str) -> None:
        async with _connected(dsn) as connection:
            found = await find_account(account, on=connection)
            if found is None:
                fail(f"There is no account {account}.")
            async for text in export(found, form, on=connection, since=begin, until=end, limit=limit):
                sys.stdout.write(text)
                sys.stdout.flush()

    with reached_database(settings) as dsn:
        ensure_migrated(dsn)
        try:
            asyncio.run(run(dsn))
        except BrokenPipeError:
            # Whoever read has enough. Python would complain when it flushes standard output at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(_CLOSED_PIPE)


def _moment(text: str | None, option: str) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        fail(f"{option} {text} is no time: write 2026-01-31 or 2026-01-31T12:00:00Z.", _ASKED_WRONGLY)


@assets_cli.callback()
def assets(context: typer.Context) -> None:
    """Show what amounts can be amounts of."""
    import ledger

    if context.invoked_subcommand is not None:
        return
    settings = load_settings()

    async def run(dsn: str) -> dict[str, ledger.Asset]:
        async with _connected(dsn) as connection:
            return await ledger.assets(on=connection)

    with reached_database(settings) as dsn:
        ensure_migrated(dsn)
        declared = asyncio.run(run(dsn))
    table = Table("asset", "scale", "kind")
    for asset in declared.values():
        table.add_row(asset.code, str(asset.scale), asset.kind)
    out.print(table)


@assets_cli.command()
def declare(
    code: Annotated[str, typer.Argument(help="Two to twelve upper-case letters and digits, such as BTC.")],
    scale: Annotated[int, typer.Option(min=0, max=30, help="How many decimals its smallest unit stands for.")],
    kind: Annotated[AssetKind, typer.Option(help="What it is.")],
) -> None:
    """Declare an asset, so that accounts can be opened in it. What was declared never changes."""
    import ledger

    settings = load_settings()

    async def run(dsn: str) -> ledger.Asset:
        async with _connected(dsn) as connection:
            return await ledger.declare_asset(code, scale, kind, on=connection)

    with reached_database(settings) as dsn:
        ensure_migrated(dsn)
        try:
            asset = asyncio.run(run(dsn))
        except (ledger.AssetMismatchError, ValueError) as error:
            fail(str(error))
    out.print(
        f"{asset.code} is declared: {asset.kind}, scale {asset.scale}. Processes that run already know it after "
        "they have been started again.",
        soft_wrap=True,
    )


@asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator["Connection"]:
    """Open a connection as the application has it."""
    import asyncpg

    from models.database import APP_ROLE

    connection = await asyncpg.connect(dsn, server_settings={"role": APP_ROLE, "timezone": "UTC"})
    try:
        yield connection
    finally:
        await connection.close()
