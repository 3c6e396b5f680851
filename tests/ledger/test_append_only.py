import asyncpg
import pytest

from tests.ledger.ledger_helpers import CLEARING, opened, pending, post_one, written

CHANGES = [
    "update ledger.movement set amount = 1",
    "update ledger.movement_default set amount = 1",
    "delete from ledger.movement",
    "delete from ledger.movement_default",
    "truncate ledger.movement",
    "truncate ledger.movement_default",
    "update ledger.request set outcome = 'posted'",
    "delete from ledger.request",
    "truncate ledger.request",
]
WRITES = [
    "insert into ledger.movement select * from ledger.movement",
    "insert into ledger.request select * from ledger.request",
    "update ledger.account set posted = 0",
    "delete from ledger.account",
    "truncate ledger.account cascade",
    "update ledger.asset set scale = 3",
    "insert into ledger.asset values (1001, 'GOLD', 0, 'points')",
    "create table ledger.mine ()",
    "alter table ledger.movement disable trigger all",
    "set session_replication_role = replica",
    "drop table ledger.movement",
]


@pytest.fixture
async def posted(connection: asyncpg.Connection) -> None:
    clearing, creator = await opened(connection, CLEARING, pending())
    await post_one(connection, (clearing, creator, 5))


async def test_history_cannot_be_changed_even_by_its_owner(
    posted: None, connection: asyncpg.Connection, owner: asyncpg.Connection, subtests: pytest.Subtests
) -> None:
    for change in CHANGES:
        with subtests.test(change), pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
            await owner.execute(change)
    assert await written(connection) == (1, 1)


async def test_application_cannot_write_past_the_functions(
    posted: None, connection: asyncpg.Connection, subtests: pytest.Subtests
) -> None:
    for change in CHANGES + WRITES:
        with subtests.test(change), pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(change)
    assert await written(connection) == (1, 1)


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
    assert [(row["proname"], row["prosecdef"]) for row in mine] == [("open_accounts", True), ("post", True)]
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
