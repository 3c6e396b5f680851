"""Whatever holds a guarantee of the ledger is taken away, one thing at a time, and each time it has to be noticed.

Each constraint, unique index and trigger of the schema is dropped: what it refuses would then be written. Each mutant of
a function is put into a database of its own, where scenarios are played until one of them sees the difference.
COMPTOIR_TEST_THOROUGH=1 plays all of them to each, and says which of them see it.
"""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from app.postgres import Lease
from tests.ledger.mutants import POSTING
from tests.ledger.mutants_accounts import ACCOUNTS
from tests.ledger.mutants_holds import HOLDS
from tests.ledger.mutants_more import BESIDE, EACH
from tests.ledger.mutants_postings import POSTINGS
from tests.ledger.mutants_races import RACES
from tests.ledger.mutants_site import Site, one_of_everything, opened
from tests.support.databases import fresh_database

THOROUGH = bool(os.environ.get("COMPTOIR_TEST_THOROUGH"))
SIDE_BY_SIDE = 3
# The last ones leave books that verify does not like.
SCENARIOS = (*POSTINGS[:-1], *HOLDS, *ACCOUNTS[:-1], *RACES, ACCOUNTS[-1], POSTINGS[-1])

_REFUSERS = """
select name, statement
from (
    select
        coalesce(relname, typname) || '.' || conname as name,
        case
            when relname is null then format('alter domain ledger.%I drop constraint %I', typname, conname)
            else format('alter table ledger.%I drop constraint %I cascade', relname, conname)
        end as statement,
        relname
    from pg_constraint
    left join pg_class on pg_class.oid = conrelid
    left join pg_type on pg_type.oid = contypid
    where connamespace = 'ledger'::regnamespace and contype in ('c', 'u', 'p', 'f') and conparentid = 0 and conislocal
    union all
    select format('%s.%s', owner.relname, own.relname), format('drop index ledger.%I', own.relname), owner.relname
    from pg_index
    join pg_class as owner on owner.oid = indrelid
    join pg_class as own on own.oid = indexrelid
    where owner.relnamespace = 'ledger'::regnamespace and indisunique
        and not exists (select from pg_constraint where conindid = indexrelid)
    union all
    select format('%s.%s', relname, tgname), format('drop trigger %I on ledger.%I', tgname, relname), relname
    from pg_trigger
    join pg_class on pg_class.oid = tgrelid
    where relnamespace = 'ledger'::regnamespace and not tgisinternal and tgparentid = 0
) as refuser
-- The partitions of the months are as create_partitions makes them, which has mutants of its own.
where relname !~ '^movement_\\d' or relname is null
order by name
"""
_DEFINITION = """
select pg_get_functiondef(oid) from pg_proc where pronamespace = 'ledger'::regnamespace and proname = $1
"""
# What a function or a constraint is not: who may do what, and whether triggers fire.
OTHERS = {
    "grant of writing": "grant insert on ledger.movement to comptoir_app",
    "grant of a column": "grant update (posted) on ledger.account to comptoir_app",
    "grant of a partition": "grant delete on ledger.movement_first to comptoir_app",
    "grant to everybody": "grant truncate on ledger.request to public",
    "grant of the schema": "grant create on schema ledger to comptoir_app",
    "grant of what posts inside": "grant execute on function ledger.post_each to comptoir_app",
    "trigger asleep": "alter table ledger.request disable trigger append_only",
    "trigger asleep on a partition": "alter table ledger.movement_first disable trigger append_only",
    "trigger for replicas only": "alter table ledger.hold_entry enable replica trigger append_only",
    "function of the caller": "alter function ledger.post security invoker",
    "function of the caller, for one": "alter function ledger.transfer security invoker",
    "anybody's search path": "alter function ledger.transfer reset search_path",
}
# Where nothing else is likely to see a mutant, plain movements are, in the way that is the function's.
MOVEMENTS = {"transfer": "movements_alone", "post": "movements_in_a_batch", "post_each": "movements_each"}
EQUIVALENT = {
    "account_kind.kind_as_accounts_name_it": "the primary key refuses the same",
    "post: a movement for each group": "one without a group is refused by its column, and then judged by post_each",
    "post: pays whom nobody knows": "one without a row is refused by its column, and then judged by post_each",
}
"""Mutants that nothing can see, with the reason."""


@dataclass(frozen=True)
class Change:
    """A mutant by its name, the statement that makes it, and the scenario that is likely to see it."""

    name: str
    statement: str
    seen_by: str


