"""Web processes and workers of a fresh database, to be killed."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.processes import Deployment, Nursery, deployment, nursery
from tests.support.world import World, add_fee_rules, running_world


@pytest.fixture(scope="session")
def forks() -> Iterator[Nursery]:
    """Where processes are started from."""
    with nursery() as opened:
        yield opened


@pytest.fixture
async def deployed(dsn: str, books: None, forks: Nursery) -> AsyncIterator[Deployment]:
    """Processes of a fresh database, none of them started; earnings mature at once, and the books are proved."""
    await add_fee_rules(dsn)
    async with deployment(forks, dsn) as made:
        yield made


@pytest.fixture
async def idle(dsn: str, books: None) -> AsyncIterator[World]:
    """A web server alone: nothing is delivered and nothing settled unless the test does it."""
    async with running_world(dsn, worker=False, deliveries=False) as running:
        yield running
