"""Who pays what is not there, and how it is recovered."""

from dataclasses import replace
from uuid import uuid4

import asyncpg
import pytest

import ledger
from ledger import AccountAfter, Hold, Movement, Posted, Recovery, Refusal, Refused
from tests.ledger.ledger_helpers import (
    available,
    codes,
    do,
    funded,
    group,
    new_clearing,
    opened,
    operating,
    owed,
    post_group,
    posted,
    posted_balances,
    snapshot,
    wallet,
)


@pytest.fixture
def dsn(shared_dsn: str) -> str:
    return shared_dsn


def parts(outcome: Posted) -> list[tuple[int, int, int]]:
    return [(movement.debit, movement.credit, movement.amount) for movement in outcome.movements]


@pytest.mark.parametrize(("has", "pays"), [(100, 100), (500, 100), (99, 99), (1, 1), (0, 0)])
async def test_shortfall_pays_what_the_account_has_not_got(
    connection: asyncpg.Connection, has: int, pays: int
) -> None:
    source, ana = await funded(connection, has)
    (debt,) = await opened(connection, owed())
    reference = uuid4()
    outcome = await posted(connection, Movement(ana, source, 100, "refund", reference, shortfall=debt))
    assert parts(outcome) == [part for part in ((ana, source, pays), (debt, source, 100 - pays)) if part[2]]
    assert await posted_balances(connection, ana, debt, source) == [has - pays, pays - 100, 100 - has]
    for account, amount in ((ana, pays), (debt, 100 - pays)):
        lines = await ledger.statement(account, on=connection)
        assert [(line.amount, line.kind, line.reference) for line in lines if line.kind == "refund"] == [
            (-amount, "refund", reference)
        ] * (amount > 0)


async def test_shortfall_counts_what_is_held_and_what_may_be_overdrawn(connection: asyncpg.Connection) -> None:
    source, ana, ben, cleo = await funded(connection, 100, 10, 0)
    (debt,) = await opened(connection, owed())
    await posted(connection, Hold(uuid4(), ana, cleo, 70, "test"))
    assert parts(await posted(connection, Movement(ana, source, 50, "test", shortfall=debt))) == [
        (ana, source, 30), (debt, source, 20),
    ]  # fmt: skip
    await ledger.set_credit_limit(ben, 40, on=connection)
    assert parts(await posted(connection, Movement(ben, source, 60, "test", shortfall=debt))) == [
        (ben, source, 50), (debt, source, 10),
    ]  # fmt: skip
    assert await available(connection, ana) == (70, 70, 0)
    assert await posted_balances(connection, ben, debt) == [-40, -30]


async def test_account_without_a_guard_never_falls_short(connection: asyncpg.Connection) -> None:
    source, ana = await funded(connection, 0)
    (debt,) = await opened(connection, owed())
    assert parts(await posted(connection, Movement(source, ana, 100, "test", shortfall=debt))) == [
        (source, ana, 100)
    ]


async def test_shortfall_in_order_with_its_neighbours(connection: asyncpg.Connection) -> None:
    """In a group and in a batch: what one leaves, the next one finds; versions and balances follow each other."""
    source, ana, ben = await funded(connection, 50, 0)
    debt, striped = await opened(connection, owed(), new_clearing())
    together = await posted(
        connection,
        Movement(ana, striped, 30, "test", shortfall=debt),
        Movement(ana, striped, 30, "test", shortfall=debt),
        Movement(source, ana, 7, "test"),
        Movement(ana, ben, 10, "test", shortfall=debt),
    )
    amounts = [(movement.debit == debt, movement.amount) for movement in together.movements]
    assert sorted(amounts) == [(False, 7), (False, 7), (False, 20), (False, 30), (True, 3), (True, 10)]
    assert together.after[ana] == AccountAfter(0, 5)
    assert together.after[debt] == AccountAfter(-13, 2)
    batch = [operating(Movement(source, ana, 5, "test"))] + [
        operating(Movement(ana, striped, 4, "test", shortfall=debt)) for _ in range(2)
    ]
    assert codes(await ledger.post(batch, on=connection)) == [None] * 3
    assert await posted_balances(connection, ana, debt, striped) == [0, -16, 68]


async def test_shortfall_is_posted_once_per_key(connection: asyncpg.Connection) -> None:
    """The repeat tells the same movements in the same order."""
    source, ana, ben = await funded(connection, 50, 50)
    (debt,) = await opened(connection, owed())
    one = operating(
        Movement(ana, source, 80, "test", shortfall=debt),
        Movement(ben, source, 20, "test"),
        Movement(ben, source, 80, "test", shortfall=debt),
    )
    first = await post_group(connection, one)
    assert isinstance(first, Posted)
    before = await snapshot(connection)
    assert await post_group(connection, one) == replace(first, replayed=True)
    assert await snapshot(connection) == before
    assert (await ledger.post([one, group((source, ana, 1))], on=connection))[0] == replace(first, replayed=True)
    assert await posted_balances(connection, ana, ben, debt) == [1, 0, -80]


