"""The 3-D Secure page: what a payer sees, and what answering does."""

from collections.abc import AsyncIterator

import asyncpg
import httpx
import pytest
from starlette.applications import Starlette

from core.ids import uuid7
from providers.payments.base import (
    AccountFact,
    AccountSnapshot,
    CancelPayment,
    CreatePayment,
    Onboard,
    PaymentFact,
    ProviderErrorCode,
    ProviderState,
    Subject,
)
from providers.payments.sandbox import SandboxProvider, routes

from .conformance import fetched
from .sandboxes import RETURN_URL, confirmed, created, sandbox


@pytest.fixture
async def browser(provider: SandboxProvider) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(Starlette(routes=routes(provider)))
    async with httpx.AsyncClient(transport=transport, base_url="https://pay.example") as browser:
        yield browser


@pytest.fixture
async def waiting(provider: SandboxProvider) -> PaymentFact:
    return await confirmed(provider, await created(provider), "tok_3ds")


def _url(payment: PaymentFact) -> str:
    return f"/sandbox/3ds/{payment.provider_reference}"


async def test_page_asks_for_the_amount_and_offers_both_answers(
    browser: httpx.AsyncClient, waiting: PaymentFact
) -> None:
    assert waiting.action_url is not None
    page = await browser.get(waiting.action_url)
    assert page.status_code == 200
    assert "<strong>12.50 USD</strong>" in page.text
    assert '<html lang="en">' in page.text
    assert page.text.count('name="decision"') == 2
    assert page.headers["cache-control"] == "no-store"


async def test_page_holds_under_the_strictest_policy(browser: httpx.AsyncClient, waiting: PaymentFact) -> None:
    page = await browser.get(_url(waiting))
    assert page.headers["content-security-policy"].startswith(
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"
    )
    for refused in ("<script", "src=", "<link", "url(", "@import", "onclick", " style=", "action="):
        assert refused not in page.text


async def test_completing_charges_once_however_often(
    browser: httpx.AsyncClient, provider: SandboxProvider, waiting: PaymentFact, pool: asyncpg.Pool
) -> None:
    for _ in range(3):
        page = await browser.post(_url(waiting), data={"decision": "complete"})
        assert (page.status_code, "Payment approved" in page.text) == (200, True)
        assert 'href="https://shop.example/thanks?order=1&amp;paid=yes"' in page.text
    fact = await fetched(provider, waiting)
    assert (fact.state, fact.captured, fact.action_url) == (ProviderState.SUCCEEDED, 1250, None)
    types = await pool.fetch("select type from sandbox.event order by created_at")
    assert [row["type"] for row in types] == ["payment.requires_action", "payment.succeeded", "charge.updated"]
    late = await browser.post(_url(waiting), data={"decision": "refuse"})
    assert late.status_code == 409
    assert await fetched(provider, waiting) == fact


async def test_refusing_charges_nothing_and_leaves_the_payment_open(
    browser: httpx.AsyncClient, provider: SandboxProvider, waiting: PaymentFact, pool: asyncpg.Pool
) -> None:
    for _ in range(2):
        page = await browser.post(_url(waiting), data={"decision": "refuse"})
        assert (page.status_code, "Payment refused" in page.text) == (200, True)
    fact = await fetched(provider, waiting)
    assert (fact.state, fact.captured) == (ProviderState.REQUIRES_METHOD, 0)
    assert fact.decline_code == ProviderErrorCode.AUTHENTICATION_FAILED
    assert await pool.fetchval("select count(*) from sandbox.event") == 2
    late = await browser.post(_url(waiting), data={"decision": "complete"})
    assert late.status_code == 409
    assert await fetched(provider, waiting) == fact
    charged = await confirmed(provider, waiting, "tok_success", key="2")
    assert charged.state is ProviderState.SUCCEEDED


async def test_page_of_a_payment_that_does_not_wait_says_so(
    browser: httpx.AsyncClient, provider: SandboxProvider, waiting: PaymentFact
) -> None:
    await provider.cancel(CancelPayment("cancel", waiting.provider_reference))
    for answer in (
        await browser.get(_url(waiting)),
        await browser.post(_url(waiting), data={"decision": "complete"}),
    ):
        assert (answer.status_code, "This payment is cancelled" in answer.text) == (409, True)
    assert (await fetched(provider, waiting)).state is ProviderState.CANCELED


@pytest.mark.parametrize("reference", ["sbx_" + "0" * 32, "nonsense", "%00", "%3Cscript%3E", "sbx_" + "f" * 9999])
async def test_unknown_payment_is_a_clear_404(reference: str, browser: httpx.AsyncClient) -> None:
    for answer in (
        await browser.get(f"/sandbox/3ds/{reference}"),
        await browser.post(f"/sandbox/3ds/{reference}", data={"decision": "complete"}),
    ):
        assert (answer.status_code, "No such payment" in answer.text) == (404, True)
        assert "<script" not in answer.text


@pytest.mark.parametrize(
    "form", [b"", b"decision=", b"decision=both", b"decision=refuse&decision=complete", b"\xff\x00"]
)
async def test_form_that_says_neither_changes_nothing(
    form: bytes, browser: httpx.AsyncClient, provider: SandboxProvider, waiting: PaymentFact
) -> None:
    assert (await browser.post(_url(waiting), content=form)).status_code == 400
    assert await fetched(provider, waiting) == waiting


async def test_form_that_is_too_long_is_not_read_to_its_end(
    browser: httpx.AsyncClient, provider: SandboxProvider, waiting: PaymentFact
) -> None:
    answer = await browser.post(_url(waiting), content=b"decision=complete&" + b"x" * 2000)
    assert answer.status_code == 413
    assert await fetched(provider, waiting) == waiting


