"""Holds in groups and batches: their names, their neighbours, their repeats, and their rows."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import starmap
from uuid import uuid4

import asyncpg
import pytest

import ledger
from ledger import Capture, Hold, Increment, Movement, Operation, Refusal, Refused, Release
from tests.ledger.hold_helpers import entries, parts, placed
from tests.ledger.ledger_helpers import (
    available,
    codes,
    do,
    funded,
    held_in,
    is_new,
    new_clearing,
    opened,
    operating,
    posted,
    posted_balances,
    snapshot,
)


@pytest.fixture
def dsn(shared_dsn: str) -> str:
    return shared_dsn


async def test_name_of_a_hold_is_taken_once(connection: asyncpg.Connection) -> None:
    _, ana, ben, cleo = await funded(connection, 100, 100, 0)
    name = uuid4()
    one, other = Hold(name, ana, cleo, 10, "test"), Hold(name, ben, cleo, 20, "test")
    taken = Refused(Refusal.HOLD_EXISTS)
    # Twice in one group, twice in one batch, and again later: under the key that placed it, it is a repeat.
    assert await do(connection, one, other) == taken
    first, again = operating(one), operating(other)
    outcomes = await ledger.post([first, again, first], on=connection)
    assert is_new(outcomes[0])
    assert outcomes[1:] == [taken, replace(outcomes[0], replayed=True)]
    assert await ledger.post([again, operating(one)], on=connection) == [taken, taken]
    await posted(connection, Release(name))
    assert await ledger.post([again], on=connection) == [taken]
    assert [await available(connection, account) for account in (ana, ben)] == [(100, 0, 100)] * 2


async def test_failed_group_leaves_its_hold_as_it_was(connection: asyncpg.Connection) -> None:
    """Neighbours in the same batch find it as it was before."""
    _, ana, ben = await funded(connection, 100, 0)
    hold, name, other = await placed(connection, ana, ben, 40), uuid4(), uuid4()
    too_much = Movement(ana, ben, 10**6, "test")
    failing: Sequence[tuple[Operation, ...]] = [
        (Capture(hold, 40, "test"), too_much),
        (Release(hold), too_much),
        (Increment(hold, 10), Capture(hold, 50, "test", final=True), too_much),
        (Hold(name, ana, ben, 5, "test"), too_much),
        (Capture(hold, 1, "test", final=True), Capture(hold, 1, "test")),
    ]
    batch = list(starmap(operating, failing))
    fine = [operating(Capture(hold, 30, "test"), Release(hold, 5)), operating(Hold(name, ana, ben, 6, "test"))]
    mixed = [*batch[:2], fine[0], *batch[2:], fine[1], operating(Hold(other, ana, ben, 7, "test"), too_much)]
    short, ended = Refusal.INSUFFICIENT_FUNDS, Refusal.HOLD_ENDED
    exceeded = Refusal.HOLD_EXCEEDED
    assert codes(await ledger.post(mixed, on=connection)) == [
        short,
        short,
        None,
        exceeded,
        short,
        ended,
        None,
        short,
    ]
    assert await parts(connection, hold) == (40, 30, 5, None)
    assert await parts(connection, name) == (6, 0, 0, None)
    assert await entries(connection, hold) == [(1, "placed", 40), (2, "captured", 30), (3, "released", 5)]
    assert await available(connection, ana) == (70, 11, 59)
    assert await ledger.holds([other], on=connection) == {}


async def test_hold_is_captured_in_the_batch_and_in_the_group_that_placed_it(
    connection: asyncpg.Connection,
) -> None:
    """Groups are judged in order, and so are operations: what one leaves, the next one finds."""
    _, ana, ben = await funded(connection, 100, 0)
    one, other = uuid4(), uuid4()
    apart = [
        operating(Hold(one, ana, ben, 10, "test")),
        operating(Increment(one, 5)),
        operating(Capture(one, 12, "test", final=True)),
    ]
    together = operating(Hold(other, ana, ben, 10, "test"), Capture(other, 4, "test"), Release(other, 1))
    assert codes(await ledger.post([*apart, together], on=connection)) == [None] * 4
    assert await parts(connection, one) == (15, 12, 3, "captured")
    assert await parts(connection, other) == (10, 4, 1, None)
    assert await available(connection, ana) == (84, 5, 79)


@pytest.mark.parametrize("first", ["refused", "malformed", "repeated"])
async def test_capture_goes_between_the_accounts_of_the_hold_that_was_placed(
    connection: asyncpg.Connection, first: str
) -> None:
    """And not of another one in the same batch that would have had its name."""
    source, ana, ben, cleo, dan = await funded(connection, 100, 0, 100, 0)
    await placed(connection, ana, ben, 50)
    name, key = uuid4(), str(uuid4())
    failing = {
        "refused": operating(Hold(name, ana, ben, 10**6, "test")),
        "malformed": operating(Hold(name, ana, ben, 10, "test"), Movement(ana, ana, 1, "test")),
        "repeated": operating(Hold(name, ana, ben, 10, "test"), key=key),
    }
    if first == "repeated":
        await posted(connection, Movement(source, ben, 1, "test"), key=key)
    outcomes = await ledger.post(
        [
            failing[first],
            operating(Hold(name, cleo, dan, 10, "test")),
            operating(Capture(name, 4, "test")),
            operating(Increment(name, 2), Release(name, 1)),
        ],
        on=connection,
    )
    assert [code is None for code in codes(outcomes)] == [False, True, True, True]
    assert await parts(connection, name) == (12, 4, 1, None)
    assert [await available(connection, account) for account in (ana, cleo)] == [(100, 50, 50), (96, 7, 89)]
    assert (await posted_balances(connection, dan), await held_in(connection, dan)) == ([4], 7)


async def test_every_operation_on_a_hold_is_done_once_per_key(connection: asyncpg.Connection) -> None:
    _, ana, ben = await funded(connection, 100, 0)
    name = uuid4()
    groups = [
        operating(Hold(name, ana, ben, 40, "test")),
        operating(Increment(name, 10)),
        operating(Capture(name, 5, "test")),
        operating(Capture(name, 50, "test")),
        operating(Release(name, 3)),
        operating(Capture(name, 2, "test", final=True)),
        operating(Release(name)),
    ]
    first = [(await ledger.post([group], on=connection))[0] for group in groups]
    assert codes(first) == [None, None, None, Refusal.HOLD_EXCEEDED, None, None, Refusal.HOLD_ENDED]
    assert isinstance(first[3], Refused)
    assert first[3].missing == 5
    before = await snapshot(connection)
    again = [replace(outcome, replayed=True) for outcome in first]
    assert [(await ledger.post([group], on=connection))[0] for group in groups] == again
    assert await ledger.post(groups[::-1], on=connection) == again[::-1]
    assert await snapshot(connection) == before


async def test_hold_on_an_account_in_stripes_stays_on_its_row(
    connection: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    """Whichever connection captures or releases it; and the stripes read as one."""
    _, ana = await funded(connection, 100)
    (striped,) = await opened(connection, new_clearing())
    incoming, outgoing = await placed(connection, ana, striped, 30), await placed(connection, striped, ana, 20)
    assert await available(connection, striped) == (0, 20, -20)
    assert await held_in(connection, striped) == 30
    held = await connection.fetch("select debit, credit from ledger.hold where id in ($1, $2)", incoming, outgoing)
    (row,) = {account for accounts in held for account in accounts} - {ana}
    theirs = await posted(other, Movement(striped, ana, 1, "test"))
    assert theirs.movements[0].debit != row
    outcome = await posted(
        other, Capture(incoming, 10, "test"), Capture(outgoing, 5, "test"), Release(outgoing, 1)
    )
    assert [(movement.debit, movement.credit) for movement in outcome.movements] == [(ana, row), (row, ana)]
    assert (await available(connection, striped), await held_in(connection, striped)) == ((4, 14, -10), 20)
    await posted(other, Release(incoming), Release(outgoing))
    assert (await available(connection, striped), await held_in(connection, striped)) == ((4, 0, 4), 0)
    assert await posted_balances(connection, ana) == [96]