async def test_shortfall_of_an_account_that_pays_nothing_matters_not(connection: asyncpg.Connection) -> None:
    """Closed accounts stand in the way only of what they would have to pay."""
    source, ana, closed = await funded(connection, 100, 0)
    (debt,) = await opened(connection, owed())
    await ledger.close_account(closed, on=connection)
    assert parts(await posted(connection, Movement(ana, source, 100, "test", shortfall=closed))) == [
        (ana, source, 100)
    ]
    assert parts(await posted(connection, Movement(closed, source, 5, "test", shortfall=debt))) == [
        (debt, source, 5)
    ]
    assert await do(connection, Movement(ana, source, 1, "test", shortfall=closed)) == Refused(
        Refusal.ACCOUNT_CLOSED, closed
    )
    assert await do(connection, Movement(debt, closed, 1, "test", shortfall=ana)) == Refused(
        Refusal.ACCOUNT_CLOSED, closed
    )


async def test_guarded_account_in_place_of_another_pays_what_it_has_and_no_more(
    connection: asyncpg.Connection,
) -> None:
    """Nor what is held on it; and the neighbours do not suffer."""
    source, ana, ben, cleo = await funded(connection, 10, 30, 0)
    await posted(connection, Hold(uuid4(), ben, cleo, 5, "test"))
    outcomes = await ledger.post(
        [
            operating(Movement(source, cleo, 1, "test")),
            operating(Movement(ana, source, 36, "test", shortfall=ben)),
            operating(Movement(ana, source, 35, "test", shortfall=ben)),
        ],
        on=connection,
    )
    assert codes(outcomes) == [None, Refusal.INSUFFICIENT_FUNDS, None]
    assert outcomes[1] == Refused(Refusal.INSUFFICIENT_FUNDS, ben, 1)
    assert await posted_balances(connection, ana, ben) == [0, 5]


@pytest.mark.parametrize(
    ("has", "debt", "recovered"),
    [(100, 30, 30), (30, 100, 30), (50, 50, 50), (0, 50, 0), (50, 0, 0), (50, -20, 0)],
)
async def test_recovery_takes_what_is_there_and_what_is_owed(
    connection: asyncpg.Connection, has: int, debt: int, recovered: int
) -> None:
    source, ana = await funded(connection, has)
    (owing,) = await opened(connection, owed())
    if debt:
        debit, credit = (owing, source) if debt > 0 else (source, owing)
        await posted(connection, Movement(debit, credit, abs(debt), "test"))
    outcome = await posted(connection, Recovery(ana, owing, "recovery", uuid4()))
    assert parts(outcome) == [(ana, owing, recovered)] * (recovered > 0)
    assert await posted_balances(connection, ana, owing) == [has - recovered, recovered - debt]
    stored = await connection.fetchrow(
        "select outcome, movements from ledger.request where group_id = $1", outcome.group_id
    )
    assert tuple(stored) == ("posted", len(outcome.movements))


async def test_recovery_leaves_what_is_held(connection: asyncpg.Connection) -> None:
    source, ana, ben = await funded(connection, 100, 0)
    (debt,) = await opened(connection, owed())
    await posted(connection, Movement(debt, source, 100, "test"), Hold(uuid4(), ana, ben, 70, "test"))
    assert parts(await posted(connection, Recovery(ana, debt, "test"))) == [(ana, debt, 30)]
    assert await available(connection, ana) == (70, 70, 0)


async def test_recovery_finds_what_the_operations_before_it_left(connection: asyncpg.Connection) -> None:
    source, ana, pending = *await funded(connection, 0), *await opened(connection, wallet())
    (debt,) = await opened(connection, owed())
    matured = await posted(
        connection,
        Movement(source, pending, 100, "test"),
        Movement(ana, source, 80, "refund", shortfall=debt),
        Movement(pending, ana, 90, "matured"),
        Recovery(ana, debt, "recovery"),
        Recovery(ana, debt, "recovery"),
    )
    assert (ana, debt, 80) in parts(matured)
    assert len(matured.movements) == 4
    assert await posted_balances(connection, ana, debt) == [10, 0]


async def test_recovery_is_done_once_per_key(connection: asyncpg.Connection) -> None:
    """Even where nothing moved the first time, and something would now."""
    source, ana = await funded(connection, 100)
    (debt,) = await opened(connection, owed())
    key = str(uuid4())
    nothing = await posted(connection, Recovery(ana, debt, "test"), key=key)
    assert nothing.movements == ()
    await posted(connection, Movement(debt, source, 30, "test"))
    assert await do(connection, Recovery(ana, debt, "test"), key=key) == replace(nothing, replayed=True)
    assert await posted_balances(connection, ana, debt) == [100, -30]


async def test_recovery_of_nothing_is_posted_on_closed_accounts_too(connection: asyncpg.Connection) -> None:
    source, ana, closed = await funded(connection, 100, 0)
    debt, settled = await opened(connection, owed(), owed())
    for account in (closed, settled):
        await ledger.close_account(account, on=connection)
    await posted(connection, Movement(debt, source, 30, "test"))
    assert parts(await posted(connection, Recovery(closed, debt, "test"))) == []
    assert parts(await posted(connection, Recovery(ana, settled, "test"))) == []
    assert parts(await posted(connection, Recovery(ana, debt, "test"))) == [(ana, debt, 30)]
