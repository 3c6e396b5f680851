"""Business time in development: it follows the sandbox's clock, which can be moved forward."""

import asyncio
from typing import Final

from core import clock
from models.database import DATABASE_ERRORS
from providers.payments.base import ProviderError
from providers.payments.sandbox import SandboxProvider

_POLL_SECONDS: Final = 0.25


async def follow_clock(provider: SandboxProvider) -> None:
    """Keep this process's business time as far ahead as the sandbox's, so that what is due there is due here."""
    while True:
        await read_clock(provider)
        await asyncio.sleep(_POLL_SECONDS)


async def read_clock(provider: SandboxProvider) -> None:
    """Take over how far ahead the sandbox's clock is; where the database is away, it stays as it was."""
    try:
        clock.set_ahead(await provider.clock_ahead())
    except (ProviderError, *DATABASE_ERRORS):
        return
