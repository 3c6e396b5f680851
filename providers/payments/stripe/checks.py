"""Whether an account at Stripe is set up as Comptoir needs it: read only, one finding after the other."""

from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from core.clock import wall
from providers.payments.base import ProviderError
from providers.payments.stripe.client import API_VERSION, Answer
from providers.payments.stripe.endpoints import NAMES, Comparison, Endpoint, Role, compare, strangers
from providers.payments.stripe.findings import Finding, Mark, NoticingClient
from providers.payments.stripe.setting_up import destinations, endpoints

_SKEW: Final = timedelta(seconds=60)
_ACCOUNTS: Final = 20
_SET_UP: Final = "Run `comptoir stripe setup` with the same settings."
_DASHBOARD: Final = "Open Stripe's dashboard, which says what it still asks for."


async def survey(
    client: NoticingClient, *, url: str | None, secrets: int, live: bool, currencies: Collection[str]
) -> AsyncIterator[Finding]:
    """Look at everything, one after the other; never raises ProviderError.

    ``url`` is where webhooks are to be sent, None where Stripe cannot send any and something forwards them;
    ``secrets`` is how many signing secrets were given; ``currencies`` are those of the books, none if not known.
    """
    call = client.stripe.v1.accounts.retrieve_current_async
    try:
        account = await client.ask(call)
    except ProviderError as error:
        # Without the permission to read the account the rest may still be looked at.
        yield client.refused("Reading the account", error)
        if client.permission is None:
            yield Finding(Mark.NOTE, "Nothing else was looked at.")
            return
    else:
        for finding in _of_account(account):
            yield finding
    async for finding in _of_books(client, live=live, currencies=currencies):
        yield finding
    async for finding in _of_reads(client):
        yield finding
    async for finding in _of_endpoints(client, url, secrets):
        yield finding
    async for finding in _of_connected(client):
        yield finding


def _of_account(answer: Answer) -> Iterator[Finding]:
    body = answer.body
    who = f"account {body.get('id')}, country {body.get('country') or 'not told'}"
    yield Finding(Mark.RIGHT, f"The key works: {who}.")
    yield clock_finding(answer.at, wall())
    for name, what in (("charges_enabled", "can charge"), ("payouts_enabled", "can pay out")):
        if body.get(name) is True:
            yield Finding(Mark.RIGHT, f"The platform's account {what}.")
        else:
            yield Finding(Mark.WRONG, f"The platform's account {what} nothing yet.", _DASHBOARD)
    capabilities = body.get("capabilities")
    for name in ("card_payments", "transfers"):
        status = capabilities.get(name) if isinstance(capabilities, Mapping) else None
        if status == "active":
            yield Finding(Mark.RIGHT, f"The capability {name} is active.")
        elif status is None:
            yield Finding(Mark.NOTE, f"Stripe does not tell of the capability {name}.", _DASHBOARD)
        else:
            yield Finding(Mark.WRONG, f"The capability {name} is {status}.", _DASHBOARD)


def clock_finding(there: datetime, here: datetime) -> Finding:
    """Compare Stripe's clock with ours: the signatures of webhooks are dated."""
    apart = abs(here - there)
    if apart <= _SKEW:
        return Finding(Mark.RIGHT, "This machine's clock agrees with Stripe's.")
    direction = "ahead of" if here > there else "behind"
    return Finding(
        Mark.WRONG,
        f"This machine's clock is {int(apart.total_seconds())} seconds {direction} Stripe's.",
        "Synchronise it (NTP): webhooks that seem too old or too new are refused.",
    )


async def _of_books(client: NoticingClient, *, live: bool, currencies: Collection[str]) -> AsyncIterator[Finding]:
    try:
        answer = await client.ask(client.stripe.v1.balance.retrieve_async)
    except ProviderError as error:
        yield client.refused("Reading the balance", error)
        return
    named = "live" if live else "test"
    if answer.body.get("livemode") is live:
        yield Finding(Mark.RIGHT, f"The key is of {named} mode, as the environment asks.")
    else:
        yield Finding(Mark.WRONG, f"Stripe does not take the key for one of {named} mode.", "Set another key.")
    yield settlement_finding(_currencies(answer.body), currencies)


def settlement_finding(settles: Collection[str], declared: Collection[str]) -> Finding:
    """Compare the currencies the account holds balances in with those of the books."""
    if not declared:
        return Finding(
            Mark.NOTE,
            "The currencies of the books are not known, so they were not compared.",
            "Set DATABASE_URL, if they are to be.",
        )
    foreign = sorted(set(declared) - set(settles))
    if not foreign:
        return Finding(Mark.RIGHT, "The account holds balances in every currency of the books.")
    return Finding(
        Mark.NOTE,
        f"The account holds no balance in {', '.join(foreign)}.",
        "Add a bank account in each currency that is charged: without one Stripe converts what is paid, and what "
        "it converted waits in suspense in the books. docs/stripe.md explains it.",
    )


def _currencies(body: Mapping[str, object]) -> set[str]:
    return {
        currency.upper()
        for part in ("available", "pending")
        for each in _list(body.get(part))
        if isinstance(each, Mapping) and isinstance(currency := each.get("currency"), str)
    }


