"""What a process asks: a little of everything that is ever asked of a ledger, in the wildest order."""

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import count
from random import Random
from typing import Final
from uuid import UUID

from core.clock import now
from core.ids import uuid7
from ledger.groups import (
    Capture,
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
)
from ledger.hammer.accounts import Books
from ledger.hammer.asks import POSTED, Ask
from ledger.hammer.malformed import malformed
from ledger.hammer.plan import Plan

LARGEST_BATCH: Final = 500

_REMEMBERED: Final = 300
_HOT: Final = 2
_FAR_TOO_MUCH: Final = 10**20
_SHARED_PER_SECOND: Final = 20
_SHARED_WINDOW: Final = 3

_ANY_MOVEMENT: Final = frozenset({POSTED, Refusal.INSUFFICIENT_FUNDS, Refusal.ACCOUNT_CLOSED})
_DONE: Final = frozenset({POSTED})
_ANY_HOLD: Final = _ANY_MOVEMENT | {Refusal.HOLD_EXPIRED}
_ANY_CAPTURE: Final = frozenset({POSTED, Refusal.HOLD_ENDED, Refusal.HOLD_EXPIRED, Refusal.HOLD_EXCEEDED})
_ANY_REVERSAL: Final = _ANY_MOVEMENT | {Refusal.REVERSAL_EXCEEDED}


