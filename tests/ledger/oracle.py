"""The reference ledger: what the documentation promises, in plain Python, with nothing to make it fast.

Written from the docstrings of :mod:`ledger.groups`, the comment above ``ledger.post`` and docs/ledger.md. It predicts
each answer wholly, except for ids and moments: those are the real ledger's to choose, and learnt from it. A group is
judged on a copy of the books, which is kept or thrown away.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from ledger import (
    AccountNotEmptyError,
    Balance,
    Capture,
    CreditLimitInUseError,
    Group,
    Hold,
    Increment,
    Movement,
    Operation,
    Outcome,
    Posted,
    Recovery,
    Refusal,
    Refused,
    Release,
    Reversal,
    StatementLine,
)
from tests.ledger.oracle_books import LARGEST, Account, Books, Moved, RefusedError, Row


@dataclass(slots=True)
class Answer:
    """What a key stands for and what was answered to it: a refusal, or what moved. ``outcome``: the real one."""

    group: Group
    refused: Refused | None
    movements: tuple[Moved, ...] = ()
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    answer: Answer
    replayed: bool

    @property
    def refused(self) -> Refused | None:
        refused = self.answer.refused
        return refused and replace(refused, replayed=self.replayed)


@dataclass(frozen=True, slots=True)
class Line:
    """A movement seen from one of its rows."""

    batch: int
    row: int
    version: int
    amount: int
    balance: int
    movement: Moved
    answer: Answer

    def told(self) -> tuple[UUID, str, UUID | None, datetime, datetime]:
        """Return its group, kind, reference, and when it was posted and took effect."""
        posted = self.answer.outcome
        assert isinstance(posted, Posted)
        effective_at = self.answer.group.effective_at or posted.posted_at
        return posted.group_id, self.movement.kind, self.movement.reference, posted.posted_at, effective_at


class Oracle:
    def __init__(self) -> None:
        self.books = Books()
        self.lines: defaultdict[int, list[Line]] = defaultdict(list)
        self._answers: dict[tuple[str, str], Answer] = {}
        self._batches = 0

    def open(self, account: Account) -> None:
        self.books.accounts[account.id] = account
        self.books.rows |= {row: Row(account.id) for row in account.rows}

    def post(self, groups: Sequence[Group], *, tenant: str, stripe: int) -> list[Prediction]:
        """Judge a batch that a connection posts through its stripe."""
        self._batches += 1
        sound = (group for group in groups if _malformed(group) is None)
        named = frozenset(one.id for group in sound for one in group.operations if isinstance(one, Hold))
        return [self._predict(group, tenant, stripe, named) for group in groups]

    def learn(self, prediction: Prediction, outcome: Outcome) -> None:
        """Take over what the real ledger chose."""
        if prediction.replayed:
            return
        prediction.answer.outcome = outcome
        if isinstance(outcome, Posted):
            ids = {(movement.debit, movement.debit_after.version): movement.id for movement in outcome.movements}
            for moved in prediction.answer.movements:
                self.books.movements[ids[moved.debit, moved.debit_after.version]] = moved

    def set_credit_limit(self, account_id: int, limit: int) -> None:
        account = self.books.accounts[account_id]
        row = self.books.rows[account.id]
        if account.guarded and row.posted - row.held_out < -limit:
            raise CreditLimitInUseError
        self.books.accounts[account_id] = replace(account, credit_limit=limit)

    def close(self, account_id: int) -> None:
        account = self.books.accounts[account_id]
        rows = [self.books.rows[row] for row in account.rows]
        held = any(row.held_out or row.held_in for row in rows)
        if not account.closed and (held or sum(row.posted for row in rows)):
            raise AccountNotEmptyError
        self.books.accounts[account_id] = replace(account, closed=True)

    def reopen(self, account_id: int) -> None:
        self.books.accounts[account_id] = replace(self.books.accounts[account_id], closed=False)

    def balance(self, account_id: int) -> Balance:
        rows = [self.books.rows[row] for row in self.books.accounts[account_id].rows]
        posted, held = sum(row.posted for row in rows), sum(row.held_out for row in rows)
        return Balance(posted, held, posted - held, sum(row.version for row in rows))

    def entries(self) -> list[tuple[object, ...]]:
        """Return what happened to each row: row, version, amount, balance, and what the movement says of itself."""
        names = self._names()
        return [
            (row, line.version, line.amount, line.balance, names[id(line.movement)], *line.told())
            for row in sorted(self.lines)
            for line in self.lines[row]
        ]

    def statement(self, account_id: int) -> list[StatementLine]:
        """Return all lines of an account, those of its stripes in the order of posting."""
        rows = self.books.accounts[account_id].rows
        lines = [line for row in rows for line in self.lines[row]]
        lines.sort(key=lambda line: (line.batch, line.row, line.version))
        names, found, balance = self._names(), [], 0
        for number, line in enumerate(lines, 1):
            moved = line.movement
            balance += line.amount
            other = self.books.rows[moved.credit if line.amount < 0 else moved.debit].account
            group_id, kind, reference, posted_at, effective_at = line.told()
            found.append(
                StatementLine(
                    number, names[id(moved)], group_id, kind, line.amount, balance, other, reference, posted_at,
                    effective_at, line.row, line.version,
                )
            )  # fmt: skip
        return found

    def _names(self) -> dict[int, UUID]:
        return {id(moved): name for name, moved in self.books.movements.items()}

    def _predict(self, group: Group, tenant: str, stripe: int, named: frozenset[UUID]) -> Prediction:
        code = _malformed(group)
        if code is not None:
            return Prediction(Answer(group, Refused(code)), replayed=False)
        known = self._answers.get((tenant, group.key))
        if known is not None:
            if (known.group.operations, known.group.effective_at) == (group.operations, group.effective_at):
                return Prediction(known, replayed=True)
            return Prediction(Answer(group, Refused(Refusal.KEY_REUSED)), replayed=False)
        answer = self._judge(group, stripe, named)
        if answer.refused is None or answer.refused.code.stored:
            self._answers[tenant, group.key] = answer
        for moved in answer.movements:
            for row, amount, after in (
                (moved.debit, -moved.amount, moved.debit_after),
                (moved.credit, moved.amount, moved.credit_after),
            ):
                line = Line(self._batches, row, after.version, amount, after.posted, moved, answer)
                self.lines[row].append(line)
        return Prediction(answer, replayed=False)

    def _judge(self, group: Group, stripe: int, named: frozenset[UUID]) -> Answer:
        draft = self.books.copy()
        try:
            for operation in group.operations:
                draft.look(operation, named)
            movements = tuple(moved for operation in group.operations for moved in draft.do(operation, stripe))
        except RefusedError as refusing:
            return Answer(group, refusing.refused)
        self.books = draft
        return Answer(group, None, movements)


def _malformed(group: Group) -> Refusal | None:
    """Return what is wrong with a group by itself, whatever is in the books."""
    if not _is_text(group.key) or (group.effective_at is not None and group.effective_at.tzinfo is None):
        return Refusal.MALFORMED
    if not group.operations:
        return Refusal.NO_MOVEMENTS
    return next((code for operation in group.operations if (code := _malformed_operation(operation))), None)


def _malformed_operation(operation: Operation) -> Refusal | None:
    amounts: list[int] = []
    ids: list[int] = []
    kinds: list[str] = []
    match operation:
        case Movement(debit, credit, amount, kind, _, shortfall):
            amounts, kinds = [amount], [kind]
            ids = [debit, credit] if shortfall is None else [debit, credit, shortfall]
        case Recovery(debit, credit, kind):
            ids, kinds = [debit, credit], [kind]
        case Hold(_, debit, credit, amount, kind, _, expires_at):
            if expires_at is not None and expires_at.tzinfo is None:
                return Refusal.MALFORMED
            amounts, ids, kinds = [amount], [debit, credit], [kind]
        case Capture(_, given, kind) | Reversal(_, given, kind):
            amounts, kinds = [] if given is None else [given], [kind]
        case Increment(_, amount):
            amounts = [amount]
        case Release(_, given):
            amounts = [] if given is None else [given]
    for amount in amounts:
        if type(amount) is not int:
            return Refusal.AMOUNT_NOT_WHOLE
        if amount <= 0:
            return Refusal.AMOUNT_NOT_POSITIVE
        if amount > LARGEST:
            return Refusal.AMOUNT_TOO_LARGE
    if not all(0 < account < 2**63 for account in ids):
        return Refusal.UNKNOWN_ACCOUNT
    return None if all(map(_is_text, kinds)) else Refusal.MALFORMED


def _is_text(text: str) -> bool:
    return 1 <= len(text) <= 255 and text.isprintable()
