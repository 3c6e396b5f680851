"""The hammer's own judgement: whatever is wrong with an answer, with the books or with the past, it says so."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
import pytest

import ledger
from core.clock import now
from core.ids import uuid7
from ledger import Group, Hold, Movement, Outcome, Posted, PostedMovement, Refusal, Refused
from ledger.hammer import HammerError, Plan, run
from ledger.hammer.accounts import Books
from ledger.hammer.asks import POSTED, Ask, wrong
from ledger.hammer.audit import Auditor
from ledger.hammer.journal import Answered, Asked, Happened, Journal, records
from ledger.hammer.malformed import WAYS
from ledger.hammer.reader import Reader
from ledger.hammer.report import Report
from ledger.hammer.tidy import tidy
from ledger.hammer.traffic import LARGEST_BATCH, Traffic
from models.database import APP_ROLE

_ANY = frozenset({POSTED, *Refusal})


@pytest.fixture
def plan(dsn: str, tmp_path: Path) -> Plan:
    return Plan.of(dsn=dsn, role=APP_ROLE, seconds=1, processes=1, folder=tmp_path, seed=7)


@pytest.fixture
async def books(pool: asyncpg.Pool) -> Books:
    return await Books.open(pool)


async def tamper(owner: asyncpg.Connection, statement: str) -> None:
    """Change what nobody can change, in the transaction that is open."""
    await owner.execute("set local session_replication_role = replica")
    await owner.execute(statement)


# Answers --------------------------------------------------------------------------------------------------


def answers() -> tuple[Ask, Posted, Refused]:
    ask = Ask("tip", Group("k", (Movement(1, 2, 3, "hammer.0"),)), _ANY)
    return (
        ask,
        Posted(uuid7(), now(), False, ()),
        Refused(Refusal.INSUFFICIENT_FUNDS, 1, 5),
    )


def test_right_answers_are_right() -> None:
    ask, posted, refused = answers()
    assert wrong(ask, posted, 1) is None
    assert wrong(ask, refused, 1) is None
    assert wrong(ask, replace(posted, replayed=True), 2) is None
    again = replace(ask, alone=False, said=posted)
    assert wrong(again, replace(posted, replayed=True), 1) is None


def test_wrong_answers_are_wrong() -> None:
    ask, posted, refused = answers()
    again = replace(ask, alone=False, said=posted)
    refused_again = replace(ask, alone=False, said=refused)
    for given, outcome in [
        (replace(ask, right=frozenset({POSTED})), refused),
        (replace(ask, right=frozenset({Refusal.MALFORMED})), posted),
        (ask, replace(posted, replayed=True)),
        (again, posted),
        (again, replace(posted, replayed=True, group_id=uuid7())),
        (again, replace(refused, replayed=True)),
        (refused_again, replace(refused, replayed=True, missing=6)),
        (refused_again, replace(refused, replayed=True, account=2)),
    ]:
        assert wrong(given, outcome, 1) is not None, outcome


# What is asked --------------------------------------------------------------------------------------------


async def test_every_malformed_group_is_refused_for_its_reason(
    books: Books, connection: asyncpg.Connection
) -> None:
    made = [way(f"malformed:{number}", books) for number, way in enumerate(WAYS)]
    outcomes = await ledger.post([group for group, _ in made], on=connection, tenant="test")
    assert [outcome.code for outcome in outcomes if isinstance(outcome, Refused)] == [
        refusal for _, refusal in made
    ]
    for group, refusal in made:
        (outcome,) = await ledger.post([group], on=connection, tenant="test")
        assert outcome == Refused(refusal, outcome.account)  # type: ignore[union-attr]
    assert await connection.fetchval("select count(*) from ledger.request") == 0


async def test_traffic_has_everything_in_it(plan: Plan, books: Books, connection: asyncpg.Connection) -> None:
    traffic = Traffic(plan, 0, books)
    report = Report(1)
    sizes = set()
    while len(report.posted + report.refused) < 15 or len(sizes) < 20:
        asks = traffic.batch()
        outcomes = await ledger.post([ask.group for ask in asks], on=connection, tenant=plan.tenant)
        for ask, outcome in zip(asks, outcomes, strict=True):
            assert wrong(ask, outcome, 1) is None, (ask, outcome)
            traffic.answered(ask, outcome)
        report.add(Asked(1, asks), Answered(1, 1, tuple(outcomes)))
        sizes.add(len(asks))
    assert min(sizes) == 1
    assert max(sizes) <= LARGEST_BATCH
    assert {"Movement", "Hold", "Capture", "Reversal", "Recovery"} <= report.operations.keys()
    assert {Refusal.KEY_REUSED, Refusal.INSUFFICIENT_FUNDS, Refusal.HOLD_EXISTS} <= report.refusals.keys()


# The log --------------------------------------------------------------------------------------------------


def test_log_ends_before_a_record_that_is_not_whole(tmp_path: Path) -> None:
    path = tmp_path / "log"
    written = [Happened("a"), Asked(1, (answers()[0],)), Answered(1, 2, (answers()[2],)), Happened("b", 2, "why")]
    with Journal(path) as journal:
        for record in written[:-1]:
            journal.write(record)
        before_the_last = path.stat().st_size
        journal.write(written[-1])
    assert [*records(path)] == written
    whole = path.read_bytes()
    for missing in range(1, len(whole) - before_the_last + 1):
        path.write_bytes(whole[:-missing])
        assert [*records(path)] == written[:-1]
    assert [*records(tmp_path / "of a process that died before")] == []


# The audit ------------------------------------------------------------------------------------------------


_PLACES = ("first", "second", "third", "fourth")


def another(plan: Plan, number: int) -> Plan:
    """A run of the same database that has nothing to do with the others."""
    folder = plan.folder / str(number)
    folder.mkdir()
    return replace(plan, run=f"{plan.run}-{number}", folder=folder)


class Story:
    """A process that was told three things: posted, refused, and a hold placed; and that asked a fourth."""

    def __init__(self, plan: Plan, books: Books) -> None:
        self.plan = plan
        self.books = books
        source, wallet = books.clearing, books.guarded[0]
        reference = uuid7()
        self.asks = [
            Ask(
                "tip",
                Group("0:1", tuple(Movement(source, wallet, 10, f"hammer.{n}", reference) for n in (0, 1))),
                _ANY,
            ),
            Ask("transfer", Group("0:2", (Movement(wallet, source, 10**9, "hammer.0"),)), _ANY),
            Ask("hold", Group("0:3", (Hold(uuid7(), wallet, source, 5, "hammer.0"),)), _ANY),
            Ask("tip", Group("0:4", tuple(Movement(source, wallet, 7, f"hammer.{n}") for n in (0, 1))), _ANY),
        ]
        self.outcomes: list[Outcome] = []

    async def post(self, connection: asyncpg.Connection) -> None:
        self.outcomes = await ledger.post([ask.group for ask in self.asks], on=connection, tenant=self.plan.tenant)
        assert [isinstance(outcome, Posted) for outcome in self.outcomes] == [True, False, True, True]

    async def audited(self, pool: asyncpg.Pool) -> list[str]:
        """What the auditor finds, if the process heard no answer to the fourth."""
        with Journal(self.plan.log(0)) as journal:
            for number, (ask, outcome) in enumerate(zip(self.asks[:3], self.outcomes[:3], strict=True)):
                journal.write(Asked(number, (ask,)))
                journal.write(Answered(number, 1, (outcome,)))
            journal.write(Asked(3, (self.asks[3],)))
        report = Report(1)
        auditor = Auditor(pool, self.plan.tenant, await self.books.rows(pool), report)
        await auditor.audit(0, self.plan.log(0))
        await auditor.finish()
        return report.faults


@pytest.fixture
def story(plan: Plan, books: Books) -> Story:
    return Story(plan, books)


async def test_auditor_is_content_with_true_answers(
    story: Story, connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    await story.post(connection)
    assert await story.audited(pool) == []


async def test_auditor_is_content_with_a_group_that_nobody_heard_of_and_that_is_not_there(
    story: Story, connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    fourth = story.asks.pop()
    story.outcomes = await ledger.post([ask.group for ask in story.asks], on=connection, tenant=story.plan.tenant)
    story.asks.append(fourth)
    assert await story.audited(pool) == []


def _told(index: int, change: Callable[[Any], Outcome]) -> Callable[[Story], None]:
    def apply(story: Story) -> None:
        story.outcomes[index] = change(story.outcomes[index])

    return apply


def _other_amount(outcome: Posted) -> Posted:
    first, *rest = outcome.movements
    more = PostedMovement(
        first.id, first.debit, first.credit, first.amount + 1, first.debit_after, first.credit_after
    )
    return replace(outcome, movements=(more, *rest))


_LIES: list[tuple[Callable[[Story], None], str]] = [
    (_told(0, _other_amount), "other movements were told"),
    (_told(0, lambda outcome: replace(outcome, movements=outcome.movements[:1])), "other movements were told"),
    (_told(0, lambda outcome: replace(outcome, group_id=uuid7())), "it was told otherwise"),
    (_told(0, lambda _: Refused(Refusal.INSUFFICIENT_FUNDS, 1, 1)), "it was told otherwise"),
    (_told(0, lambda _: Refused(Refusal.KEY_REUSED)), "the key does stand for this"),
    (_told(1, lambda outcome: replace(outcome, missing=1)), "it was told otherwise"),
    (_told(1, lambda _: Posted(uuid7(), now(), False, ())), "it was told otherwise"),
]


async def test_auditor_finds_answers_that_are_not_true(
    plan: Plan, books: Books, connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    for number, (lie, fault) in enumerate(_LIES):
        story = Story(another(plan, number), books)
        await story.post(connection)
        lie(story)
        (found,) = await story.audited(pool)
        assert found.endswith(fault), number


_DAMAGE: list[tuple[str, list[str]]] = [
    ("delete from ledger.movement where kind = 'hammer.1' and group_id = {first}", ["other movements"]),
    ("delete from ledger.movement where kind = 'hammer.1' and group_id = {fourth}", ["1 movements and 0"]),
    ("update ledger.movement set amount = 8 where group_id = {fourth}", ["became"]),
    ("update ledger.movement set reference = gen_random_uuid() where group_id = {first}", ["became"]),
    ("update ledger.movement set posted_at = now() where group_id = {fourth}", ["another time"]),
    ("update ledger.movement set credit = debit, debit = credit where group_id = {fourth}", ["became"]),
    ("delete from ledger.hold_entry where group_id = {third}", ["0 movements and 0 entries"]),
    ("update ledger.hold_entry set amount = 6 where group_id = {third}", ["became"]),
    ("delete from ledger.request where group_id = {first}", ["what was acknowledged is gone"]),
    ("delete from ledger.request where group_id = {second}", ["what was acknowledged is gone"]),
    ("update ledger.request set missing = 7 where group_id = {second}", ["it was told otherwise"]),
    (
        "update ledger.movement set group_id = {second} where kind = 'hammer.1' and group_id = {fourth}",
        ["1 movements and 0 entries of (0, 0)", "1 movements and 0 entries of (2, 0)"],
    ),
    (
        "update ledger.request set key = '1:1' where group_id = {first}",
        ["what was acknowledged is gone", "decided keys"],
    ),
]


async def test_auditor_finds_books_that_are_not_true(
    plan: Plan, books: Books, owner: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    for number, (statement, faults) in enumerate(_DAMAGE):
        story = Story(another(plan, number), books)
        await story.post(owner)
        sql = "select quote_literal(group_id) from ledger.request where tenant = $1 order by key"
        groups = [row[0] for row in await owner.fetch(sql, story.plan.tenant)]
        async with owner.transaction():
            await tamper(owner, statement.format(**dict(zip(_PLACES, groups, strict=True))))
        found = await story.audited(pool)
        assert len(found) == len(faults), statement
        assert all(fault in text for fault, text in zip(faults, found, strict=True)), found


async def test_auditor_finds_what_nobody_asked_for(
    story: Story, connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    await story.post(connection)
    await ledger.post([Group("0:99", story.asks[3].group.operations)], on=connection, tenant=story.plan.tenant)
    (found,) = await story.audited(pool)
    assert found.startswith("decided keys by process")


# Reading --------------------------------------------------------------------------------------------------


async def test_reader_is_content_while_others_write(
    plan: Plan, books: Books, pool: asyncpg.Pool, connection: asyncpg.Connection
) -> None:
    reader = Reader(books, Random(1))
    traffic = Traffic(plan, 0, books)
    writing = True

    async def write() -> None:
        async with pool.acquire() as writer:
            while writing:
                await ledger.post([ask.group for ask in traffic.batch()], on=writer, tenant=plan.tenant)

    task = asyncio.create_task(write())
    for _ in range(150):
        assert await reader.look(connection) == []
    writing = False
    await task
    assert len(reader._seen) > 20


_TAMPERING = [
    ("_half_done", "delete from ledger.movement where kind = 'hammer.1'"),
    ("_half_done", "delete from ledger.request"),
    ("_half_done", "update ledger.request set hold_entries = 1"),
    ("_out_of_balance", "update ledger.account set posted = posted + 1 where code = 'hammer:connected:USD'"),
    ("_out_of_balance", "update ledger.account set held_out = 1 where code = 'hammer:connected:USD'"),
    ("_out_of_balance", "update ledger.account set held_out = 1, held_in = 1 where code = 'hammer:connected:USD'"),
    ("_again", "update ledger.movement set credit_after = credit_after + 1"),
    ("_again", "update ledger.movement set posted_at = posted_at + interval '1 second'"),
    ("_again", "delete from ledger.movement where kind = 'hammer.1'"),
    ("_again", "update ledger.movement set reference = gen_random_uuid()"),
]


async def test_reader_sees_what_is_half_done_and_a_past_that_changed(
    books: Books, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Reader(books, Random(1))
    hot = books.creators[0].pending
    monkeypatch.setattr(reader, "_account", lambda: hot)
    legs = tuple(Movement(books.clearing, hot, 5, f"hammer.{n}") for n in (0, 1))
    await ledger.post([Group("k", legs)], on=owner)
    await reader._past(owner)
    (seen,) = reader._seen
    assert seen.balance is not None
    assert (seen.balance.version, len(seen.lines)) == (2, 2)
    for look, statement in _TAMPERING:
        assert await getattr(reader, look)(owner) == []
        undone = owner.transaction()
        await undone.start()
        await tamper(owner, statement)
        assert len(await getattr(reader, look)(owner)) > 0, statement
        await undone.rollback()


# From beginning to end ------------------------------------------------------------------------------------


async def test_tidying_up_leaves_nothing_behind(plan: Plan, books: Books, connection: asyncpg.Connection) -> None:
    traffic = Traffic(plan, 0, books)
    for _ in range(30):
        asks = traffic.batch()
        for ask, outcome in zip(
            asks,
            await ledger.post([ask.group for ask in asks], on=connection, tenant=plan.tenant),
            strict=True,
        ):
            traffic.answered(ask, outcome)
    assert any(balance.held for balance in (await ledger.balances(books.all, on=connection)).values())

    assert await tidy(books, plan.tenant, on=connection) == 0
    assert {
        (balance.posted, balance.held) for balance in (await ledger.balances(books.all, on=connection)).values()
    } == {(0, 0)}
    overdue = await ledger.verify(connection)
    assert all(not finding.detail for finding in overdue if finding.number == 13)


async def test_run_that_is_stopped_ends_early_and_well(plan: Plan, connection: asyncpg.Connection) -> None:
    said: list[str] = []
    stop = asyncio.Event()
    running = asyncio.create_task(run(replace(plan, seconds=60, processes=2), said.append, stop))

    async def asked() -> bool:
        return bool(await connection.fetchval("select count(*) > 300 from ledger.request"))

    while not await asked():
        await asyncio.sleep(0.05)
    stop.set()
    report, findings = await asyncio.wait_for(running, 30)

    assert report.faults == []
    assert report.posted.total() > 200
    assert {finding.status for finding in findings} <= {ledger.Status.OK, ledger.Status.ABSENT}
    assert said[0].startswith("Processes: 2, with 6 connections each, for 60 s, on 177 accounts of their own")
    assert (
        await connection.fetchval(
            "select count(*) from ledger.account where owner is null and provider <> 'hammer'"
        )
        == 0
    )


async def test_run_without_a_database_says_so(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.hammer.plan.PATIENCE_SECONDS", 0.2)
    nowhere = replace(plan, dsn="postgresql://comptoir@127.0.0.1:1/nowhere")
    with pytest.raises(HammerError, match="went away and did not come back"):
        await run(nowhere, lambda _: None)
