"""How many statements a read may cost: as many for a page of twenty as for a page of one."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from tests.api.shop import Shop, do, usd
from tests.support.statements import is_own

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIST = """
query ($first: Int!, $where: ProductWhere) {
  products(first: $first, where: $where) {
    nodes {
      id title stock price { amount currency formatted } creator { handle }
      variants { id title choices available prices { amount currency } price(currency: "EUR") { amount } }
      pictures { url width height }
      collections { slug }
    }
    pageInfo { endCursor hasNextPage }
  }
}
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stocked(shop: Shop) -> Shop:
    """Two creators with a dozen products each, each in three sizes."""
    for name in ("budget_one", "budget_two"):
        creator = await shop.world.creator(name)
        for number in range(12):
            await do(
                shop.world.client(name),
                "productCreate",
                creatorId=creator,
                title=f"Thing {number}",
                options=["Size"],
                variants=[{"choices": [size], "prices": [usd("5.00")], "stock": 3} for size in "SML"],
            )
    return shop


@asynccontextmanager
async def statements(shop: Shop) -> AsyncIterator[list[str]]:
    """Collect the statements that reading sends meanwhile."""
    pool = shop.world.engine.database.reader
    seen: list[str] = []
    connections = [await pool.acquire() for _ in range(pool.get_max_size())]
    try:
        for connection in connections:

            def log(record: object) -> None:
                query = re.sub(r"\s+", " ", str(getattr(record, "query", ""))).strip()
                if is_own(query):
                    seen.append(query)

            connection.add_query_logger(log)
    finally:
        for connection in connections:
            await pool.release(connection)
    yield seen


@pytest.mark.parametrize("first", [1, 20])
async def test_page_of_products_with_all_that_belongs_to_them_takes_five_statements(
    stocked: Shop, first: int
) -> None:
    client = stocked.nobody

    async with statements(stocked) as seen:
        found = (await client.run(LIST, first=first))["products"]["nodes"]

    assert len(found) == first
    assert len(found[0]["variants"]) == 3
    assert len(seen) <= 5, "\n".join(seen)


async def test_page_without_variants_and_creators_takes_one_statement(stocked: Shop) -> None:
    query = "{ products(first: 20) { nodes { id title stock price { amount } tags state } } }"

    async with statements(stocked) as seen:
        found = (await stocked.nobody.run(query))["products"]["nodes"]

    assert len(found) == 20
    assert len(seen) == 1, seen
