"""A payment provider that is watched: every call to it is counted and timed, and is otherwise what it was."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from providers.payments.base import (
    AccountSnapshot,
    AnswerDispute,
    BalanceEntry,
    CancelPayment,
    CapturePayment,
    ConfirmPayment,
    CreatePayment,
    DetachMethod,
    DisputeFact,
    Event,
    Fact,
    LookUp,
    MethodSnapshot,
    Onboard,
    PaymentFact,
    PaymentProvider,
    Payout,
    PayoutFact,
    ProviderError,
    Refund,
    RefundFact,
    ReverseTransfer,
    SaveMethod,
    Subject,
    Transfer,
    TransferFact,
)
from services import measures

AnswerT = TypeVar("AnswerT")


@contextmanager
def _measured(command: str) -> Iterator[None]:
    began = time.perf_counter()
    outcome = "failed"
    try:
        yield
        outcome = "ok"
    except GeneratorExit:
        outcome = "ok"  # whoever read has enough
        raise
    except ProviderError as error:
        outcome = "ambiguous" if error.ambiguous else "refused"
        raise
    except (TimeoutError, asyncio.CancelledError):
        # Whoever asked waits no longer: how it ended is not known.
        outcome = "ambiguous"
        raise
    finally:
        measures.PROVIDER_CALLS.labels(command, outcome).inc()
        measures.PROVIDER_CALL_SECONDS.labels(command).observe(time.perf_counter() - began)


async def _answer(command: str, call: Awaitable[AnswerT]) -> AnswerT:
    with _measured(command):
        return await call


class Observed:
    """The provider ``inner``, watched. See ``PaymentProvider`` for what each method does."""

    def __init__(self, inner: PaymentProvider) -> None:
        self.inner = inner
        self.name = inner.name
        self.capabilities = inner.capabilities

    async def create_payment(self, command: CreatePayment) -> PaymentFact:
        return await _answer("create_payment", self.inner.create_payment(command))

    async def confirm_payment(self, command: ConfirmPayment) -> PaymentFact:
        return await _answer("confirm_payment", self.inner.confirm_payment(command))

    async def capture(self, command: CapturePayment) -> PaymentFact:
        return await _answer("capture", self.inner.capture(command))

    async def cancel(self, command: CancelPayment) -> PaymentFact:
        return await _answer("cancel", self.inner.cancel(command))

    async def refund(self, command: Refund) -> RefundFact:
        return await _answer("refund", self.inner.refund(command))

    async def save_method(self, command: SaveMethod) -> MethodSnapshot:
        return await _answer("save_method", self.inner.save_method(command))

    async def detach_method(self, command: DetachMethod) -> None:
        await _answer("detach_method", self.inner.detach_method(command))

    async def onboard(self, command: Onboard) -> AccountSnapshot:
        return await _answer("onboard", self.inner.onboard(command))

    async def transfer(self, command: Transfer) -> TransferFact:
        return await _answer("transfer", self.inner.transfer(command))

    async def reverse_transfer(self, command: ReverseTransfer) -> TransferFact:
        return await _answer("reverse_transfer", self.inner.reverse_transfer(command))

    async def payout(self, command: Payout) -> PayoutFact:
        return await _answer("payout", self.inner.payout(command))

    async def answer_dispute(self, command: AnswerDispute) -> DisputeFact:
        return await _answer("answer_dispute", self.inner.answer_dispute(command))

    async def fetch(self, subject: Subject, provider_reference: str) -> Sequence[Fact]:
        return await _answer("fetch", self.inner.fetch(subject, provider_reference))

    async def find(self, subject: Subject, reference: UUID) -> Sequence[Fact]:
        return await _answer("find", self.inner.find(subject, reference))

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Event:
        return self.inner.verify(headers, body, now)

    def decode(self, raw: bytes) -> Event:
        return self.inner.decode(raw)

    def translate(self, event: Event) -> Sequence[Fact | LookUp]:
        return self.inner.translate(event)

    async def events(self, since: datetime) -> AsyncIterator[Event]:
        with _measured("events"):
            async for event in self.inner.events(since):
                yield event  # ruff: ignore[yield-in-context-manager-in-async-generator] - it holds nothing open

    async def balance_entries(self, since: datetime) -> AsyncIterator[BalanceEntry]:
        with _measured("balance_entries"):
            async for entry in self.inner.balance_entries(since):
                yield entry  # ruff: ignore[yield-in-context-manager-in-async-generator] - as above

    async def balances(self) -> Mapping[str, int]:
        return await _answer("balances", self.inner.balances())


def unwrapped(provider: PaymentProvider) -> PaymentProvider:
    """Return the provider itself, for what only its own kind can do."""
    return provider.inner if isinstance(provider, Observed) else provider
