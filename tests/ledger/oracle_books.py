"""The books of the reference ledger: what each operation does to them, and what it is refused for."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from core.clock import now
from ledger import (
    AccountAfter,
    Capture,
    Hold,
    Increment,
    Movement,
    Operation,
    Recovery,
    Refusal,
    Refused,
    Release,
    Reversal,
)

LARGEST = 10**38 - 1
"""Of an amount and of what is held, and of a balance on either side of zero."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account and its rows: the first is the account itself, the others are its stripes."""

    id: int
    asset: str
    guarded: bool
    rows: tuple[int, ...]
    credit_limit: int = 0
    closed: bool = False

    def row(self, stripe: int) -> int:
        return self.rows[stripe % len(self.rows)]


@dataclass(frozen=True, slots=True)
class Row:
    account: int
    posted: int = 0
    held_out: int = 0
    held_in: int = 0
    version: int = 0


@dataclass(frozen=True, slots=True)
class Held:
    """A hold between two rows. ``over``: its time is. ``entries``: what happened to it, and with how much."""

    debit: int
    credit: int
    kind: str
    reference: UUID | None
    expires_at: datetime | None
    amount: int
    captured: int = 0
    released: int = 0
    ending: str | None = None
    over: bool = False
    entries: tuple[tuple[str, int], ...] = ()

    @property
    def left(self) -> int:
        return self.amount - self.captured - self.released


@dataclass(frozen=True, slots=True)
class Moved:
    debit: int
    credit: int
    amount: int
    kind: str
    reference: UUID | None
    debit_after: AccountAfter
    credit_after: AccountAfter


class RefusedError(Exception):
    """The group that is being judged is refused, for this."""

    def __init__(self, code: Refusal, account: int | None = None, missing: int | None = None) -> None:
        super().__init__(code)
        self.refused = Refused(code, account, missing)


