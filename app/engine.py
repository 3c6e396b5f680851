"""Putting a process together from its settings."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import asyncpg
from tortoise import Tortoise

import ledger
from app.observed import Observed
from app.providers import open_provider
from app.settings import Settings
from core import money
from ledger import Accounts
from models.config import orm_config
from models.database import APP_ROLE, Database
from providers.storage.objects import ObjectStore
from providers.tax.table import TaxTable
from services.bus import LocalBus
from services.bus_redis import RedisBus
from services.engine import Engine
from services.guests import GuestTokens
from services.links import SignedLinks
from services.settlement import settle


@asynccontextmanager
async def open_engine(settings: Settings, dsn: str, *, subscribers: bool) -> AsyncIterator[Engine]:
    """Open what use cases work with, and close it at the end.

    ``subscribers``: this process serves subscriptions, so it listens to the bus.
    """
    async with AsyncExitStack() as stack:
        await Tortoise.init(config=orm_config(dsn, role=APP_ROLE), _enable_global_fallback=True)
        stack.push_async_callback(Tortoise.close_connections)
        database = await Database.connect(dsn)
        stack.push_async_callback(database.close)
        # Accounts are opened while a transaction of the other pool waits: from the same pool it could starve.
        accounts = await asyncpg.create_pool(
            dsn, min_size=0, max_size=2, server_settings={"role": APP_ROLE, "application_name": "comptoir"}
        )
        stack.push_async_callback(accounts.close)
        async with database.reader.acquire() as connection:
            assets = await ledger.assets(on=connection)
        for asset in assets.values():
            money.declare(asset.code, asset.scale)
        provider = await stack.enter_async_context(
            open_provider(settings, database.writer, {asset.code: asset.scale for asset in assets.values()})
        )
        bus: LocalBus | RedisBus
        if settings.redis_url is None:
            bus = LocalBus()
        else:
            bus = RedisBus(settings.redis_url.get_secret_value())
            if subscribers:
                await bus.start()
            stack.push_async_callback(bus.close)
        yield Engine(
            database=database,
            accounts=Accounts(accounts),
            provider=Observed(provider),
            bus=bus,
            settle=settle,
            guests=GuestTokens(settings.guest_secret),
            links=SignedLinks(settings.guest_secret, settings.own_url),
            tax=TaxTable(database.reader),
            files=ObjectStore.at(settings.files_url, settings.s3_options),
            provider_timeout=timedelta(seconds=settings.provider_timeout_seconds),
            settle_grace=timedelta(seconds=settings.settle_grace_seconds),
            payment_expiry=timedelta(seconds=settings.payment_expiry_seconds),
            upload_limit=settings.upload_max_bytes,
        )
