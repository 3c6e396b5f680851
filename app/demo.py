"""The story of one tip and of what may come after, played by a client that knows only the public endpoint."""

import asyncio
import os
import socket
import subprocess  # ruff: ignore[suspicious-subprocess-import] - starts this very program
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from app.client import Client, GraphQLFailed
from app.demo_after import After
from app.demo_steps import CREATOR, Surprise, expect, out, step, until
from app.settings import CHECKOUT, Settings
from core.ids import uuid7

_START_SECONDS = 60

_ME = "{ me { id name } }"
_FIND = """
query ($handle: String!) {
  creator(handle: $handle) {
    id displayName
    products(first: 1, where: {title: {contains: "bowl"}}) { nodes { id title price { formatted } } }
  }
}
"""
_EARNINGS = """
query ($handle: String!) {
  creator(handle: $handle) { earnings(currency: USD) { pending { amount } lifetime { amount } } }
}
"""
_QUOTE = """
query ($creator: ID!) {
  quote(input: {kind: TIP, creatorId: $creator, amount: {amount: "5.00", currency: USD}}) {
    lines { kind amount { amount } }
  }
}
"""
_TIP = """
mutation ($creator: ID!, $key: String!) {
  tipCreate(input: {
    idempotencyKey: $key, creatorId: $creator, message: "For the soup.",
    amount: {amount: "5.00", currency: USD}
  }) { tip { id } payment { id status } errors { code message } }
}
"""
_BUY = """
mutation ($product: ID!, $key: String!) {
  purchaseCreate(input: {idempotencyKey: $key, productId: $product}) {
    purchase { id title } payment { id } errors { code message }
  }
}
"""
_CONFIRM = """
mutation ($payment: ID!, $key: String!, $method: String!) {
  paymentConfirm(input: {idempotencyKey: $key, paymentId: $payment, method: $method}) {
    payment { status } errors { code message ... on PaymentDeclined { declineCode } }
  }
}
"""
_STATUS = """
subscription ($payment: ID!, $after: String) {
  paymentStatus(paymentId: $payment, after: $after) { kind cursor event { status } payment { status } }
}
"""
_ACTIVITY = """
subscription ($creator: ID!, $after: String) {
  creatorActivity(creatorId: $creator, after: $after) {
    kind cursor activity { kind net { amount } tip { message } } recent { cursor }
  }
}
"""


def play(url: str | None) -> int:
    """Play the story; return the exit status."""
    try:
        if url is not None:
            _Story(_settings_of_the_sandbox(), url, own=False).tell()
            return 0
        with _own_server() as (settings, own_url):
            _Story(settings, own_url, own=True).tell()
            _prove(settings)
    except Surprise as surprise:
        out.print(f"[red]✗[/] {surprise}", soft_wrap=True)
        return 1
    except (GraphQLFailed, httpx.HTTPError, OSError, TimeoutError, StopAsyncIteration) as error:
        out.print(f"[red]✗[/] {type(error).__name__}: {error}", soft_wrap=True)
        return 1
    out.print("[green]The story went as it should.[/]")
    return 0


def _settings_of_the_sandbox() -> Settings:
    settings = Settings()
    expect(
        settings.provider == "sandbox",
        "The story pays with cards of the sandbox, which COMPTOIR_PROVIDER is not: without --url it is played on "
        "a server of its own.",
    )
    return settings


