"""A server for all tests of a file that leave it as they found it."""

from collections.abc import AsyncIterator

import pytest_asyncio

from app.postgres import Lease
from tests.api.books import Holder, open_holder
from tests.api.shop import Shop, open_shop


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(lease: Lease, template: str) -> AsyncIterator[Shop]:
    """A furnished server. Its tests run in the module's event loop: ``asyncio(loop_scope="module")``."""
    async with open_shop(lease, template) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def holder(shop: Shop) -> Holder:
    """A creator nobody has paid yet."""
    return await open_holder(shop.world)
