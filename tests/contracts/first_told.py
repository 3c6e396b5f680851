"""A provider whose objects keep no time of their own, looked at as settlement looks at it.

Such a provider dates what it says by when it says it, so the same is told under many times. What settles takes the
first: told of twice, it happened when it was first told to have happened.
"""

import inspect
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from providers.payments.base import (
    AccountFact,
    AccountSnapshot,
    DisputeFact,
    PaymentFact,
    PaymentProvider,
    PayoutFact,
    ProviderError,
    RefundFact,
    TransferFact,
)

_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DATED: Final = (PaymentFact, RefundFact, DisputeFact, AccountFact, TransferFact, PayoutFact)


class FirstTold:
    """The provider ``inner``; of all times under which it tells the same, each fact has the first."""

    def __init__(self, inner: PaymentProvider) -> None:
        self._inner = inner
        self._first: dict[Any, datetime] = {}

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if inspect.iscoroutinefunction(found):
            return self._asked(found)
        if name == "translate":
            return lambda event: self._seen(found(event))
        return found

    def _asked(self, call: Callable[..., Any]) -> Callable[..., Any]:
        async def ask(*arguments: Any) -> Any:
            try:
                return self._seen(await call(*arguments))
            except ProviderError as error:
                error.fact = self._seen(error.fact)
                raise

        return ask

    def _seen(self, told: Any) -> Any:
        if isinstance(told, _DATED):
            return replace(told, at=self._first.setdefault(replace(told, at=_NEVER), told.at))
        if isinstance(told, AccountSnapshot):
            return replace(told, fact=self._seen(told.fact))
        if isinstance(told, (list, tuple)):
            return type(told)(self._seen(each) for each in told)
        return told


def as_first_told(provider: PaymentProvider) -> PaymentProvider:
    """Return a provider that dates what it says by when it first said it."""
    seen: Any = FirstTold(provider)
    return seen  # type: ignore[no-any-return]
