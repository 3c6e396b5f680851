"""A creator, who pays them, and Stripe beside them: what it tells is brought by hand, so nothing happens by itself."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import httpx

from app.client import Client
from core import clock
from core.ids import Noun, decode, encode, uuid7
from core.scopes import PERSONAL_SCOPES
from core.viewer import Viewer
from providers.payments.stripe.endpoints import EVENTS, Role
from services import (
    charging,
    disputes,
    maturing,
    methods,
    payout_accounts,
    payout_calls,
    reconciliation,
    refunds,
    sweeper,
)
from services import webhooks as inbox_worker
from services.engine import Engine
from services.reconciliation import Report
from tests.api.shop import do
from tests.conftest import assert_books_are_sound
from tests.support.payouts import ONBOARD, PAYOUT, REQUEST
from tests.support.processes import PLAIN
from tests.support.stripe import API_VERSION, Settings, StandIn, running_stand_in
from tests.support.world import World, eventually, running_world

KEY: Final = "sk_test_standin"
SECRETS: Final[Mapping[Role, str]] = {
    Role.PLATFORM: "whsec_" + "P" * 32,
    Role.CONNECTED: "whsec_" + "C" * 32,
    Role.ACCOUNTS: "whsec_" + "T" * 32,
}
"""Each of the three endpoints signs with a secret of its own."""

GOOD: Final = "pm_card_visa"
ASKS: Final = "pm_card_authenticationRequired"
DECLINED: Final = "pm_card_visa_chargeDeclined"

READ: Final = """
query ($id: ID!) {
  payment(id: $id) {
    status statusReason captureBefore nextAction { type url }
    amounts { authorized { amount } captured { amount } refunded { amount } canceled { amount } }
  }
}
"""
SWEEPS: Final[tuple[Callable[[Engine], Awaitable[object]], ...]] = (
    sweeper.sweep, refunds.sweep, disputes.sweep, methods.sweep, payout_accounts.sweep, payout_calls.sweep,
    payout_calls.release_holds,
)  # fmt: skip
_CALLING: Final = ("payments", "refunds", "disputes", "payment_methods", "payouts", "payout_accounts")
_ROUNDS: Final = 12
_PATIENCE_SECONDS: Final = 30
_POSTED: Final = "select coalesce(sum(amount), 0)::bigint from ledger.movement where kind = $1"
_HELD: Final = """
    select coalesce(sum(posted), 0)::bigint from ledger.account
    where kind = $1 and code like '%:' || $2 || '%' and ($3::uuid is null or owner = $3)
