"""A creator, somebody who pays, and what the payer's browser and the provider's dashboard would do."""

import asyncio
import sys
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import httpx

from app.client import Client
from app.settings import CHECKOUT
from providers.payments.stripe import API_VERSION
from services import reconciliation
from tests.api.shop import do
from tests.conftest import assert_books_are_sound
from tests.localstripe.shapes import Body
from tests.localstripe.shim import TOLD, Shim
from tests.support.processes import PLAIN, environment
from tests.support.world import World, eventually

# Cards of Stripe's, as localstripe knows them.
GOOD: Final = "4242424242424242"
DECLINED: Final = "4000000000000341"
ASKS: Final = "4000002760003184"
ASKS_AND_DECLINED: Final = "4000008400001629"

PAYMENT: Final = """
query ($id: ID!) {
  payment(id: $id) {
    status statusReason manualCapture captureBefore nextAction { type url }
    amounts { authorized { amount } captured { amount } refunded { amount } canceled { amount } }
  }
}
"""
_PATIENCE_SECONDS: Final = 30
_UNSETTLED: Final = "select count(*) from inbox_events where state = 'PENDING'"
_POSTED: Final = "select coalesce(sum(amount), 0)::bigint from ledger.movement where kind = $1"


@dataclass
class Till:
    """A server on Stripe, which is localstripe here."""

    world: World
    shim: Shim
    creator: str

    @property
    def owner(self) -> Client:
        return self.world.client("fable")

    @property
    def payer(self) -> Client:
        return self.world.client("supporter")

    async def card(self, number: str = GOOD) -> str:
        """Return what the payer's browser is given for a card: it talks to the provider, never to us."""
        card = {"number": number, "exp_month": "12", "exp_year": "2040", "cvc": "123"}
        made = await self.shim.objects.call("POST", "/v1/payment_methods", json={"type": "card", "card": card})
        return str(made["id"])

    async def tip(self, amount: str = "5.00") -> str:
        """Return a tip's payment, not confirmed."""
        payload = await self.world.tip(self.payer, self.creator, amount)
        assert payload["errors"] == []
        return str(payload["payment"]["id"])

    async def confirm(self, payment: str, number: str = GOOD) -> dict[str, Any]:
        """Pay with a card."""
        return await self.world.confirm(self.payer, payment, await self.card(number))

    async def paid(self, amount: str = "5.00") -> str:
        """Return a tip's payment, settled."""
        payment = await self.tip(amount)
        assert (await self.confirm(payment))["errors"] == []
        await self.reached(payment, "SUCCEEDED")
        return payment

    async def reserved(self, amount: str = "10.00") -> str:
        """Return a payment for a product whose price is only reserved."""
        product = await self.world.product("fable", self.creator, amount, stock=5)
        await do(self.owner, "productUpdate", productId=product, manualCapture=True)
        payment = str((await self.world.buy(self.payer, product))["payment"]["id"])
        assert (await self.confirm(payment))["errors"] == []
        await self.reached(payment, "AUTHORIZED")
        return payment

    async def read(self, payment: str) -> dict[str, Any]:
        """Return a payment as a client sees it."""
        found: dict[str, Any] = (await self.payer.run(PAYMENT, id=payment))["payment"]
        return found

    async def reached(self, payment: str, status: str) -> None:
        await self.world.until(payment, status, _PATIENCE_SECONDS)

    async def authenticate(self, address: str, outcome: str) -> httpx.Response:
        """Follow the payer to the bank's page and back."""
        async with httpx.AsyncClient(verify=PLAIN) as browser:
            return await browser.get(address, params={"outcome": outcome})

    async def dashboard(self, path: str, **given: str) -> None:
        """Do something at the provider itself."""
        headers = {"stripe-version": API_VERSION}
        async with httpx.AsyncClient(verify=PLAIN) as browser:
            answer = await browser.post(f"{self.shim.objects.url}/v1/{path}", data=given, headers=headers)
            assert answer.is_success, answer.text

    async def tell_again(self) -> None:
        """Send what was told while nobody was told of it."""
        self.shim.webhooks.endpoint = f"{self.world.url}/webhooks/stripe"
        self.shim.webhooks.send_all()

    async def intents(self) -> list[Body]:
        """Return the payments that the provider has."""
        return await self.shim.objects.all_of("payment_intents")

    async def charges(self) -> list[Body]:
        """Return the charges that the provider has, tried in vain or not."""
        return await self.shim.objects.all_of("charges")

    async def posted(self, kind: str) -> int:
        """Return what the ledger posted of a kind of movement, in minor units."""
        return int(await self.world.scalar(_POSTED, kind))

    async def told(self) -> None:
        """Wait until localstripe has told all that it has to."""

        async def all_told() -> bool:
            page = await self.shim.objects.call("GET", "/v1/events?limit=100")
            told = {event["id"] for event in self.shim.webhooks.events}
            return all(event["id"] in told for event in page["data"] if event["type"] in TOLD)

        await eventually(all_told, _PATIENCE_SECONDS, lambda: "localstripe has not told everything")

    async def settled(self) -> None:
        """Wait until all that the provider had to tell was told, taken and settled."""
        await self.told()

        async def all_settled() -> bool:
            taken = await self.world.count("inbox_events")
            return taken >= len(self.shim.webhooks.events) and not await self.world.scalar(_UNSETTLED)

        await eventually(all_settled, _PATIENCE_SECONDS, lambda: "not everything that was told is settled")

    async def prove(self) -> None:
        """Prove the books, and that the provider, the ledger and the business agree."""
        await self.settled()
        await assert_books_are_sound(self.world.dsn)
        report = await reconciliation.run(self.world.engine, grace=timedelta(0))
        assert report.clean, report.as_json()

    async def prove_by_command(self) -> None:
        """Prove the same as an operator does."""
        await self.settled()
        status, said = await self.comptoir("ledger", "verify")
        assert status == 0, said
        status, said = await self.comptoir("doctor", "--grace", "0s")
        assert status == 0, said
        assert "Nothing differs. Compared everything with stripe." in said

    async def comptoir(self, *arguments: str) -> tuple[int, str]:
        """Run a command; return its exit status and what it said."""
        settings = self.world.settings
        given = environment(
            self.world.dsn,
            settings.state_directory,
            comptoir_provider="stripe",
            stripe_api_key=settings.stripe_api_key.get_secret_value(),
            stripe_webhook_secret=settings.stripe_webhook_secret.get_secret_value(),
            stripe_api_url=settings.stripe_api_url,
            columns=200,
        )
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "app", *arguments),
            env=given,
            cwd=CHECKOUT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, said.decode()
