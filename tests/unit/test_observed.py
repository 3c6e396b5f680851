"""A provider that is watched does what it did, and every call to it is counted."""

import inspect
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest

from app.observed import Observed, unwrapped
from core.clock import now
from providers.payments.base import (
    Event,
    PaymentProvider,
    ProviderAction,
    ProviderError,
    ProviderErrorCode,
)
from services.measures import REGISTRY

COMMANDS = sorted(
    name
    for name, member in vars(PaymentProvider).items()
    if inspect.iscoroutinefunction(member) and not name.startswith("_")
)


class Fake:
    """Answers everything with what it was asked."""

    name = "fake"
    capabilities = None

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error

    def __getattr__(self, name: str) -> Any:
        async def answer(*arguments: object) -> tuple[object, ...]:
            if self.error is not None:
                raise self.error
            return (name, *arguments)

        return answer

    async def events(self, since: datetime) -> AsyncIterator[Event]:
        for number in range(3):
            yield Event(str(number), "a.type", {})


def count(command: str, outcome: str) -> float:
    labels = {"command": command, "outcome": outcome}
    return REGISTRY.get_sample_value("comptoir_provider_calls_total", labels) or 0.0


def test_every_method_of_the_contract_is_there() -> None:
    missing = [name for name in vars(PaymentProvider) if not name.startswith("_") and name not in vars(Observed)]

    assert missing == []
    assert len(COMMANDS) > 10


@pytest.mark.parametrize("command", COMMANDS)
async def test_call_is_passed_on_and_counted(command: str) -> None:
    method = getattr(Observed(Fake()), command)  # type: ignore[arg-type]
    arguments = [object() for _ in inspect.signature(method).parameters]
    before = count(command, "ok")

    answer = await method(*arguments)

    assert answer in {(command, *arguments), None}
    assert count(command, "ok") == before + 1


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ProviderError(ProviderErrorCode.DECLINED, ProviderAction.OTHER_METHOD), "refused"),
        (ProviderError(ProviderErrorCode.UNAVAILABLE, ProviderAction.SAME_KEY, ambiguous=True), "ambiguous"),
        (TimeoutError(), "ambiguous"),
        (KeyError("a mistake of ours"), "failed"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
async def test_error_is_passed_on_and_counted_for_what_it_is(error: Exception, outcome: str) -> None:
    before = count("balances", outcome), count("balances", "ok")

    with pytest.raises(type(error)) as raised:
        await Observed(Fake(error)).balances()  # type: ignore[arg-type]

    assert raised.value is error
    assert (count("balances", outcome), count("balances", "ok")) == (before[0] + 1, before[1])


async def test_stream_is_passed_on_and_counted_once() -> None:
    before = count("events", "ok")

    read = [event.id async for event in Observed(Fake()).events(now())]  # type: ignore[arg-type]

    assert read == ["0", "1", "2"]
    assert count("events", "ok") == before + 1


def test_provider_itself_is_found_again() -> None:
    fake: Any = Fake()

    assert unwrapped(Observed(fake)) is fake
    assert unwrapped(fake) is fake