"""
_STATES: Final = "select state, count(*) as number from inbox_events group by state"
_UNRELAYED: Final = "select count(*) from outbox_events where position is null"

Event = dict[str, Any]


def role_of(event: Event) -> Role:
    """Return which of the three endpoints an event is sent to."""
    if event["object"] == "v2.core.event":
        return Role.ACCOUNTS
    return Role.CONNECTED if "account" in event else Role.PLATFORM


@dataclass
class Desk:
    """A server on Stripe without a worker. ``told`` is how many of Stripe's events were brought so far."""

    world: World
    stripe: StandIn
    creator: str = ""
    account: str = ""
    told: int = 0
    answers: list[int] = field(default_factory=list)

    @property
    def engine(self) -> Engine:
        return self.world.engine

    @property
    def owner(self) -> Client:
        return self.world.client("fable")

    @property
    def payer(self) -> Client:
        return self.world.client("supporter")

    # What people do ---------------------------------------------------------------------------------------

    async def tip(self, amount: str = "10.00", currency: str = "USD") -> str:
        """Return a tip's payment, not confirmed."""
        payload = await self.world.tip(self.payer, self.creator, amount, currency)
        assert payload["errors"] == [], payload["errors"]
        return str(payload["payment"]["id"])

    async def confirm(self, payment: str, method: str = GOOD, **given: Any) -> dict[str, Any]:
        """Pay with a card, which is bound to be taken."""
        return await do(self.payer, "paymentConfirm", paymentId=payment, method=method, **given)

    async def charge_off_session(self, payment: str, saved: str) -> charging.Answer:
        """Charge what the payer keeps for later, while they are away."""
        user = await self.world.scalar("select payer_id from payments where payer_id is not null limit 1")
        viewer = Viewer(user, scopes=PERSONAL_SCOPES)
        method = await methods.own(self.engine, viewer, self.world.key(Noun.PAYMENT_METHOD, saved))
        given = charging.Confirm(
            self.world.key(Noun.PAYMENT, payment), method, None, str(uuid7()), off_session=True, saved=True
        )
        return await charging.confirm(self.engine, viewer, given)

    async def paid(self, amount: str = "10.00", method: str = GOOD, currency: str = "USD") -> str:
        """Return a tip's payment, settled."""
        payment = await self.tip(amount, currency)
        await self.confirm(payment, method)
        await self.tell()
        assert await self.world.status(payment) == "SUCCEEDED"
        return payment

    async def reserved(self, amount: str = "10.00") -> str:
        """Return a payment for a product whose price is only reserved."""
        product = await self.world.product("fable", self.creator, amount, stock=5)
        await do(self.owner, "productUpdate", productId=product, manualCapture=True)
        payment = str((await self.world.buy(self.payer, product))["payment"]["id"])
        await self.confirm(payment)
        await self.tell()
        assert await self.world.status(payment) == "AUTHORIZED"
        return payment

    async def onboard(self, **given: Any) -> dict[str, Any]:
        """Send creatorOnboard; return its payload."""
        values = {
            "idempotencyKey": str(uuid7()),
            "creatorId": self.creator,
            "country": "FR",
            "returnUrl": "https://front.test/back",
            **given,
        }
        payload: dict[str, Any] = (await self.owner.run(ONBOARD, input=values))["creatorOnboard"]
        return payload

    async def onboarded(self) -> str:
        """Open the creator's account and have it made ready; return its name at Stripe."""
        assert (await self.onboard())["errors"] == []
        (body,) = self.stripe.store.all("v2.core.account")
        self.account = str(body["id"])
        self.stripe.make_ready(self.account)
        await self.tell()
        return self.account

    async def with_money(self, amount: str = "100.00") -> str:
        """Have the creator tipped, made ready to be paid out, and the money available; return the payment."""
        payment = await self.paid(amount)
        await self.onboarded()
        await self.caught_up()
        await maturing.mature(self.engine)
        return payment

    async def requested(self, amount: str = "20.00") -> str:
        """Ask for a payout that is bound to be taken; return its id."""
        values = {
            "idempotencyKey": str(uuid7()),
            "creatorId": self.creator,
            "amount": {"amount": amount, "currency": "USD"},
        }
        payload = (await self.owner.run(REQUEST, input=values))["payoutRequest"]
        assert payload["errors"] == [], payload["errors"]
        return str(payload["payout"]["id"])

    async def advance(self, payout: str) -> dict[str, Any]:
        """Have a payout go as far as it goes now, and return it as its creator sees it."""
        await payout_calls.advance(self.engine, self.world.key(Noun.PAYOUT, payout))
        return await self.payout(payout)

    async def payout(self, payout: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self.owner.run(PAYOUT, id=payout))["payout"]
        return found

    async def read(self, payment: str) -> dict[str, Any]:
        """Return a payment as a client sees it."""
        found: dict[str, Any] = (await self.payer.run(READ, id=payment))["payment"]
        return found

    # What Stripe does -------------------------------------------------------------------------------------

    async def dashboard(self, path: str, **given: Any) -> dict[str, Any]:
        """Do something at Stripe itself, with no word to us; return what came of it."""
        headers = {"authorization": f"Bearer {KEY}", "stripe-version": API_VERSION}
        async with httpx.AsyncClient(verify=PLAIN) as browser:
            answer = await browser.post(f"{self.stripe.url}/v1/{path}", data=given, headers=headers)
        assert answer.is_success, answer.text
        done: dict[str, Any] = answer.json()
        return done

    def objects(self, kind: str, account: str | None = None) -> list[dict[str, Any]]:
        """Return what Stripe has of a kind, oldest first."""
        return list(self.stripe.store.all(kind, account))[::-1]

    async def intent(self, payment: str) -> str:
        """Return the name of a payment at Stripe."""
        sql = "select provider_reference from payments where id = $1"
        return str(await self.world.scalar(sql, self.world.key(Noun.PAYMENT, payment)))

    def sent(self) -> list[Event]:
        """Return the events that are sent to an endpoint of ours and were not brought yet."""
        fresh = self.stripe.events[self.told :]
        self.told = len(self.stripe.events)
        return [event for event in fresh if event["type"] in EVENTS[role_of(event)]]

    async def post(self, event: Event, secret: str | None = None) -> int:
        """Bring one event as Stripe does; return how it was answered."""
        headers, body = self.stripe.signed(event, secret or SECRETS[role_of(event)])
        async with httpx.AsyncClient(verify=PLAIN) as http:
            return (
                await http.post(f"{self.world.url}/webhooks/stripe", headers=headers, content=body)
            ).status_code

    async def tell(self, *, times: int = 1, shuffled: random.Random | None = None) -> None:
        """Bring all that Stripe has to tell, each so many times, in order or shuffled, and settle it."""
        told = self.sent() * times
        if shuffled is not None:
            shuffled.shuffle(told)
        for event in told:
            assert await self.post(event) == 200, event["type"]
        await self.settle()

    def tell_nobody(self) -> None:
        """Lose all that Stripe has to tell."""
        self.sent()

    # What the worker does ---------------------------------------------------------------------------------

    async def settle(self) -> None:
        """Settle what was told; what is put off comes back at once, a few times."""
        for _ in range(_ROUNDS):
            while await inbox_worker.process(self.engine):
                pass
            if not await self.states("PENDING"):
                return
            await self.world.engine.database.writer.execute(
                "update inbox_events set due_at = received_at where state = 'PENDING'"
            )

    async def states(self, state: str) -> int:
        """Return how many events stand there."""
        rows = await self.engine.database.reader.fetch(_STATES)
        return {row["state"]: int(row["number"]) for row in rows}.get(state, 0)

    async def sweep(self) -> None:
        """Look up whatever stands still, as the worker does once its time has come."""
        for _ in range(2):
            for table in _CALLING:
                await self.engine.database.writer.execute(
                    f"update {table} set calling_until = least(calling_until, $1) where calling_until is not null",
                    clock.now() - timedelta(seconds=1),
                )
            for step in SWEEPS:
                await step(self.engine)

    async def caught_up(self) -> None:
        """Let our time be as late as Stripe's, whose clock is ahead: of the future nothing is judged."""
        ahead = self.stripe.store.clock.moment - clock.wall() + timedelta(seconds=2)
        clock.set_ahead(max(ahead, timedelta(0)))

    # What is true at the end ------------------------------------------------------------------------------

    async def posted(self, kind: str) -> int:
        """Return what the ledger posted of a kind of movement, in minor units."""
        return int(await self.world.scalar(_POSTED, kind))

    async def held(self, kind: str, *, own: bool = False, currency: str = "USD") -> int:
        """Return what accounts of a kind hold, all of them or the creator's."""
        key = decode(Noun.CREATOR, self.creator) if own else None
        return int(await self.world.scalar(_HELD, kind, currency, key))

    async def compared(self) -> Report:
        """Prove the books, and compare Stripe, the ledger and the business."""
        await self.caught_up()

        async def relayed() -> bool:
            return not await self.world.scalar(_UNRELAYED)

        await eventually(relayed, _PATIENCE_SECONDS, lambda: "the outbox was not relayed")
        await assert_books_are_sound(self.world.dsn)
        report = await reconciliation.run(self.engine, grace=timedelta(0))
        assert [result.check for result in report.checks if not result.ran] == []
        assert report.entries == len(self.objects("balance_transaction"))
        return report

    async def prove(self) -> None:
        """Prove the books, and that nothing differs and nothing waits."""
        assert (await self.states("PENDING"), await self.states("DEAD")) == (0, 0)
        report = await self.compared()
        assert report.clean, [(each.code.value, each.about.id, each.sentence) for each in report.differences]

    async def only(self, noun: Noun, table: str) -> str:
        """Return the id of the one row there is."""
        return encode(noun, await self.world.scalar(f"select id from {table}"))


@asynccontextmanager
async def open_desk(dsn: str, stand_in: Settings | None = None, **settings: Any) -> AsyncIterator[Desk]:
    """Run a stand-in of Stripe, a server on it, and a creator; the books are proven at the end."""
    given = {"stripe_api_key": KEY, "stripe_webhook_secret": ",".join(SECRETS.values()), **settings}
    async with running_stand_in(stand_in) as stripe:
        async with running_world(
            dsn,
            worker=False,
            deliveries=False,
            delay=timedelta(0),
            provider="stripe",
            stripe_api_url=stripe.url,
            **given,
        ) as world:
            desk = Desk(world, stripe)
            desk.creator = await world.creator("fable")
            yield desk
        await assert_books_are_sound(dsn)
