"""Creators with money to be paid out, and how payouts are asked for and looked at."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from app.client import Client
from core.ids import Noun, uuid7
from providers.payments.sandbox import SandboxControl
from services import maturing, payouts
from tests.api.shop import settle
from tests.conftest import assert_books_are_sound
from tests.support.world import World, running_world

ERRORS = """
  errors {
    __typename code message path nextAction
    ... on InsufficientBalance { available { amount currency } }
    ... on PayoutBelowMinimum { minimum { amount currency } }
  }
"""
PAYOUT_FIELDS = """
  id status statusReason statusMessage nextAction amount { amount currency } currency scheduled arrivesAt
  createdAt statusChangedAt creator { handle } events { sequence status reason message }
"""
REQUEST = f"""
mutation ($input: PayoutRequestInput!) {{
  payoutRequest(input: $input) {{ payout {{ {PAYOUT_FIELDS} }} {ERRORS} }}
}}
"""
ONBOARD = """
mutation ($input: CreatorOnboardInput!) {
  creatorOnboard(input: $input) {
    payoutAccount { ready missing country } onboardingUrl errors { code message path nextAction }
  }
}
"""
SCHEDULE = """
mutation ($input: PayoutScheduleSetInput!) {
  payoutScheduleSet(input: $input) {
    payoutSchedule { currency interval day minimum { amount currency } nextAt }
    errors { code message path nextAction }
  }
}
"""
PAYOUT = f"query ($id: ID!) {{ payout(id: $id) {{ {PAYOUT_FIELDS} }} }}"
PAYOUTS = """
query ($handle: String!, $where: PayoutWhere, $sort: PayoutSort! = NEWEST) {
  creator(handle: $handle) {
    payouts(first: 20, where: $where, sort: $sort) { totalCount nodes { id status amount { amount } } }
    payoutAccount { ready missing country }
    payoutSchedule(currency: "USD") { interval day minimum { amount } nextAt }
  }
}
"""
COUNTED = (
    "payouts",
    "payout_events",
    "payout_accounts",
    "payout_schedules",
    "jobs.pgqueuer",
    "ledger.movement",
    "ledger.request",
    "sandbox.account",
    "sandbox.transfer",
    "sandbox.payout",
)
"""What a refused operation writes nothing of."""


@asynccontextmanager
async def running_till(dsn: str, **settings: Any) -> AsyncIterator["Till"]:
    """Run a server without a worker, whose earnings mature when they are told to; prove its books at the end."""
    async with running_world(dsn, worker=False, deliveries=False, delay=timedelta(0), **settings) as world:
        yield Till(world)
    await assert_books_are_sound(dsn)


@dataclass
class Till:
    """A world in which nothing happens by itself, and a creator, ``fable``, to be paid out."""

    world: World
    creator: str = ""
    control: SandboxControl = field(init=False)

    def __post_init__(self) -> None:
        """Reach behind the sandbox."""
        self.control = SandboxControl(self.world.engine.database.writer, processing_time=timedelta(0))

    @property
    def client(self) -> Client:
        return self.world.client("fable")

    @property
    def key(self) -> UUID:
        """The creator's id, as the database has it."""
        key: UUID = self.world.key(Noun.CREATOR, self.creator)
        return key

    async def open(self, *, tips: str = "100.00", country: str | None = "ZZ") -> "Till":
        """Make the creator, give them money, and open their account; the tip's net is available: 95 % of it."""
        self.creator = await self.world.creator("fable")
        await self.earns(tips)
        if country is not None:
            await self.onboarded(country)
        return self

    async def earns(self, amount: str, currency: str = "USD") -> str:
        """Have the creator tipped, and make it available; return the payment's id."""
        supporter = self.world.client("supporter")
        payment = str((await self.world.tip(supporter, self.creator, amount, currency))["payment"]["id"])
        await self.world.confirm(supporter, payment)
        await self.told()
        assert await self.world.status(payment) == "SUCCEEDED"
        await maturing.mature(self.world.engine)
        return payment

    async def told(self) -> None:
        """Bring all that the sandbox has to tell, and what was due there, and settle it."""
        await self.control.run_due()
        await settle(self.world)

    async def onboarded(self, country: str = "ZZ", client: Client | None = None, **given: Any) -> dict[str, Any]:
        """Send creatorOnboard; return its payload."""
        values = {
            "idempotencyKey": str(uuid7()),
            "creatorId": self.creator,
            "country": country,
            "returnUrl": "https://front.test/back",
            **given,
        }
        payload: dict[str, Any] = (await (client or self.client).run(ONBOARD, input=values))["creatorOnboard"]
        return payload

    async def requests(
        self, amount: str = "20.00", currency: str = "USD", client: Client | None = None, **given: Any
    ) -> dict[str, Any]:
        """Send payoutRequest; return its payload."""
        values = {
            "idempotencyKey": str(uuid7()),
            "creatorId": self.creator,
            "amount": {"amount": amount, "currency": currency},
            **given,
        }
        payload: dict[str, Any] = (await (client or self.client).run(REQUEST, input=values))["payoutRequest"]
        return payload

    async def requested(self, amount: str = "20.00", currency: str = "USD") -> str:
        """Ask for a payout that is bound to be taken; return its id."""
        payload = await self.requests(amount, currency)
        assert payload["errors"] == []
        return str(payload["payout"]["id"])

    async def scheduled(self, client: Client | None = None, **given: Any) -> dict[str, Any]:
        """Send payoutScheduleSet; return its payload."""
        values = {
            "idempotencyKey": str(uuid7()),
            "creatorId": self.creator,
            "currency": "USD",
            "interval": "DAILY",
            **given,
        }
        payload: dict[str, Any] = (await (client or self.client).run(SCHEDULE, input=values))["payoutScheduleSet"]
        return payload

    async def advances(self, payout: str) -> dict[str, Any]:
        """Have a payout go as far as it goes, and return it as its creator sees it."""
        await payouts.advance(self.world.engine, self.world.key(Noun.PAYOUT, payout))
        return await self.seen(payout)

    async def seen(self, payout: str, client: Client | None = None) -> Any:
        """Return a payout as it is shown."""
        return (await (client or self.client).run(PAYOUT, id=payout))["payout"]

    async def due(self) -> None:
        """Let whatever waits for a later moment be due now."""
        for table in ("payouts", "payout_accounts"):
            await self.world.engine.database.writer.execute(
                f"update {table} set calling_until = now() - interval '1 second' where calling_until is not null"
            )

    async def balance(self, kind: str, owner: UUID | None = None) -> int:
        """Return what an account of the creator's, or of the platform with the sandbox, holds in USD cents."""
        sql = "select coalesce(sum(posted), 0)::bigint from ledger.account where kind = $1 and code like '%:USD%'"
        value: int = await self.world.scalar(sql + " and owner is not distinct from $2", kind, owner)
        return value

    async def balances(self) -> dict[str, int]:
        """Return what the creator has, and what lies on connected accounts by our books."""
        own = {kind: await self.balance(kind, self.key) for kind in ("available", "payout")}
        return {**own, "connected": await self.balance("connected")}

    async def counts(self) -> dict[str, int]:
        """Return how many rows there are of all that a refused operation must not write."""
        return {table: await self.world.count(table) for table in COUNTED}
