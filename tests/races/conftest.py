"""A server alone, where nothing settles unless the test does it."""

from collections.abc import AsyncIterator

import pytest

from tests.support.world import World, running_world


@pytest.fixture
async def idle(dsn: str, books: None) -> AsyncIterator[World]:
    """A web server without a worker and without deliveries."""
    async with running_world(dsn, worker=False, deliveries=False) as running:
        yield running
