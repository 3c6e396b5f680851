"""The command line of the built-in tax table: ``comptoir tax``."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.markup import escape

from app.console import ensure_migrated, err, fail, load_settings, out, reached_database
from core.clock import now

if TYPE_CHECKING:
    from models.database import Connection

tax_cli = typer.Typer(
    no_args_is_help=True,
    help="See and keep the rates of taxes on sales. Processes that run know a new rate within a minute.",
)

ResultT = TypeVar("ResultT")

_ASKED_WRONGLY = 2


@tax_cli.command("list")
def list_rates(
    country: Annotated[str | None, typer.Option(help="Only those of a country, by its two letters.")] = None,
) -> None:
    """List all rates, past and future ones included, and say which are in force."""
    from services import taxes

    wanted = country.upper() if country is not None else None
    rates = _with_connection(lambda on: taxes.listed(on, wanted))
    if not rates:
        err.print("There are none.")
        return
    at = now()
    in_force: dict[tuple[str, str, str], datetime] = {
        (rate.country, rate.region, rate.category): rate.valid_from for rate in rates if rate.valid_from <= at
    }
    rows = [("country", "region", "category", "name", "percent", "in prices", "from", "in force")]
    rows += [
        (
            rate.country,
            rate.region or "-",
            rate.category,
            rate.name,
            f"{rate.basis_points // 100}.{rate.basis_points % 100:02}",
            "yes" if rate.inclusive else "no",
            f"{rate.valid_from:%Y-%m-%dT%H:%M:%SZ}",
            "yes" if in_force.get((rate.country, rate.region, rate.category)) == rate.valid_from else "no",
        )
        for rate in rates
    ]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        out.print(escape("  ".join(cells).rstrip()), soft_wrap=True)


@tax_cli.command("import")
def import_rates(
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV in UTF-8 with the columns country,region,category,name,percent,inclusive,from.",
        ),
    ],
) -> None:
    """Add the rates of a file: all of them, or none if a line cannot be taken. What is there already stays."""
    from services import taxes
    from services.tax_rates import RatesInvalidError, parse

    try:
        rates = parse(_text(file))
        added = _with_connection(lambda on: taxes.add(rates, on=on))
    except RatesInvalidError as error:
        fail(f"{error} Nothing was written.")
    out.print(f"Added {added} of {len(rates)} rates; the others were there already.", soft_wrap=True)


@tax_cli.command("set")
def set_rate(
    country: Annotated[str, typer.Argument(help="Two letters, such as DE.")],
    category: Annotated[str, typer.Argument(help="standard, reduced, books, food, digital or shipping.")],
    percent: Annotated[str, typer.Argument(help="Such as 8.1; at most two decimals.")],
    region: Annotated[
        str, typer.Option(help="Only for a state or province, as addresses name it, such as BC.")
    ] = "",
    inclusive: Annotated[
        bool, typer.Option("--inclusive/--exclusive", help="Whether prices contain it, or it comes on top.")
    ] = True,
    name: Annotated[str, typer.Option(help="What it is called on receipts.")] = "VAT",
    since: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="TIME",
            help="From when on: 2026-01-31, or 2026-01-31T12:00:00Z, in UTC unless it says otherwise. Else now.",
        ),
    ] = None,
) -> None:
    """Add a rate. It takes the place of the one before it from its moment on."""
    from services import taxes
    from services.tax_rates import RatesInvalidError, checked, moment

    try:
        rate = checked(
            country=country,
            region=region,
            category=category,
            name=name,
            percent=percent,
            inclusive=inclusive,
            valid_from=moment(since) if since is not None else now(),
        )
    except RatesInvalidError as error:
        text = str(error)
        fail(text[0].upper() + text[1:], _ASKED_WRONGLY)
    try:
        added = _with_connection(lambda on: taxes.add([rate], on=on))
    except RatesInvalidError as error:
        fail(f"{error} Nothing was written.")
    place = f"{rate.country}-{rate.region}" if rate.region else rate.country
    said = f"{place} {rate.category}: {percent} % from {rate.valid_from:%Y-%m-%d %H:%M} UTC on"
    out.print(escape(f"{said}." if added else f"{said}, as it was already."), soft_wrap=True)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        fail("The file is not UTF-8. Nothing was written.")
    except OSError as error:
        fail(f"The file cannot be read ({error.strerror}). Nothing was written.", _ASKED_WRONGLY)


def _with_connection(run: "Callable[[Connection], Awaitable[ResultT]]") -> ResultT:
    """Run something on a connection as the application has it."""
    import asyncpg

    from models.database import APP_ROLE

    settings = load_settings()

    async def connected(dsn: str) -> ResultT:
        connection = await asyncpg.connect(dsn, server_settings={"role": APP_ROLE, "timezone": "UTC"})
        try:
            return await run(connection)
        finally:
            await connection.close()

    with reached_database(settings) as dsn:
        ensure_migrated(dsn)
        return asyncio.run(connected(dsn))
