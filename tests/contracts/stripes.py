"""The adapter of Stripe as the tests set it up."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from providers.payments.stripe import StripeProvider

SECRET = "whsec_" + "A" * 32
OTHER_SECRET = "whsec_" + "B" * 32


@asynccontextmanager
async def stripe_at(url: str) -> AsyncIterator[StripeProvider]:
    """Open the adapter on whatever stands in for Stripe at an address."""
    provider = StripeProvider(
        "sk_test_standin",
        webhook_secrets=[SECRET],
        return_url="https://shop.example/back",
        currencies={"USD": 2},
        timeout=timedelta(seconds=20),
        api_url=url,
    )
    try:
        yield provider
    finally:
        await provider.close()
