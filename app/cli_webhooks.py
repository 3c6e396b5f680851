"""The command line of the inbox: ``comptoir webhooks``."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer
from rich.markup import escape

from app.console import ensure_migrated, err, fail, load_settings, out, reached_database
from core.clock import now

if TYPE_CHECKING:
    from services.engine import Engine

webhooks_cli = typer.Typer(
    no_args_is_help=True,
    help="See what providers told, settle again what was given up, and fetch what never came.",
)

ResultT = TypeVar("ResultT")

_ASKED_WRONGLY: Final = 2
_AGO: Final = re.compile(r"([0-9]{1,6})([dhm])")
_UNITS: Final = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1)}


class State(StrEnum):
    """Where an event of the inbox stands."""

    PENDING = "pending"
    DONE = "done"
    DEAD = "dead"
    QUARANTINED = "quarantined"


@webhooks_cli.command("list")
def list_events(
    state: Annotated[State | None, typer.Option(help="Only events that stand there.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="No more than that, the latest.")] = 50,
) -> None:
    """List the events that came last, one a line."""
    from services import inbox

    wanted = None if state is None else state.value.upper()
    found = _with_engine(lambda engine: inbox.entries(engine, wanted, limit))
    if not found:
        err.print("There are none.")
        return
    rows = [("id", "event", "type", "state", "attempts", "received", "reason")]
    rows += [
        (
            str(entry.id),
            entry.event_id,
            entry.type,
            entry.state.lower(),
            str(entry.attempts),
            f"{entry.received_at:%Y-%m-%dT%H:%M:%SZ}",
            entry.error or "",
        )
        for entry in found
    ]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        # Whole lines, however wide: an id that was cut helps nobody.
        out.print(escape("  ".join(cells).rstrip()), soft_wrap=True)


@webhooks_cli.command()
def show(
    name: Annotated[str, typer.Argument(metavar="ID", help="Its number in the list, or its id at the provider.")],
) -> None:
    """Show an event: where it stands, why, and what was signed. It may hold personal data."""
    from services import inbox

    entry = _with_engine(lambda engine: inbox.entry(engine, name))
    if entry is None:
        fail(f"There is no event {name} in the inbox.")
    lines = {
        "id": str(entry.id),
        "event": entry.event_id,
        "type": entry.type,
        "provider": entry.provider,
        "state": entry.state,
        "attempts": str(entry.attempts),
        "received": entry.received_at.isoformat(),
        "settled": "" if entry.processed_at is None else entry.processed_at.isoformat(),
        "tried next": entry.due_at.isoformat() if entry.state == "PENDING" else "",
        "reason": entry.error or "",
        "trace id": entry.trace_id or "",
    }
    for title, value in lines.items():
        if value:
            out.print(f"{title:<10}  {escape(value)}", soft_wrap=True)
    out.print()
    out.print(escape(_pretty(entry.body or b"")), soft_wrap=True)


@webhooks_cli.command()
def retry(
    names: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Which, as the list says.")] = None,
    dead: Annotated[bool, typer.Option("--dead", help="All that were given up.")] = False,
    quarantined: Annotated[
        bool, typer.Option("--quarantined", help="All that were not for us, if today's settings say otherwise.")
    ] = False,
) -> None:
    """Settle events now that were given up, set aside or wait. A running worker takes them at once."""
    from services import inbox

    if [bool(names), dead, quarantined].count(True) != 1:
        fail(
            "Name events, or say --dead for all that were given up, or --quarantined for all that were set aside.",
            _ASKED_WRONGLY,
        )
    if names:
        wanted = list(dict.fromkeys(names))
        taken = _with_engine(lambda engine: inbox.retry(engine, wanted))
        count, left = len(taken), [name for name in wanted if name not in taken]
    else:
        count, left = _with_engine(inbox.retry_dead if dead else inbox.retry_quarantined), []
    if count or not left:
        out.print(f"{_number(count)} will be settled.")
    if left:
        fail(f"Not in the inbox, or settled already: {', '.join(left)}.")


@webhooks_cli.command()
def replay(
    since: Annotated[
        str,
        typer.Option(
            "--since",
            metavar="TIME",
            help="From when on: 2026-01-31 or 2026-01-31T12:00:00Z, in UTC, or how long ago: 3d, 12h, 30m.",
        ),
    ],
) -> None:
    """Ask the provider for its events since a moment and keep those that never came, after an outage of ours."""
    from providers.payments.base import ProviderError
    from services import inbox

    begin = _moment(since)
    try:
        kept = _with_engine(lambda engine: inbox.replay(engine, begin))
    except inbox.ReplayUnsupported as error:
        fail(str(error))
    except ProviderError as error:
        fail(f"The provider did not tell all of them: {error.code.value}. What it told is kept; ask again later.")
    out.print(f"{_number(kept)} had never come and will be settled.")


def _with_engine(run: "Callable[[Engine], Awaitable[ResultT]]") -> ResultT:
    """Run something with all that use cases work with, on the database of the settings."""
    from app.engine import open_engine

    settings = load_settings()

    async def opened(dsn: str) -> ResultT:
        async with open_engine(settings, dsn, subscribers=False) as engine:
            return await run(engine)

    with reached_database(settings) as dsn:
        ensure_migrated(dsn)
        return asyncio.run(opened(dsn))


def _pretty(body: bytes) -> str:
    import orjson

    try:
        return orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2).decode()
    except orjson.JSONDecodeError:
        return body.decode("utf-8", "backslashreplace")


def _number(count: int) -> str:
    return "1 event" if count == 1 else f"{count} events"


def _moment(text: str) -> datetime:
    try:
        if ago := _AGO.fullmatch(text):
            return now() - int(ago[1]) * _UNITS[ago[2]]
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        fail(f"--since {text} is no time: write 2026-01-31, 2026-01-31T12:00:00Z or 3d.", _ASKED_WRONGLY)
    if moment > now():
        fail(f"--since {text} has yet to come.", _ASKED_WRONGLY)
    return moment
