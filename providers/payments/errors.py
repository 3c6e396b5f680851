"""What an adapter raises."""

from enum import StrEnum

from providers.payments.facts import Fact


class ProviderErrorCode(StrEnum):
    """Why a provider refused, in words that hold for every provider."""

    INSUFFICIENT_FUNDS = "INSUFFICIENT_FUNDS"
    CARD_EXPIRED = "CARD_EXPIRED"
    AUTHENTICATION_REQUIRED = "AUTHENTICATION_REQUIRED"
    AUTHENTICATION_FAILED = "AUTHENTICATION_FAILED"
    DECLINED = "DECLINED"
    METHOD_INVALID = "METHOD_INVALID"
    AMOUNT_INVALID = "AMOUNT_INVALID"
    EXPIRED = "EXPIRED"
    STATE_CONFLICT = "STATE_CONFLICT"
    ACCOUNT_NOT_READY = "ACCOUNT_NOT_READY"
    BALANCE_INSUFFICIENT = "BALANCE_INSUFFICIENT"
    NOT_FOUND = "NOT_FOUND"
    RATE_LIMITED = "RATE_LIMITED"
    UNAVAILABLE = "UNAVAILABLE"
    MISCONFIGURED = "MISCONFIGURED"
    UNSUPPORTED = "UNSUPPORTED"


class ProviderAction(StrEnum):
    """What may be done after an error."""

    NEVER = "NEVER"
    SAME_KEY = "SAME_KEY"
    LATER = "LATER"
    OTHER_METHOD = "OTHER_METHOD"
    AUTHENTICATE = "AUTHENTICATE"
    FIX_CONFIG = "FIX_CONFIG"


class ProviderError(Exception):
    """The only thing an adapter raises.

    ``ambiguous``: nobody knows whether it took effect (a timeout, a 5xx). Look it up; never compensate it,
    never send it again under another key. ``decline_code`` is one that may be shown to the payer: stolen
    cards and suspected fraud are DECLINED. ``fact`` is the state the refusal left the object in, if told.
    """

    def __init__(
        self,
        code: ProviderErrorCode,
        action: ProviderAction,
        *,
        ambiguous: bool = False,
        provider_code: str | None = None,
        decline_code: str | None = None,
        request_id: str | None = None,
        fact: Fact | None = None,
    ) -> None:
        super().__init__(f"{code.value} ({provider_code or 'no provider code'})")
        self.code = code
        self.action = action
        self.ambiguous = ambiguous
        self.provider_code = provider_code
        self.decline_code = decline_code
        self.request_id = request_id
        self.fact = fact


def unsupported(what: str) -> ProviderError:
    """Return the refusal of a command that the provider's capabilities do not declare."""
    return ProviderError(ProviderErrorCode.UNSUPPORTED, ProviderAction.NEVER, provider_code=what)


class WebhookRejected(Exception):  # ruff: ignore[error-suffix-on-exception-name] - an answer to whoever sent it
    """A webhook that cannot be believed: no or a wrong signature, too old, from the future, not an event."""
