"""A month in the life of a small platform, in a minute: whatever happens in it, the books and the provider agree.

Twenty creators and five hundred payers on the sandbox, whose clock is moved on day by day: tips and purchases with
every kind of card, webhooks that are duplicated, reordered, late or lost, refunds that fail later, disputes of
every end, payouts by schedule and on request of which some fail. The seed is printed: the same one plays the same
month, but for the order in which concurrent requests arrive.
"""

import asyncio
import random
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.client import Client
from core import clock
from core.clock import now
from core.ids import Noun, uuid7
from ledger import AccountKind, chart
from providers.payments.base import ProviderError
from providers.payments.sandbox.control import SandboxControl
from services import payout_schedules, reconciliation
from tests.support.world import World, eventually, running_world

DAYS = 31
CREATORS = 20
PAYERS = 500

ONBOARD = """
mutation ($creator: ID!, $key: String!) {
  creatorOnboard(input: {
    idempotencyKey: $key, creatorId: $creator, country: "DE", returnUrl: "https://studio.test/back"
  }) { errors { code message } }
}
"""
SCHEDULE = """
mutation ($creator: ID!, $key: String!, $interval: PayoutInterval!, $day: Int) {
  payoutScheduleSet(input: {
    idempotencyKey: $key, creatorId: $creator, currency: "USD", interval: $interval, day: $day
  }) { errors { code message } }
}
"""
PAY_OUT = """
mutation ($creator: ID!, $key: String!, $amount: Decimal!) {
  payoutRequest(input: {idempotencyKey: $key, creatorId: $creator, amount: {amount: $amount, currency: "USD"}}) {
    payout { id status } errors { code message }
  }
}
"""
REFUND = """
mutation ($payment: ID!, $key: String!, $amount: MoneyInput) {
  refundCreate(input: {idempotencyKey: $key, paymentId: $payment, amount: $amount, reason: OTHER}) {
    refund { id status } errors { code message }
  }
}
"""
DISPUTES = """
query ($handle: String!) {
  creator(handle: $handle) { disputes(first: 50) { edges { node { id status } } } }
}
"""
ANSWER = """
mutation ($dispute: ID!, $key: String!, $text: String!) {
  disputeAnswer(input: {idempotencyKey: $key, disputeId: $dispute, evidence: {uncategorizedText: $text}}) {
    dispute { id status } errors { code message }
  }
}
"""
CARDS = {
    "tok_success": 40,
    "tok_processing": 6,
    "tok_3ds": 6,
    "tok_timeout": 5,
    "tok_declined": 4,
    "tok_insufficient_funds": 3,
    "tok_refund_pending": 4,
    "tok_refund_fails_later": 6,
    "tok_dispute": 3,
    "tok_dispute_won": 2,
    "tok_dispute_lost": 3,
    "tok_dispute_lost_then_won": 2,
    "tok_webhooks_duplicated": 5,
    "tok_webhooks_delayed": 4,
    "tok_webhooks_reordered": 5,
    "tok_webhooks_lost": 4,
}
# What becomes of payouts on certain days, and that nothing is fated any more the day after.
_FATES = {8: "FAILS", 9: "FAILS", 10: "FAILS_AFTER_PAID", 11: "FAILS_AFTER_PAID", 12: ""}
# Everything that waits for somebody, by the business's own time.
_WAITING = """
    select (select count(*) from inbox_events where state = 'PENDING')
         + (select count(*) from sandbox.event where next_attempt_at is not null and fate is distinct from 'HELD'
                and next_attempt_at <= clock_timestamp())
         + (select count(*) from sandbox.agenda where done_at is null and due_at <= sandbox.now())
         + (select count(*) from payments where calling_until <= $1)
         + (select count(*) from payments where matured_at is null and matures_at <= $1)
         + (select count(*) from payments where reserve_released_at is null and reserve_due_at <= $1)
         + (select count(*) from refunds where calling_until <= $1)
         + (select count(*) from disputes where calling_until <= $1)
         + (select count(*) from payouts where calling_until <= $1)
         + (select count(*) from payout_schedules where next_at <= $1)
"""


