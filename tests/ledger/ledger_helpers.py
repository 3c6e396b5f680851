"""Words the ledger's tests share."""

from uuid import UUID, uuid4

import asyncpg

import ledger
from ledger import AccountKind, AccountSpec, Group, Movement, Outcome, Posted, Refusal, Refused, chart

CLEARING = chart.with_provider(AccountKind.CLEARING, "USD", "sandbox")
FEES = chart.platform(AccountKind.FEES, "USD")
TAX = chart.platform(AccountKind.TAX_PAYABLE, "USD")


def pending(owner: UUID | None = None, asset: str = "USD") -> AccountSpec:
    return chart.creator(AccountKind.PENDING, asset, owner or uuid4())


async def opened(connection: asyncpg.Connection, *specs: AccountSpec) -> list[int]:
    ids = await ledger.ensure(specs, on=connection)
    return [ids[spec] for spec in specs]


def group(*legs: tuple[int, int, int], key: str | None = None) -> Group:
    """A group of (debit, credit, amount)."""
    return Group(key or str(uuid4()), tuple(Movement(*leg, kind="test") for leg in legs))


async def post_one(connection: asyncpg.Connection, *legs: tuple[int, int, int], key: str | None = None) -> Outcome:
    (outcome,) = await ledger.post([group(*legs, key=key)], on=connection)
    return outcome


async def posted_balances(connection: asyncpg.Connection, *ids: int) -> list[int]:
    found = await ledger.balances(ids, on=connection)
    return [found[account].posted for account in ids]


async def written(connection: asyncpg.Connection) -> tuple[int, int]:
    """How many movements and requests there are."""
    row = await connection.fetchrow(
        "select (select count(*) from ledger.movement) as movements,"
        " (select count(*) from ledger.request) as requests"
    )
    return row["movements"], row["requests"]


def codes(outcomes: list[Outcome]) -> list[Refusal | None]:
    """The refusals in a batch's outcomes, None for what was posted."""
    return [outcome.code if isinstance(outcome, Refused) else None for outcome in outcomes]


def is_new(outcome: Outcome) -> bool:
    return isinstance(outcome, Posted) and not outcome.replayed
