"""Money set aside: placed, captured in parts, topped up, released, expired."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest

import ledger
from core.clock import now
from ledger import Capture, Hold, HoldState, Increment, Movement, Posted, Recovery, Refusal, Refused, Release
from tests.ledger.hold_helpers import entries, parts, placed, run_out, state
from tests.ledger.ledger_helpers import available, do, funded, held_in, is_new, operating, posted, snapshot


@pytest.fixture
def dsn(shared_dsn: str) -> str:
    return shared_dsn


async def test_hold_sets_money_aside_and_moves_nothing(connection: asyncpg.Connection) -> None:
    _, ana, ben = await funded(connection, 100, 0)
    name, reference, expires = uuid4(), uuid4(), now() + timedelta(days=7)
    wanted = Hold(name, ana, ben, 40, "order", reference, expires)
    outcome = await ledger.hold(f"hold:{name}", wanted, on=connection)
    assert isinstance(outcome, Posted)
    assert (outcome.movements, outcome.after, outcome.replayed) == ((), {}, False)
    assert await ledger.balance(ana, on=connection) == ledger.Balance(posted=100, held=40, available=60, version=1)
    assert await ledger.balance(ben, on=connection) == ledger.Balance(posted=0, held=0, available=0, version=0)
    assert (await held_in(connection, ana), await held_in(connection, ben)) == (0, 40)
    assert await state(connection, name) == HoldState(
        id=name, debit=ana, credit=ben, kind="order", reference=reference, amount=40, captured=0, released=0,
        expires_at=expires, placed_at=outcome.posted_at, ended_at=None, ending=None,
    )  # fmt: skip
    assert await entries(connection, name) == [(1, "placed", 40)]
    assert await ledger.holds([name, uuid4()], on=connection) == {name: await state(connection, name)}


async def test_capture_in_parts_pays_what_was_set_aside(connection: asyncpg.Connection) -> None:
    _, ana, ben = await funded(connection, 100, 0)
    hold, reference = await placed(connection, ana, ben, 40), uuid4()
    first = await ledger.capture(f"parcel:{hold}:1", hold, 10, kind="parcel", reference=reference, on=connection)
    assert isinstance(first, Posted)
    (movement,) = first.movements
    assert (movement.debit, movement.credit, movement.amount) == (ana, ben, 10)
    assert first.after == {ana: ledger.AccountAfter(90, 2), ben: ledger.AccountAfter(10, 1)}
    assert (await available(connection, ana), await held_in(connection, ben)) == ((90, 30, 60), 30)
    assert await parts(connection, hold) == (40, 10, 0, None)
    await ledger.capture(f"parcel:{hold}:2", hold, 15, kind="parcel", on=connection)
    assert await parts(connection, hold) == (40, 25, 0, None)
    last = await ledger.capture(f"parcel:{hold}:3", hold, kind="rest", on=connection)
    assert isinstance(last, Posted)
    assert last.movements[0].amount == 15
    assert await parts(connection, hold) == (40, 40, 0, "captured")
    assert (await state(connection, hold)).ended_at == last.posted_at
    assert (await available(connection, ana), await held_in(connection, ben)) == ((60, 0, 60), 0)
    lines = await ledger.statement(ben, on=connection)
    assert [(line.amount, line.kind, line.reference) for line in lines] == [
        (10, "parcel", reference), (15, "parcel", None), (15, "rest", None),
    ]  # fmt: skip
    assert await entries(connection, hold) == [
        (1, "placed", 40), (2, "captured", 10), (3, "captured", 15), (4, "captured", 15),
    ]  # fmt: skip


async def test_capture_took_effect_when_it_says(connection: asyncpg.Connection) -> None:
    _, ana, ben = await funded(connection, 100, 0)
    hold, moment = await placed(connection, ana, ben, 40), datetime(2026, 1, 2, tzinfo=UTC)
    group = replace(
        operating(Capture(hold, 10, "test"), Capture(hold, 5, "test", final=True)), effective_at=moment
    )
    assert is_new((await ledger.post([group], on=connection))[0])
    lines = await ledger.statement(ben, on=connection)
    assert [(line.amount, line.effective_at) for line in lines] == [(10, moment), (5, moment)]
    assert all(line.posted_at > moment for line in lines)


async def test_final_capture_releases_what_is_left(connection: asyncpg.Connection) -> None:
    _, ana, ben = await funded(connection, 100, 0)
    hold = await placed(connection, ana, ben, 40)
    await ledger.capture(f"{hold}:1", hold, 10, kind="test", on=connection)
    assert is_new(await ledger.capture(f"{hold}:2", hold, 5, kind="test", final=True, on=connection))
    assert await parts(connection, hold) == (40, 15, 25, "captured")
    assert (await available(connection, ana), await held_in(connection, ben)) == ((85, 0, 85), 0)
    assert (await entries(connection, hold))[2:] == [(3, "captured", 5), (4, "released", 25)]
    exact = await placed(connection, ana, ben, 40)
    assert is_new(await ledger.capture(f"{exact}:1", exact, 40, kind="test", final=True, on=connection))
    assert await entries(connection, exact) == [(1, "placed", 40), (2, "captured", 40)]


async def test_increment_sets_more_aside(connection: asyncpg.Connection) -> None:
    _, ana, ben = await funded(connection, 100, 0)
    hold = await placed(connection, ana, ben, 40)
    assert is_new(await ledger.increment(f"{hold}:1", hold, 60, on=connection))
    assert await parts(connection, hold) == (100, 0, 0, None)
    assert (await available(connection, ana), await held_in(connection, ben)) == ((100, 100, 0), 100)
    assert await ledger.increment(f"{hold}:2", hold, 1, on=connection) == Refused(
        Refusal.INSUFFICIENT_FUNDS, ana, 1
    )
    assert is_new(await ledger.capture(f"{hold}:3", hold, 100, kind="test", on=connection))
    assert await entries(connection, hold) == [(1, "placed", 40), (2, "incremented", 60), (3, "captured", 100)]


async def test_release_makes_money_available_again(connection: asyncpg.Connection) -> None:
    _, ana, ben = await funded(connection, 100, 0)
    hold = await placed(connection, ana, ben, 40)
    outcome = await ledger.release(f"{hold}:1", hold, 15, on=connection)
    assert isinstance(outcome, Posted)
    assert outcome.movements == ()
    assert (await available(connection, ana), await held_in(connection, ben)) == ((100, 25, 75), 25)
    assert await parts(connection, hold) == (40, 0, 15, None)
    assert is_new(await ledger.capture(f"{hold}:2", hold, 20, kind="test", on=connection))
    assert is_new(await ledger.release(f"{hold}:3", hold, on=connection))
    assert await parts(connection, hold) == (40, 20, 20, "released")
    assert (await available(connection, ana), await held_in(connection, ben)) == ((80, 0, 80), 0)


@pytest.mark.parametrize("ending", ["captured", "released", "expired"])
async def test_hold_has_one_end(connection: asyncpg.Connection, owner: asyncpg.Connection, ending: str) -> None:
    _, ana, ben = await funded(connection, 100, 0)
    hold = await placed(connection, ana, ben, 40, expires_at=now() + timedelta(days=1))
    await posted(connection, Capture(hold, 10, "test"))
    if ending == "expired":
        await run_out(owner, hold)
        assert await ledger.expire_holds(on=connection) == 1
    else:
        await posted(connection, Capture(hold, None, "test") if ending == "captured" else Release(hold))
    ended = await state(connection, hold)
    assert ended.ending == ending
    for operation in (Capture(hold, 1, "test"), Capture(hold, None, "test", final=True), Increment(hold, 1),
                      Release(hold, 1), Release(hold)):  # fmt: skip
        assert await do(connection, operation) == Refused(Refusal.HOLD_ENDED, ana)
    assert await state(connection, hold) == ended


async def test_nothing_is_captured_after_expiry(connection: asyncpg.Connection, owner: asyncpg.Connection) -> None:
    """Whether or not the sweeper has come by; what is left can be released, and counts as held until then."""
    _, ana, ben = await funded(connection, 100, 0)
    hold = await placed(connection, ana, ben, 40, expires_at=now() + timedelta(days=1))
    await posted(connection, Capture(hold, 10, "test"))
    await run_out(owner, hold)
    late = operating(Capture(hold, 1, "test"))
    for group in (late, operating(Capture(hold, None, "test")), operating(Increment(hold, 1))):
        assert await ledger.post([group], on=connection) == [Refused(Refusal.HOLD_EXPIRED, ana)]
    assert await available(connection, ana) == (90, 30, 60)
    assert is_new(await do(connection, Release(hold, 5)))
    assert await ledger.expire_holds(on=connection) == 1
    assert await parts(connection, hold) == (40, 10, 30, "expired")
    assert (await available(connection, ana), await held_in(connection, ben)) == ((90, 0, 90), 0)
    assert (await entries(connection, hold))[2:] == [(3, "released", 5), (4, "expired", 25)]
    assert await ledger.post([late], on=connection) == [Refused(Refusal.HOLD_EXPIRED, ana, replayed=True)]


async def test_sweeper_ends_what_is_due_and_nothing_else(
    connection: asyncpg.Connection, owner: asyncpg.Connection
) -> None:
    _, ana, ben, cleo = await funded(connection, 100, 100, 0)
    later = now() + timedelta(days=1)
    due = [await placed(connection, *accounts, 7, expires_at=later)
           for accounts in ((ana, cleo), (ben, ana), (cleo, ben)) * 2 if accounts[0] != cleo]  # fmt: skip
    others = [await placed(connection, ana, cleo, 7, expires_at=later), await placed(connection, ana, cleo, 7)]
    await run_out(owner, *due)
    assert [await ledger.expire_holds(on=connection, limit=3) for _ in range(3)] == [3, 1, 0]
    assert {(await parts(connection, hold)) for hold in due} == {(7, 0, 7, "expired")}
    assert {(await parts(connection, hold)) for hold in others} == {(7, 0, 0, None)}
    assert [await available(connection, account) for account in (ana, ben)] == [(100, 14, 86), (100, 0, 100)]
    before = await snapshot(connection)
    assert await ledger.expire_holds(on=connection) == 0
    assert await snapshot(connection) == before


async def test_hold_that_would_have_expired_already_is_refused(connection: asyncpg.Connection) -> None:
    _, ana, ben = await funded(connection, 100, 0)
    late = operating(Hold(uuid4(), ana, ben, 40, "test", expires_at=now() - timedelta(microseconds=1)))
    refused = Refused(Refusal.HOLD_EXPIRED, ana)
    assert await ledger.post([late, late], on=connection) == [refused, replace(refused, replayed=True)]
    assert await available(connection, ana) == (100, 0, 100)


async def test_what_is_held_is_not_spent_and_its_capture_never_lacks_funds(connection: asyncpg.Connection) -> None:
    _, ana, ben, cleo = await funded(connection, 100, 1, 0)
    hold = await placed(connection, ana, ben, 40)
    nothing = operating(Recovery(ana, cleo, "test"))
    for beside in ([], [operating(Movement(ben, cleo, 1, "test"))], [nothing]):
        outcome, *_ = await ledger.post([operating(Movement(ana, cleo, 61, "test")), *beside], on=connection)
        assert outcome == Refused(Refusal.INSUFFICIENT_FUNDS, ana, 1)
    assert is_new(await do(connection, Movement(ana, cleo, 60, "test")))
    assert await available(connection, ana) == (40, 40, 0)
    assert await do(connection, Hold(uuid4(), ana, ben, 1, "test")) == Refused(Refusal.INSUFFICIENT_FUNDS, ana, 1)
    for _ in range(40):
        assert is_new(await do(connection, Capture(hold, 1, "test")))
    assert await available(connection, ana) == (0, 0, 0)


async def test_credit_can_be_held_as_well(connection: asyncpg.Connection) -> None:
    _, ana, ben = await funded(connection, 10, 0)
    await ledger.set_credit_limit(ana, 50, on=connection)
    assert await do(connection, Hold(uuid4(), ana, ben, 61, "test")) == Refused(Refusal.INSUFFICIENT_FUNDS, ana, 1)
    hold = await placed(connection, ana, ben, 60)
    assert await available(connection, ana) == (10, 60, -50)
    for limit in (0, 49):
        with pytest.raises(ledger.CreditLimitInUseError):
            await ledger.set_credit_limit(ana, limit, on=connection)
    assert await do(connection, Movement(ana, ben, 1, "test")) == Refused(Refusal.INSUFFICIENT_FUNDS, ana, 1)
    assert is_new(await do(connection, Capture(hold, None, "test")))
    assert await available(connection, ana) == (-50, 0, -50)


@pytest.mark.parametrize("side", ["debit", "credit"])
async def test_account_with_something_held_cannot_be_closed(connection: asyncpg.Connection, side: str) -> None:
    _, ana, ben = await funded(connection, 0, 0)
    await ledger.set_credit_limit(ana, 50, on=connection)
    hold = await placed(connection, ana, ben, 50)
    account = ana if side == "debit" else ben
    with pytest.raises(ledger.AccountNotEmptyError):
        await ledger.close_account(account, on=connection)
    await posted(connection, Release(hold))
    await ledger.close_account(account, on=connection)
    assert await do(connection, Hold(uuid4(), ana, ben, 1, "test")) == Refused(Refusal.ACCOUNT_CLOSED, account)
