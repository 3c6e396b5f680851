"""Scenarios of accounts, and of what is read, that a mutated ledger has to fail."""

from datetime import timedelta
from typing import Final
from uuid import uuid4

import asyncpg

import ledger
from ledger import (
    AccountKind,
    Release,
    Status,
    chart,
)
from tests.ledger.mutants_site import Scenario, Site, compare, hold, one_of_everything, pay


async def accounts(site: Site) -> None:
    """Limits, closing, and what is written down of them."""
    books = await site.books()
    audit, clearing, connected, a, b, c, owed = books
    for limit in (0, 50, 50, 20):
        await audit.set_credit_limit(a, limit)
    await audit.do(pay(a, b, 115))
    for limit in (14, 15, 16):
        await audit.set_credit_limit(a, limit)
    await audit.do(hold(a, b, 1))
    await audit.set_credit_limit(a, 15)
    await audit.close(b)
    await audit.do(pay(b, clearing, 215))
    await audit.close(b)
    await audit.do(pay(c, clearing, 100))
    await audit.set_credit_limit(c, 9)
    placed = hold(c, clearing, 9)
    await audit.do(placed)
    await audit.close(c)
    await audit.do(Release(placed.id))
    await audit.close(c)
    await audit.close(owed)
    await audit.close(owed)
    await audit.do(pay(clearing, owed, 1))
    await audit.reopen(owed)
    await audit.reopen(owed)
    await audit.do(pay(clearing, owed, 1))
    await audit.do(pay(clearing, connected, 1), by=1)
    await audit.close(connected)  # what one of its stripes has
    await audit.do(pay(connected, clearing, 1), by=1)
    await audit.close(connected)
    await audit.do(pay(clearing, connected, 1), by=0)
    changes = await site.owner.fetch(
        "select account, change, credit_limit, at_version from ledger.account_change"
        " where account = any ($1::bigint[]) order by account, number", [a, b, owed, connected]
    )  # fmt: skip
    assert {tuple(row) for row in changes if row["account"] == a} == {
        (a, "credit_limit", 50, 2), (a, "credit_limit", 20, 2), (a, "credit_limit", 15, 3), (a, "credit_limit", 16, 3)
    }  # fmt: skip
    assert [row["change"] for row in changes if row["account"] == owed] == ["closed", "reopened"]
    for none in (2**62, audit.oracle.books.accounts[connected].rows[3]):
        try:
            await ledger.close_account(none, on=site.connections[0])
        except ledger.UnknownAccountError:
            continue
        raise AssertionError("an account that is none")
    await compare(books)


async def statements(site: Site) -> None:
    """Parts of a statement, and balances between its lines."""
    books = await site.books()
    audit, clearing, connected, a, *_ = books
    for by in (0, 1, 0):
        await audit.do(pay(clearing, a, 3), pay(clearing, connected, 2), by=by)
    await audit.do(hold(a, clearing, 1))
    connection = site.connections[1]
    for account in (clearing, a):
        lines = await ledger.statement(account, on=connection)
        assert lines == audit.oracle.statement(account)
        for n, line in enumerate(lines):
            since = [one for one in lines if one.posted_at >= line.posted_at]
            assert await ledger.statement(account, on=connection, since=line.posted_at) == since
            until = [one for one in lines if one.posted_at < line.posted_at]
            assert await ledger.statement(account, on=connection, until=line.posted_at) == until
            assert await ledger.statement(account, on=connection, after=line.position) == lines[n + 1 :]
            assert (
                await ledger.statement(account, on=connection, after=line.position, limit=1)
                == lines[n + 1 : n + 2]
            )
            just_before = await ledger.history(
                account, on=connection, at=line.posted_at - timedelta(microseconds=1)
            )
            assert just_before is not None
            assert (just_before.posted, just_before.version) == (until[-1].balance if until else 0, len(until))
        assert [line async for line in ledger.stream(account, on=connection)] == lines
    await audit.compare_past()
    assert await ledger.history(a, on=connection, version=0) == ledger.PastBalance(0, 0, None)
    try:
        await connection.fetchrow("select * from ledger.balance_at($1, clock_timestamp() + '1 hour')", a)
    except asyncpg.PostgresError:
        return
    raise AssertionError("told the future")


_SHAPE: Final = ("code", "asset", "owner", "provider", "kind", "guarded", "lock_rank", "striped")


