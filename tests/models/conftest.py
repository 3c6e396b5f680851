"""Where the processes that migrate at once are started from."""

from collections.abc import Iterator

import pytest

from tests.support.processes import Nursery, nursery


@pytest.fixture(scope="module")
def forks() -> Iterator[Nursery]:
    with nursery() as opened:
        yield opened