async def changes(owner: asyncpg.Connection) -> list[Change]:
    """The mutants of the functions, as the database has them, and of who may do what."""
    found = [Change(name, statement, "verified") for name, statement in OTHERS.items()]
    stale = []
    for function, mutants in {**POSTING, **EACH, **BESIDE}.items():
        definition = await owner.fetchval(_DEFINITION, function) or ""
        for mutant in mutants:
            name = f"{function}: {mutant.title}"
            old = re.compile(r"\s+".join(map(re.escape, mutant.old.split())))
            statement, number = old.subn(lambda _, new=mutant.new: new, definition)
            if number != 1:
                stale.append(f"{name}: {mutant.old!r} stands there {number} times")
            found.append(Change(name, statement, mutant.seen_by or MOVEMENTS[function]))
    assert not stale, stale
    assert len({change.name for change in found}) == len(found)
    return found


def probes() -> Iterator[tuple[str, list[str], str]]:
    """The blocks of mutants_probes.sql: a name, what else refuses the statement, and the statement.

    The first one has no name, and makes what the others call.
    """
    text = Path(__file__).with_name("mutants_probes.sql").read_text(encoding="utf-8")
    _, prelude, *blocks = text.split("\n\n")
    yield "", [], prelude
    for block in blocks:
        title, statement = block.split("\n", 1)
        name, *others = title.removeprefix("-- ").split(", through ")
        yield name, others, statement


async def is_refused(owner: asyncpg.Connection, statement: str) -> str | None:
    """Try what a constraint refuses, and tell what refused it, if anything did."""
    transaction = owner.transaction()
    await transaction.start()
    try:
        await owner.execute(statement)
    except asyncpg.IntegrityConstraintViolationError as error:
        return error.constraint_name or "trigger"
    finally:
        await transaction.rollback()
    return None


async def drop_what_refuses(site: Site) -> tuple[list[str], list[Change]]:
    """Drop each constraint, unique index and trigger in turn; return those that were missed, and the others."""
    await one_of_everything(site)
    (_, _, prelude), *rest = probes()
    owner = site.owner
    statements = {name: statement for name, _, statement in rest}
    told = {name: by for name, by, _ in rest}
    await owner.execute(prelude)
    missed, others = [], []
    for name, drop in await owner.fetch(_REFUSERS):
        statement = statements.pop(name, None)
        if statement is None:
            others.append(Change(name, drop, "verified"))
            continue
        refused_by = await is_refused(owner, statement)
        assert refused_by in {name.partition(".")[2], "trigger", *told[name]}, (
            f"{name}: {refused_by} refuses {statement}"
        )
        transaction = owner.transaction()
        await transaction.start()
        await owner.execute(drop)
        if await is_refused(owner, statement) is None:
            missed.append(name)
        else:
            others.append(Change(name, drop, "verified"))
        await transaction.rollback()
    assert not statements, f"nothing of the schema has these names: {list(statements)}"
    return missed, others


async def seen(site: Site, seen_by: str) -> AsyncIterator[str]:
    """Play the scenarios and yield the names of those that see a difference."""
    for scenario in sorted(SCENARIOS, key=lambda one: one.__name__ != seen_by):
        try:
            await scenario(site)
        except Exception:  # ruff: ignore[blind-except] - whatever goes wrong is a difference
            yield scenario.__name__


@asynccontextmanager
async def mutated(lease: Lease, template: str, change: Change) -> AsyncIterator[Site]:
    async with fresh_database(lease, template) as dsn, opened(dsn, "2s") as site:
        await site.owner.execute(change.statement)
        yield site


async def test_scenarios_see_nothing_wrong_with_the_ledger(dsn: str) -> None:
    """Else it would mean nothing that they see a mutant."""
    async with opened(dsn, "30s") as site:
        for scenario in SCENARIOS:
            await scenario(site)


async def test_every_mutant_is_seen(
    lease: Lease, template: str, dsn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with opened(dsn, "30s") as site:
        functions = await changes(site.owner)
        dropped, others = await drop_what_refuses(site)
    free = asyncio.Semaphore(SIDE_BY_SIDE)
    found: dict[str, list[str]] = {name: ["its probe"] for name in dropped}

    async def play(change: Change) -> None:
        async with free, mutated(lease, template, change) as site:
            found[change.name] = []
            async for scenario in seen(site, change.seen_by):
                found[change.name].append(scenario)
                if not THOROUGH:
                    break

    await asyncio.gather(*(play(change) for change in (*functions, *others)))
    survived = sorted(name for name, scenarios in found.items() if not scenarios)
    with capsys.disabled():
        if THOROUGH:
            for name, scenarios in sorted(found.items()):
                sys.stdout.write(f"\n{name}: {', '.join(scenarios) or 'nothing'}")
        sys.stdout.write(f"\nmutants killed: {len(found) - len(survived)} of {len(found)}\n")
    assert [name for name in survived if name not in EQUIVALENT] == []
