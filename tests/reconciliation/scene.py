"""People, payments and everything that can become of a payment, without a web server and without a worker."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from app.engine import open_engine
from app.observed import unwrapped
from app.settings import Settings
from core import clock
from core.clock import now
from core.ids import uuid7
from core.money import money
from core.refunds import RefundReason
from core.scopes import Scope
from core.viewer import Viewer
from ledger import chart
from providers.payments.sandbox import SandboxProvider
from services import (
    charging,
    maturing,
    payout_accounts,
    payout_calls,
    payouts,
    posting,
    purchases,
    refunds,
    tips,
    webhooks,
)
from services.engine import Engine
from services.reconciliation import BEGINNING, Difference, DifferenceCode, Report, run
from tests.support.edited_provider import EditedProvider, edited
from tests.support.world import add_fee_rules

EVERYTHING = frozenset(Scope)


@dataclass
class Scene:
    """An engine with one creator, one product and one payer; what happens is done by the test."""

    engine: Engine
    owner: asyncpg.Connection
    sandbox: SandboxProvider
    provider: EditedProvider
    creator: UUID
    product: UUID
    seller: Viewer
    payer: Viewer

    # What people do ---------------------------------------------------------------------------------------

    async def tip(self, amount: int = 1_000, method: str | None = "tok_success", currency: str = "USD") -> UUID:
        """Tip, and confirm it with a card unless there is none; nothing is told yet. Return the payment's id."""
        command = tips.SendTip(self.creator, money(amount, currency), None, str(uuid7()))
        payment: UUID = (await tips.send(self.engine, self.payer, command)).payment["id"]
        if method is not None:
            await self.confirm(payment, method)
        return payment

    async def buy(self, method: str | None = "tok_success") -> UUID:
        """Buy the product; return the payment's id."""
        bought = await purchases.buy(self.engine, self.payer, purchases.Buy(self.product, str(uuid7())))
        payment: UUID = bought.payment["id"]
        if method is not None:
            await self.confirm(payment, method)
        return payment

    async def confirm(self, payment: UUID, method: str) -> None:
        await charging.confirm(self.engine, self.payer, charging.Confirm(payment, method, None, str(uuid7())))

    async def cancel(self, payment: UUID) -> None:
        await charging.cancel(self.engine, self.payer, charging.Cancel(payment, str(uuid7())))

    async def capture(self, payment: UUID, amount: int) -> None:
        """Capture a part of a payment that is reserved."""
        command = charging.Capture(payment, money(amount, "USD"), str(uuid7()))
        await charging.capture(self.engine, self.seller, command)

    async def refund(self, payment: UUID, amount: int | None = None) -> UUID:
        """Give back some or all of a payment; return the refund's id."""
        asked = None if amount is None else money(amount, "USD")
        command = refunds.CreateRefund(payment, asked, RefundReason.OTHER, str(uuid7()))
        refund: UUID = (await refunds.create(self.engine, self.seller, command)).row["id"]
        return refund

    async def payout(self, amount: int) -> UUID:
        """Ask for a payout through an account that is ready at once, and make its first calls."""
        command = payout_accounts.Onboard(self.creator, "ZZ", "http://front.test/", str(uuid7()))
        await payout_accounts.onboard(self.engine, self.seller, command)
        asked = payouts.RequestPayout(self.creator, money(amount, "USD"), str(uuid7()))
        payout, _ = await payouts.request(self.engine, self.seller, asked)
        await payout_calls.advance(self.engine, payout)
        return payout

    # What time and the provider do ------------------------------------------------------------------------

    async def told(self) -> None:
        """Bring everything the sandbox has told to the inbox, and settle it."""
        await self.arrived()
        await self.settled()

    async def settled(self) -> None:
        """Settle what is in the inbox."""
        while await webhooks.process(self.engine):
            pass

    async def arrived(self) -> None:
        """Bring everything the sandbox has told to the inbox."""
        async for event in self.sandbox.events(BEGINNING):
            await self.owner.execute(
                "insert into inbox_events (provider, event_id, type, body, state, attempts, due_at, received_at) "
                "values ('sandbox', $1, $2, $3, 'PENDING', 0, $4, $4) on conflict do nothing",
                event.id,
                event.type,
                event.raw,
                now(),
            )

    async def later(self, **ahead: float) -> None:
        """Let time pass at the provider and here, and all happen and be told that is due by then."""
        clock.set_ahead(await self.sandbox.advance_clock(timedelta(**ahead)))
        await self.sandbox.run_due()
        await self.told()
        # What of payouts is due at once, such as taking a transfer back.
        await payout_calls.sweep(self.engine)
        await self.told()

    async def matured(self) -> None:
        """Let earnings become available that are due."""
        while await maturing.mature(self.engine):
            pass

    async def relayed(self) -> None:
        """Take everything for handed on that is in the outbox."""
        await self.owner.execute(
            "update outbox_events set position = id, creator_offset = case when in_activity then id end"
        )
        await self.owner.execute("update relay_position set assigned = $1, published = $1", 10**9)

    async def post(self, draft: chart.Draft) -> None:
        """Post a group that nothing here would."""
        async with self.engine.database.transaction() as transaction:
            await posting.post(self.engine, transaction.connection, [draft])

    # What is looked at ------------------------------------------------------------------------------------

    async def reconcile(self, **options: Any) -> Report:
        """Compare everything, however young it is."""
        return await run(self.engine, **{"grace": timedelta(0), **options})

    async def state(self) -> dict[str, str]:
        """Return what all tables hold, but for the record of reconciliations and what the sandbox only answers."""
        tables = await self.owner.fetch(
            "select format('%I.%I', schemaname, tablename) as name from pg_tables "
            "where schemaname in ('public', 'ledger', 'sandbox') and tablename <> 'reconciliations'"
        )
        return {
            name: await self.owner.fetchval(f"select md5(string_agg(t::text, ' ' order by t::text)) from {name} t")
            for (name,) in tables
        }

    async def row(self, table: str, key: UUID) -> Any:
        return await self.owner.fetchrow(f"select * from {table} where id = $1", key)

    async def run(self, sql: str, *parameters: Any) -> None:
        """Run a statement as the owner, who may do what nothing here does."""
        await self.owner.execute(sql, *parameters)

    async def untriggered(self, sql: str, *parameters: Any) -> None:
        """Run a statement past the triggers that keep history."""
        async with self.owner.transaction():
            await self.owner.execute("set local session_replication_role = replica")
            await self.owner.execute(sql, *parameters)