async def _of_reads(client: NoticingClient) -> AsyncIterator[Finding]:
    """Read one of everything Comptoir reads: a restricted key names what it may not."""
    v1, v2 = client.stripe.v1, client.stripe.v2
    reads = (
        ("payments", v1.payment_intents.list_async),
        ("charges", v1.charges.list_async),
        ("refunds", v1.refunds.list_async),
        ("disputes", v1.disputes.list_async),
        ("customers", v1.customers.list_async),
        ("transfers", v1.transfers.list_async),
        ("payouts", v1.payouts.list_async),
        ("balance transactions", v1.balance_transactions.list_async),
        ("events", v1.events.list_async),
        ("connected accounts (Accounts v2)", v2.core.accounts.list_async),
        ("events of Accounts v2", v2.core.events.list_async),
    )
    refused = False
    for what, call in reads:
        try:
            await client.ask(call, params={"limit": 1})
        except ProviderError as error:
            refused = True
            yield client.refused(f"Reading {what}", error)
    if not refused:
        yield Finding(
            Mark.RIGHT, "The key may read what Comptoir reads; what it may write shows with the first call."
        )


async def _of_endpoints(client: NoticingClient, url: str | None, secrets: int) -> AsyncIterator[Finding]:
    if url is None:
        text = (
            "Stripe cannot reach this server, so it has no endpoints: forward events with Stripe's command line."
        )
        yield Finding(Mark.NOTE, text, "docs/stripe.md says how.")
        if not secrets:
            yield _too_few(0, 1)
        return
    compared: list[Comparison] = []
    found: list[Endpoint] = []
    for roles, read in (((Role.PLATFORM, Role.CONNECTED), endpoints), ((Role.ACCOUNTS,), destinations)):
        try:
            part = await read(client)
        except ProviderError as error:
            yield client.refused(f"Reading the endpoints of {' and '.join(NAMES[role] for role in roles)}", error)
            continue
        found += part
        compared += [compare(role, part, url=url, version=API_VERSION) for role in roles]
    for comparison in compared:
        for finding in endpoint_findings(comparison):
            yield finding
    for stranger in strangers(found, compared, url=url):
        yield Finding(
            Mark.NOTE, f"{stranger.id} sends other events to the same address.", "Delete it if nobody needs it."
        )
    there = sum(1 for comparison in compared if comparison.endpoint is not None)
    if secrets < max(there, 1):
        yield _too_few(secrets, max(there, 1))
    else:
        yield Finding(Mark.RIGHT, f"There are {secrets} signing secrets for {there} endpoints.")


def _too_few(secrets: int, needed: int) -> Finding:
    return Finding(
        Mark.WRONG,
        f"STRIPE_WEBHOOK_SECRET has {secrets} signing secrets, and {needed} are needed.",
        "Each endpoint has its own: put them there, separated by commas.",
    )


def endpoint_findings(compared: Comparison) -> Sequence[Finding]:
    """Say how an endpoint compares with what it should be."""
    name, endpoint = NAMES[compared.role], compared.endpoint
    if endpoint is None:
        return [Finding(Mark.WRONG, f"There is no endpoint for {name}.", _SET_UP)]
    where = f"{endpoint.id}, for {name},"
    if compared.right:
        return [Finding(Mark.RIGHT, f"{where} is as it should be.")]
    findings: list[Finding] = []
    if not endpoint.enabled:
        findings.append(Finding(Mark.WRONG, f"{where} is disabled.", _SET_UP))
    if compared.wrong_version:
        text = (
            f"{where} speaks version {endpoint.version or 'of the account'} of the API instead of {API_VERSION}."
        )
        fix = f"{_SET_UP} It makes a new one; delete this one when the new secret is in force."
        findings.append(Finding(Mark.WRONG, text, fix))
    if compared.lacking:
        findings.append(Finding(Mark.WRONG, f"{where} does not send {', '.join(compared.lacking)}.", _SET_UP))
    if compared.superfluous:
        text = f"{where} sends what nobody reads: {', '.join(compared.superfluous)}."
        findings.append(Finding(Mark.WRONG, text, _SET_UP))
    findings += [
        Finding(Mark.WRONG, f"{other.id} sends {name} once more.", "Delete it: one of the two is enough.")
        for other in compared.others
    ]
    return findings


async def _of_connected(client: NoticingClient) -> AsyncIterator[Finding]:
    """Look whether Stripe pays out of connected accounts by itself: then we would not know what is there."""
    params = {"limit": _ACCOUNTS, "applied_configurations": ["recipient"]}
    try:
        answer = await client.ask(client.stripe.v2.core.accounts.list_async, params=params)
    except ProviderError:
        return  # told above
    ids = [
        str(each["id"]) for each in _list(answer.body.get("data")) if isinstance(each, Mapping) and "id" in each
    ]
    wrong: list[str] = []
    for account in ids:
        try:
            settings = await client.ask(client.stripe.v1.balance_settings.retrieve_async, account=account)
        except ProviderError as error:
            yield client.refused(f"Reading the payout schedule of {account}", error)
            return
        if _interval(settings.body) != "manual":
            wrong.append(account)
    rest = " These are the latest; there are more." if answer.body.get("next_page_url") else ""
    if wrong:
        yield Finding(
            Mark.WRONG,
            f"Stripe pays out by itself from {', '.join(wrong)}.{rest}",
            "Set their payout schedule to manual in Stripe's dashboard: Comptoir pays out what it transferred.",
        )
    elif ids:
        yield Finding(Mark.RIGHT, f"{len(ids)} connected accounts are paid out by Comptoir alone.{rest}")


def _interval(body: Mapping[str, object]) -> object:
    found: object = body
    for name in ("payments", "payouts", "schedule", "interval"):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else []
