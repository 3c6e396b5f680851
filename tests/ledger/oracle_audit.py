"""The real ledger with the reference ledger beside it: every answer of the one compared with that of the other."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import zip_longest
from uuid import UUID

import asyncpg

import ledger
from ledger import (
    AccountNotEmptyError,
    AccountSpec,
    CreditLimitInUseError,
    Group,
    HoldState,
    Operation,
    Outcome,
    PastBalance,
    Posted,
    StatementLine,
)
from tests.ledger.oracle import Oracle, Prediction
from tests.ledger.oracle_books import Account, Moved

FAR = datetime(2200, 1, 1, tzinfo=UTC)
LONG_AGO = datetime(2001, 2, 3, 4, 5, 6, 789012, tzinfo=UTC)

_ROWS = "select id, posted, held_out, held_in, version from ledger.account where id = any ($1::bigint[])"
_STRIPES = "select id from ledger.account where id = $1 or stripe_of = $1 order by stripe"
_LINES = """
select account, version, amount, balance, movement_id, group_id, kind, reference, posted_at, effective_at
from ledger.entry where account = any ($1::bigint[]) order by account, version
"""
_ENTRIES = """
select hold_id, array_agg(event order by number) as events, array_agg(amount order by number) as amounts
from ledger.hold_entry where hold_id = any ($1::uuid[]) group by hold_id
"""
_REVERSED = "select movement_id, reversed from ledger.reversed where movement_id = any ($1::uuid[])"
_REVERSALS = """
select original_id, sum(amount) as amount from ledger.reversal where original_id = any ($1::uuid[]) group by 1
"""


class Audit:
    """Calls the ledger and asserts that it does what the oracle says.

    ``connections`` are the application's; each posts through a stripe of its own. ``owner`` may do everything.
    """

    def __init__(
        self, connections: Sequence[asyncpg.Connection], owner: asyncpg.Connection, *, tenant: str
    ) -> None:
        self.oracle = Oracle()
        self._connections = connections
        self._owner = owner
        self._tenant = tenant
        self._keys = 0

    async def open(self, *specs: AccountSpec) -> list[int]:
        """Open accounts for both."""
        ids = await ledger.ensure(specs, on=self._connections[0])
        for spec, account in ids.items():
            rows = tuple(row["id"] for row in await self._owner.fetch(_STRIPES, account))
            self.oracle.open(Account(account, spec.asset, spec.guarded, rows))
        return [ids[spec] for spec in specs]

    async def do(self, *operations: Operation, by: int = 0) -> Outcome:
        """Post one group under a key of its own."""
        self._keys += 1
        (outcome,) = await self.post(Group(f"do {self._keys}", operations), by=by)
        return outcome

    async def post(self, *groups: Group, by: int = 0) -> list[Outcome]:
        """Post a batch on one of the connections."""
        predictions = self.predict(*groups, by=by)
        return self.check(predictions, await self.call(*groups, by=by))

    def predict(self, *groups: Group, by: int = 0) -> list[Prediction]:
        """Let the oracle post a batch that the ledger has not posted yet."""
        stripe = self._connections[by].get_server_pid()
        return self.oracle.post(groups, tenant=self._tenant, stripe=stripe)

    async def call(self, *groups: Group, by: int = 0) -> list[Outcome]:
        """Let the ledger post a batch."""
        return await ledger.post(groups, on=self._connections[by], tenant=self._tenant)

    def check(self, predictions: list[Prediction], outcomes: list[Outcome]) -> list[Outcome]:
        for prediction, outcome in zip(predictions, outcomes, strict=True):
            _compare(prediction, outcome)
            self.oracle.learn(prediction, outcome)
        return outcomes

    async def set_credit_limit(self, account: int, limit: int) -> None:
        change = ledger.set_credit_limit(account, limit, on=self._connections[0])
        await _both(change, partial(self.oracle.set_credit_limit, account, limit))

    async def close(self, account: int) -> None:
        change = ledger.close_account(account, on=self._connections[0])
        await _both(change, partial(self.oracle.close, account))

    async def reopen(self, account: int) -> None:
        await ledger.reopen_account(account, on=self._connections[0])
        self.oracle.reopen(account)

    async def expire(self) -> None:
        _same(await ledger.expire_holds(on=self._connections[0]), self.oracle.books.end_what_is_over())

    async def let_time_pass(self, hold: UUID) -> None:
        """Let the time of a hold be over, if it is open: its end is moved rather than waited for."""
        if not self.oracle.books.holds[hold].left or self.oracle.books.holds[hold].over:
            return
        await self._owner.execute("update ledger.hold set expires_at = clock_timestamp() where id = $1", hold)
        self.oracle.books.holds[hold] = replace(self.oracle.books.holds[hold], over=True)

    async def compare(self) -> None:
        """Compare everything as it is now: accounts, their rows, and holds."""
        books, connection = self.oracle.books, self._connections[0]
        found = await ledger.balances(books.accounts, on=connection)
        _same(found, {account: self.oracle.balance(account) for account in books.accounts})
        rows = {row: tuple(rest) for row, *rest in await connection.fetch(_ROWS, list(books.rows))}
        _same(
            rows,
            {name: (row.posted, row.held_out, row.held_in, row.version) for name, row in books.rows.items()},
        )
        holds = await ledger.holds(books.holds, on=connection)
        _same({name: _shape_of_hold(hold) for name, hold in holds.items()}, books.holds_as_told())
        for name, hold in books.holds.items():
            assert hold.over or holds[name].expires_at == hold.expires_at
            assert (holds[name].ended_at is None) == (hold.ending is None)

    async def compare_history(self) -> None:
        """Compare every movement from both of its sides, every entry of a hold, and what was reversed."""
        books, connection = self.oracle.books, self._connections[-1]
        lines = await connection.fetch(_LINES, list(books.rows))
        _same([tuple(line) for line in lines], self.oracle.entries())
        entries = await connection.fetch(_ENTRIES, list(books.holds))
        _same(
            {row["hold_id"]: tuple(zip(row["events"], row["amounts"], strict=True)) for row in entries},
            {name: hold.entries for name, hold in books.holds.items()},
        )
        for query in (_REVERSED, _REVERSALS):
            _same(dict(await connection.fetch(query, list(books.movements))), books.reversed)

    async def compare_past(self) -> None:
        """Compare everything that was, as it is told of each account: statements, balances at versions and moments."""
        await self.compare_history()
        for account in self.oracle.books.accounts:
            await self._compare_past_of(account)

    async def _compare_past_of(self, account: int) -> None:
        expected = self.oracle.statement(account)
        _same(await self._statement(account, len(expected)), expected)
        await self._compare_history(self.oracle.books.accounts[account], expected)

    async def _statement(self, account: int, length: int) -> list[StatementLine]:
        """Read a statement in two pages, the second after the last line of the first."""
        connection = self._connections[-1]
        first = await ledger.statement(account, on=connection, limit=max(1, length // 2))
        if not first:
            return first
        return first + await ledger.statement(account, on=connection, after=first[-1].position, limit=length)

    async def _compare_history(self, account: Account, lines: list[StatementLine]) -> None:
        connection = self._connections[-1]
        for line in lines[len(lines) // 2 :: max(1, len(lines) // 2)]:
            if len(account.rows) == 1:
                past = await ledger.history(account.id, on=connection, version=line.version)
                _same(past, PastBalance(line.balance, line.version, line.posted_at))
            # Movements of one batch have one moment, and the last of them has the balance of that moment.
            last = max((one for one in lines if one.posted_at == line.posted_at), key=lambda one: one.version)
            past = await ledger.history(account.id, on=connection, at=line.posted_at)
            _same(past, PastBalance(last.balance, last.version, last.posted_at))


async def _both(change: Awaitable[None], expected: Callable[[], None]) -> None:
    """Let both do the same; what the one refuses the other has to refuse."""
    try:
        expected()
    except (AccountNotEmptyError, CreditLimitInUseError) as refused:
        try:
            await change
        except type(refused):
            return
        raise AssertionError(f"not refused: {refused!r}") from refused
    await change


def _compare(prediction: Prediction, outcome: Outcome) -> None:
    if prediction.refused is not None:
        _same(outcome, prediction.refused)
        return
    assert isinstance(outcome, Posted), (outcome, prediction)
    if prediction.replayed:
        first = prediction.answer.outcome
        assert isinstance(first, Posted)
        _same(outcome, replace(first, replayed=True))
        return
    assert not outcome.replayed
    found = sorted(
        (one.debit, one.debit_after.version, one.credit, one.amount, one.debit_after, one.credit_after)
        for one in outcome.movements
    )
    _same(found, sorted(map(_shape, prediction.answer.movements)))


def _shape(moved: Moved) -> tuple[object, ...]:
    return (
        moved.debit,
        moved.debit_after.version,
        moved.credit,
        moved.amount,
        moved.debit_after,
        moved.credit_after,
    )


def _shape_of_hold(hold: HoldState) -> tuple[object, ...]:
    return (
        hold.debit,
        hold.credit,
        hold.kind,
        hold.reference,
        hold.amount,
        hold.captured,
        hold.released,
        hold.open,
        hold.ending,
    )


def _same(found: object, expected: object) -> None:
    """Assert that the ledger found what the oracle expected, and show where not."""
    if found == expected:
        return
    if isinstance(found, dict) and isinstance(expected, dict):
        names = [name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name)]
        found, expected = ({name: side.get(name) for name in names} for side in (found, expected))
    elif isinstance(found, list) and isinstance(expected, list):
        pairs = [(one, other) for one, other in zip_longest(found, expected) if one != other]
        found, expected = zip(*pairs, strict=True)
    raise AssertionError(f"the ledger: {found}\nthe oracle: {expected}")