class Traffic:
    """Makes what a process asks. Told the answers, it asks for the same again, captures, reverses."""

    def __init__(self, plan: Plan, number: int, books: Books) -> None:
        self._books = books
        self._prefix = f"{number}:"
        self._seed = plan.seed
        self._chance = Random(f"{plan.seed}:{number}")
        self._numbers = count(1)
        self._decided: deque[tuple[Ask, Outcome]] = deque(maxlen=_REMEMBERED)
        self._holds: dict[UUID, Hold] = {}
        self._posted: deque[Posted] = deque(maxlen=_REMEMBERED)
        self._kinds: dict[Callable[[], Ask], int] = {
            self._tip: 30,
            self._transfer: 30,
            self._refund: 8,
            self._recovery: 6,
            self._hold: 14,
            self._capture: 12,
            self._increment: 4,
            self._release: 6,
            self._reversal: 8,
            self._again: 8,
            self._other_body: 4,
            self._same_hold: 1,
            self._shared: 6,
            self._malformed: 4,
        }

    def one(self) -> Ask:
        """Return something to ask."""
        (make,) = self._chance.choices(list(self._kinds), list(self._kinds.values()))
        return make()

    def batch(self) -> tuple[Ask, ...]:
        """Return between 1 and 500 of them, some of plain movements only, some with one ask twice."""
        size = self._chance.choice([1, 1, 1, self._chance.randint(2, 20), self._chance.randint(2, LARGEST_BATCH)])
        if self._chance.random() < 0.5:
            plain = [self._tip] if self._chance.random() < 0.5 else [self._tip, self._transfer]
            asks = [self._chance.choice(plain)() for _ in range(size)]
        else:
            asks = [self.one() for _ in range(size)]
        twice = self._chance.choice(asks)
        if size < LARGEST_BATCH and twice.kind in {"tip", "transfer"} and self._chance.random() < 0.2:
            asks.append(replace(twice, kind="twice", alone=False))
        return tuple(asks)

    def answered(self, ask: Ask, outcome: Outcome) -> None:
        """Take note of an answer."""
        if ask.said is not None or ask.kind == "twice":
            return
        if isinstance(outcome, Refused):
            if outcome.code.stored:
                self._decided.append((ask, outcome))
            if outcome.code in {Refusal.HOLD_ENDED, Refusal.HOLD_EXPIRED}:
                self._forget_hold(ask)
            return
        self._decided.append((ask, outcome))
        if outcome.movements:
            self._posted.append(outcome)
        for operation in ask.group.operations:
            if isinstance(operation, Hold) and len(self._holds) < _REMEMBERED:
                self._holds[operation.id] = operation

    def _forget_hold(self, ask: Ask) -> None:
        for operation in ask.group.operations:
            if isinstance(operation, Capture | Increment | Release):
                self._holds.pop(operation.hold, None)

    def _key(self) -> str:
        return f"{self._prefix}{next(self._numbers)}"

    def _ask(self, kind: str, right: frozenset[Refusal | None], *operations: Operation) -> Ask:
        return Ask(kind, Group(self._key(), operations), right)

    def _some(self) -> int:
        return self._chance.randint(1, 10_000)

    def _creator(self, chance: Random | None = None) -> int:
        chance = chance or self._chance
        return chance.randrange(_HOT if chance.random() < 0.3 else len(self._books.creators))

    def _reference(self) -> UUID | None:
        return uuid7() if self._chance.random() < 0.5 else None

    def _tip(self) -> Ask:
        """Money comes in, for a creator and others."""
        creator = self._books.creators[self._creator()]
        reference = self._reference()
        if self._chance.random() < 0.1:
            ways = [(self._books.foreign_clearing, self._chance.choice(self._books.foreign))]
        else:
            credits_ = creator.pending, creator.available, self._books.connected
            ways = [(self._books.clearing, credit) for credit in credits_[: self._chance.randint(1, 3)]]
        movements = tuple(
            Movement(debit, credit, self._some(), f"hammer.{index}", reference)
            for index, (debit, credit) in enumerate(ways)
        )
        effective_at = now() - timedelta(seconds=self._some()) if self._chance.random() < 0.3 else None
        return Ask("tip", Group(self._key(), movements, effective_at), _DONE)

    def _transfer(self) -> Ask:
        """Money goes from account to account, if there is enough."""
        chance = self._chance
        accounts = [*self._books.guarded, *self._books.closing, self._books.clearing]
        if chance.random() < 0.1:
            closing = chance.choice(self._books.closing)
            passing = self._some()
            return self._ask(
                "transfer",
                _ANY_MOVEMENT,
                Movement(self._books.clearing, closing, passing, "hammer.0"),
                Movement(closing, self._books.clearing, passing, "hammer.1"),
            )
        movements = []
        for index in range(chance.choice([1, 1, 1, 2, 5])):
            debit, credit = chance.sample(accounts, 2)
            amount = _FAR_TOO_MUCH if chance.random() < 0.01 and debit != self._books.clearing else self._some()
            movements.append(Movement(debit, credit, amount, f"hammer.{index}", self._reference()))
        return self._ask("transfer", _ANY_MOVEMENT, *movements)

    def _refund(self) -> Ask:
        """Money goes back that the creator may not have any more: they owe what is missing."""
        creator = self._books.creators[self._creator()]
        return self._ask(
            "refund",
            _DONE,
            Movement(
                creator.available, self._books.clearing, 3 * self._some(), "hammer.0", shortfall=creator.owed
            ),
        )

    def _recovery(self) -> Ask:
        """A creator's debt is recovered, as far as they have something."""
        creator = self._books.creators[self._creator()]
        return self._ask("recovery", _DONE, Recovery(creator.available, creator.owed, "hammer.0"))

    def _hold(self) -> Ask:
        chance = self._chance
        debit, credit = chance.choice(self._books.guarded), self._books.clearing
        if chance.random() < 0.1:
            debit, credit = credit, debit
        elif chance.random() < 0.5:
            debit, credit = self._books.creators[self._creator()].available, self._books.connected
        lasting = chance.choice([None, -1.0, 0.2, 1.0, 3.0, 60.0])
        expires_at = None if lasting is None else now() + timedelta(seconds=lasting * chance.random())
        placed = Hold(uuid7(), debit, credit, self._some(), "hammer.0", self._reference(), expires_at)
        return self._ask("hold", _ANY_HOLD, placed)

    def _capture(self) -> Ask:
        if not self._holds:
            return self._hold()
        held = self._chance.choice([*self._holds.values()])
        amount = self._chance.choice([None, self._chance.randint(1, held.amount), held.amount + 1])
        final = self._chance.random() < 0.2
        return self._ask("capture", _ANY_CAPTURE, Capture(held.id, amount, "hammer.0", self._reference(), final))

    def _increment(self) -> Ask:
        if not self._holds:
            return self._hold()
        held = self._chance.choice([*self._holds.values()])
        return self._ask("increment", _ANY_CAPTURE | _ANY_MOVEMENT, Increment(held.id, self._some()))

    def _release(self) -> Ask:
        if not self._holds:
            return self._hold()
        held = self._chance.choice([*self._holds.values()])
        amount = self._chance.choice([None, self._chance.randint(1, held.amount), held.amount + 1])
        return self._ask("release", _ANY_CAPTURE - {Refusal.HOLD_EXPIRED}, Release(held.id, amount))

    def _reversal(self) -> Ask:
        """All of a group is sent back, the last movement first, or only a part of it."""
        if not self._posted:
            return self._tip()
        movements = self._chance.choice(self._posted).movements
        amounts = [None if self._chance.random() < 0.7 else self._some() for _ in movements]
        return self._ask(
            "reversal",
            _ANY_REVERSAL,
            *(
                Reversal(movement.id, amount, f"hammer.{index}")
                for index, (movement, amount) in enumerate(zip(reversed(movements), amounts, strict=True))
            ),
        )

    def _again(self) -> Ask:
        """The same is asked again, and has to be answered as before."""
        if not self._decided:
            return self._tip()
        ask, outcome = self._chance.choice(self._decided)
        code = outcome.code if isinstance(outcome, Refused) else POSTED
        return Ask("again", ask.group, frozenset({code}), alone=False, said=outcome)

    def _other_body(self) -> Ask:
        """Something else is asked under a key that stands for something already."""
        if not self._decided:
            return self._tip()
        ask, _ = self._chance.choice(self._decided)
        other = Movement(self._books.clearing, self._books.connected, _FAR_TOO_MUCH, "hammer.0")
        return Ask("other body", Group(ask.group.key, (other,)), frozenset({Refusal.KEY_REUSED}), alone=False)

    def _same_hold(self) -> Ask:
        """A hold is placed under the name of another one."""
        if not self._holds:
            return self._hold()
        held = self._chance.choice([*self._holds.values()])
        again = replace(held, amount=1, expires_at=None)
        return Ask("same hold", Group(self._key(), (again,)), frozenset({Refusal.HOLD_EXISTS}))

    def _shared(self) -> Ask:
        """What other processes ask for at this moment, under the same key and not always with the same body."""
        moment = int(now().timestamp() * _SHARED_PER_SECOND)
        number = moment + self._chance.randint(0, _SHARED_WINDOW)
        same = Random(f"{self._seed}:shared:{number}")
        creator = self._books.creators[self._creator(same)]
        amount = same.randint(1, 10_000) + (self._chance.random() < 0.2)
        movements = (
            Movement(self._books.clearing, creator.pending, amount, "hammer.0"),
            Movement(creator.pending, creator.available, 2 * amount, "hammer.1"),
        )
        right = _ANY_MOVEMENT | {Refusal.KEY_REUSED}
        return Ask("shared", Group(f"shared:{number}", movements), right, alone=False)

    def _malformed(self) -> Ask:
        return malformed(f"malformed:{self._key()}", self._books, self._chance)
