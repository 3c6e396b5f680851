"""Words the ledger's tests share."""

import asyncio
from collections.abc import Collection, Sequence
from decimal import Decimal
from uuid import UUID, uuid4

import asyncpg

import ledger
from ledger import AccountKind, AccountSpec, Group, Movement, Operation, Outcome, Posted, Refusal, Refused, chart

CLEARING = chart.with_provider(AccountKind.CLEARING, "USD", "sandbox")
FEES = chart.platform(AccountKind.FEES, "USD")
TAX = chart.platform(AccountKind.TAX_PAYABLE, "USD")

_POST = (
    "select outcomes from ledger.post($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)"
)
_SNAPSHOT = """
select 'asset' as name, asset::text as row from ledger.asset
union all select 'account', account::text from ledger.account where coalesce(stripe_of, id) <> all ($1)
union all select 'account_change', account_change::text from ledger.account_change where account <> all ($1)
union all select 'request', request::text from ledger.request where key not like 'beside:%'
union all select 'movement', movement::text from ledger.movement where debit <> all ($1)
union all select 'hold', hold::text from ledger.hold
union all select 'hold_entry', hold_entry::text from ledger.hold_entry
union all select 'reversed', reversed::text from ledger.reversed
union all select 'reversal', reversal::text from ledger.reversal
"""


def pending(owner: UUID | None = None, asset: str = "USD") -> AccountSpec:
    return chart.creator(AccountKind.PENDING, asset, owner or uuid4())


def wallet(asset: str = "USD") -> AccountSpec:
    """Somebody's wallet: guarded."""
    return chart.wallet(asset, uuid4())


def owed(asset: str = "USD") -> AccountSpec:
    """Some creator's debt: not guarded and not striped, so money can come out of it."""
    return chart.creator(AccountKind.OWED, asset, uuid4())


def new_clearing(asset: str = "USD") -> AccountSpec:
    """The clearing account of a provider that no other test has heard of: not guarded, and striped."""
    return chart.with_provider(AccountKind.CLEARING, asset, f"p{uuid4().hex}")


def new_till() -> AccountSpec:
    """What another provider that nobody has heard of has of ours: another account that is striped."""
    return chart.with_provider(AccountKind.CONNECTED, "USD", f"p{uuid4().hex}")


async def opened(connection: asyncpg.Connection, *specs: AccountSpec) -> list[int]:
    ids = await ledger.ensure(specs, on=connection)
    return [ids[spec] for spec in specs]


async def funded(connection: asyncpg.Connection, *amounts: int) -> list[int]:
    """Open an account that money comes out of, and a wallet for each amount, with that in it; return the ids."""
    source, *wallets = await opened(connection, owed(), *(wallet() for _ in amounts))
    gifts = [(source, account, amount) for account, amount in zip(wallets, amounts, strict=True) if amount]
    if gifts:
        await ledger.post([group(*gifts)], on=connection)
    return [source, *wallets]


def group(*legs: tuple[int, int, int], key: str | None = None) -> Group:
    """A group of (debit, credit, amount)."""
    return Group(key or str(uuid4()), tuple(Movement(*leg, kind="test") for leg in legs))


def operating(*operations: Operation, key: str | None = None) -> Group:
    """A group of any operations."""
    return Group(key or str(uuid4()), operations)


async def post_group(connection: asyncpg.Connection, group: Group) -> Outcome:
    (outcome,) = await ledger.post([group], on=connection)
    return outcome


async def post_one(connection: asyncpg.Connection, *legs: tuple[int, int, int], key: str | None = None) -> Outcome:
    return await post_group(connection, group(*legs, key=key))


async def do(connection: asyncpg.Connection, *operations: Operation, key: str | None = None) -> Outcome:
    """Post one group of any operations."""
    return await post_group(connection, operating(*operations, key=key))


