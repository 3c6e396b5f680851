"""The sandbox's control over HTTP, for tests in other languages and for trying things out. Development only."""

from http import HTTPStatus
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from providers.payments.base import ProviderError, ProviderErrorCode
from providers.payments.sandbox.actions import ACTIONS, checked, told
from providers.payments.sandbox.control import SandboxControl
from providers.payments.sandbox.provider import SandboxProvider

_MOST_BYTES: Final = 16 * 1024
_STATUS: Final = {
    ProviderErrorCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
    ProviderErrorCode.STATE_CONFLICT: HTTPStatus.CONFLICT,
    ProviderErrorCode.AMOUNT_INVALID: HTTPStatus.BAD_REQUEST,
    ProviderErrorCode.MISCONFIGURED: HTTPStatus.BAD_REQUEST,
    ProviderErrorCode.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
}


class _Unfit(Exception):  # ruff: ignore[error-suffix-on-exception-name] - an answer
    """A request that asks for nothing that can be done."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


def control_routes(provider: SandboxProvider) -> list[Route]:
    """Return GET ``/sandbox/control`` (status, and what can be asked) and POST ``/sandbox/control/{action}``.

    The body is a JSON object with the action's fields. Answers 200 with ``{"result": …}``, or with ``code`` and
    ``message``: 400 (it makes no sense), 404 (no such action or object), 409 (the object is past that), 413, 415
    (not ``application/json``) or 503. Whoever reaches it can do all of it: mount it in development only.
    """
    control = provider.control()

    async def overview(_: Request) -> Response:
        try:
            return _json({"status": (await control.status()).as_json(), "actions": _ACTIONS})
        except ProviderError as error:
            return _problem(error)

    async def act(request: Request) -> Response:
        try:
            return _json({"result": await _acted(control, request)})
        except _Unfit as unfit:
            return _refused(unfit.status, unfit.status.name, str(unfit))
        except ValueError as error:
            return _refused(HTTPStatus.BAD_REQUEST, HTTPStatus.BAD_REQUEST.name, str(error))
        except ProviderError as error:
            return _problem(error)

    return [
        Route("/sandbox/control", overview, methods=["GET"], name="sandbox-control"),
        Route("/sandbox/control/{action}", act, methods=["POST"], name="sandbox-control-action"),
    ]


async def _acted(control: SandboxControl, request: Request) -> object:
    action = ACTIONS.get(request.path_params["action"])
    if action is None:
        raise _Unfit(HTTPStatus.NOT_FOUND, f"There is no such action; there is: {', '.join(ACTIONS)}.")
    # A page of another site can send a form here, but not this without asking.
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise _Unfit(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send application/json.")
    return told(await action.run(control, checked(action, await _body(request))))


async def _body(request: Request) -> dict[str, object]:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise _Unfit(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A body has at most {_MOST_BYTES} bytes.")
    try:
        fields = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError:
        raise _Unfit(HTTPStatus.BAD_REQUEST, "The body is not JSON.") from None
    if not isinstance(fields, dict):
        raise _Unfit(HTTPStatus.BAD_REQUEST, "The body is not a JSON object.")
    return fields


def _problem(error: ProviderError) -> Response:
    status = _STATUS.get(error.code, HTTPStatus.CONFLICT)
    return _refused(status, error.code.value, f"The sandbox refuses: {error.provider_code}.")


def _refused(status: HTTPStatus, code: str, message: str) -> Response:
    return _json({"code": code, "message": message}, status)


def _json(content: Any, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(orjson.dumps(content), status, {"cache-control": "no-store"}, media_type="application/json")


_ACTIONS: Final = {
    name: {
        "summary": action.summary,
        "fields": {
            field_name: {
                "summary": field.summary,
                "kind": field.kind,
                "required": field.required,
                **({"choices": field.choices} if field.choices else {}),
            }
            for field_name, field in action.fields.items()
        },
    }
    for name, action in ACTIONS.items()
}
