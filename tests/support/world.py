"""A whole server for tests: real HTTP, real WebSockets, a worker, and a few people."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
import uvicorn

from app.asgi import application
from app.client import Client
from app.observed import unwrapped
from app.settings import Settings
from app.supervisor import Supervisor
from app.worker import start_work
from core import clock, ids
from core.clock import now
from core.ids import Noun, uuid7
from core.scopes import PERSONAL_SCOPES, Scope
from providers.payments.sandbox import SandboxProvider, deliver, http_client
from services.engine import Engine

CREATE_CREATOR = """
mutation ($handle: String!) {
  creatorCreate(input: {idempotencyKey: "become", handle: $handle, displayName: $handle}) {
    creator { id } errors { code message }
  }
}
"""
CREATE_PRODUCT = """
mutation ($creator: ID!, $key: String!, $amount: Decimal!, $currency: CurrencyCode!, $stock: Int) {
  productCreate(input: {
    idempotencyKey: $key, creatorId: $creator, title: "A thing", stock: $stock,
    price: {amount: $amount, currency: $currency}
  }) { product { id stock } errors { code message } }
}
"""
TIP = """
mutation ($creator: ID!, $key: String!, $amount: Decimal!, $currency: CurrencyCode!, $message: String) {
  tipCreate(input: {
    idempotencyKey: $key, creatorId: $creator, message: $message, amount: {amount: $amount, currency: $currency}
  }) {
    tip { id amount { amount currency } net { amount } message }
    payment { id status cursor nextAction { type } lines { kind amount { amount } } }
    paymentToken
    errors { __typename code message path nextAction }
  }
}
"""
BUY = """
mutation ($product: ID!, $key: String!) {
  purchaseCreate(input: {idempotencyKey: $key, productId: $product}) {
    purchase { id title amount { amount } }
    payment { id status }
    paymentToken
    errors { __typename code message path ... on InsufficientStock { available } }
  }
}
"""
CONFIRM = """
mutation ($payment: ID!, $key: String!, $method: String!) {
  paymentConfirm(input: {idempotencyKey: $key, paymentId: $payment, method: $method}) {
    payment { id status statusReason nextAction { type url } }
    errors { __typename code message path nextAction ... on PaymentDeclined { declineCode } }
  }
}
"""
CANCEL = """
mutation ($payment: ID!, $key: String!) {
  paymentCancel(input: {idempotencyKey: $key, paymentId: $payment}) {
    payment { id status } errors { code message path }
  }
}
"""
PAYMENT = "query ($id: ID!) { payment(id: $id) { id status statusReason events { status reason } } }"
EARNINGS = """
query ($handle: String!, $currency: CurrencyCode!) {
  creator(handle: $handle) {
    earnings(currency: $currency) {
      pending { amount } available { amount } lifetime { amount }
      bySource { source net { amount } payments } byDay { day net { amount } payments }
    }
  }
}
"""


@dataclass
class World:
    """A running server and how to reach it, from outside (``client``) and from inside (``engine``)."""

    dsn: str
    url: str
    settings: Settings
    engine: Engine
    app: Any
    clients: list[Client] = field(default_factory=list)

    @property
    def sandbox(self) -> SandboxProvider:
        """The provider itself, without what watches it."""
        sandbox = unwrapped(self.engine.provider)
        assert isinstance(sandbox, SandboxProvider)
        return sandbox

    def token(self, user: str, scopes: frozenset[Scope] = PERSONAL_SCOPES, **claims: Any) -> str:
        """Return an access token for a user."""
        return self.settings.development.token(
            issuer=claims.get("issuer", self.settings.issuer),
            audience=claims.get("audience", self.settings.jwt_audience),
            subject=user,
            scopes=scopes,
        )

    def client(self, user: str | None = None, scopes: frozenset[Scope] = PERSONAL_SCOPES) -> Client:
        """Return a client signed in as a user, or as nobody."""
        return self.client_with(None if user is None else self.token(user, scopes))

    def client_with(self, token: str | None) -> Client:
        """Return a client with a token."""
        client = Client(self.url, token)
        self.clients.append(client)
        return client

    async def creator(self, user: str) -> str:
        """Make a user a creator whose handle is their name; return the creator's id."""
        data = await self.client(user).run(CREATE_CREATOR, handle=user)
        assert data["creatorCreate"]["errors"] == []
        return str(data["creatorCreate"]["creator"]["id"])

    async def product(
        self, user: str, creator: str, amount: str = "10.00", currency: str = "USD", stock: int | None = None
    ) -> str:
        """Offer a product; return its id."""
        variables = {
            "creator": creator,
            "key": str(uuid7()),
            "amount": amount,
            "currency": currency,
            "stock": stock,
        }
        data = await self.client(user).run(CREATE_PRODUCT, **variables)
        assert data["productCreate"]["errors"] == []
        return str(data["productCreate"]["product"]["id"])

    async def tip(
        self,
        client: Client,
        creator: str,
        amount: str = "5.00",
        currency: str = "USD",
        key: str | None = None,
        message: str | None = None,
    ) -> dict[str, Any]:
        """Send tipCreate; return its payload."""
        variables = {
            "creator": creator,
            "key": key or str(uuid7()),
            "amount": amount,
            "currency": currency,
            "message": message,
        }
        payload: dict[str, Any] = (await client.run(TIP, **variables))["tipCreate"]
        return payload

    async def buy(self, client: Client, product: str, key: str | None = None) -> dict[str, Any]:
        """Send purchaseCreate; return its payload."""
        payload: dict[str, Any] = (await client.run(BUY, product=product, key=key or str(uuid7())))[
            "purchaseCreate"
        ]
        return payload

    async def confirm(
        self, client: Client, payment: str, method: str = "tok_success", key: str | None = None
    ) -> dict[str, Any]:
        """Send paymentConfirm; return its payload."""
        variables = {"payment": payment, "key": key or str(uuid7()), "method": method}
        payload: dict[str, Any] = (await client.run(CONFIRM, **variables))["paymentConfirm"]
        return payload

    async def status(self, payment: str) -> str:
        """Return a payment's status as the database has it."""
        value: str = await self.scalar(
            "select status from payments where id = $1", self.key(Noun.PAYMENT, payment)
        )
        return value

    async def until(self, payment: str, status: str, seconds: float = 10) -> None:
        """Wait until a payment has a status."""

        async def reached() -> bool:
            return await self.status(payment) == status

        await eventually(reached, seconds, lambda: f"{payment} never became {status}")

    async def paid_tip(self, client: Client, creator: str, amount: str = "5.00", currency: str = "USD") -> str:
        """Tip, confirm and wait until it is settled; return the payment's id."""
        payment = str((await self.tip(client, creator, amount, currency))["payment"]["id"])
        await self.confirm(client, payment)
        await self.until(payment, "SUCCEEDED")
        return payment

    @staticmethod
    def key(noun: Noun, text: str) -> Any:
        """Return the UUID behind an id."""
        value = ids.decode(noun, text)
        assert value is not None
        return value

    async def scalar(self, sql: str, *parameters: Any) -> Any:
        """Return one value from the database."""
        return await self.engine.database.reader.fetchval(sql, *parameters)

    async def count(self, table: str) -> int:
        """Return how many rows a table has."""
        value: int = await self.scalar(f"select count(*) from {table}")
        return value

    async def counts(self) -> dict[str, int]:
        """Return how many rows there are of everything that a refused operation must not write."""
        tables = ("tips", "orders", "payments", "payment_events", "outbox_events", "inbox_events")
        moved = ("ledger.movement", "ledger.request", "earning_days", "creators", "products")
        return {table: await self.count(table) for table in (*tables, *moved)}


