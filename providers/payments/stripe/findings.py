"""What a look at an account at Stripe finds, and the client that looks."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import stripe

from providers.payments.base import ProviderError, ProviderErrorCode
from providers.payments.stripe.client import CURED_BY_TIME, Answer, Client

_PERMISSION: Final = re.compile(r"\brak_[a-z0-9_]+\b")


class Mark(StrEnum):
    """How a finding is meant: a NOTE needs a look, and nothing is wrong."""

    RIGHT = "✓"
    WRONG = "✗"
    NOTE = "!"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, in a sentence, and what to do about it."""

    mark: Mark
    text: str
    fix: str = ""


class NoticingClient(Client):
    """A client that notices, too, which permission a restricted key lacked for what was asked last."""

    permission: str | None = None

    async def ask(
        self,
        call: Callable[..., Awaitable[Any]],
        *ids: str,
        params: Mapping[str, Any] | None = None,
        key: str | None = None,
        account: str | None = None,
        cured: frozenset[ProviderErrorCode] = CURED_BY_TIME,
    ) -> Answer:
        """Ask, as ``Client`` does. Of a refusal's sentence only the name of the permission is kept."""
        self.permission = None

        async def noticing(*arguments: Any, **named: Any) -> Any:
            try:
                return await call(*arguments, **named)
            except stripe.PermissionError as error:
                matched = _PERMISSION.search(str(error.user_message or ""))
                self.permission = matched[0] if matched else "that Stripe's log of requests names"
                raise

        return await super().ask(noticing, *ids, params=params, key=key, account=account, cured=cured)

    def refused(self, what: str, error: ProviderError) -> Finding:
        """Say why what was asked last was not done, and what to do."""
        if self.permission is not None:
            return Finding(
                Mark.WRONG,
                f"{what} is not allowed to this key.",
                f"Give it the permission {self.permission} in Stripe's dashboard: Developers, API keys.",
            )
        if error.code in {ProviderErrorCode.UNAVAILABLE, ProviderErrorCode.RATE_LIMITED}:
            return Finding(
                Mark.WRONG,
                f"{what} failed: Stripe does not answer ({error.provider_code or error.code}).",
                "Try again in a minute.",
            )
        return Finding(
            Mark.WRONG,
            f"{what} is refused by Stripe ({error.provider_code or error.code}).",
            "Look whether the key is whole, of the right account, and neither expired nor rolled.",
        )