class Patient(Client):
    """A client that sends again what a connection closed in between has lost; every mutation has a key."""

    async def post(self, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> httpx.Response:
        try:
            return await super().post(body, headers)
        except httpx.TransportError:
            return await super().post(body, headers)


@dataclass
class Month:
    """The platform, its people, and what was done so far."""

    world: World
    control: SandboxControl
    chance: random.Random
    creators: list[tuple[str, str]] = field(default_factory=list)
    products: list[str] = field(default_factory=list)
    payments: list[tuple[str, str]] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    clients: dict[str, Client] = field(default_factory=dict)

    def client(self, user: str) -> Client:
        if user not in self.clients:
            self.clients[user] = Patient(self.world.url, self.world.token(user))
            self.world.clients.append(self.clients[user])
        return self.clients[user]

    async def open(self) -> None:
        """Let the creators come, each with a product, an account for payouts and a schedule of their own."""
        for number in range(CREATORS):
            user = f"creator{number}"
            creator = await self.world.creator(user)
            self.creators.append((user, creator))
            self.products.append(await self.world.product(user, creator, amount="24.00"))
            await self.run(user, "creatorOnboard", ONBOARD, creator=creator)
            if number % 5:
                key = self.world.key(Noun.CREATOR, creator)
                await self.control.make_account_ready(str(key))
            interval, day = self.chance.choice([("DAILY", None), ("WEEKLY", 3), ("MONTHLY", 15), ("MANUAL", None)])
            await self.run(user, "payoutScheduleSet", SCHEDULE, creator=creator, interval=interval, day=day)

    async def run(self, user: str, field_name: str, document: str, **variables: Any) -> dict[str, Any]:
        """Run a mutation as a user; count how it went."""
        client = self.client(user)
        payload: dict[str, Any] = (await client.run(document, key=str(uuid7()), **variables))[field_name]
        for error in payload["errors"]:
            self.done[f"{field_name}: {error['code']}"] += 1
        if not payload["errors"]:
            self.done[field_name] += 1
        return payload

    async def pay(self, payer: int) -> None:
        """Let a payer tip or buy, with whichever card they have."""
        user = f"payer{payer}"
        client = self.client(user)
        place = self.chance.randrange(CREATORS)
        card = self.chance.choices(list(CARDS), CARDS.values())[0]
        if self.chance.random() < 0.7:
            amount = f"{self.chance.randrange(100, 9_000) / 100:.2f}"
            made = await self.world.tip(client, self.creators[place][1], amount)
        else:
            made = await self.world.buy(client, self.products[place])
        payment = made["payment"]["id"]
        answer = await self.world.confirm(client, payment, card)
        if answer["errors"]:
            await self.world.confirm(client, payment, "tok_success")
        if card == "tok_3ds":
            await self._authenticate(payment)
        self.payments.append((payment, self.creators[place][0]))
        self.done[f"paid with {card}"] += 1

    async def _authenticate(self, payment: str) -> None:
        reference = await self.world.scalar(
            "select provider_reference from payments where id = $1", self.world.key(Noun.PAYMENT, payment)
        )
        accepted = self.chance.random() < 0.8
        await self.world.sandbox.authenticate(reference, accepted=accepted)

    async def refund(self) -> None:
        """Give a payment back, all of it or a part."""
        payment, user = self.chance.choice(self.payments)
        whole = self.chance.random() < 0.5
        part = {"amount": f"{self.chance.randrange(100, 500) / 100:.2f}", "currency": "USD"}
        await self.run(user, "refundCreate", REFUND, payment=payment, amount=None if whole else part)

    async def answer_disputes(self, user: str) -> None:
        """Answer whatever is open; one in four is forgotten for today."""
        client = self.client(user)
        found = await client.run(DISPUTES, handle=user)
        for edge in found["creator"]["disputes"]["edges"]:
            if edge["node"]["status"] == "NEEDS_RESPONSE" and self.chance.random() < 0.75:
                text = self.chance.choice(["winning_evidence", "losing_evidence"])
                await self.run(user, "disputeAnswer", ANSWER, dispute=edge["node"]["id"], text=text)

    async def pay_out(self, place: int) -> None:
        """Ask for some of what is available."""
        user, creator = self.creators[place]
        amount = f"{self.chance.randrange(500, 8_000) / 100:.2f}"
        await self.run(user, "payoutRequest", PAY_OUT, creator=creator, amount=amount)

    async def misfortune(self) -> None:
        """Let something go wrong at the provider."""
        kind = self.chance.choice(["payout", "dashboard", "answers", "refund", "quiet"])
        try:
            if kind == "payout":
                await self.control.add_rule("PAYOUT", self.chance.choice(["FAILS", "FAILS_AFTER_PAID", "PAID"]))
            elif kind == "dashboard" and self.payments:
                payment, _ = self.chance.choice(self.payments)
                await self.control.refund(
                    str(self.world.key(Noun.PAYMENT, payment)), self.chance.randrange(1, 200)
                )
            elif kind == "answers":
                command = self.chance.choice(
                    ["REFUND", "TRANSFER", "PAYOUT", "REVERSE_TRANSFER", "ANSWER_DISPUTE"]
                )
                await self.control.arm(command, self.chance.choice(["ANSWER_LOST", "REQUEST_LOST", "UNAVAILABLE"]))
            elif kind == "refund":
                await self.control.fail_refund("latest")
            else:
                await self.control.reset()
        except ProviderError as error:
            self.done[f"misfortune: {error.code.value}"] += 1
        else:
            self.done[f"misfortune: {kind}"] += 1

    async def fate(self, day: int) -> None:
        """Let happen what has to happen in every month; the rest is chance."""
        if day in _FATES:
            await self.control.reset()
        if _FATES.get(day):
            await self.control.add_rule("PAYOUT", _FATES[day])
        if day == DAYS // 2:
            with suppress(ProviderError):  # it has failed by itself
                await self.control.fail_refund("latest")

    async def day(self, number: int) -> None:
        """Let a day go by."""
        # Everybody pays about once.
        payers = self.chance.sample(range(PAYERS), PAYERS // DAYS + 1)
        work: list[Callable[[], Awaitable[None]]] = [lambda payer=payer: self.pay(payer) for payer in payers]
        if self.payments:
            work += [self.refund for _ in range(4)]
        work += [lambda place=place: self.pay_out(place) for place in self.chance.sample(range(CREATORS), 3)]
        work += [lambda user=user: self.answer_disputes(user) for user, _ in self.creators]
        self.chance.shuffle(work)
        await self.fate(number)
        await at_most(8, work)
        if number not in _FATES:
            await self.misfortune()
        await self.quiet()
        for _ in range(2):
            clock.set_ahead(await self.control.advance(timedelta(hours=12)))
            await self.quiet()

    async def quiet(self, seconds: float = 60) -> None:
        """Wait until nothing waits any more."""

        async def none_waits() -> bool:
            await payout_schedules.run_due(self.world.engine)
            return not await self.world.scalar(_WAITING, now())

        await eventually(none_waits, seconds, lambda: f"something still waits: {self.done}")


async def at_most(number: int, work: Iterable[Callable[[], Awaitable[None]]]) -> None:
    """Do things, so many at a time."""
    places = asyncio.Semaphore(number)

    async def one(what: Callable[[], Awaitable[None]]) -> None:
        async with places:
            await what()

    async with asyncio.TaskGroup() as group:
        for what in work:
            group.create_task(one(what))


@pytest.fixture
async def month(dsn: str, books: None) -> AsyncIterator[Month]:
    """A platform on its first day."""
    seed = secrets.randbits(32)
    print(f"the month's seed: {seed}")  # ruff: ignore[print] - pytest shows it with a failure
    async with running_world(dsn, delay=timedelta(days=3), reserve=(1_000, timedelta(days=10))) as world:
        month = Month(world, SandboxControl(world.engine.database.writer), random.Random(seed))
        await month.open()
        yield month


async def test_month_ends_with_books_that_agree_with_the_provider(month: Month) -> None:
    for number in range(DAYS):
        await month.day(number)
    await month.control.reset()
    await month.quiet()
    # Silence of three days and more is healed by asking for what was never told.
    await reconciliation.run(month.world.engine, mend=True, grace=timedelta(0))
    await month.quiet()

    report = await reconciliation.run(month.world.engine, grace=timedelta(0))

    print(month.done, *report.differences, sep="\n")  # ruff: ignore[print] - a failure shows it whole
    assert [difference.code for difference in report.differences] == []
    scalar = month.world.scalar
    for table, least in (("payments", 400), ("refunds", 25), ("disputes", 10), ("payouts", 20)):
        assert await scalar(f"select count(*) from {table}") >= least, (table, month.done)
    for status in ("SUCCEEDED", "FAILED"):
        assert await scalar("select count(*) from refunds where status = $1", status) > 0, (status, month.done)
    for status in ("WON", "LOST"):
        assert await scalar("select count(*) from disputes where status = $1", status) > 0, (status, month.done)
    for status in ("PAID", "FAILED"):
        assert await scalar("select count(*) from payouts where status = $1", status) > 0, (status, month.done)
    assert await scalar("select count(*) from inbox_events where state = 'DEAD'") == 0
    clearing = chart.with_provider(AccountKind.CLEARING, "USD", "sandbox").code
    left = "select coalesce(sum(posted), 0) from ledger.account where code = $1 or stripe_of in (select id from ledger.account where code = $1)"
    assert await scalar(left, clearing) == 0
