"""The command line of the sandbox: ``comptoir sandbox``."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from app.console import ensure_migrated, fail, load_settings, out, reached_database

if TYPE_CHECKING:
    from providers.payments.sandbox import SandboxControl

sandbox_cli = typer.Typer(
    no_args_is_help=True, help="Drive the sandbox: its clock, its faults, and scenarios from files."
)

_ASKED_WRONGLY = 2


@sandbox_cli.command()
def play(
    file: Annotated[Path, typer.Argument(help="The scenario, in TOML.", dir_okay=False)],
    variables: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="What $NAME in the file is, such as payment=latest. Repeatable."
        ),
    ] = None,
) -> None:
    """Play a scenario against the sandbox of this deployment, one step after the other.

    The file is checked as a whole before its first step.
    """
    from providers.payments.sandbox.scripts import ScriptError, parse
    from providers.payments.sandbox.scripts import play as play_script

    given = dict(_pair(text) for text in variables or [])
    try:
        script = parse(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{file} cannot be read: {error}.", _ASKED_WRONGLY)
    except ScriptError as error:
        fail(f"{file}: {error}", _ASKED_WRONGLY)
    out.print(f"[bold]{escape(script.title)}[/]", soft_wrap=True)

    def tell(line: str) -> None:
        out.print(escape(line), soft_wrap=True)

    async def run(control: "SandboxControl") -> None:
        try:
            await play_script(script, control, given, tell)
        except ScriptError as error:
            fail(str(error))

    _with_control(run)


@sandbox_cli.command()
def advance(by: Annotated[str, typer.Argument(metavar="DURATION", help="How far: 7d, 2h30m, 90s.")]) -> None:
    """Move the sandbox's clock forward, and do what has become due."""
    from providers.payments.sandbox.actions import duration

    try:
        far = duration(by)
    except ValueError as error:
        fail(str(error), _ASKED_WRONGLY)

    async def run(control: "SandboxControl") -> None:
        ahead = await control.advance(far)
        out.print(
            f"The sandbox's clock is {ahead} ahead: it is {await control.now():%Y-%m-%d %H:%M:%S} UTC there."
        )

    _with_control(run)


@sandbox_cli.command()
def status() -> None:
    """Show the sandbox's clock, and how many there are of everything."""

    async def run(control: "SandboxControl") -> None:
        table = Table("what", "value")
        for name, value in (await control.status()).as_json().items():
            table.add_row(name.replace("_", " "), "" if value is None else str(value))
        out.print(table)

    _with_control(run)


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name or not value:
        fail(f"--set {text} is not NAME=VALUE.", _ASKED_WRONGLY)
    return name, value


def _with_control(run: "Callable[[SandboxControl], Awaitable[None]]") -> None:
    from providers.payments.base import ProviderError

    settings = load_settings()
    if settings.is_production:
        fail("The sandbox is not driven in production.")
    if settings.provider != "sandbox":
        fail(f"The provider is not the sandbox but {settings.provider} (COMPTOIR_PROVIDER): it is not driven.")
    with reached_database(settings) as dsn:
        ensure_migrated(dsn)
        try:
            asyncio.run(_controlled(dsn, run))
        except ProviderError as error:
            fail(f"The sandbox refuses: {error}.")
        except ValueError as error:
            fail(str(error), _ASKED_WRONGLY)


async def _controlled(dsn: str, run: "Callable[[SandboxControl], Awaitable[None]]") -> None:
    async with _opened(dsn) as control:
        await run(control)


@asynccontextmanager
async def _opened(dsn: str) -> "AsyncIterator[SandboxControl]":
    import asyncpg

    from models.database import APP_ROLE
    from providers.payments.sandbox import SandboxControl

    async with asyncpg.create_pool(
        dsn, min_size=1, max_size=2, server_settings={"role": APP_ROLE, "timezone": "UTC"}
    ) as pool:
        yield SandboxControl(pool)
