"""How Stripe says no."""

from typing import Any

Body = dict[str, Any]


class Refused(Exception):  # ruff: ignore[error-suffix-on-exception-name] - an answer to whoever asked
    """A refusal in Stripe's shape. ``stored``: answered again to the same key, as what began to be carried out is."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        code: str | None = None,
        stored: bool = True,
        effect: bool = False,
        **more: object,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.stored = stored
        self.effect = effect
        told = {"type": kind, "message": message, "code": code, **more}
        self.body: Body = {"error": {name: value for name, value in told.items() if value is not None}}


# What Stripe calls the object that a path names, where that is not "id".
_PATHS = {"payment_intent": "intent", "PaymentMethod": "payment_method", "payment_method": "payment_method"}


def missing(kind: str, reference: str, param: str | None) -> Refused:
    """Return that there is no such object: of one that the path names, with status 404."""
    status = 400 if param else 404
    param = param or _PATHS.get(kind, "id")
    return Refused(f"No such {kind}: '{reference}'", status=status, code="resource_missing", param=param)


def invalid(message: str, param: str | None = None, code: str | None = None, **more: object) -> Refused:
    return Refused(message, code=code, param=param, **more)  # type: ignore[arg-type]


def malformed(message: str, param: str | None, code: str | None) -> Refused:
    """Return that a request is not one: nothing was begun, and nothing is kept for its key."""
    return Refused(message, code=code, param=param, stored=False)
