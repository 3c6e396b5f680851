"""The page where a creator gives, or goes without giving, what a connected account asks for."""

from html import escape
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from providers.payments.base import ProviderError, ProviderErrorCode
from providers.payments.sandbox.accounts import Onboarding
from providers.payments.sandbox.page import decision, page, way_back
from providers.payments.sandbox.provider import SandboxProvider

_DECISIONS: Final = frozenset({"complete", "leave"})
_FORM: Final = """<p>To be paid out you have still to give:</p>
<ul>
{missing}
</ul>
<form method="post">
<button name="decision" value="complete">Complete</button>
<button name="decision" value="leave">Leave</button>
</form>"""


def onboarding_route(provider: SandboxProvider) -> Route:
    """Return GET and POST ``/sandbox/onboarding/{reference}``.

    Answers 200, 400 (a form that says neither), 404 (no such account), 413 (a form that is too long) or 503 (the
    sandbox's database is away).
    """

    async def onboarding(request: Request) -> Response:
        reference = request.path_params["reference"]
        try:
            if request.method == "POST":
                return await _answered(provider, reference, request)
            return _asked(await provider.onboarding(reference))
        except ProviderError as error:
            if error.code is ProviderErrorCode.NOT_FOUND:
                return page("No such account", "<p>Check the address.</p>", HTTPStatus.NOT_FOUND)
            return page("Not now", "<p>Try again in a moment.</p>", HTTPStatus.SERVICE_UNAVAILABLE)

    return Route("/sandbox/onboarding/{reference}", onboarding, methods=["GET", "POST"], name="sandbox-onboarding")


def _asked(onboarding: Onboarding) -> Response:
    if onboarding.fact.ready:
        return _done(onboarding)
    missing = "\n".join(f"<li>{escape(name.replace('_', ' '))}</li>" for name in onboarding.fact.missing)
    return page("Set up your payouts", _FORM.format(missing=missing))


async def _answered(provider: SandboxProvider, reference: str, request: Request) -> Response:
    chosen = await decision(request, _DECISIONS)
    if isinstance(chosen, Response):
        return chosen
    if chosen == "complete":
        await provider.complete_onboarding(reference)
        return _done(await provider.onboarding(reference))
    onboarding = await provider.onboarding(reference)
    return page("Nothing was given", f"<p>You can come back later.</p>{way_back(onboarding.return_url)}")


def _done(onboarding: Onboarding) -> Response:
    return page("Your account is ready", f"<p>Nothing more is asked for.</p>{way_back(onboarding.return_url)}")
