"""A provider whose feeds and answers can be edited, to plant what a real one would get wrong."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from providers.payments.base import (
    BalanceEntry,
    Capability,
    Event,
    Fact,
    PaymentProvider,
    ProviderAction,
    ProviderError,
    ProviderErrorCode,
    Subject,
)

Lines = Callable[[list[BalanceEntry]], Iterable[BalanceEntry]]
Events = Callable[[list[Event]], Iterable[Event]]
Balances = Callable[[dict[str, int]], Mapping[str, int]]


def silence() -> ProviderError:
    """What a provider raises that is away."""
    return ProviderError(ProviderErrorCode.UNAVAILABLE, ProviderAction.LATER, ambiguous=True)


@dataclass
class EditedProvider:
    """The sandbox, but for what was edited. ``silent`` names the methods that do not answer.

    ``answers`` are facts given instead of the sandbox's, by subject and the id asked for; None is NOT_FOUND, and
    to a search by our id no facts. ``asked`` are the look-ups there were.
    """

    inner: Any
    lines: Lines = list
    told: Events = list
    holds: Balances = dict
    silent: set[str] = field(default_factory=set)
    answers: dict[tuple[Subject, str | UUID], Sequence[Fact] | None] = field(default_factory=dict)
    asked: list[tuple[Subject, str | UUID]] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def without(self, *capabilities: Capability) -> None:
        """Take capabilities away."""
        known = self.inner.capabilities
        self.inner.capabilities = replace(known, features=known.features - set(capabilities))

    async def fetch(self, subject: Subject, provider_reference: str) -> Sequence[Fact]:
        facts = await self._answer("fetch", subject, provider_reference)
        if facts is None:
            raise ProviderError(ProviderErrorCode.NOT_FOUND, ProviderAction.NEVER)
        return facts

    async def find(self, subject: Subject, reference: UUID) -> Sequence[Fact]:
        return await self._answer("find", subject, reference) or ()

    async def _answer(self, method: str, subject: Subject, key: str | UUID) -> Sequence[Fact] | None:
        self.asked.append((subject, key))
        if method in self.silent:
            raise silence()
        if (subject, key) in self.answers:
            return self.answers[subject, key]
        facts: Sequence[Fact] = await getattr(self.inner, method)(subject, key)
        return facts

    async def balance_entries(self, since: datetime) -> AsyncIterator[BalanceEntry]:
        if "balance_entries" in self.silent:
            raise silence()
        for entry in self.lines([entry async for entry in self.inner.balance_entries(since)]):
            yield entry

    async def events(self, since: datetime) -> AsyncIterator[Event]:
        if "events" in self.silent:
            raise silence()
        for event in self.told([event async for event in self.inner.events(since)]):
            yield event

    async def balances(self) -> Mapping[str, int]:
        if "balances" in self.silent:
            raise silence()
        return self.holds(dict(await self.inner.balances()))


def edited(provider: PaymentProvider) -> EditedProvider:
    """Return a provider that can be edited."""
    return EditedProvider(provider)