def found(report: Report) -> list[tuple[str, str]]:
    """Return what a report lists that was not mended, as codes and ids."""
    return [(each.code.value, each.about.id) for each in report.differences if not each.mended]


def only(report: Report, code: DifferenceCode) -> Difference:
    """Return the one difference of a code; there may be others of other codes."""
    (difference,) = [each for each in report.differences if each.code is code]
    return difference


async def make_product(
    owner: asyncpg.Connection, product: UUID, creator: UUID, *, stock: int | None = None
) -> UUID:
    """Offer a product for 10.00 USD that comes in one variant, with so many of it in stock; return the variant."""
    variant, location, level, at = uuid7(), uuid7(), uuid7(), now()
    await owner.execute(
        "insert into products (id, creator_id, title, price, currency, state, created_at, updated_at) "
        "values ($1, $2, 'A thing', 1000, 'USD', 'active', $3, $3)",
        product,
        creator,
        at,
    )
    await owner.execute(
        "insert into product_variants (id, product_id, position, state, stock_tracked, created_at, updated_at) "
        "values ($1, $2, 0, 'active', $3, $4, $4)",
        variant,
        product,
        stock is not None,
        at,
    )
    await owner.execute(
        "insert into variant_prices (id, variant_id, currency, amount) values ($1, $2, 'USD', 1000)",
        uuid7(),
        variant,
    )
    if stock is not None:
        await owner.execute(
            "insert into stock_locations (id, creator_id, name, position, state, created_at, updated_at) "
            "values ($1, $2, 'Main', 0, 'active', $3, $3)",
            location,
            creator,
            at,
        )
        await owner.execute(
            "insert into stock_levels (id, variant_id, location_id, on_hand, updated_at) "
            "values ($1, $2, $3, $4, $5)",
            level,
            variant,
            location,
            stock,
            at,
        )
        await owner.execute(
            "insert into stock_movements (level_id, kind, on_hand, reserved, at) "
            "values ($1, 'RECEIVED', $2, 0, $3)",
            level,
            stock,
            at,
        )
    return variant


@asynccontextmanager
async def open_scene(dsn: str, folder: Path) -> AsyncIterator[Scene]:
    """Open a scene on a fresh database; the clock goes back to the wall's at the end."""
    await add_fee_rules(dsn, timedelta(0))
    settings = Settings(_env_file=None, state_directory=folder)
    owner = await asyncpg.connect(dsn)
    creator, product = uuid7(), uuid7()
    seller, payer = Viewer(uuid7(), scopes=EVERYTHING), Viewer(uuid7(), scopes=EVERYTHING)
    at = now()
    await owner.executemany(
        "insert into users (id, issuer, subject, created_at) values ($1, 'test', $2, $3)",
        [(seller.user_id, "seller", at), (payer.user_id, "payer", at)],
    )
    await owner.execute(
        "insert into creators (id, user_id, handle, display_name, plan, state, created_at, updated_at) "
        "values ($1, $2, 'seller', 'Seller', 'standard', 'active', $3, $3)",
        creator,
        seller.user_id,
        at,
    )
    await make_product(owner, product, creator, stock=10)
    try:
        async with open_engine(settings, dsn, subscribers=False) as engine:
            sandbox = unwrapped(engine.provider)
            assert isinstance(sandbox, SandboxProvider)
            provider = edited(sandbox)
            engine.provider = provider
            yield Scene(engine, owner, sandbox, provider, creator, product, seller, payer)
    finally:
        clock.set_ahead(timedelta(0))
        await owner.close()
