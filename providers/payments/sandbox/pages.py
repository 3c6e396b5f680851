"""The sandbox's 3-D Secure page, where a payer completes or refuses the step that ``tok_3ds`` asks for.

Plain HTML without scripts or anything fetched from elsewhere, so that the strictest content security policy
holds. Whoever has the address may answer, as with a bank's own page.
"""

from html import escape
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from core.errors import Refused
from core.money import money
from providers.payments.base import PaymentFact, ProviderError, ProviderErrorCode, ProviderState
from providers.payments.sandbox.payments import Authentication
from providers.payments.sandbox.provider import SandboxProvider

_LONGEST_FORM: Final = 1024
_DECISIONS: Final = {"complete": True, "refuse": False}
_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{title} · Sandbox</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1rem/1.5 system-ui, sans-serif; margin: 0; }}
main {{ max-width: 28rem; margin: 10vh auto; padding: 0 1.25rem; }}
h1 {{ font-size: 1.5rem; line-height: 1.25; }}
form {{ display: flex; flex-wrap: wrap; gap: .75rem; margin: 2rem 0; }}
button {{ font: inherit; font-weight: 600; min-height: 2.75rem; padding: 0 1.25rem; border-radius: .5rem;
  border: 2px solid #1d4ed8; background: Canvas; color: CanvasText; cursor: pointer; }}
button[value=complete] {{ background: #1d4ed8; color: #fff; }}
:focus-visible {{ outline: 3px solid #f59e0b; outline-offset: 2px; }}
small {{ display: block; opacity: .75; }}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
{content}
<small>Sandbox: no bank was asked and no money moves.</small>
</main>
</body>
</html>
"""
_FORM: Final = """<p>Your bank asks you to approve a payment of <strong>{amount}</strong>.</p>
<form method="post">
<button name="decision" value="complete">Complete</button>
<button name="decision" value="refuse">Refuse</button>
</form>"""


def routes(provider: SandboxProvider) -> list[Route]:
    """Return the sandbox's pages: GET and POST ``/sandbox/3ds/{reference}``.

    They answer 200, 400 (a form that says neither), 404 (no such payment), 409 (it no longer waits for this
    answer), 413 (a form that is too long) or 503 (the sandbox's database is away).
    """

    async def three_d_secure(request: Request) -> Response:
        reference = request.path_params["reference"]
        try:
            if request.method == "POST":
                return await _answered(provider, reference, request)
            return _asked(await provider.authentication(reference))
        except ProviderError as error:
            return await _refused(provider, reference, error)

    return [Route("/sandbox/3ds/{reference}", three_d_secure, methods=["GET", "POST"], name="sandbox-3ds")]


def _asked(authentication: Authentication) -> Response:
    if authentication.fact.state is not ProviderState.REQUIRES_ACTION:
        return _no_longer_waiting(authentication)
    return _page("Approve this payment", _FORM.format(amount=escape(_amount(authentication.fact))))


async def _answered(provider: SandboxProvider, reference: str, request: Request) -> Response:
    form = bytearray()
    async for chunk in request.stream():
        form += chunk
        if len(form) > _LONGEST_FORM:
            return _page(
                "That form is too long",
                "<p>Go back and choose again.</p>",
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            )
    decisions = parse_qs(form.decode("ascii", errors="replace")).get("decision", [])
    accepted = _DECISIONS.get(decisions[0]) if len(decisions) == 1 else None
    if accepted is None:
        return _page("Nothing was chosen", "<p>Go back and choose again.</p>", HTTPStatus.BAD_REQUEST)
    authentication = await provider.authenticate(reference, accepted=accepted)
    amount = escape(_amount(authentication.fact))
    if accepted:
        return _page("Payment approved", f"<p>You paid {amount}.</p>{_way_back(authentication)}")
    return _page(
        "Payment refused", f"<p>You refused to pay {amount}. Nothing was paid.</p>{_way_back(authentication)}"
    )


async def _refused(provider: SandboxProvider, reference: str, error: ProviderError) -> Response:
    match error.code:
        case ProviderErrorCode.NOT_FOUND:
            return _page("No such payment", "<p>Check the address.</p>", HTTPStatus.NOT_FOUND)
        case ProviderErrorCode.STATE_CONFLICT:
            return _no_longer_waiting(await provider.authentication(reference))
        case _:
            return _page("Not now", "<p>Try again in a moment.</p>", HTTPStatus.SERVICE_UNAVAILABLE)


def _no_longer_waiting(authentication: Authentication) -> Response:
    content = f"<p>It no longer waits for your answer.</p>{_way_back(authentication)}"
    return _page(_OUTCOMES.get(authentication.fact.state, "This payment goes on"), content, HTTPStatus.CONFLICT)


_OUTCOMES: Final = {
    ProviderState.SUCCEEDED: "This payment is paid",
    ProviderState.CANCELED: "This payment is cancelled",
    ProviderState.REQUIRES_METHOD: "This payment needs another method",
}


def _way_back(authentication: Authentication) -> str:
    """Return a link to where the payer came from: web addresses only, or ``javascript:`` would be one."""
    url = authentication.return_url
    if url is None or not _is_web_address(url):
        return ""
    return f'<p><a href="{escape(url)}" rel="noreferrer">Go back</a></p>'


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.netloc)


def _amount(fact: PaymentFact) -> str:
    try:
        return f"{money(fact.amount, fact.currency).amount} {fact.currency}"
    except Refused:  # a currency that is no longer declared
        return f"{fact.amount} of the smallest unit of {fact.currency}"


def _page(title: str, content: str, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return HTMLResponse(_PAGE.format(title=escape(title), content=content), status, _HEADERS)
