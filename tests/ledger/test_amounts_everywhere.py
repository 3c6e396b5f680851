"""Every amount, through every operation and every way of posting, to the last unit and as an int."""

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from numbers import Number
from uuid import uuid4

import asyncpg
import pytest

import ledger
from ledger import (
    AccountKind,
    Capture,
    Group,
    Hold,
    Increment,
    Movement,
    Operation,
    Posted,
    Recovery,
    Refusal,
    Refused,
    Release,
    Reversal,
    chart,
)
from tests.ledger.oracle_audit import FAR, Audit

AMOUNTS = (1, 2**53 - 1, 2**53 + 1, 2**63 - 1, 2**63 + 1, 10**18 - 1, 10**18 + 1, 10**36)
# Plain movements have a function for one, one statement for many, and are judged one by one beside anything else.
WAYS = ("alone", "among others like it", "beside a hold")


@pytest.fixture
async def audit(connection: asyncpg.Connection, other: asyncpg.Connection, owner: asyncpg.Connection) -> Audit:
    await ledger.declare_asset("ETH", 18, "token", on=connection)
    return Audit((connection, other), owner, tenant="test")


class Books:
    """Accounts of one asset; everything that the ledger answers about them is looked through for what is no int."""

    def __init__(self, audit: Audit, connection: asyncpg.Connection, ids: list[int], way: str) -> None:
        self.clearing, self.giver, self.taker, self.owed = ids
        self._audit = audit
        self._connection = connection
        self._way = way

    async def post(self, *operations: Operation) -> Posted:
        group = Group(str(uuid4()), operations)
        neighbour: dict[str, list[Group]] = {
            "alone": [],
            "among others like it": [self._small(Movement(self.clearing, self.taker, 1, "neighbour"))],
            "beside a hold": [self._small(Hold(uuid4(), self.clearing, self.taker, 1, "neighbour"))],
        }
        outcome, *_ = await self._audit.post(group, *neighbour[self._way])
        assert isinstance(outcome, Posted), outcome
        assert_whole(outcome)
        return outcome

    async def refused(self, operation: Operation) -> Refused:
        outcome = await self._audit.do(operation)
        assert isinstance(outcome, Refused)
        assert_whole(outcome)
        return outcome

    async def read(self) -> None:
        await self._audit.compare()
        await self._audit.compare_past()
        for account in (self.clearing, self.giver, self.taker, self.owed):
            assert_whole(await ledger.balance(account, on=self._connection))
            lines = await ledger.statement(account, on=self._connection, limit=1000)
            assert [line async for line in ledger.stream(account, on=self._connection)] == lines
            assert_whole(lines)
            for line in lines[-1:]:
                assert_whole(await ledger.history(account, on=self._connection, at=line.posted_at))

    @staticmethod
    def _small(operation: Operation) -> Group:
        return Group(str(uuid4()), (operation,))


async def opened(audit: Audit, connection: asyncpg.Connection, way: str = WAYS[0]) -> Books:
    owner = uuid4()
    kinds = (AccountKind.AVAILABLE, AccountKind.PENDING, AccountKind.OWED)
    clearing = chart.with_provider(AccountKind.CLEARING, "ETH", str(owner))
    ids = await audit.open(clearing, *(chart.creator(kind, "ETH", owner) for kind in kinds))
    return Books(audit, connection, ids, way)


def assert_whole(value: object) -> None:
    """Assert that there is no number but ints in what the ledger answered."""
    if is_dataclass(value):
        assert_whole([getattr(value, field.name) for field in fields(value)])
    elif isinstance(value, Mapping):
        assert_whole(list(value.items()))
    elif isinstance(value, Iterable) and not isinstance(value, str):
        for part in value:
            assert_whole(part)
    else:
        assert type(value) in {int, bool} or not isinstance(value, Number), repr(value)


@pytest.mark.parametrize("way", WAYS)
async def test_movements_are_exact(audit: Audit, connection: asyncpg.Connection, way: str) -> None:
    for amount in AMOUNTS:
        books = await opened(audit, connection, way)
        await books.post(Movement(books.clearing, books.giver, amount, "sale"))
        assert await books.refused(Movement(books.giver, books.taker, amount + 1, "transfer")) == Refused(
            Refusal.INSUFFICIENT_FUNDS, books.giver, 1
        )
        await books.post(Movement(books.giver, books.taker, amount, "transfer"))
        assert (await books.refused(Movement(books.giver, books.taker, amount, "transfer"))).missing == amount
        await books.read()