async def eventually(
    condition: Callable[[], Any], seconds: float = 10, message: Callable[[], str] = lambda: "it never happened"
) -> None:
    """Wait until an asynchronous condition holds."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not await condition():
        assert asyncio.get_running_loop().time() < deadline, message()
        await asyncio.sleep(0.01)


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def add_fee_rules(
    dsn: str, delay: timedelta = timedelta(0), reserve: tuple[int, timedelta] = (0, timedelta(0))
) -> None:
    """Make the platform's fee 5 % of tips and 8 % of purchases, plus 0.30 on purchases in USD.

    ``reserve``: how many basis points of an earning are kept, and for how long.
    """
    connection = await asyncpg.connect(dsn)
    try:
        for kind, currency, percent, fixed in (
            ("tip", None, 500, 0),
            ("purchase", None, 800, 0),
            ("purchase", "USD", 800, 30),
        ):
            await connection.execute(
                "insert into fee_rules (id, kind, currency, plan, percent_basis_points, fixed, "
                "maturity_delay_seconds, valid_from, created_at, reserve_basis_points, reserve_delay_seconds) "
                "values ($1, $2, $3, 'standard', $4, $5, $6, $7, $7, $8, $9)",
                uuid7(),
                kind,
                currency,
                percent,
                fixed,
                int(delay.total_seconds()),
                now() - timedelta(days=1),
                reserve[0],
                int(reserve[1].total_seconds()),
            )
    finally:
        await connection.close()


@asynccontextmanager
async def running_world(
    dsn: str,
    *,
    worker: bool = True,
    deliveries: bool = True,
    delay: timedelta = timedelta(days=7),
    reserve: tuple[int, timedelta] = (0, timedelta(0)),
    **settings: Any,
) -> AsyncIterator[World]:
    """Run a server, with a worker and the sandbox's deliveries unless told otherwise."""
    await add_fee_rules(dsn, delay, reserve)
    port = free_port()
    async with AsyncExitStack() as stack:
        state = Path(stack.enter_context(TemporaryDirectory(prefix="comptoir-state-")))
        chosen = Settings(_env_file=None, port=port, state_directory=state, **settings)
        app = application(chosen, dsn)
        config = uvicorn.Config(
            app,
            host="127.0.0.1",
            port=port,
            lifespan="on",
            log_config=None,
            ws="websockets-sansio",
            ws_max_size=64 * 1024,
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=2,
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        while not server.started:
            assert not serving.done(), "the server did not start"
            await asyncio.sleep(0.005)
        engine: Engine = app.state.engine
        supervisor = Supervisor()
        if worker:
            start_work(supervisor, engine)
        stop = asyncio.Event()
        if deliveries:
            http = await stack.enter_async_context(http_client())
            supervisor.start(
                "deliveries",
                lambda: deliver(
                    engine.database.writer,
                    url=chosen.sandbox_webhook_url,
                    secrets=chosen.webhook_secrets,
                    client=http,
                    stop=stop,
                ),
            )
        world = World(dsn, f"http://127.0.0.1:{port}", chosen, engine, app)
        try:
            yield world
        finally:
            stop.set()
            await supervisor.stop()
            for client in world.clients:
                await client.close()
            server.should_exit = True
            await serving
            # Not before: the server follows the sandbox's clock as long as it runs.
            clock.set_ahead(timedelta(0))