class _Story:
    def __init__(self, settings: Settings, url: str, *, own: bool) -> None:
        self._own = own
        self._settings = settings
        self._url = url
        self._supporter_name = f"supporter-{uuid7().hex[-8:]}"

    def tell(self) -> None:
        asyncio.run(self._tell())

    def _client(self, subject: str) -> Client:
        from core.scopes import PERSONAL_SCOPES

        token = self._settings.development.token(
            issuer=self._settings.issuer,
            audience=self._settings.jwt_audience,
            subject=subject,
            scopes=PERSONAL_SCOPES,
        )
        return Client(self._url, token)

    async def _tell(self) -> None:
        async with self._client(self._supporter_name) as supporter, self._client(CREATOR) as creator:
            with step("Sign in") as said:
                me = (await supporter.run(_ME))["me"]
                said.append(me["id"])
            with step("Find a creator") as said:
                found = (await supporter.run(_FIND, handle=CREATOR))["creator"]
                expect(found is not None, "The seeded creator is not there: run `comptoir seed`.")
                said.append(found["displayName"])
            with step("Ask what a tip of 5.00 USD costs") as said:
                lines = (await supporter.run(_QUOTE, creator=found["id"]))["quote"]["lines"]
                quoted = {line["kind"]: Decimal(line["amount"]["amount"]) for line in lines}
                said.append(f"the creator gets {quoted['NET']}, the platform {quoted['PLATFORM_FEE']}")
            earned = await self._earned(creator)
            await self._tip(supporter, creator, found, quoted["NET"], earned)
            payment = await self._buy(supporter, found["products"]["nodes"][0])
            if self._own:
                await After(self._url, creator, found["id"]).tell(supporter, payment)

    async def _tip(
        self, supporter: Client, creator: Client, found: dict[str, Any], net: Decimal, earned: Decimal
    ) -> None:
        key = str(uuid7())
        async with creator.socket() as watching, supporter.socket() as socket:
            with step("The creator watches their activity"):
                activity = await watching.subscribe(_ACTIVITY, creator=found["id"])
                message = (await activity.next())["creatorActivity"]
                expect(message["kind"] == "SNAPSHOT", "The activity did not begin with a snapshot.")
            with step("Tip 5.00 USD") as said:
                sent = (await supporter.run(_TIP, creator=found["id"], key=key))["tipCreate"]
                expect(not sent["errors"], f"The tip was refused: {sent['errors']}.")
                payment = sent["payment"]["id"]
                said.append(sent["tip"]["id"])
            with step("Subscribe to its payment") as said:
                status = await socket.subscribe(_STATUS, payment=payment)
                snapshot = (await status.next())["paymentStatus"]
                expect(snapshot["payment"]["status"] == "PENDING", "The payment is not PENDING.")
                said.append("PENDING")
            with step("A declined card is refused with its reason") as said:
                answer = await self._confirm(supporter, payment, "tok_insufficient_funds")
                errors = answer["errors"]
                expect(len(errors) == 1 and errors[0]["code"] == "PAYMENT_DECLINED", f"Not declined: {answer}.")
                said.append(errors[0]["declineCode"])
                await until(status, "FAILED")
            with step("Another card is accepted, and SUCCEEDED is pushed") as said:
                answer = await self._confirm(supporter, payment, "tok_success")
                expect(not answer["errors"], f"The card was refused: {answer['errors']}.")
                seen, _ = await until(status, "SUCCEEDED")
                said.append(" → ".join(["PENDING", *seen]))
            with step("The creator sees it at once") as said:
                event = (await activity.next())["creatorActivity"]
                expect(event["kind"] == "EVENT", "The activity did not tell of the tip.")
                said.append(f"+{event['activity']['net']['amount']}: {event['activity']['tip']['message']}")
            with step("Their earnings rose by the net") as said:
                risen = await self._earned(creator) - earned
                expect(risen == net, f"They rose by {risen}, not by {net}.")
                said.append(f"+{risen} USD")
        with step("The same tip with the same key is the same tip"):
            again = (await supporter.run(_TIP, creator=found["id"], key=key))["tipCreate"]
            expect(again["tip"]["id"] == sent["tip"]["id"], "A second tip was made.")
            expect(again["payment"]["id"] == payment, "A second payment was made.")
            expect(await self._earned(creator) == earned + net, "The creator was paid twice.")
        with step("A connection that drops resumes without loss or repeat") as said:
            await self._resume(supporter, payment, snapshot["cursor"], said)

    async def _resume(self, supporter: Client, payment: str, cursor: str, said: list[str]) -> None:
        """Drop the connection after each message and go on with the last cursor."""
        statuses: list[str] = []
        while not statuses or statuses[-1] != "SUCCEEDED":
            async with supporter.socket() as socket:
                stream = await socket.subscribe(_STATUS, payment=payment, after=cursor)
                message = (await stream.next())["paymentStatus"]
                expect(message["kind"] == "EVENT", "A resumed stream began anew.")
                cursor = message["cursor"]
                statuses.append(message["event"]["status"])
        expected = ["FAILED", "PROCESSING", "SUCCEEDED"]
        expect(statuses in (expected, ["FAILED", "SUCCEEDED"]), f"The resumed stream told {statuses}.")
        said.append(" → ".join(statuses))

    async def _buy(self, supporter: Client, product: dict[str, Any]) -> str:
        with step("Buy a product") as said:
            bought = (await supporter.run(_BUY, product=product["id"], key=str(uuid7())))["purchaseCreate"]
            expect(not bought["errors"], f"The purchase was refused: {bought['errors']}.")
            payment = bought["payment"]["id"]
            async with supporter.socket() as socket:
                status = await socket.subscribe(_STATUS, payment=payment)
                await status.next()
                answer = await self._confirm(supporter, payment, "tok_success")
                expect(not answer["errors"], f"The card was refused: {answer['errors']}.")
                await until(status, "SUCCEEDED")
            said.append(f"{product['title']} for {product['price']['formatted']}")
            return str(payment)

    async def _confirm(self, client: Client, payment: str, method: str) -> dict[str, Any]:
        answer = await client.run(_CONFIRM, payment=payment, method=method, key=str(uuid7()))
        payload: dict[str, Any] = answer["paymentConfirm"]
        return payload

    async def _earned(self, creator: Client) -> Decimal:
        data = await creator.run(_EARNINGS, handle=CREATOR)
        return Decimal(data["creator"]["earnings"]["lifetime"]["amount"])