@pytest.mark.parametrize(
    "hostile",
    ["javascript:alert(1)", "data:text/html,x", "//evil.example", "/local", "http://", "http://[", "shop:back"],
)
async def test_way_back_leads_to_web_addresses_only(
    hostile: str, browser: httpx.AsyncClient, provider: SandboxProvider
) -> None:
    payment = await confirmed(provider, await created(provider), "tok_3ds", back=hostile)
    page = await browser.post(_url(payment), data={"decision": "complete"})
    assert (page.status_code, "href" in page.text) == (200, False)


async def test_way_back_is_escaped(browser: httpx.AsyncClient, provider: SandboxProvider) -> None:
    hostile = RETURN_URL + '"><script>alert(1)</script>'
    payment = await confirmed(provider, await created(provider), "tok_3ds", back=hostile)
    page = await browser.post(_url(payment), data={"decision": "complete"})
    assert "<script" not in page.text
    assert "&quot;&gt;&lt;script&gt;" in page.text


async def test_page_asks_for_patience_while_the_database_is_away(dsn: str) -> None:
    async with asyncpg.create_pool(dsn.replace("host=", "host=/nowhere"), min_size=0, max_size=1) as pool:
        transport = httpx.ASGITransport(Starlette(routes=routes(sandbox(pool))))
        async with httpx.AsyncClient(transport=transport, base_url="https://pay.example") as browser:
            assert (await browser.get("/sandbox/3ds/sbx_" + "0" * 32)).status_code == 503
            assert (await browser.get("/sandbox/onboarding/sba_" + "0" * 32)).status_code == 503


# 3-D Secure of what is only reserved ------------------------------------------------------------------------


async def test_approving_a_reservation_pays_nothing_yet(
    browser: httpx.AsyncClient, provider: SandboxProvider
) -> None:
    reserved = await provider.create_payment(
        CreatePayment("create", uuid7(), 1250, "USD", "A reservation", manual_capture=True)
    )
    await confirmed(provider, reserved, "tok_3ds")
    page = await browser.post(_url(reserved), data={"decision": "complete"})
    assert (page.status_code, "12.50 USD is reserved" in page.text) == (200, True)
    fact = await fetched(provider, reserved)
    assert (fact.state, fact.captured) == (ProviderState.AUTHORIZED, 0)
    late = await browser.post(_url(reserved), data={"decision": "refuse"})
    assert (late.status_code, "This payment is approved" in late.text) == (409, True)


# Onboarding -----------------------------------------------------------------------------------------------


async def opened(provider: SandboxProvider, back: str = RETURN_URL) -> AccountSnapshot:
    return await provider.onboard(Onboard(f"onboard:{uuid7()}", uuid7(), "DE", back))


async def account_now(provider: SandboxProvider, account: AccountSnapshot) -> AccountFact:
    (fact,) = await provider.fetch(Subject.ACCOUNT, account.fact.provider_reference)
    assert isinstance(fact, AccountFact)
    return fact


async def test_onboarding_page_says_what_is_missing_and_offers_to_give_it(
    browser: httpx.AsyncClient, provider: SandboxProvider
) -> None:
    account = await opened(provider)
    assert account.onboarding_url is not None
    page = await browser.get(account.onboarding_url)
    assert page.status_code == 200
    assert "<li>identity document</li>" in page.text
    assert page.text.count('name="decision"') == 2
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    for refused in ("<script", "src=", "<link", "url(", "onclick", " style=", "action="):
        assert refused not in page.text


async def test_completing_onboarding_makes_the_account_ready_however_often(
    browser: httpx.AsyncClient, provider: SandboxProvider, pool: asyncpg.Pool
) -> None:
    account = await opened(provider)
    assert account.onboarding_url is not None
    for _ in range(2):
        page = await browser.post(account.onboarding_url, data={"decision": "complete"})
        assert (page.status_code, "Your account is ready" in page.text) == (200, True)
        assert 'href="https://shop.example/thanks?order=1&amp;paid=yes"' in page.text
    fact = await account_now(provider, account)
    assert (fact.ready, fact.missing) == (True, ())
    assert "Your account is ready" in (await browser.get(account.onboarding_url)).text
    types = [row["type"] for row in await pool.fetch("select type from sandbox.event")]
    assert types == ["account.updated", "account.updated"]


async def test_leaving_onboarding_changes_nothing(browser: httpx.AsyncClient, provider: SandboxProvider) -> None:
    account = await opened(provider, "javascript:alert(1)")
    assert account.onboarding_url is not None
    page = await browser.post(account.onboarding_url, data={"decision": "leave"})
    assert (page.status_code, "Nothing was given" in page.text, "href" in page.text) == (200, True, False)
    assert await account_now(provider, account) == account.fact


@pytest.mark.parametrize(
    "form", [{}, {"decision": "refuse"}, {"decision": ["complete", "leave"]}, {"decision": "x" * 2000}]
)
async def test_onboarding_form_that_says_neither_changes_nothing(
    form: dict[str, str], browser: httpx.AsyncClient, provider: SandboxProvider
) -> None:
    account = await opened(provider)
    assert account.onboarding_url is not None
    page = await browser.post(account.onboarding_url, data=form)
    assert page.status_code == (413 if len(str(form)) > 1024 else 400)
    assert await account_now(provider, account) == account.fact


@pytest.mark.parametrize("reference", ["sba_" + "0" * 32, "sbx_" + "0" * 32, "nobody"])
async def test_account_that_does_not_exist_has_no_page(reference: str, browser: httpx.AsyncClient) -> None:
    for answer in (
        await browser.get(f"/sandbox/onboarding/{reference}"),
        await browser.post(f"/sandbox/onboarding/{reference}", data={"decision": "complete"}),
    ):
        assert (answer.status_code, "No such account" in answer.text) == (404, True)
