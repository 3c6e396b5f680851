"""Creators with accounts of their own, what is posted to them, and how they are read."""

import itertools
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any
from uuid import UUID

import ledger
from app.client import Client
from core.ids import Noun, uuid7
from core.scopes import Scope
from ledger import AccountKind, AccountSpec, Group, Movement, Posted, chart
from tests.api.shop import Shop
from tests.support.statements import is_own
from tests.support.world import World

FIGURES = "posted { amount minorUnits exponent currency } held { amount } available { amount } version"
LINE = """
    version kind amount { amount } balance { amount } counterparty { kind owner provider } reference
    postedAt effectiveAt
"""
OWN = f"""
query (
  $handle: String!, $kind: CreatorAccountKind!, $currency: CurrencyCode!, $first: Int, $after: String, $last: Int,
  $before: String, $from: DateTime, $to: DateTime
) {{
  creator(handle: $handle) {{
    account(kind: $kind, currency: $currency) {{
      kind currency owner provider {FIGURES}
      statement(first: $first, after: $after, last: $last, before: $before, from: $from, to: $to) {{
        totalCount edges {{ cursor node {{ {LINE} }} }}
        pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }}
      }}
    }}
  }}
}}
"""
ANY = f"""
query ($kind: AccountKind!, $currency: CurrencyCode!, $owner: ID, $provider: String, $first: Int, $last: Int) {{
  account(kind: $kind, currency: $currency, owner: $owner, provider: $provider) {{
    kind currency owner provider {FIGURES}
    statement(first: $first, last: $last) {{ totalCount nodes {{ {LINE} }} }}
  }}
}}
"""
FINANCE = frozenset([Scope.FINANCE_READ])
_handles = (f"creator_{number}" for number in itertools.count(1))


async def open_holder(world: World) -> "Holder":
    """Make a creator nobody has paid yet."""
    handle = next(_handles)
    return Holder(world, handle, await world.creator(handle))


class Holder:
    """A creator with accounts of their own, and what is posted to them."""

    def __init__(self, world: World, handle: str, creator: str) -> None:
        self.world = world
        self.handle = handle
        self.id = creator
        self.key: UUID = world.key(Noun.CREATOR, creator)
        self.client = world.client(handle)

    def spec(self, kind: AccountKind = AccountKind.AVAILABLE, asset: str = "USD") -> AccountSpec:
        return chart.creator(kind, asset, self.key)

    async def receives(self, *amounts: int, asset: str = "USD", reference: UUID | None = None) -> None:
        """Put amounts on the available account, one line each."""
        clearing = chart.with_provider(AccountKind.CLEARING, asset, "sandbox")
        for amount in amounts:
            await move(self.world, clearing, self.spec(asset=asset), amount, reference)

    async def receives_through(self, *amounts: int, asset: str) -> None:
        """Put amounts on the available account, each through a connection, and so a stripe, of its own."""
        clearing = chart.with_provider(AccountKind.CLEARING, asset, "sandbox")
        async with AsyncExitStack() as stack:
            pool = self.world.engine.database.writer
            connections = [await stack.enter_async_context(pool.acquire()) for _ in amounts]
            for amount, connection in zip(amounts, connections, strict=True):
                group = await _group(self.world, clearing, self.spec(asset=asset), amount, None)
                assert isinstance((await ledger.post([group], on=connection))[0], Posted)

    async def own(self, client: Client | None = None, **given: Any) -> dict[str, Any]:
        """Return the answer to the query for one of the accounts."""
        variables = {"handle": self.handle, "kind": "AVAILABLE", "currency": "USD", "first": 10, **given}
        answer: dict[str, Any] = await (client or self.client).full(OWN, **variables)
        return answer

    async def account(self, **given: Any) -> dict[str, Any]:
        answer = await self.own(**given)
        assert "errors" not in answer
        found: dict[str, Any] = answer["data"]["creator"]["account"]
        return found

    async def statement(self, **given: Any) -> dict[str, Any]:
        found: dict[str, Any] = (await self.account(**given))["statement"]
        return found


async def move(
    world: World, debit: AccountSpec, credit: AccountSpec, amount: int, reference: UUID | None = None
) -> None:
    """Post one movement."""
    group = await _group(world, debit, credit, amount, reference)
    async with world.engine.database.transaction() as transaction:
        (outcome,) = await ledger.post([group], on=transaction.connection)
    assert isinstance(outcome, Posted)


async def _group(
    world: World, debit: AccountSpec, credit: AccountSpec, amount: int, reference: UUID | None
) -> Group:
    ids = await world.engine.accounts.ids([debit, credit])
    return Group(str(uuid7()), (Movement(ids[debit], ids[credit], amount, "test.move", reference),))


def finance(shop: Shop) -> Client:
    return shop.world.client("accountant", FINANCE)


async def any_account(client: Client, **given: Any) -> Any:
    return (await client.run(ANY, **{"currency": "USD", "first": 10, **given}))["account"]


def lines_of(page: dict[str, Any]) -> list[tuple[str, str, str]]:
    nodes = [edge["node"] for edge in page["edges"]] if "edges" in page else page["nodes"]
    return [(node["version"], node["amount"]["amount"], node["balance"]["amount"]) for node in nodes]


def moments_of(page: dict[str, Any]) -> list[str]:
    return [edge["node"]["postedAt"] for edge in page["edges"]]


@contextmanager
def statements_sent(world: World) -> Iterator[list[str]]:
    """Collect the SQL that connections send which are open by now."""
    sent: list[str] = []

    def log(record: Any) -> None:
        if is_own(record.query):
            sent.append(record.query)

    pools = (world.engine.database.reader, world.engine.database.writer)
    connections = [holder._con for pool in pools for holder in pool._holders if holder._con is not None]
    for connection in connections:
        connection.add_query_logger(log)
    try:
        yield sent
    finally:
        for connection in connections:
            connection.remove_query_logger(log)
