"""There are three ways to post a group, and nobody can tell by the outcome which one it went."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

import ledger
from ledger import (
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
from tests.ledger.ledger_helpers import group, new_clearing, opened, operating, owed, posted, wallet

NAMES = ("source", "striped", "ana", "ben", "cleo", "closed", "euros", "lender", "nobody")
LIKELY = (20, 8, 30, 30, 30, 4, 1, 10, 1)
HOLDS = 4

# A line of a plan: under which key, and the operations, each with what it is called first.
Line = tuple[int, tuple[tuple[Any, ...], ...]]


@pytest.fixture
def dsn(shared_dsn: str) -> str:
    return shared_dsn


@dataclass
class World:
    """The same accounts, movements and holds as in every other world, under ids of its own."""

    accounts: dict[str, int]
    names: dict[int, str]
    movements: list[UUID]
    holds: list[UUID]

    @classmethod
    async def made(cls, connection: asyncpg.Connection) -> "World":
        specs = (owed(), new_clearing(), wallet(), wallet(), wallet(), wallet(), wallet("EUR"), wallet())
        accounts = dict(zip(NAMES, [*await opened(connection, *specs), 2**50], strict=True))
        rows = await connection.fetch("select id, coalesce(stripe_of, id) as account from ledger.account")
        by_id = {account: name for name, account in accounts.items()}
        names = {row["id"]: by_id[row["account"]] for row in rows if row["account"] in by_id} | {2**50: "nobody"}
        world = cls(accounts, names, [], [uuid4() for _ in range(2 * HOLDS)])
        await ledger.set_credit_limit(accounts["lender"], 60, on=connection)
        await ledger.close_account(accounts["closed"], on=connection)
        for line in (*(("move", "striped", name, 150) for name in ("ana", "ben", "cleo")),
                     *(("hold", number, "ana", "ben", 30) for number in range(HOLDS))):  # fmt: skip
            outcome = await posted(connection, world.operation(line))
            world.movements += [movement.id for movement in outcome.movements]
        return world

    def operation(self, line: tuple[Any, ...]) -> Operation:
        account = self.accounts
        match line:
            case "move", debit, credit, amount:
                return Movement(account[debit], account[credit], amount, "test")
            case "push", debit, credit, amount, shortfall:
                return Movement(account[debit], account[credit], amount, "test", shortfall=account[shortfall])
            case "recover", debit, credit:
                return Recovery(account[debit], account[credit], "test")
            case "hold", number, debit, credit, amount:
                return Hold(self.holds[number], account[debit], account[credit], amount, "test")
            case "capture", number, amount, final:
                return Capture(self.holds[number], amount, "test", final=final)
            case "increment", number, amount:
                return Increment(self.holds[number], amount)
            case "release", number, amount:
                return Release(self.holds[number], amount)
            case "reverse", number, amount:
                return Reversal(self.movements[number], amount, "test")
        raise AssertionError(line)

    def groups(self, plan: Sequence[Line]) -> list[Group]:
        tag = uuid4()
        return [
            operating(*(self.operation(line) for line in operations), key=f"{tag}:{key}")
            for key, operations in plan
        ]

    def told(self, outcome: Outcome) -> tuple[Any, ...]:
        """An outcome in words that mean the same in every world."""
        if isinstance(outcome, Refused):
            account = None if outcome.account is None else self.names[outcome.account]
            return outcome.code, account, outcome.missing, outcome.replayed
        movements = tuple(
            (self.names[m.debit], self.names[m.credit], m.amount, m.debit_after, m.credit_after)
            for m in outcome.movements
        )
        return "posted", outcome.replayed, movements

    async def books(self, connection: asyncpg.Connection) -> dict[str, Any]:
        """What the world has come to."""
        found = await ledger.balances(self.names, on=connection)
        holds = await ledger.holds(self.holds, on=connection)
        return {
            "balances": {self.names[account]: balance for account, balance in found.items()},
            "lines": {
                name: [
                    (line.version, line.amount, line.balance, self.names[line.counterparty])
                    for line in await ledger.statement(account, on=connection, limit=10_000)
                ]
                for name, account in self.accounts.items()
            },
            "holds": [
                (hold.amount, hold.captured, hold.released, hold.ending) if (hold := holds.get(name)) else None
                for name in self.holds
            ],
        }


def movement(dice: random.Random) -> tuple[Any, ...]:
    debit, credit = dice.choices(NAMES, LIKELY, k=2)
    return "move", debit, credit, dice.choice([0, -1, 10**38] + [dice.randint(1, 120)] * 60)


def anything(dice: random.Random) -> tuple[Any, ...]:
    debit, credit, shortfall = dice.choices(NAMES, LIKELY, k=3)
    some = dice.choice([None, dice.randint(1, 20), dice.randint(1, 40)])
    return dice.choice(
        [
            movement(dice),
            ("push", debit, credit, dice.randint(1, 200), shortfall),
            ("recover", debit, credit),
            ("hold", dice.randint(HOLDS, 2 * HOLDS - 1), debit, credit, dice.randint(1, 40)),
            ("capture", dice.randrange(HOLDS), some, dice.random() < 0.2),
            ("increment", dice.randrange(HOLDS), dice.randint(1, 30)),
            ("release", dice.randrange(HOLDS), some),
            ("reverse", dice.randrange(3), some),
        ]
    )


def planned(seed: int, line: Callable[[random.Random], tuple[Any, ...]], length: int) -> list[Line]:
    """A plan in which one line in six repeats a key, and half of those what was asked under it."""
    dice = random.Random(seed)
    plan: list[Line] = []
    for number in range(length):
        operations = tuple(line(dice) for _ in range(dice.choice([1, 1, 1, 2, 3])))
        if plan and dice.random() < 1 / 6:
            key, same = dice.choice(plan)
            plan.append((key, same if dice.random() < 0.5 else operations))
        else:
            plan.append((number, operations))
    return plan


def cut(seed: int, groups: list[Group]) -> Iterator[list[Group]]:
    dice = random.Random(seed)
    while groups:
        number = dice.randint(2, 25)
        yield groups[:number]
        groups = groups[number:]


async def post_all(connection: asyncpg.Connection, groups: list[Group], seed: int, way: str) -> list[Outcome]:
    if way == "one by one":
        return [outcome for one in groups for outcome in await ledger.post([one], on=connection)]
    outcomes: list[Outcome] = []
    aside = await opened(connection, owed(), wallet())
    for batch in cut(seed, groups):
        if way == "in batches":
            outcomes += await ledger.post(batch, on=connection)
        else:
            *found, nothing = await ledger.post([*batch, operating(Recovery(*aside, "test"))], on=connection)
            assert isinstance(nothing, Posted)
            outcomes += found
    return outcomes


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("line", [movement, anything])
async def test_every_way_of_posting_says_and_does_the_same(
    connection: asyncpg.Connection, seed: int, line: Callable[[random.Random], tuple[Any, ...]]
) -> None:
    plan = planned(seed, line, 150)
    told, books = {}, {}
    for way in ("one by one", "in batches", "in batches beside another kind"):
        world = await World.made(connection)
        outcomes = await post_all(connection, world.groups(plan), seed, way)
        told[way] = list(map(world.told, outcomes))
        books[way] = await world.books(connection)
    first, *others = told
    for way in others:
        differing = [
            (number, plan[number], one, another)
            for number, (one, another) in enumerate(zip(told[first], told[way], strict=True))
            if one != another
        ]
        assert differing == []
        assert books[way] == books[first]
    said = {outcome[0] for outcome in told[first]}
    assert said >= {"posted", Refusal.INSUFFICIENT_FUNDS, Refusal.KEY_REUSED}
    assert any(outcome[0] == "posted" and outcome[1] for outcome in told[first])


async def test_answer_given_on_one_way_is_repeated_on_every_other(connection: asyncpg.Connection) -> None:
    """Twenty movements each, so that their order shows."""
    source, ana, ben, striped = await opened(connection, owed(), wallet(), wallet(), new_clearing())
    legs = [(source, ana, 10), (striped, ben, 20), (ana, striped, 3), (ben, ana, 5)] * 5

    async def batch(*groups: Group) -> Outcome:
        return (await ledger.post(groups, on=connection))[0]

    def fresh() -> Group:
        return group((source, ben, 1))

    nothing = Recovery(source, ana, "test")
    for first in (
        batch,
        lambda one: batch(one, fresh()),
        lambda one: batch(one, operating(nothing)),
    ):
        one = group(*legs)
        outcome = await first(one)
        assert isinstance(outcome, Posted)
        assert [movement.amount for movement in outcome.movements] == [leg[2] for leg in legs]
        repeated = Posted(outcome.group_id, outcome.posted_at, replayed=True, movements=outcome.movements)
        assert await batch(one) == repeated
        assert await batch(one, fresh()) == repeated
        assert await batch(one, operating(nothing)) == repeated
        assert await ledger.post([fresh(), one, one], on=connection) != []
