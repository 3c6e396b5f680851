"""The command line of the doctor: ``comptoir doctor``."""

import asyncio
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.markup import escape

from app.console import ensure_migrated, err, fail, load_settings, out, reached_database

if TYPE_CHECKING:
    from services.reconciliation import Check, CheckResult, Difference, Report

_ASKED_WRONGLY: Final = 2
_SPAN: Final = re.compile(r"(\d{1,7})([smhdw])", re.ASCII)
_LONGEST: Final = timedelta(days=36_525)
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def doctor(
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Compare what changed since then: 2026-01-31, 2026-01-31T12:00:00Z, or 7d for the last seven "
            "days. Without it everything is compared.",
        ),
    ] = None,
    fix: Annotated[
        bool,
        typer.Option(
            "--fix",
            help="Mend what can be mended by asking the provider and settling its answer. Change nothing else.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON object.")] = False,
    grace: Annotated[
        str, typer.Option(metavar="SPAN", help="How old something has to be to be judged: 90s, 5m, 1h.")
    ] = "5m",
) -> None:
    """Compare the payment provider, the ledger and the business with each other, and say what to do.

    A line for each comparison, then what differs. Exits with 1 while anything does, or could not be compared.
    docs/reconciliation.md explains every code.
    """
    begin, judged_after = _moment(since), _span(grace, "--grace")
    settings = load_settings()

    async def run_checks(dsn: str) -> "Report":
        from app.clock import read_clock
        from app.engine import open_engine
        from app.observed import unwrapped
        from providers.payments.sandbox import SandboxProvider
        from services.reconciliation import run

        async with open_engine(settings, dsn, subscribers=False) as engine:
            sandbox = unwrapped(engine.provider)
            if isinstance(sandbox, SandboxProvider):
                await read_clock(sandbox)
            return await run(engine, since=begin, mend=fix, tell=tell, grace=judged_after)

    with reached_database(settings) as dsn:
        ensure_migrated(dsn)
        with _logs_aside(), err.status("Comparing…") as status:

            def tell(check: "Check") -> None:
                status.update(f"Comparing: {check}")

            report = asyncio.run(run_checks(dsn))
    if as_json:
        sys.stdout.write(json.dumps(report.as_json(), indent=2) + "\n")
    else:
        _print(report)
    if not report.clean:
        sys.exit(1)


@contextmanager
def _logs_aside() -> Iterator[None]:
    """Keep what is logged on the way out of what is printed; the report says all of it, and errors are kept."""
    import logging

    import structlog

    before = structlog.get_config()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        yield
    finally:
        structlog.configure(**before)


def _print(report: "Report") -> None:
    from services.reconciliation import BEGINNING, COMPARED, State

    width = max(len(result.check) for result in report.checks)
    for result in report.checks:
        if result.state is State.NOT_POSSIBLE:
            mark = "[yellow]not possible with this provider[/]"
        else:
            mark = f"[red]{_count(result.standing)}[/]" if result.standing else "[green]ok[/]"
            mark += f" [dim]({escape(result.note)})[/]" if result.note else ""
        out.print(f"{result.check:<{width}}  {mark} — {COMPARED[result.check]}", soft_wrap=True)
    for result in report.checks:
        _print_differences(result)
    over = "everything" if report.since <= BEGINNING else f"what changed since {report.since:%Y-%m-%d %H:%M} UTC"
    mended = f", {report.mended} mended" if report.mended else ""
    outcome = "Nothing differs" if report.clean else _count(report.standing).capitalize()
    out.print(f"\n{outcome}{mended}. Compared {over} with {escape(report.provider)}.", soft_wrap=True)


def _print_differences(result: "CheckResult") -> None:
    for difference in result.differences:
        out.print()
        _print_difference(difference)
    if result.more:
        out.print(f"\n… and {result.more} more of {result.check} that are not listed.", soft_wrap=True)


def _print_difference(difference: "Difference") -> None:
    mark = "[green]mended[/] " if difference.mended else ""
    out.print(
        f"{mark}[bold]{difference.code}[/]  {difference.about.kind} {escape(difference.about.id)}", soft_wrap=True
    )
    out.print(f"  {escape(difference.sentence)}", soft_wrap=True)
    if difference.mended:
        return
    out.print(f"  Why it matters: {escape(difference.why)}", soft_wrap=True)
    if difference.failure is not None:
        out.print(f"  Tried to mend it: {escape(difference.failure)}", soft_wrap=True)
    out.print(f"  What to do: {escape(difference.fix)}", soft_wrap=True)


def _count(number: int) -> str:
    return "1 difference" if number == 1 else f"{number} differences"


def _moment(text: str | None) -> datetime | None:
    """Read a time, or how long ago it is. Without an offset it is UTC."""
    if text is None:
        return None
    from core.clock import now

    if _SPAN.fullmatch(text):
        return now() - _span(text, "--since")
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        fail(f"--since {text} is no time: write 2026-01-31, 2026-01-31T12:00:00Z or 7d.", _ASKED_WRONGLY)


def _span(text: str, option: str) -> timedelta:
    matched = _SPAN.fullmatch(text)
    if matched is None:
        fail(f"{option} {text} is no span of time: write 90s, 5m, 1h or 7d.", _ASKED_WRONGLY)
    number, unit = matched.groups()
    span = timedelta(**{_UNITS[unit]: int(number)})
    if span > _LONGEST:
        fail(f"{option} {text} is longer than a hundred years.", _ASKED_WRONGLY)
    return span
