"""A server on Stripe, new for each test; and what must never be told, looked for in all that is."""

import io
import logging
import traceback
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
import structlog

from app.client import Client
from app.logs import configure_logs
from providers.payments.base import ProviderError
from tests.stripe.desk import KEY, SECRETS, Desk, open_desk

# Of a key Stripe itself shows the last characters, and of a payment everything to whom it is told.
_SECRET: Final = (
    KEY,
    *(secret.removeprefix("whsec_") for secret in SECRETS.values()),
    "_secret_",
    "ctoken_1",
    "eyJ",
)


@pytest.fixture
async def desk(dsn: str) -> AsyncIterator[Desk]:
    """A server on what stands in for Stripe, with a creator; the books are proven at the end."""
    async with open_desk(dsn) as opened:
        yield opened


@dataclass
class Told:
    """What was logged, what people were answered, and what our own errors say."""

    logged: io.StringIO = field(default_factory=io.StringIO)
    answers: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def secrets(self) -> list[str]:
        """Return which secrets were told."""
        everything = "".join((self.logged.getvalue(), *self.answers, *self.errors))
        return [secret for secret in _SECRET if secret in everything]


@pytest.fixture
def canary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    """Find no key, secret or token in a log, an answer or the text of an error."""
    told = Told()
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    configure_logs(production=True)
    structlog.configure(cache_logger_on_first_use=False)
    root.handlers[0].setStream(told.logged)  # type: ignore[attr-defined] # it is a StreamHandler
    full, made = Client.full, ProviderError.__init__

    async def remembered(client: Client, query: str, **variables: Any) -> dict[str, Any]:
        answer = await full(client, query, **variables)
        told.answers.append(str(answer))
        return answer

    def noted(error: ProviderError, *given: Any, **named: Any) -> None:
        made(error, *given, **named)
        told.errors.append("".join(traceback.format_exception_only(error)) + repr(error) + str(vars(error)))

    monkeypatch.setattr(Client, "full", remembered)
    monkeypatch.setattr(ProviderError, "__init__", noted)
    yield told
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()
    assert told.secrets() == []
