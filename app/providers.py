"""The payment provider that the settings name."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg

from app.settings import Settings
from providers.payments.base import PaymentProvider
from providers.payments.sandbox import SandboxProvider


@asynccontextmanager
async def open_provider(
    settings: Settings, pool: asyncpg.Pool, currencies: Mapping[str, int]
) -> AsyncIterator[PaymentProvider]:
    """Yield the provider, made inside the running event loop, and close it at the end.

    ``pool`` is where the sandbox keeps its state; ``currencies`` are those of the books with the exponent of their
    smallest unit.
    """
    if settings.provider == "sandbox":
        yield SandboxProvider(
            pool,
            webhook_secrets=settings.webhook_secrets,
            public_url=settings.own_url,
            currencies=sorted(currencies),
        )
        return
    # The library of Stripe takes its time to load, which nobody waits for who does not use it.
    from providers.payments.stripe import StripeProvider

    provider = StripeProvider(
        settings.stripe_api_key.get_secret_value(),
        webhook_secrets=settings.stripe_webhook_secrets,
        return_url=settings.own_url,
        currencies=currencies,
        timeout=timedelta(seconds=settings.provider_timeout_seconds),
        api_url=settings.stripe_api_url or None,
    )
    try:
        yield provider
    finally:
        await provider.close()