async def test_shortfalls_and_recoveries_are_exact(audit: Audit, connection: asyncpg.Connection) -> None:
    for amount in AMOUNTS:
        books = await opened(audit, connection)
        await books.post(Movement(books.clearing, books.giver, amount, "sale"))
        split = await books.post(Movement(books.giver, books.clearing, 2 * amount + 1, "refund", None, books.owed))
        assert {movement.amount for movement in split.movements} == {amount, amount + 1}
        await books.post(Movement(books.clearing, books.giver, 2 * amount, "sale"))
        recovered = await books.post(Recovery(books.giver, books.owed, "recovery"))
        assert [movement.amount for movement in recovered.movements] == [min(2 * amount, amount + 1)]
        await books.read()


async def test_holds_are_exact(audit: Audit, connection: asyncpg.Connection) -> None:
    for amount in AMOUNTS:
        books = await opened(audit, connection)
        await books.post(Movement(books.clearing, books.giver, 3 * amount, "sale"))
        hold = Hold(uuid4(), books.giver, books.taker, amount, "hold", None, FAR)
        await books.post(hold)
        assert (await books.refused(Increment(hold.id, 2 * amount + 1))).missing == 1
        await books.post(Increment(hold.id, 2 * amount))
        await books.post(Capture(hold.id, amount, "capture"))
        assert (await books.refused(Capture(hold.id, 2 * amount + 1, "capture"))).missing == 1
        assert (await books.refused(Release(hold.id, 2 * amount + 1))).missing == 1
        await books.post(Release(hold.id, amount))
        state = (await ledger.holds([hold.id], on=connection))[hold.id]
        assert (state.amount, state.captured, state.released, state.open) == (3 * amount, amount, amount, amount)
        assert_whole(state)
        await books.post(Capture(hold.id, None, "capture"))
        await books.read()


async def test_reversals_are_exact(audit: Audit, connection: asyncpg.Connection) -> None:
    for amount in AMOUNTS:
        books = await opened(audit, connection)
        (sale,) = (await books.post(Movement(books.clearing, books.giver, 2 * amount, "sale"))).movements
        await books.post(Reversal(sale.id, amount, "reversal"))
        assert (await books.refused(Reversal(sale.id, amount + 1, "reversal"))).missing == 1
        await books.post(Reversal(sale.id, None, "reversal"))
        await books.read()


async def test_credit_limits_are_exact(audit: Audit, connection: asyncpg.Connection) -> None:
    for amount in (0, *AMOUNTS):
        books = await opened(audit, connection)
        await audit.set_credit_limit(books.giver, amount)
        assert (await books.refused(Movement(books.giver, books.taker, amount + 1, "credit"))).missing == 1
        if amount:
            await books.post(Movement(books.giver, books.taker, amount, "credit"))
            await audit.set_credit_limit(books.giver, amount - 1)  # which both refuse
        await books.read()


@pytest.mark.parametrize(
    ("nothing", "code"),
    [
        (0, Refusal.AMOUNT_NOT_POSITIVE),
        (-1, Refusal.AMOUNT_NOT_POSITIVE),
        (10**38, Refusal.AMOUNT_TOO_LARGE),
        (1.0, Refusal.AMOUNT_NOT_WHOLE),
        (True, Refusal.AMOUNT_NOT_WHOLE),
    ],
)
async def test_no_operation_takes_what_is_no_amount(
    audit: Audit, connection: asyncpg.Connection, nothing: int, code: Refusal
) -> None:
    books = await opened(audit, connection)
    (sale,) = (await books.post(Movement(books.clearing, books.giver, 100, "sale"))).movements
    hold = Hold(uuid4(), books.giver, books.taker, 50, "hold")
    await books.post(hold)
    for operation in (
        Movement(books.giver, books.taker, nothing, "transfer"),
        Movement(books.giver, books.clearing, nothing, "refund", None, books.owed),
        Hold(uuid4(), books.giver, books.taker, nothing, "hold"),
        Increment(hold.id, nothing),
        Capture(hold.id, nothing, "capture"),
        Release(hold.id, nothing),
        Reversal(sale.id, nothing, "reversal"),
    ):
        assert await books.refused(operation) == Refused(code)
    await books.read()
