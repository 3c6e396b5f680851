"""The command line of Stripe: ``comptoir stripe``."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer
from pydantic import ValidationError
from rich.markup import escape

from app import stripe_settings
from app.console import err, fail, load_settings, out
from app.settings import Settings

if TYPE_CHECKING:
    from providers.payments.stripe.findings import Finding, NoticingClient
    from providers.payments.stripe.setting_up import Made

stripe_cli = typer.Typer(
    no_args_is_help=True, help="Set up Stripe's webhooks, and look whether all is set up as it has to be."
)

_ASKED_WRONGLY: Final = 2
_LIVE: Final = ("sk_live_", "rk_live_")
_COLOURS: Final = {"✓": "green", "✗": "red", "!": "yellow"}

UrlOption = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Where Stripe sends webhooks: https://…/webhooks/stripe. Without it, COMPTOIR_PUBLIC_URL says.",
    ),
]


@stripe_cli.command()
def setup(url: UrlOption = None) -> None:
    """Make the three webhook endpoints, or bring up to date those that are there. Prints each new secret once.

    Needs only STRIPE_API_KEY and, for a live key, COMPTOIR_ENVIRONMENT=production. Done again, it changes nothing.
    """
    settings = _settings()
    if (problem := settings.stripe_key_problem()) is not None:
        fail(problem)
    where = _webhook_url(settings, url)
    if (problem := _url_problem(settings, where)) is not None:
        fail(problem, _ASKED_WRONGLY)
    made: list[Made] = []
    failed = asyncio.run(_set_up(settings, where, made))
    _say_secrets(made)
    if failed is not None:
        fail(f"{failed.text} {failed.fix}")
    err.print("Then run `comptoir stripe check`.")


@stripe_cli.command()
def check(url: UrlOption = None) -> None:
    """Look whether Stripe is set up as it has to be: a line each, and what to do. Changes nothing.

    Exits with 1 while anything is wrong.
    """
    settings = _settings()
    where = _webhook_url(settings, url)
    problem = _url_problem(settings, where)
    if url is not None and problem is not None:
        fail(problem, _ASKED_WRONGLY)
    wrong = asyncio.run(_check(settings, None if problem else where, problem))
    if wrong:
        sys.exit(1)
    out.print("[green]Stripe is set up as it has to be.[/]")


def _settings() -> Settings:
    """Return the settings, though the process may not start on them yet: that is what these commands are for."""
    try:
        return Settings()
    except ValidationError:
        return load_settings()  # which says what is wrong


def _webhook_url(settings: Settings, url: str | None) -> str:
    from providers.payments.stripe.endpoints import PATH

    return url if url is not None else settings.own_url + PATH


def _url_problem(settings: Settings, url: str) -> str | None:
    from providers.payments.stripe.endpoints import url_problem

    return url_problem(url, stand_in=bool(settings.stripe_api_url))


@asynccontextmanager
async def _client(settings: Settings) -> "AsyncIterator[NoticingClient]":
    from providers.payments.stripe.findings import NoticingClient

    client = NoticingClient(
        settings.stripe_api_key.get_secret_value(),
        timeout=stripe_settings.LONGEST_TIMEOUT,
        api_url=settings.stripe_api_url or None,
    )
    try:
        yield client
    finally:
        await client.close()


async def _set_up(settings: Settings, url: str, made: "list[Made]") -> "Finding | None":
    """Set up; put what was made into ``made`` as it comes, and return why it ended early."""
    from providers.payments.base import ProviderError
    from providers.payments.stripe.setting_up import set_up

    async with _client(settings) as client:
        try:
            async for one in set_up(client, url):
                made.append(one)
                _say(one)
        except ProviderError as error:
            return client.refused("Setting up the next endpoint", error)
    return None


def _say(made: "Made") -> None:
    from providers.payments.stripe.endpoints import NAMES
    from providers.payments.stripe.setting_up import Done

    how = {Done.MADE: "made", Done.UPDATED: "brought up to date", Done.KEPT: "as it should be"}[made.done]
    out.print(f"[green]✓[/] {escape(f'{made.id}, for {NAMES[made.role]}: {how}.')}", soft_wrap=True)
    for other in made.outdated:
        text = (
            f"{other.id} is there for the same: delete it in Stripe's dashboard once the new secret is in force."
        )
        out.print(f"[yellow]![/] {escape(text)}", soft_wrap=True)


def _say_secrets(made: "Sequence[Made]") -> None:
    from providers.payments.stripe.setting_up import Done

    new = [one for one in made if one.done is Done.MADE]
    secrets = [one.secret for one in new if one.secret is not None]
    if secrets:
        err.print(
            "Stripe tells a secret only when its endpoint is made, so keep it now. "
            + (
                "Put this into the environment:"
                if len(new) == len(made)
                else "Add it to what STRIPE_WEBHOOK_SECRET holds, after a comma:"
            ),
            soft_wrap=True,
        )
        out.print(f"STRIPE_WEBHOOK_SECRET={','.join(secrets)}", soft_wrap=True, markup=False)
    for one in new:
        if one.secret is None:
            err.print(f"Stripe did not tell the secret of {one.id}: reveal it in the dashboard.", soft_wrap=True)
    if len(new) < len(made):
        err.print(
            "Secrets of endpoints that were there before are not told again. One that is lost is rolled in "
            "Stripe's dashboard: docs/stripe.md says how.",
            soft_wrap=True,
        )


async def _check(settings: Settings, url: str | None, url_problem: str | None) -> bool:
    """Print every finding; return whether anything is wrong."""
    from providers.payments.stripe.checks import survey
    from providers.payments.stripe.findings import Finding, Mark

    wrong = False

    def tell(finding: Finding) -> None:
        nonlocal wrong
        wrong = wrong or finding.mark is Mark.WRONG
        colour = _COLOURS[finding.mark]
        out.print(f"[{colour}]{finding.mark}[/] {escape(finding.text)}", soft_wrap=True)
        if finding.fix:
            out.print(f"  What to do: {escape(finding.fix)}", soft_wrap=True)

    if settings.provider != "stripe":
        tell(Finding(Mark.NOTE, "COMPTOIR_PROVIDER is the sandbox: Stripe is not in use.", "Set it to stripe."))
    if (problem := settings.stripe_key_problem()) is not None:
        tell(Finding(Mark.WRONG, problem))
        return True
    secrets = settings.stripe_webhook_secrets
    for problem in (
        stripe_settings.secrets_problem(secrets) if secrets else None,
        stripe_settings.timeout_problem(settings.provider_timeout_seconds, stand_in=bool(settings.stripe_api_url)),
        url_problem if settings.is_production else None,
    ):
        if problem is not None:
            tell(Finding(Mark.WRONG, problem))
    currencies = await book_currencies(settings)
    async with _client(settings) as client:
        live = settings.stripe_api_key.get_secret_value().startswith(_LIVE)
        findings = survey(client, url=url, secrets=len(secrets), live=live, currencies=currencies)
        async for finding in findings:
            tell(finding)
    return wrong


async def book_currencies(settings: Settings) -> Sequence[str]:
    """Return the currencies of the books; none where their database does not answer."""
    import asyncpg

    import ledger
    from models.database import DATABASE_ERRORS

    if settings.database_url is None:
        return ()
    try:
        connection = await asyncpg.connect(settings.database_url.get_secret_value(), timeout=5)
    except (*DATABASE_ERRORS, TimeoutError, ValueError):
        return ()
    try:
        assets = await ledger.assets(on=connection)
    except DATABASE_ERRORS:
        return ()  # nothing was migrated yet
    finally:
        await connection.close()
    return sorted(asset.code for asset in assets.values() if asset.kind == "fiat")
