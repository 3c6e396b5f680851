"""The real ledger and the reference ledger led through the same random lives, and compared at every step.

The default run is the same each time. COMPTOIR_TEST_THOROUGH=1 takes a longer one, by other ways each time, and prints
with what it finds the blob that finds it again.
"""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import ClassVar, TypeVar
from uuid import UUID, uuid4

import asyncpg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

import ledger
from app.postgres import Lease
from ledger import (
    AccountKind,
    Capture,
    Group,
    Hold,
    Increment,
    Movement,
    Operation,
    Posted,
    Release,
    Reversal,
    Status,
    chart,
)
from models.database import APP_ROLE
from tests.ledger.oracle_audit import FAR, Audit
from tests.ledger.oracle_books import LARGEST
from tests.ledger.oracle_strategies import (
    BEYOND_REFUSAL,
    OF_HOLDS,
    OF_THE_PAST,
    PLAIN,
    All,
    Known,
    batches,
    connections,
    faulty,
    groups,
    hold,
    lives_of_a_hold,
    movement,
    one_of,
    small_movement,
    with_another_body,
)
from tests.support.databases import fresh_database

THOROUGH = bool(os.environ.get("COMPTOIR_TEST_THOROUGH"))
SETTINGS = settings(
    max_examples=2000 if THOROUGH else 80,
    stateful_step_count=60 if THOROUGH else 30,
    derandomize=not THOROUGH,
    print_blob=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
ASSETS = {"USD": 2, "JPY": 0, "KWD": 3, "ETH": 18}
GUARDED = (AccountKind.PENDING, AccountKind.AVAILABLE, AccountKind.WALLET)
STRIPED = (AccountKind.CLEARING, AccountKind.CONNECTED)

Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Place:
    """A database for the whole run, an event loop, and two connections of the application with different stripes."""

    runner: asyncio.Runner
    owner: asyncpg.Connection
    connections: tuple[asyncpg.Connection, ...]


class Machine(RuleBasedStateMachine):
    """One life: fresh accounts in two assets, and keys of a tenant of its own."""

    place: ClassVar[Place]

    def __init__(self) -> None:
        super().__init__()
        self.audit = Audit(self.place.connections, self.place.owner, tenant=str(uuid4()))
        self.broken = False
        self.numbers = itertools.count(1)
        # For the strategies.
        self.known: list[Known] = []
        self.sent: list[Group] = []
        self.posted: list[UUID] = []

    def run(self, call: Coroutine[object, object, Thing]) -> Thing:
        """Wait for what the ledger is asked; after an error there is nothing left to compare."""
        self.broken, before = True, self.broken
        answer = self.place.runner.run(call)
        self.broken = before
        return answer

    def new_key(self) -> str:
        return f"key {next(self.numbers)}"

    @initialize(assets=st.permutations(list(ASSETS)))
    def open_accounts(self, assets: list[str]) -> None:
        for asset in assets[:2]:
            owner = uuid4()
            *guarded, owed = (
                chart.wallet(asset, owner) if kind is AccountKind.WALLET else chart.creator(kind, asset, owner)
                for kind in (*GUARDED, AccountKind.OWED)
            )
            striped = (chart.with_provider(kind, asset, str(owner)) for kind in STRIPED)
            one, two, three, owes, clearing, connected = self.run(self.audit.open(*guarded, owed, *striped))
            a_stripe = self.audit.oracle.books.accounts[clearing].rows[3]
            self.known.append(Known((one, two, three), owes, (clearing, connected), a_stripe))
            sales = tuple(Movement(clearing, account, 100, "sale") for account in (one, two, three))
            holds = (Hold(uuid4(), one, two, 40, "hold", None, FAR), Hold(uuid4(), clearing, two, 9, "hold"))
            self.post([Group(self.new_key(), sales), Group(self.new_key(), holds)], by=0)

    @rule(group=groups((*PLAIN, *PLAIN, faulty), largest=2), by=connections)
    def post_one(self, group: Group, by: int) -> None:
        self.post([group], by)

    @rule(several=st.lists(groups((small_movement,), largest=2), min_size=2, max_size=6), by=connections)
    def post_small_ones(self, several: list[Group], by: int) -> None:
        self.post(several, by)

    @rule(several=st.lists(groups(PLAIN, largest=2), min_size=2, max_size=6), by=connections)
    def post_plain_ones(self, several: list[Group], by: int) -> None:
        self.post(several, by)

    @rule(batch=batches(), by=connections)
    def post_anything(self, batch: list[Group], by: int) -> None:
        self.post(batch, by)

    @rule(several=st.lists(groups((*BEYOND_REFUSAL, movement)), min_size=1, max_size=3), by=connections)
    def post_what_happened_already(self, several: list[Group], by: int) -> None:
        self.post(several, by)

    @rule(group=groups((hold,)), by=connections)
    def place_holds(self, group: Group, by: int) -> None:
        self.post([group], by)

    @rule(several=lives_of_a_hold(), by=connections)
    def live_a_hold(self, several: list[Group], by: int) -> None:
        self.post(several, by)

    @rule(several=st.lists(groups(OF_HOLDS), min_size=1, max_size=4), by=connections)
    def use_holds(self, several: list[Group], by: int) -> None:
        self.post(several, by)

    @rule(number=st.integers(1, 8), by=connections)
    def post_again(self, number: int, by: int) -> None:
        self.post(self.sent[-number:], by)

    @rule(group=one_of("sent") | with_another_body(), by=connections)
    def post_what_was_sent_before(self, group: Group, by: int) -> None:
        self.post([group], by)

    @rule(several=st.lists(groups(OF_THE_PAST), min_size=1, max_size=4), by=connections)
    def reverse_in_part(self, several: list[Group], by: int) -> None:
        self.post(several, by)

    @rule(of=one_of("posted"), by=connections)
    def reverse(self, of: UUID, by: int) -> None:
        reversal = self.run(ledger.reversal(self.new_key(), of, on=self.place.owner))
        if reversal is not None:
            self.post([reversal], by)

    @rule(known=one_of("known"), number=st.integers(0, 50), swept=st.booleans())
    def let_time_pass(self, known: Known, number: int, swept: bool) -> None:
        self.run(self.audit.let_time_pass(known.holds[number % len(known.holds)]))
        if swept:
            self.run(self.audit.expire())

    @rule(known=one_of("known"), number=st.integers(0, 2), limit=st.sampled_from((0, 7, 10**36)))
    def set_credit_limit(self, known: Known, number: int, limit: int) -> None:
        self.run(self.audit.set_credit_limit(known.guarded[number], limit))

    @rule(known=one_of("known"), number=st.integers(0, 5), by=connections)
    def close(self, known: Known, number: int, by: int) -> None:
        """Close an account, having taken all from it that can be taken."""
        account = known.accounts[number]
        if account in known.guarded:
            self.post([Group(self.new_key(), (Movement(account, known.striped[0], All(0), "all"),))], by)
        self.run(self.audit.close(account))

    @rule(known=one_of("known"))
    def reopen(self, known: Known) -> None:
        """Open all accounts again."""
        for account in known.accounts:
            self.run(self.audit.reopen(account))

    @invariant()
    def is_the_same(self) -> None:
        self.run(self.audit.compare())

    def teardown(self) -> None:
        if not self.broken:
            self.run(self.audit.compare_past())
        # No hold is left for another life's sweep to find.
        self.run(ledger.expire_holds(on=self.place.owner))

    def post(self, several: list[Group], by: int) -> None:
        several = [replace(one, operations=tuple(map(self.with_amount, one.operations))) for one in several]
        self.sent += several
        outcomes = self.run(self.audit.post(*several, by=by))
        books = self.audit.oracle.books
        self.posted += [one.group_id for one in outcomes if isinstance(one, Posted) and not one.replayed]
        for known in self.known:
            rows = {row for account in known.accounts for row in books.accounts[account].rows}
            holds = {name: one for name, one in books.holds.items() if one.debit in rows}
            known.holds[:] = [name for name, one in holds.items() if one.left][-6:] + list(holds)[:2]
            moved = [name for name, one in books.movements.items() if one.debit in rows]
            known.movements[:] = moved[:2] + moved[-4:]

    def with_amount(self, operation: Operation) -> Operation:
        """Say how much All is."""
        amount = getattr(operation, "amount", None)
        if not isinstance(amount, All):
            return operation
        oracle, books = self.audit.oracle, self.audit.oracle.books
        match operation:
            case Movement(debit) | Hold(_, debit):
                there = oracle.balance(debit).available + books.accounts[debit].credit_limit
            case Capture(name) | Increment(name) | Release(name):
                there = books.holds[name].left if name in books.holds else 5
            case Reversal(name):
                there = books.movements[name].amount - books.reversed.get(name, 0)
        return replace(operation, amount=min(max(1, there + amount.more), LARGEST))


@asynccontextmanager
async def opened(lease: Lease, template: str, runner: asyncio.Runner) -> AsyncIterator[Place]:
    async with fresh_database(lease, template) as dsn, AsyncExitStack() as stack:
        owner = await asyncpg.connect(dsn)
        stack.push_async_callback(owner.close)
        name = await owner.fetchval("select current_database()")
        await owner.execute(f"alter database {name} set track_functions = 'pl'")
        await ledger.declare_asset("ETH", ASSETS["ETH"], "token", on=owner)
        found: dict[int, asyncpg.Connection] = {}
        while len(found) < 2:
            connection = await asyncpg.connect(dsn, server_settings={"role": APP_ROLE})
            stack.push_async_callback(connection.close)
            found[connection.get_server_pid() % ledger.STRIPES] = connection
        yield Place(runner, owner, tuple(found.values()))


@pytest.fixture
def place(lease: Lease, template: str) -> Iterator[Place]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        yield runner.run(stack.enter_async_context(opened(lease, template, runner)))
        runner.run(stack.aclose())


async def calls(place: Place) -> dict[str, int]:
    """How often each function of the ledger has been called by now."""
    for connection in (*place.connections, place.owner):
        await connection.execute("select pg_stat_force_next_flush()")
    rows = await place.owner.fetch(
        "select funcname, calls from pg_stat_user_functions where schemaname = 'ledger'"
    )
    return {row["funcname"]: row["calls"] for row in rows}


def test_ledger_does_what_the_reference_ledger_does(place: Place) -> None:
    Machine.place = place
    run_state_machine_as_test(Machine, settings=SETTINGS)
    called = place.runner.run(calls(place))
    # One movement alone; a batch of movements judged by one statement; anything else, one group after the other.
    assert called["transfer"] > 50
    assert called["post"] - called["post_each"] > 50
    assert called["post_each"] > 50
    findings = place.runner.run(ledger.verify(place.owner))
    broken = [finding for finding in findings if finding.status is Status.BROKEN]
    assert not broken, broken
