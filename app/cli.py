"""The command line: ``comptoir``."""

import asyncio
import sys
import threading
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.table import Table

from app.cli_doctor import doctor
from app.cli_ledger import ledger_cli
from app.cli_sandbox import sandbox_cli
from app.cli_stripe import stripe_cli
from app.cli_tax import tax_cli
from app.cli_webhooks import webhooks_cli
from app.console import ensure_migrated, err, fail, load_settings, out, reached_database
from app.settings import Settings, UnsafeSettingsError
from core.scopes import PERSONAL_SCOPES, Scope

cli = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Comptoir: payments and commerce for a social network.\n\n"
    "Start with [bold]comptoir migrate[/], [bold]comptoir seed[/] and [bold]comptoir serve --with-worker[/]. "
    "Without DATABASE_URL a PostgreSQL is found on this machine and started, its data kept under var/.",
)
cli.add_typer(ledger_cli, name="ledger")
cli.add_typer(webhooks_cli, name="webhooks")
cli.add_typer(sandbox_cli, name="sandbox")
cli.add_typer(stripe_cli, name="stripe")
cli.add_typer(tax_cli, name="tax")
cli.command()(doctor)


def main() -> None:
    """Run the command line. Expected failures print one sentence and exit with 1."""
    from app.asgi import NoRedisError
    from app.database import DatabaseUnavailableError
    from app.postgres import PostgresUnavailable
    from app.server import PortTakenError
    from models.database import DATABASE_ERRORS

    expected = (DatabaseUnavailableError, NoRedisError, PortTakenError, PostgresUnavailable, UnsafeSettingsError)
    try:
        cli()
    except expected as error:
        fail(str(error))
    except DATABASE_ERRORS as error:
        fail(f"The database does not answer, or no longer ({type(error).__name__}): {error}")
    except KeyboardInterrupt:
        sys.exit(130)


@cli.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.", min=0, max=65535)] = None,
    with_worker: Annotated[
        bool, typer.Option("--with-worker", help="Run a worker beside it, as development does.")
    ] = False,
) -> None:
    """Serve GraphQL, webhooks and health checks.

    Several web processes need REDIS_URL. Payments are settled by [bold]comptoir worker[/].
    """
    import os

    from app.logs import configure_logs
    from app.server import WorkerProcess, listen
    from app.server import serve as serve_forever

    settings = load_settings(host=host, port=port)
    configure_logs(production=settings.is_production)
    listener = listen(settings)
    with reached_database(settings) as dsn:
        ensure_migrated(dsn)
        worker: WorkerProcess | None = None
        stopped = threading.Event()
        if with_worker:
            # The worker finds its way by the same settings, so what was chosen here is said to it.
            os.environ["COMPTOIR_HOST"], os.environ["COMPTOIR_PORT"] = settings.host, str(settings.port)
            worker = WorkerProcess()
            threading.Thread(target=_watch, args=(worker, stopped), daemon=True).start()
        try:
            started = serve_forever(settings, dsn, listener, lambda: _say_ready(settings))
        finally:
            stopped.set()
            if worker is not None:
                worker.stop()
        if not started:
            sys.exit(1)


def _watch(worker: Any, stopped: threading.Event) -> None:
    while not stopped.wait(1.0):
        worker.check()


def _say_ready(settings: Settings) -> None:
    url = settings.own_url
    err.print(f"Comptoir is ready: [bold]{url}/graphql[/]", soft_wrap=True)
    if not settings.is_production:
        err.print(f"GraphiQL: {url}/graphiql · an access token: comptoir token YOUR-NAME", soft_wrap=True)


@cli.command()
def worker(
    parent: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Settle webhooks, mature earnings, look up what nobody finished. Run as many as you like."""
    from app.logs import configure_logs
    from app.server import until_signal
    from app.worker import run_worker

    settings = load_settings()
    configure_logs(production=settings.is_production)

    async def run(dsn: str) -> None:
        stop = asyncio.Event()
        watching = asyncio.create_task(until_signal(parent, stop))
        try:
            await run_worker(settings, dsn, stop)
        finally:
            watching.cancel()

    with reached_database(settings) as dsn:
        ensure_migrated(dsn)
        import uvloop

        uvloop.run(run(dsn))


@cli.command()
def migrate() -> None:
    """Bring the database to the present schema. Safe to run twice, and from many machines at once."""
    from app.migrate import migrate as run_migrations

    settings = load_settings()
    with reached_database(settings) as dsn, err.status("Migrating…") as status:
        applied: list[str] = []

        def tell(name: str) -> None:
            applied.append(name)
            status.update(f"Migrating: {name}")

        asyncio.run(run_migrations(dsn, tell))
    out.print(f"Applied {', '.join(applied)}." if applied else "The database is up to date.")


@cli.command()
def seed() -> None:
    """Put the fee rules and a few made-up creators and products into the database. Adds nothing twice."""
    from app.seed import seed as run_seed

    settings = load_settings()
    with reached_database(settings) as dsn, err.status("Seeding…"):
        ensure_migrated(dsn)
        said = asyncio.run(run_seed(settings, dsn))
    out.print(said)


@cli.command()
def demo(
    url: Annotated[
        str | None,
        typer.Option(help="Play against a running development server instead of one of its own on a free port."),
    ] = None,
) -> None:
    """Play the story of one tip over real HTTP and WebSocket; exit with 1 on the first surprise."""
    from app.demo import play

    sys.exit(play(url))


@cli.command()
def token(
    user: Annotated[str, typer.Argument(help="Who signs in: any name; the user is made at first sign-in.")],
    scope: Annotated[
        list[Scope] | None,
        typer.Option(
            help="Only this scope; may be given several times. Without it, all that concern what is one's own: "
            "an operator's finance:read has to be named."
        ),
    ] = None,
) -> None:
    """Print an access token of the development issuer, good for a day.

    Send it as [bold]Authorization: Bearer TOKEN[/].
    """
    settings = load_settings()
    if not settings.is_own_issuer:
        fail("Tokens come from the issuer of COMPTOIR_JWKS_URL; only a development server is its own issuer.")
    out.print(
        settings.development.token(
            issuer=settings.issuer,
            audience=settings.jwt_audience,
            subject=user,
            scopes=frozenset(scope) if scope else PERSONAL_SCOPES,
        ),
        soft_wrap=True,
    )


@cli.command()
def config() -> None:
    """Show the settings in force, secrets hidden, and whether they may start."""
    try:
        settings = Settings()
    except ValidationError:
        settings = load_settings()
    table = Table("setting", "value", "what it is")
    for name, value in settings.redacted().items():
        table.add_row(name, value, Settings.model_fields[name].description or "")
    out.print(table)
    settings.checked()


@cli.command()
def schema(
    write: Annotated[bool, typer.Option("--write", help="Write schema/schema.graphql.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 if schema/schema.graphql is stale.")] = False,
) -> None:
    """Print the GraphQL schema."""
    from app.graphql import SCHEMA_FILE, printed_schema

    text = printed_schema()
    if write:
        Path(SCHEMA_FILE).write_text(text, encoding="utf-8")
    elif check:
        if Path(SCHEMA_FILE).read_text(encoding="utf-8") != text:
            fail("schema/schema.graphql is stale. Run `make schema` and read the difference as a client would.")
    else:
        sys.stdout.write(text)
