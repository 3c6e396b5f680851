"""What was posted, sent back: linked to what it undoes, and never more than that."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import pytest

import ledger
from ledger import (
    AccountAfter,
    Accounts,
    Capture,
    Draft,
    Hold,
    Line,
    Movement,
    Posted,
    Recovery,
    RecoveryLine,
    Refusal,
    Refused,
    Release,
    Reversal,
    UnknownGroupError,
)
from tests.ledger.ledger_helpers import (
    codes,
    do,
    funded,
    group,
    is_new,
    new_clearing,
    new_till,
    opened,
    operating,
    owed,
    post_apart,
    post_group,
    posted,
    posted_balances,
    snapshot,
    wallet,
)


@pytest.fixture
def dsn(shared_dsn: str) -> str:
    return shared_dsn


async def reversed_of(connection: asyncpg.Connection, movement: UUID) -> int:
    """How much of a movement was sent back: what is counted, and what its reversals sum to."""
    counted = await connection.fetchval("select reversed from ledger.reversed where movement_id = $1", movement)
    listed = await connection.fetchval("select sum(amount) from ledger.reversal where original_id = $1", movement)
    assert counted == listed
    return int(counted or 0)


async def test_reversal_sends_back_a_part_and_then_the_rest(connection: asyncpg.Connection) -> None:
    source, ana = await funded(connection, 0)
    original, reference = (await posted(connection, Movement(source, ana, 100, "gift"))).movements[0], uuid4()
    part = await posted(connection, Reversal(original.id, 30, "gift back", reference))
    (movement,) = part.movements
    assert (movement.debit, movement.credit, movement.amount) == (ana, source, 30)
    assert part.after == {ana: AccountAfter(70, 2), source: AccountAfter(-70, 2)}
    assert await reversed_of(connection, original.id) == 30
    rest = await posted(connection, Reversal(original.id, None, "gift back"))
    assert rest.movements[0].amount == 70
    assert await reversed_of(connection, original.id) == 100
    lines = await ledger.statement(ana, on=connection)
    assert [(line.amount, line.balance, line.kind, line.reference) for line in lines] == [
        (100, 100, "gift", None), (-30, 70, "gift back", reference), (-70, 0, "gift back", None),
    ]  # fmt: skip
    links = await connection.fetch(
        "select movement_id, amount from ledger.reversal where original_id = $1", original.id
    )
    assert {(row["movement_id"], int(row["amount"])) for row in links} == {
        (part.movements[0].id, 30), (rest.movements[0].id, 70),
    }  # fmt: skip


async def test_reversals_never_exceed_their_original(connection: asyncpg.Connection) -> None:
    """Not later, not in one batch, and not in one group; however much the account has."""
    source, ana = await funded(connection, 1000)
    original = (await posted(connection, Movement(source, ana, 100, "gift"))).movements[0].id
    refused = Refused(Refusal.REVERSAL_EXCEEDED, ana, 1)
    assert await do(connection, Reversal(original, 101, "back")) == refused
    assert await do(connection, Reversal(original, 60, "back"), Reversal(original, 41, "back")) == refused
    batch = [operating(Reversal(original, amount, "back")) for amount in (60, 41, 30, 10, 1)]
    outcomes = await ledger.post(batch, on=connection)
    assert codes(outcomes) == [None, Refusal.REVERSAL_EXCEEDED, None, None, Refusal.REVERSAL_EXCEEDED]
    assert outcomes[4] == refused
    assert await do(connection, Reversal(original, None, "back")) == refused
    assert await reversed_of(connection, original) == 100
    assert await posted_balances(connection, ana) == [1000]


async def test_failed_group_sends_nothing_back(connection: asyncpg.Connection) -> None:
    """Its neighbours find everything still to be sent back."""
    source, ana = await funded(connection, 0)
    original = (await posted(connection, Movement(source, ana, 100, "gift"))).movements[0].id
    failing = operating(Reversal(original, 100, "back"), Movement(ana, source, 1, "test"))
    whole = operating(Reversal(original, None, "back"))
    assert codes(await ledger.post([failing, whole], on=connection)) == [Refusal.INSUFFICIENT_FUNDS, None]
    assert await reversed_of(connection, original) == 100


async def test_reversal_can_be_reversed(connection: asyncpg.Connection) -> None:
    """What that sends forth again is a movement of its own; the first one stays sent back."""
    source, ana = await funded(connection, 0)
    original = (await posted(connection, Movement(source, ana, 100, "gift"))).movements[0].id
    back = (await posted(connection, Reversal(original, 40, "back"))).movements[0].id
    forth = (await posted(connection, Reversal(back, None, "forth"))).movements[0]
    assert (forth.debit, forth.credit, forth.amount) == (source, ana, 40)
    assert await do(connection, Reversal(back, 1, "forth")) == Refused(Refusal.REVERSAL_EXCEEDED, source, 1)
    assert await do(connection, Reversal(original, 61, "back")) == Refused(Refusal.REVERSAL_EXCEEDED, ana, 1)
    assert is_new(await do(connection, Reversal(forth.id, 40, "back"), Reversal(original, 60, "back")))
    assert await posted_balances(connection, ana, source) == [0, 0]


async def test_reversal_takes_only_what_is_there(connection: asyncpg.Connection) -> None:
    source, ana, ben = await funded(connection, 0, 0)
    original = (await posted(connection, Movement(source, ana, 100, "gift"))).movements[0].id
    await posted(connection, Movement(ana, ben, 30, "test"), Hold(uuid4(), ana, ben, 50, "test"))
    assert await do(connection, Reversal(original, None, "back")) == Refused(Refusal.INSUFFICIENT_FUNDS, ana, 80)
    assert is_new(await do(connection, Reversal(original, 20, "back")))


async def test_captured_money_is_sent_back_as_any_other(connection: asyncpg.Connection) -> None:
    _, ana, ben = await funded(connection, 100, 0)
    hold = uuid4()
    await posted(connection, Hold(hold, ana, ben, 40, "test"))
    capture = (await posted(connection, Capture(hold, 25, "test"))).movements[0].id
    await posted(connection, Reversal(capture, None, "back"), Release(hold))
    assert await posted_balances(connection, ana, ben) == [100, 0]
    assert (await ledger.holds([hold], on=connection))[hold].captured == 25


async def test_whole_group_is_sent_back_once(connection: asyncpg.Connection) -> None:
    """The last movement first, so that what one brought in is there when an earlier one is sent back."""
    source, ana, ben, cleo = await funded(connection, 0, 0, 0)
    outcome = await posted(
        connection,
        Movement(source, ana, 100, "in", uuid4()),
        Movement(ana, ben, 60, "through"),
        Movement(ben, cleo, 10, "out"),
        Movement(source, ben, 9, "beside", shortfall=cleo),
    )
    key, moment = str(uuid4()), datetime(2026, 1, 2, tzinfo=UTC)
    back = await ledger.reverse(key, outcome.group_id, effective_at=moment, on=connection)
    assert isinstance(back, Posted)
    assert {(m.debit, m.credit, m.amount) for m in back.movements} == {
        (m.credit, m.debit, m.amount) for m in outcome.movements
    }
    assert await posted_balances(connection, source, ana, ben, cleo) == [0, 0, 0, 0]
    first, *_, last = await ledger.statement(ana, on=connection)
    assert (last.kind, last.reference, last.effective_at) == ("in.reversed", first.reference, moment)
    before = await snapshot(connection)
    again = await ledger.reverse(key, outcome.group_id, effective_at=moment, on=connection)
    assert again == replace(back, replayed=True)
    assert await snapshot(connection) == before
    other = await ledger.reverse(str(uuid4()), outcome.group_id, on=connection)
    assert isinstance(other, Refused)
    assert other.code is Refusal.REVERSAL_EXCEEDED
    assert await posted_balances(connection, source, ana, ben, cleo) == [0, 0, 0, 0]


async def test_what_is_left_of_a_group_is_sent_back(connection: asyncpg.Connection) -> None:
    source, ana, ben = await funded(connection, 0, 0)
    outcome = await posted(connection, Movement(source, ana, 100, "in"), Movement(source, ben, 50, "in"))
    await posted(connection, Reversal(outcome.movements[0].id, 30, "back"))
    back = await ledger.reverse(str(uuid4()), outcome.group_id, on=connection)
    assert isinstance(back, Posted)
    assert sorted(movement.amount for movement in back.movements) == [50, 70]
    assert await posted_balances(connection, source, ana, ben) == [0, 0, 0]


async def test_group_that_is_not_there_cannot_be_sent_back(connection: asyncpg.Connection) -> None:
    _, ana, ben = await funded(connection, 100, 0)
    held = await posted(connection, Hold(uuid4(), ana, ben, 1, "test"))
    before = await snapshot(connection)
    for nothing in (uuid4(), held.group_id):
        assert await ledger.reversal("k", nothing, on=connection) is None
        assert await ledger.reverse("k", nothing, on=connection) == Refused(Refusal.UNKNOWN_MOVEMENT)
    assert await snapshot(connection) == before


async def test_draft_undoes_what_was_posted_under_a_key(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    accounts, source, ana, ben = Accounts(pool), owed(), wallet(), wallet()
    key = str(uuid4())
    done = Draft.of(key, Line(source, ana, 100, "in"), Line(ana, ben, 40, "on"), effective_at=None)
    await ledger.post(await accounts.groups([done]), on=connection)
    undo = Draft.undoing(key, f"{key}:undone", Line(source, ben, 7, "sorry"), kind="undone", reference=None)
    for on in (None, connection):
        outcomes = await ledger.post(await accounts.groups([undo], on=on), on=connection)
        assert [isinstance(outcome, Posted) and len(outcome.movements) for outcome in outcomes] == [3]
    ids = await accounts.ids([source, ana, ben])
    assert await posted_balances(connection, *ids.values()) == [-7, 0, 7]
    unknown = Draft.undoing("never posted", str(uuid4()), kind="undone", reference=None)
    with pytest.raises(UnknownGroupError, match="never posted"):
        await accounts.groups([unknown])


@pytest.mark.parametrize("lines", [True, False])
async def test_draft_undoes_a_group_in_which_nothing_moved(
    connection: asyncpg.Connection, pool: asyncpg.Pool, lines: bool
) -> None:
    """A recovery where nothing was owed is posted, and there is nothing to send back of it."""
    accounts, debt, ana, key = Accounts(pool), owed(), wallet(), str(uuid4())
    nothing = Draft.of(key, RecoveryLine(ana, debt, "recovery"))
    assert is_new((await ledger.post(await accounts.groups([nothing]), on=connection))[0])
    own = [Line(debt, ana, 5, "test")] if lines else []
    undo = Draft.undoing(key, f"{key}:undone", *own, kind="undone", reference=None)
    (group,) = await accounts.groups([undo], on=connection)
    assert codes(await ledger.post([group], on=connection)) == [None if lines else Refusal.NO_MOVEMENTS]


async def test_ten_reversals_at_once_never_exceed_their_original(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    source, ana = await funded(connection, 1000)
    original = (await posted(connection, Movement(source, ana, 10, "gift"))).movements[0].id
    back = [post_apart(pool, operating(Reversal(original, 3, "back"))) for _ in range(10)]
    outcomes = [outcome for (outcome,) in await asyncio.gather(*back)]
    assert sorted(codes(outcomes), key=str) == [None] * 3 + [Refusal.REVERSAL_EXCEEDED] * 7
    assert await reversed_of(connection, original) == 9
    assert await posted_balances(connection, ana) == [1001]


async def test_group_reversed_by_ten_at_once_is_reversed_once(
    connection: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    source, ana, striped = *await funded(connection, 1000), *await opened(connection, new_clearing())
    outcome = await posted(connection, Movement(source, ana, 10, "in"), Movement(ana, striped, 5, "on"))

    async def reverse() -> ledger.Outcome:
        async with pool.acquire() as mine:
            return await ledger.reverse(str(uuid4()), outcome.group_id, on=mine)

    outcomes = await asyncio.gather(*(reverse() for _ in range(10)))
    assert sum(map(is_new, outcomes)) == 1
    assert await posted_balances(connection, source, ana, striped) == [-1000, 1000, 0]


async def test_movement_through_stripes_is_sent_back_through_the_same(
    connection: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    clearing, till = await opened(connection, new_clearing(), new_till())
    (original,) = (await posted(connection, Movement(clearing, till, 100, "in"))).movements
    for amount in (30, None):
        (back,) = (await posted(other, Reversal(original.id, amount, "back"))).movements
        assert (back.debit, back.credit) == (original.credit, original.debit)
    rows = "select posted from ledger.account where id in ($1, $2) or stripe_of in ($1, $2)"
    assert {row["posted"] for row in await connection.fetch(rows, clearing, till)} == {0}
    assert [line.balance for line in await ledger.statement(till, on=other)] == [100, 70, 0]


async def test_reversal_is_the_same_in_every_company(connection: asyncpg.Connection) -> None:
    source, ana, ben = await funded(connection, 100, 0)
    originals = [(await posted(connection, Movement(source, ben, 10, "in"))).movements[0].id for _ in range(3)]
    companies = [[], [group((source, ana, 1))], [operating(Recovery(ana, source, "test"))]]
    for original, company in zip(originals, companies, strict=True):
        back = operating(Reversal(original, 4, "back"), Reversal(original, None, "back"))
        first, *_ = await ledger.post([back, *company], on=connection)
        assert isinstance(first, Posted)
        assert [movement.amount for movement in first.movements] == [4, 6]
        assert await post_group(connection, back) == replace(first, replayed=True)
    assert await posted_balances(connection, ben) == [0]