@contextmanager
def _own_server() -> Iterator[tuple[Settings, str]]:
    """Run a server and a worker on a free port, with a database and keys of their own, for this story."""
    from app.postgres import for_checkout

    port = _free_port()
    name = f"comptoir_demo_{os.getpid()}"
    with for_checkout(CHECKOUT).lease() as lease, TemporaryDirectory(prefix="comptoir-demo-") as state:
        lease.ensure_database(name)
        chosen = {
            "DATABASE_URL": lease.dsn(name),
            "COMPTOIR_ENVIRONMENT": "development",
            "COMPTOIR_HOST": "127.0.0.1",
            "COMPTOIR_PORT": str(port),
            "COMPTOIR_PUBLIC_URL": "",
            "COMPTOIR_WEBHOOK_URL": "",
            "COMPTOIR_JWKS_URL": "",
            "COMPTOIR_PROVIDER": "sandbox",
            "COMPTOIR_STATE_DIRECTORY": state,
        }
        environment = {**os.environ, **chosen}
        settings = Settings(
            port=port, state_directory=Path(state), database_url=chosen["DATABASE_URL"], jwks_url=""
        )
        with step(f"A server of its own on port {port}"):
            for command in ("migrate", "seed"):
                _run(environment, command)
            log = Path(state) / "server.log"
            with log.open("wb") as file:
                server = subprocess.Popen(
                    [sys.executable, "-m", "app", "serve", "--with-worker"],
                    env=environment,
                    cwd=CHECKOUT,
                    stdin=subprocess.DEVNULL,
                    stderr=file,
                )
            _wait_until_ready(server, f"http://127.0.0.1:{port}", log)
        try:
            yield settings, f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(20)
            lease.drop_database(name)


def _run(environment: dict[str, str], command: str) -> None:
    done = subprocess.run(  # ruff: ignore[subprocess-without-shell-equals-true] - our own program
        [sys.executable, "-m", "app", *command.split()],
        env=environment,
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise Surprise(f"comptoir {command} failed: {(done.stdout + done.stderr).strip()[-2000:]}")


def _wait_until_ready(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if httpx.get(f"{url}/health/ready", timeout=2).status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.05)
    raise Surprise(f"The server did not become ready: {log.read_text(encoding='utf-8')[-2000:]}")


def _prove(settings: Settings) -> None:
    database = settings.database_url
    environment = {
        **os.environ,
        "COMPTOIR_PROVIDER": "sandbox",
        "DATABASE_URL": database.get_secret_value() if database is not None else "",
    }
    with step("The ledger proves itself"):
        _run(environment, "ledger verify")
    with step("The provider, the ledger and the shop agree"):
        _run(environment, "doctor --grace 0s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
