"""The stand-in as tests hold it: its address, its levers, its faults, and what it saw."""

import contextlib
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta

import httpx

from . import accounts, disputes, payment_intents, payment_methods, payouts, refunds
from . import endpoints as _endpoints  # ruff: ignore[unused-import] - its answers
from . import events as sent
from .books import view_line
from .charges import settle_and_tell
from .disputes import view_dispute
from .refusals import Body
from .server import Door, Seen, serving
from .store import Settings, Store
from .transfers import view_transfer

_DAY = timedelta(days=1)


class StandIn:
    """Stripe, as far as the adapter asks it, in memory."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.store = Store(self.settings)
        self.store.views |= {
            "balance_transaction": view_line,
            "dispute": view_dispute,
            "transfer": view_transfer,
        }
        self.door = Door(self.store)
        self.faults = self.door.faults
        self.url = ""
        self._port = 0
        self._server: contextlib.AsyncExitStack | None = None

    @property
    def events(self) -> list[Body]:
        """All events there were, the oldest first."""
        return self.store.events

    @property
    def seen(self) -> list[Seen]:
        """All requests that were carried out or answered again, the oldest first."""
        return self.door.seen

    @property
    def mistakes(self) -> list[str]:
        """What the stand-in itself did wrong, or was asked without being able to."""
        return self.store.mistakes

    def object(self, reference: str) -> Body:
        """Return an object as it is told now."""
        return self.store.view(self.store.rows[reference].body)

    # Levers ----------------------------------------------------------------------------------------------

    def pass_time(self, by: timedelta) -> None:
        """Let time go by, day by day: what falls due happens, and accounts left to Stripe are paid out."""
        while by > timedelta():
            step = min(by, _DAY)
            self.store.clock.pass_time(step)
            by -= step
            if step == _DAY:
                payouts.pay_out_by_themselves(self.store)

    def _moved(self, reference: str) -> Body:
        self.store.clock.tick()
        return self.store.rows[reference].body

    def authenticate(self, payment: str, *, succeeds: bool = True) -> None:
        """Let a card's owner prove who they are; a card that declines after all leaves that on the payment."""
        from .refusals import Refused

        intent = self._moved(payment)
        with contextlib.suppress(Refused):
            payment_intents.authenticate(self.store, intent, succeeds=succeeds)
        self.door.settle_afterwards()

    def confirmation_token(self, card: str = "pm_card_visa") -> str:
        """Return the token that a browser would have made of a card."""
        self.store.clock.tick()
        return str(payment_methods.make_token(self.store, card)["id"])

    def let_go_of_fees(self) -> None:
        """Tell what was held back of the charges' fees."""
        self.store.clock.tick()
        for charge in reversed(list(self.store.all("charge"))):
            if charge["captured"]:
                settle_and_tell(self.store, charge)

    def open_dispute(self, payment: str) -> str:
        intent = self._moved(payment)
        return str(disputes.open_dispute(self.store, self.store.rows[intent["latest_charge"]].body)["id"])

    def close_dispute(self, dispute: str, *, won: bool, fee_returned: int = 0) -> None:
        disputes.close(self.store, self._moved(dispute), won=won, fee_returned=fee_returned)

    def fail_refund(self, refund: str) -> None:
        refunds.fail(self.store, self._moved(refund))

    def make_ready(self, account: str) -> None:
        accounts.make_ready(self.store, self._moved(account))

    def restrict(self, account: str, missing: str = "identity.individual.address") -> None:
        """Let something be missing of an account that was ready."""
        accounts.restrict(self.store, self._moved(account), missing)

    def revoke(self, account: str) -> None:
        """Let a connected account take its leave: the platform may not ask for it any more."""
        self.store.revoked.add(account)

    def pay_payout(self, payout: str) -> None:
        payouts.pay(self.store, self._moved(payout))

    def fail_payout(self, payout: str) -> None:
        payouts.fail(self.store, self._moved(payout))

    def platform_payout(self, amount: int, currency: str = "usd") -> str:
        """Let Stripe pay out what the platform has, as it does by itself."""
        self.store.clock.tick()
        return str(payouts.start(self.store, None, amount, currency, automatic=True)["id"])

    # Webhooks --------------------------------------------------------------------------------------------

    def signed(self, event: Body, secret: str, at: datetime | None = None) -> tuple[dict[str, str], bytes]:
        return sent.signed(event, secret, at)

    async def deliver(self, url: str, secret: str, *, since: int = 0) -> list[int]:
        """Send all events from the ``since``-th on, in order; return the status of each answer."""
        async with httpx.AsyncClient() as client:
            answers = []
            for event in self.events[since:]:
                headers, body = self.signed(event, secret)
                answers.append((await client.post(url, headers=headers, content=body)).status_code)
        return answers

    # Running ---------------------------------------------------------------------------------------------

    async def start(self) -> None:
        stack = contextlib.AsyncExitStack()
        self._port = await stack.enter_async_context(serving(self.door, self._port))
        self._server = stack
        self.url = f"http://127.0.0.1:{self._port}"

    async def stop(self) -> None:
        """Refuse connections from now on; what it knows it keeps, and it can be started again."""
        if self._server is not None:
            server, self._server = self._server, None
            await server.aclose()


@contextlib.asynccontextmanager
async def running_stand_in(settings: Settings | None = None) -> AsyncGenerator[StandIn]:
    """Run a stand-in of Stripe in this event loop; at the end nothing that it did may have been wrong."""
    stand_in = StandIn(settings)
    await stand_in.start()
    try:
        yield stand_in
    finally:
        await stand_in.stop()
    if stand_in.mistakes:
        raise AssertionError("The stand-in for Stripe was wrong:\n" + "\n".join(dict.fromkeys(stand_in.mistakes)))
