"""The sandbox's pages: 3-D Secure for payers, onboarding for creators.

Whoever has the address may answer, as with a bank's own page.
"""

from html import escape
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from core.errors import Refused
from core.money import money
from providers.payments.base import PaymentFact, ProviderError, ProviderErrorCode, ProviderState
from providers.payments.sandbox.onboarding_page import onboarding_route
from providers.payments.sandbox.page import decision, page, way_back
from providers.payments.sandbox.payments import Authentication
from providers.payments.sandbox.provider import SandboxProvider

_DECISIONS: Final = frozenset({"complete", "refuse"})
_FORM: Final = """<p>Your bank asks you to approve a payment of <strong>{amount}</strong>.</p>
<form method="post">
<button name="decision" value="complete">Complete</button>
<button name="decision" value="refuse">Refuse</button>
</form>"""


def routes(provider: SandboxProvider) -> list[Route]:
    """Return the sandbox's pages: ``/sandbox/3ds/{reference}`` and ``/sandbox/onboarding/{reference}``.

    Each takes GET and POST. They answer 200, 400 (a form that says neither), 404 (no such object), 409 (it no
    longer waits for this answer), 413 (a form that is too long) or 503 (the sandbox's database is away).
    """

    async def three_d_secure(request: Request) -> Response:
        reference = request.path_params["reference"]
        try:
            if request.method == "POST":
                return await _answered(provider, reference, request)
            return _asked(await provider.authentication(reference))
        except ProviderError as error:
            return await _refused(provider, reference, error)

    return [
        Route("/sandbox/3ds/{reference}", three_d_secure, methods=["GET", "POST"], name="sandbox-3ds"),
        onboarding_route(provider),
    ]


def _asked(authentication: Authentication) -> Response:
    if authentication.fact.state is not ProviderState.REQUIRES_ACTION:
        return _no_longer_waiting(authentication)
    return page("Approve this payment", _FORM.format(amount=escape(_amount(authentication.fact))))


async def _answered(provider: SandboxProvider, reference: str, request: Request) -> Response:
    chosen = await decision(request, _DECISIONS)
    if isinstance(chosen, Response):
        return chosen
    accepted = chosen == "complete"
    authentication = await provider.authenticate(reference, accepted=accepted)
    amount, back = escape(_amount(authentication.fact)), way_back(authentication.return_url)
    if not accepted:
        return page("Payment refused", f"<p>You refused to pay {amount}. Nothing was paid.</p>{back}")
    if authentication.fact.state is ProviderState.AUTHORIZED:
        return page("Payment approved", f"<p>{amount} is reserved and not paid yet.</p>{back}")
    return page("Payment approved", f"<p>You paid {amount}.</p>{back}")


async def _refused(provider: SandboxProvider, reference: str, error: ProviderError) -> Response:
    match error.code:
        case ProviderErrorCode.NOT_FOUND:
            return page("No such payment", "<p>Check the address.</p>", HTTPStatus.NOT_FOUND)
        case ProviderErrorCode.STATE_CONFLICT:
            return _no_longer_waiting(await provider.authentication(reference))
        case _:
            return page("Not now", "<p>Try again in a moment.</p>", HTTPStatus.SERVICE_UNAVAILABLE)


def _no_longer_waiting(authentication: Authentication) -> Response:
    content = f"<p>It no longer waits for your answer.</p>{way_back(authentication.return_url)}"
    return page(_OUTCOMES.get(authentication.fact.state, "This payment goes on"), content, HTTPStatus.CONFLICT)


_OUTCOMES: Final = {
    ProviderState.AUTHORIZED: "This payment is approved",
    ProviderState.SUCCEEDED: "This payment is paid",
    ProviderState.CANCELED: "This payment is cancelled",
    ProviderState.REQUIRES_METHOD: "This payment needs another method",
}


def _amount(fact: PaymentFact) -> str:
    try:
        return f"{money(fact.amount, fact.currency).amount} {fact.currency}"
    except Refused:  # a currency that is no longer declared
        return f"{fact.amount} of the smallest unit of {fact.currency}"