async def opening(site: Site) -> None:
    connection = site.connections[0]
    specs = [
        chart.creator(AccountKind.PENDING, "USD", uuid4()),
        chart.with_provider(AccountKind.CLEARING, "JPY", str(uuid4())),
        chart.creator(AccountKind.OWED, "EUR", uuid4()),
    ]
    ids = await ledger.ensure(specs, on=connection)
    assert await ledger.ensure(reversed(specs), on=connection) == ids
    for spec in specs:
        rows = await site.owner.fetch(
            "select *, (select code from ledger.asset where asset.id = asset_id) as asset from ledger.account"
            " where id = $1 or stripe_of = $1 order by stripe", ids[spec]
        )  # fmt: skip
        assert [row["stripe"] for row in rows] == list(range(16 if spec.striped else 1))
        assert {tuple(row[name] for name in ("asset", "owner", "provider", "kind", "guarded", "lock_rank", "state"))
                for row in rows} == {(spec.asset, spec.owner, spec.provider, spec.kind.value, spec.guarded, spec.lock_rank, "open")}  # fmt: skip
    for change in (
        {"owner": uuid4()},
        {"asset": "EUR"},
        {"kind": "reserve"},
        {"provider": "p"},
        {"guarded": False},
    ):
        values = [getattr(specs[0], name) for name in _SHAPE]
        asked = [[change.get(name, value)] for name, value in zip(_SHAPE, values, strict=True)]
        (row,) = await connection.fetch(
            "select id, known from ledger.open_accounts($1, $2, $3, $4, $5, $6, $7, $8)", *asked
        )
        assert tuple(row) == (None, True), change
    try:
        await ledger.ensure([chart.creator(AccountKind.PENDING, "XXX", uuid4())], on=connection)
    except ledger.UnknownAssetError:
        pass
    else:
        raise AssertionError("an account in an asset that is none")
    asset = await ledger.declare_asset("GOLD", 3, "token", on=connection)
    assert await ledger.declare_asset("GOLD", 3, "token", on=connection) == asset
    other = await ledger.declare_asset("SILVER", 0, "points", on=connection)
    assert (other.id, other.scale, other.kind) == (asset.id + 1, 0, "points")
    assert asset.id > 1000


async def shapes_of_accounts(site: Site) -> None:
    """An account is as its kind says, however it is written."""
    (a,) = await site.owner.fetch("select * from ledger.account where id = $1", (await site.books()).a)
    clearing = await site.owner.fetchrow(
        "select * from ledger.account where kind = 'clearing' and stripe = 1 limit 1"
    )
    for model, change in (
        (a, {"guarded": False}),
        (a, {"owner": None}),
        (a, {"provider": "p"}),
        (a, {"stripe_of": clearing["id"]}),
        (a, {"stripe_of": clearing["id"], "stripe": 3}),
        (clearing, {"stripe": 16}),
        (clearing, {"stripe": 0}),
    ):
        new = {"owner": uuid4(), "provider": None} if model is a else {"owner": None, "provider": str(uuid4())}
        row = {**model, **new, **change}
        try:
            await site.owner.execute(
                "insert into ledger.account (asset_id, owner, provider, kind, code, guarded, lock_rank, stripe_of, stripe)"
                " values (840, $1, $2, $3, $4, $5, 0, $6, $7)",
                row["owner"], row["provider"], row["kind"], str(uuid4()), row["guarded"], row["stripe_of"], row["stripe"],
            )  # fmt: skip
        except asyncpg.CheckViolationError:
            continue
        raise AssertionError(change)


async def history_stays(site: Site) -> None:
    """Not even the owner changes what was posted."""
    books = await site.books()
    _, clearing, _, a, b, *_ = books
    await books.audit.do(pay(clearing, a, 1), hold(a, b, 1))
    for change in (
        "update ledger.movement set amount = amount + 1",
        "delete from ledger.movement",
        "update ledger.request set outcome = 'posted'",
        "delete from ledger.hold_entry",
        "truncate ledger.request",
        "update ledger.asset set scale = 3 where code = 'USD'",
    ):
        try:
            await site.owner.execute(change)
        except asyncpg.RestrictViolationError:
            continue
        raise AssertionError(change)


async def partitions(site: Site) -> None:
    """Each partition has what the first one has."""
    names = await ledger.create_partitions(on=site.connections[0], months=8)
    assert names
    assert await ledger.create_partitions(on=site.connections[0], months=8) == []
    rows = await site.owner.fetch(
        r"""
        select relid::regclass::text as name, has_table_privilege('comptoir_app', relid, 'select') as readable,
            (select array_agg(substring(indexdef from '\(.*')) from pg_indexes
                where indexdef like 'CREATE UNIQUE%' and format('%I.%I', schemaname, tablename)::regclass = relid) as keys,
            (select array_agg(tgname::text order by tgname) from pg_trigger
                where tgrelid = relid and not tgisinternal) as triggers
        from pg_partition_tree('ledger.movement') where isleaf
        """
    )
    assert {row["name"] for row in rows} > {f"ledger.{name}" for name in names}
    keys = {"(id)", "(debit, debit_version)", "(credit, credit_version)"}
    assert all(set(row["keys"]) == keys for row in rows)
    assert {tuple(row["triggers"]) for row in rows} == {("append_only", "append_only_as_a_whole")}
    assert all(row["readable"] for row in rows)


async def verified(site: Site) -> None:
    await one_of_everything(site)
    broken = [one for one in await ledger.verify(site.owner) if one.status is Status.BROKEN]
    assert not broken, broken


ACCOUNTS: Final[tuple[Scenario, ...]] = (
    accounts,
    statements,
    opening,
    shapes_of_accounts,
    history_stays,
    partitions,
    verified,
)