async def posted(connection: asyncpg.Connection, *operations: Operation, key: str | None = None) -> Posted:
    """Post one group of any operations that has to be new in the books."""
    outcome = await do(connection, *operations, key=key)
    assert isinstance(outcome, Posted), outcome
    assert not outcome.replayed
    return outcome


async def post_apart(pool: asyncpg.Pool, *groups: Group) -> list[Outcome]:
    async with pool.acquire() as connection:
        return await ledger.post(groups, on=connection)


async def call_post(
    connection: asyncpg.Connection,
    debit: int | None,
    credit: int | None,
    amounts: Sequence[Decimal | None],
    *,
    sizes: Sequence[int] | None = None,
    keys: Sequence[str] | None = None,
    ids: Sequence[UUID] | None = None,
    operations: Sequence[int] | None = None,
) -> list[str]:
    """Call the SQL function of batches without Python's checks: one group per amount, or of those sizes."""
    sizes = sizes or [1] * len(amounts)
    outcomes: list[str] | None = await connection.fetchval(
        _POST,
        "test",
        keys or [str(uuid4()) for _ in sizes],
        [bytes(32)] * len(sizes),
        [uuid4() for _ in sizes],
        None,
        sizes,
        ids or [uuid4() for _ in amounts],
        [debit] * len(amounts),
        [credit] * len(amounts),
        amounts,
        ["test"] * len(amounts),
        [None] * len(amounts),
        operations,
        *[None if operations is None else [None] * len(amounts)] * 4,
    )
    return ["posted"] * len(sizes) if outcomes is None else outcomes


async def posted_balances(connection: asyncpg.Connection, *ids: int) -> list[int]:
    found = await ledger.balances(ids, on=connection)
    return [found[account].posted for account in ids]


async def available(connection: asyncpg.Connection, account: int) -> tuple[int, int, int]:
    """What an account has posted, held and available."""
    found = await ledger.balance(account, on=connection)
    assert found is not None
    return found.posted, found.held, found.available


async def held_in(connection: asyncpg.Connection, account: int) -> int:
    """How much is held for an account, over all its rows."""
    sql = "select sum(held_in) from ledger.account where id = $1 or stripe_of = $1"
    return int(await connection.fetchval(sql, account))


async def written(connection: asyncpg.Connection, before: tuple[int, int] = (0, 0)) -> tuple[int, int]:
    """How many movements and requests there are, beyond those that were there before."""
    row = await connection.fetchrow(
        "select (select count(*) from ledger.movement) as movements,"
        " (select count(*) from ledger.request) as requests"
    )
    return row["movements"] - before[0], row["requests"] - before[1]


async def snapshot(connection: asyncpg.Connection, *, leaving_out: Collection[int] = ()) -> dict[str, list[str]]:
    """Every row of every table, without what some accounts moved in groups whose keys begin with ``beside:``."""
    tables: dict[str, list[str]] = {}
    for row in await connection.fetch(_SNAPSHOT, list(leaving_out)):
        tables.setdefault(row["name"], []).append(row["row"])
    return {name: sorted(rows) for name, rows in tables.items()}


def codes(outcomes: list[Outcome]) -> list[Refusal | None]:
    """The refusals in a batch's outcomes, None for what was posted."""
    return [outcome.code if isinstance(outcome, Refused) else None for outcome in outcomes]


def is_new(outcome: Outcome) -> bool:
    return isinstance(outcome, Posted) and not outcome.replayed


async def until_waiting(watching: asyncpg.Connection, number: int = 1) -> None:
    """Return once that many connections to the database wait for a lock. ``watching`` is a superuser's."""
    sql = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    async with asyncio.timeout(10):
        while await watching.fetchval(sql) < number:
            await asyncio.sleep(0.005)


async def at_once(task: "asyncio.Task[object]") -> None:
    """Wait for a task that must not have to wait for anybody."""
    await asyncio.wait_for(asyncio.shield(task), 10)
