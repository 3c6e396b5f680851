"""What checks are made of."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, TypeVar
from uuid import UUID

import pytest

from core.ids import uuid7
from providers.payments.base import (
    BalanceEntry,
    CancelPayment,
    Capability,
    ConfirmPayment,
    CreatePayment,
    Event,
    Fact,
    PaymentFact,
    PaymentProvider,
    ProviderError,
    ProviderErrorCode,
    Subject,
)


class Levers(Protocol):
    """What happens at a provider that nobody asks it for through the contract."""

    async def pass_time(self, by: timedelta) -> None: ...
    async def open_dispute(self, payment: PaymentFact) -> str:
        """Let a captured payment be disputed in full; return the dispute's provider reference."""
        ...

    async def make_ready(self, account: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Methods:
    """A provider's test methods: the decline codes are what the payer is to be shown for each.

    ``unknown_objects`` are references of the right form that nothing has.
    """

    succeeds: str
    authenticates: str
    unknown: str
    declines: dict[str, ProviderErrorCode]
    unknown_objects: dict[Subject, str]
    unknown_method: str
    levers: Levers


@dataclass(frozen=True, slots=True)
class Check:
    """A check, and which capabilities a provider declares that it is for."""

    run: Callable[[PaymentProvider, Methods], Awaitable[None]]
    needs: frozenset[Capability]
    lacks: frozenset[Capability]


CHECKS: list[Check] = []

Answer = TypeVar("Answer")
_Run = Callable[[PaymentProvider, Methods], Awaitable[None]]


def check(*needs: Capability, lacks: Sequence[Capability] = ()) -> Callable[[_Run], _Run]:
    """Make a check of a function, for providers that declare all of ``needs`` and none of ``lacks``."""

    def add(run: _Run) -> _Run:
        CHECKS.append(Check(run, frozenset(needs), frozenset(lacks)))
        return run

    return add


def creation(amount: int = 1250, *, reference: UUID | None = None, manual: bool = False) -> CreatePayment:
    reference = reference or uuid7()
    return CreatePayment(f"create:{reference}", reference, amount, "USD", "A tip", manual_capture=manual)


def confirmation(payment: PaymentFact, method: str, *, attempt: int = 1, saved: bool = False) -> ConfirmPayment:
    return ConfirmPayment(
        f"confirm:{payment.reference}:{attempt}",
        payment.provider_reference,
        method,
        return_url="https://shop.example/thanks",
        saved=saved,
    )


def cancellation(payment: PaymentFact, *, attempt: int = 1) -> CancelPayment:
    return CancelPayment(f"cancel:{payment.reference}:{attempt}", payment.provider_reference)


async def charged(provider: PaymentProvider, methods: Methods, amount: int = 1250) -> PaymentFact:
    """Return a payment that succeeded."""
    payment = await provider.create_payment(creation(amount))
    return await provider.confirm_payment(confirmation(payment, methods.succeeds))


async def refusal(call: Awaitable[object]) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await call
    return caught.value


async def at_once(calls: Sequence[Awaitable[Answer]]) -> tuple[list[Answer], list[ProviderError]]:
    """Make calls at the same time; return the answers and the refusals. Anything else is raised."""
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    errors = [outcome for outcome in outcomes if isinstance(outcome, ProviderError)]
    answers = [outcome for outcome in outcomes if not isinstance(outcome, ProviderError)]
    for outcome in answers:
        if isinstance(outcome, BaseException):
            raise outcome
    return answers, errors  # type: ignore[return-value]


def first(facts: Sequence[Fact]) -> PaymentFact:
    """Return the payment that a look-up of it tells of before all else."""
    assert isinstance(facts[0], PaymentFact)
    return facts[0]


async def fetched(provider: PaymentProvider, payment: PaymentFact) -> PaymentFact:
    return first(await provider.fetch(Subject.PAYMENT, payment.provider_reference))


async def only(provider: PaymentProvider, subject: Subject, provider_reference: str) -> Fact:
    """Return the one fact that a look-up tells."""
    (fact,) = await provider.fetch(subject, provider_reference)
    return fact


async def books(provider: PaymentProvider, start: PaymentFact) -> list[BalanceEntry]:
    """Return the provider's books since a payment was made."""
    return [entry async for entry in provider.balance_entries(start.at)]


async def told(provider: PaymentProvider, start: PaymentFact) -> list[Event]:
    """Return what the provider told since a payment was made."""
    return [event async for event in provider.events(start.at)]