@dataclass(slots=True)
class Books:
    accounts: dict[int, Account] = field(default_factory=dict)
    rows: dict[int, Row] = field(default_factory=dict)
    holds: dict[UUID, Held] = field(default_factory=dict)
    movements: dict[UUID, Moved] = field(default_factory=dict)
    reversed: dict[UUID, int] = field(default_factory=dict)

    def copy(self) -> "Books":
        """Return books that can be written to and thrown away."""
        return Books(self.accounts, dict(self.rows), dict(self.holds), self.movements, dict(self.reversed))

    def look(self, operation: Operation, named: frozenset[UUID]) -> None:
        """Refuse what is malformed, seen beside the books. ``named``: the holds that this batch wants to place."""
        match operation:
            case Movement(debit, credit) | Recovery(debit, credit) | Hold(_, debit, credit):
                ids = [debit, credit]
                if isinstance(operation, Movement) and operation.shortfall is not None:
                    ids.append(operation.shortfall)
                for number, account in enumerate(ids):
                    if account in ids[:number]:
                        raise RefusedError(Refusal.SAME_ACCOUNT, account)
                for account in ids:
                    if account not in self.accounts:
                        raise RefusedError(Refusal.UNKNOWN_ACCOUNT, account)
                if len({self.accounts[account].asset for account in ids}) > 1:
                    raise RefusedError(Refusal.ASSET_MISMATCH)
                if isinstance(operation, Hold) and operation.id in self.holds:
                    raise RefusedError(Refusal.HOLD_EXISTS)
            case Capture(hold) | Increment(hold) | Release(hold):
                if hold not in self.holds and hold not in named:
                    raise RefusedError(Refusal.UNKNOWN_HOLD)
            case Reversal(movement):
                if movement not in self.movements:
                    raise RefusedError(Refusal.UNKNOWN_MOVEMENT)

    def do(self, operation: Operation, stripe: int) -> Iterator[Moved]:
        """Do one operation and yield what moves; RefusedError, with the books half written, if it cannot be."""
        match operation:
            case Movement():
                yield from self._pay(operation, stripe)
            case Recovery(debit, credit, kind, reference):
                giver, taker = (self.accounts[account].row(stripe) for account in (debit, credit))
                amount = -self.rows[taker].posted
                available = self._available(giver)
                if available is not None:
                    amount = min(amount, available)
                if amount > 0:
                    yield self._move(giver, taker, amount, kind, reference)
            case Hold():
                self._place(operation)
            case Capture(name, amount, kind, reference, final):
                yield self._capture(name, amount, kind, reference, final)
            case Increment(name, amount):
                hold = self._still_open(name)
                self._set_aside(hold, amount)
                entries = (*hold.entries, ("incremented", amount))
                self.holds[name] = replace(hold, amount=hold.amount + amount, entries=entries)
            case Release(name, amount):
                hold = self._still_open(name, even_late=True)
                amount = self._within(hold.left, amount, Refusal.HOLD_EXCEEDED, hold.debit)
                self._release(name, hold, amount, "released", "released")
            case Reversal(name, amount, kind, reference):
                original = self.movements[name]
                before = self.reversed.get(name, 0)
                left = original.amount - before
                amount = self._within(left, amount, Refusal.REVERSAL_EXCEEDED, original.credit)
                self._ask_for(original.credit, original.debit, amount)
                self.reversed[name] = before + amount
                yield self._move(original.credit, original.debit, amount, kind, reference)

    def end_what_is_over(self) -> int:
        """Make available again what is left of the holds whose time is over."""
        due = {name: hold for name, hold in self.holds.items() if hold.over and hold.left}
        for name, hold in due.items():
            self._release(name, hold, hold.left, "expired", "expired")
        return len(due)

    def holds_as_told(self) -> dict[UUID, tuple[object, ...]]:
        """Return each hold's rows, kind, reference, amount, what was captured, released and is open, and its ending."""
        return {
            name: (
                hold.debit, hold.credit, hold.kind, hold.reference, hold.amount, hold.captured, hold.released, hold.left,
                hold.ending,
            )
            for name, hold in self.holds.items()
        }  # fmt: skip

    def _pay(self, movement: Movement, stripe: int) -> Iterator[Moved]:
        giver, taker = (self.accounts[account].row(stripe) for account in (movement.debit, movement.credit))
        available = self._available(giver)
        own = movement.amount
        if movement.shortfall is not None and available is not None:
            own = min(own, available)
        rest = movement.amount - own
        helper = giver
        if movement.shortfall is not None and rest:
            helper = self.accounts[movement.shortfall].row(stripe)
        for row in (*(giver,) * (own > 0), taker, helper):
            self._must_be_open(row)
        parts = [(row, part) for row, part in ((giver, own), (helper, rest)) if part]
        for row, part in parts:
            self._must_have(row, part)
        for row, part in parts:
            yield self._move(row, taker, part, movement.kind, movement.reference)

    def _place(self, hold: Hold) -> None:
        # A hold stands on the accounts themselves, never on a stripe.
        giver, taker = (self.accounts[account].row(0) for account in (hold.debit, hold.credit))
        if hold.id in self.holds:
            raise RefusedError(Refusal.HOLD_EXISTS)
        if hold.expires_at is not None and hold.expires_at <= now():
            raise RefusedError(Refusal.HOLD_EXPIRED, hold.debit)
        held = Held(giver, taker, hold.kind, hold.reference, hold.expires_at, hold.amount)
        self._set_aside(held, hold.amount)
        self.holds[hold.id] = replace(held, entries=(("placed", hold.amount),))

    def _capture(self, name: UUID, amount: int | None, kind: str, reference: UUID | None, final: bool) -> Moved:
        hold = self._still_open(name)
        amount = self._within(hold.left, amount, Refusal.HOLD_EXCEEDED, hold.debit)
        self._hold_more(hold, -amount)
        moved = self._move(hold.debit, hold.credit, amount, kind, reference)
        hold = replace(hold, captured=hold.captured + amount, entries=(*hold.entries, ("captured", amount)))
        self.holds[name] = hold if hold.left else replace(hold, ending="captured")
        if final and hold.left:
            self._release(name, hold, hold.left, "released", "captured")
        return moved

    def _still_open(self, name: UUID, *, even_late: bool = False) -> Held:
        hold = self.holds.get(name)
        if hold is None:
            raise RefusedError(Refusal.UNKNOWN_HOLD)
        if not hold.left:
            raise RefusedError(Refusal.HOLD_ENDED, self.rows[hold.debit].account)
        if hold.over and not even_late:
            raise RefusedError(Refusal.HOLD_EXPIRED, self.rows[hold.debit].account)
        return hold

    def _within(self, left: int, amount: int | None, code: Refusal, row: int) -> int:
        """Return the amount that is meant: without one, all that is left, and where nothing is, one too many."""
        if amount is None:
            amount = max(left, 1)
        if amount > left:
            raise RefusedError(code, self.rows[row].account, amount - left)
        return amount

    def _set_aside(self, hold: Held, amount: int) -> None:
        self._ask_for(hold.debit, hold.credit, amount)
        self._must_fit(hold.debit, hold.credit, amount)  # what could never be captured is not held
        if max(self.rows[hold.debit].held_out, self.rows[hold.credit].held_in) + amount > LARGEST:
            raise RefusedError(Refusal.BALANCE_TOO_LARGE, self.rows[hold.credit].account)
        self._hold_more(hold, amount)

    def _release(self, name: UUID, hold: Held, amount: int, event: str, ending: str) -> None:
        self._hold_more(hold, -amount)
        hold = replace(hold, released=hold.released + amount, entries=(*hold.entries, (event, amount)))
        self.holds[name] = hold if hold.left else replace(hold, ending=ending)

    def _hold_more(self, hold: Held, amount: int) -> None:
        debit, credit = self.rows[hold.debit], self.rows[hold.credit]
        self.rows[hold.debit] = replace(debit, held_out=debit.held_out + amount)
        self.rows[hold.credit] = replace(credit, held_in=credit.held_in + amount)

    def _available(self, row: int) -> int | None:
        """Return what an account can still give; None: it has no end."""
        account = self.accounts[self.rows[row].account]
        if not account.guarded:
            return None
        return self.rows[row].posted - self.rows[row].held_out + account.credit_limit

    def _ask_for(self, giver: int, taker: int, amount: int) -> None:
        self._must_be_open(giver)
        self._must_be_open(taker)
        self._must_have(giver, amount)

    def _must_be_open(self, row: int) -> None:
        account = self.rows[row].account
        if self.accounts[account].closed:
            raise RefusedError(Refusal.ACCOUNT_CLOSED, account)

    def _must_have(self, row: int, amount: int) -> None:
        available = self._available(row)
        if available is not None and amount > available:
            raise RefusedError(Refusal.INSUFFICIENT_FUNDS, self.rows[row].account, amount - available)

    def _must_fit(self, giver: int, taker: int, amount: int) -> None:
        if self.rows[giver].posted - amount < -LARGEST:
            raise RefusedError(Refusal.BALANCE_TOO_LARGE, self.rows[giver].account)
        if self.rows[taker].posted + amount > LARGEST:
            raise RefusedError(Refusal.BALANCE_TOO_LARGE, self.rows[taker].account)

    def _move(self, giver: int, taker: int, amount: int, kind: str, reference: UUID | None) -> Moved:
        self._must_fit(giver, taker, amount)
        for row, change in ((giver, -amount), (taker, amount)):
            before = self.rows[row]
            self.rows[row] = replace(before, posted=before.posted + change, version=before.version + 1)
        afters = (AccountAfter(self.rows[row].posted, self.rows[row].version) for row in (giver, taker))
        return Moved(giver, taker, amount, kind, reference, *afters)
