from uuid import uuid4

import asyncpg
import pytest

import ledger
from ledger import Hold, Posted, Reversal
from tests.ledger.ledger_helpers import CLEARING, do, opened, pending, post_one, snapshot

CHANGES = [
    "update ledger.movement set amount = 1",
    "update ledger.movement_first set amount = 1",
    "delete from ledger.movement",
    "delete from ledger.movement_first",
    "truncate ledger.movement cascade",
    "truncate ledger.movement_first cascade",
    "truncate ledger.movement_default cascade",
    "update ledger.request set outcome = 'posted'",
    "delete from ledger.request",
    "truncate ledger.request",
    *(
        f"{change} ledger.{table} {values}"
        for table, column in (("hold_entry", "amount"), ("reversal", "amount"), ("account_change", "credit_limit"))
        for change, values in (("update", f"set {column} = 1"), ("delete from", ""), ("truncate", ""))
    ),
]
WRITES = [
    "insert into ledger.movement select * from ledger.movement",
    "insert into ledger.movement_first select * from ledger.movement",
    "insert into ledger.request select * from ledger.request",
    "insert into ledger.hold_entry select * from ledger.hold_entry",
    "insert into ledger.reversal select * from ledger.reversal",
    "insert into ledger.account_change select * from ledger.account_change",
    "update ledger.account set posted = 0",
    "delete from ledger.account",
    "truncate ledger.account cascade",
    "update ledger.hold set released = 0",
    "delete from ledger.hold",
    "truncate ledger.hold cascade",
    "insert into ledger.hold select * from ledger.hold",
    "update ledger.reversed set reversed = 1",
    "delete from ledger.reversed",
    "truncate ledger.reversed cascade",
    "insert into ledger.reversed select * from ledger.reversed",
    "update ledger.asset set scale = 3",
    "insert into ledger.asset values (1001, 'GOLD', 0, 'points')",
    "create table ledger.mine ()",
    "alter table ledger.movement disable trigger all",
    "alter table ledger.movement detach partition ledger.movement_first",
    "set session_replication_role = replica",
    "drop table ledger.movement",
    "drop table ledger.movement_default",
    (
        "select ledger.post_each(null, null, null, null, null, null, null, null, null, null, null, null, null, null,"
        " null, null, null)"
    ),
]


@pytest.fixture
async def posted(connection: asyncpg.Connection) -> None:
    """Something of everything: movements, a hold, a reversal, a change of an account."""
    clearing, creator = await opened(connection, CLEARING, pending())
    outcome = await post_one(connection, (clearing, creator, 5))
    assert isinstance(outcome, Posted)
    await do(connection, Hold(uuid4(), creator, clearing, 2, "test"))
    await do(connection, Reversal(outcome.movements[0].id, 1, "test"))
    await ledger.set_credit_limit(creator, 1, on=connection)


async def test_history_cannot_be_changed_even_by_its_owner(
    posted: None, connection: asyncpg.Connection, owner: asyncpg.Connection, subtests: pytest.Subtests
) -> None:
    before = await snapshot(connection)
    for change in CHANGES:
        with subtests.test(change), pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
            await owner.execute(change)
    assert await snapshot(connection) == before


async def test_application_cannot_write_past_the_functions(
    posted: None, connection: asyncpg.Connection, subtests: pytest.Subtests
) -> None:
    before = await snapshot(connection)
    for change in CHANGES + WRITES:
        with subtests.test(change), pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(change)
    assert await snapshot(connection) == before


async def test_functions_are_for_the_application_only(owner: asyncpg.Connection) -> None:
    public = await owner.fetch(
        """
        select pg_proc.oid::regprocedure::text from pg_proc
        where pronamespace = 'ledger'::regnamespace
            and exists (select from aclexplode(coalesce(proacl, acldefault('f', proowner))) where grantee = 0)
        """
    )
    assert public == []
    mine = await owner.fetch(
        """
        select proname, prosecdef, proconfig from pg_proc
        where pronamespace = 'ledger'::regnamespace and has_function_privilege('comptoir_app', oid, 'execute')
        order by proname
        """
    )
    # Those that write run as their owner; those that only read need nothing that the application has not.
    assert [(row["proname"], row["prosecdef"]) for row in mine] == [
        ("balance_at", True),
        ("change_account", True),
        ("create_partitions", True),
        ("declare_asset", True),
        ("expire_holds", True),
        ("open_accounts", True),
        ("post", True),
        ("settled_moment", True),
        ("statement", False),
        ("transfer", True),
        ("version_at", False),
    ]
    assert all("search_path=ledger, pg_temp" in row["proconfig"] for row in mine)


async def test_scale_in_use_never_changes(connection: asyncpg.Connection, owner: asyncpg.Connection) -> None:
    await owner.execute("update ledger.asset set scale = 4 where code = 'EUR'")
    await opened(connection, pending(asset="EUR"))
    with pytest.raises(asyncpg.RestrictViolationError, match="never change"):
        await owner.execute("update ledger.asset set scale = 2 where code = 'EUR'")
    with pytest.raises(asyncpg.RestrictViolationError, match="never change"):
        await owner.execute("update ledger.asset set code = 'EURO' where code = 'EUR'")


async def test_account_with_history_cannot_be_deleted(posted: None, owner: asyncpg.Connection) -> None:
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await owner.execute("delete from ledger.account")
