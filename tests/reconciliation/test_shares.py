"""A payment for several creators goes through all that can become of one, and every place says the same of it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

import ledger
from core.clock import now
from core.errors import ErrorCode, Refused
from core.ids import uuid7
from core.money import money
from core.refunds import RefundReason
from core.viewer import Viewer
from ledger import AccountKind, chart
from ledger.chart import Split
from services import (
    charging,
    disputes,
    maturing,
    payments,
    payout_accounts,
    payouts,
    refunds,
    returns,
    write_offs,
)
from services.returns import Of
from tests.api.books import statements_sent
from tests.reconciliation.scene import EVERYTHING, Scene, found
from tests.support.shared_payments import SharedPayment, make_creator, make_shared_payment

FIRST, SECOND = Split(net=900, fee=60, tax=40), Split(net=450, fee=30, tax=20)
TOTAL = FIRST.gross + SECOND.gross


@pytest.fixture
async def other(scene: Scene) -> Viewer:
    """The second creator's user."""
    return Viewer((await make_creator(scene.owner, "other"))[1], scopes=EVERYTHING)


async def creator_of(scene: Scene, viewer: Viewer) -> UUID:
    found: UUID = await scene.owner.fetchval("select id from creators where user_id = $1", viewer.user_id)
    return found


async def shared(scene: Scene, other: Viewer, method: str | None = "tok_success", **given: Any) -> SharedPayment:
    """Pay an order of both creators and let it be told."""
    assert scene.payer.user_id is not None
    splits = [(scene.creator, FIRST), (await creator_of(scene, other), SECOND)]
    made = await make_shared_payment(scene.owner, scene.payer.user_id, splits, **given)
    await payments.resume(scene.engine, made.id, fresh=True)
    if method is not None:
        await scene.confirm(made.id, method)
        await scene.told()
    return made


async def posted(scene: Scene, kind: AccountKind, creators: Sequence[UUID]) -> list[int]:
    """Return what stands on an account of each creator, in cents."""
    return [
        await scene.owner.fetchval(
            "select coalesce(sum(posted), 0)::bigint from ledger.account where code = $1",
            chart.creator(kind, "USD", creator).code,
        )
        for creator in creators
    ]


async def balances(scene: Scene, made: SharedPayment) -> dict[str, list[int]]:
    """Return what both creators have, where that is not nothing."""
    kinds = (AccountKind.PENDING, AccountKind.AVAILABLE, AccountKind.RESERVE, AccountKind.OWED)
    each = {kind.value: await posted(scene, kind, made.creators) for kind in kinds}
    return {kind: amounts for kind, amounts in each.items() if any(amounts)}


async def shares_of(scene: Scene, made: SharedPayment) -> list[tuple[int, int, int, int]]:
    """Return what went back of each share, and what is in reserve of it."""
    rows = await scene.owner.fetch(
        "select returned_net, returned_fee, returned_tax, reserve from payment_shares where payment_id = $1 "
        "order by array_position($2::uuid[], id)",
        made.id,
        list(made.shares),
    )
    return [tuple(map(int, row)) for row in rows]  # type: ignore[misc]


async def agree(scene: Scene) -> None:
    """Assert that provider, ledger and business say the same, and that the ledger is sound."""
    await scene.relayed()
    report = await scene.reconcile()
    assert found(report) == []
    async with scene.engine.database.reader.acquire() as connection:
        assert [each for each in await ledger.verify(connection) if each.status is ledger.Status.BROKEN] == []


async def refund_of(scene: Scene, made: SharedPayment, amount: int, of: Sequence[Of]) -> UUID:
    """Give back lines of the order, as a creator's sale does: so much of whose share."""
    refund, at = uuid7(), now()
    async with scene.engine.database.transaction() as transaction:
        connection = transaction.connection
        row = await connection.fetchrow(payments.LOCK_PAYMENT, made.id)
        await returns.open_refund(
            row,
            refund,
            amount,
            of=of,
            reason=RefundReason.OTHER,
            requested_by=None,
            calling_until=at,
            on=connection,
            at=at,
        )
    await refunds.sweep(scene.engine)
    await scene.told()
    return refund


# Captured and matured -----------------------------------------------------------------------------------------


async def test_each_creator_earns_their_share_of_it(scene: Scene, other: Viewer) -> None:
    made = await shared(scene, other)

    assert await balances(scene, made) == {"pending": [900, 450]}
    days = await scene.owner.fetch("select creator_id, net, payments from earning_days order by net desc")
    assert [(row["creator_id"], int(row["net"]), row["payments"]) for row in days] == [
        (made.creators[0], 900, 1),
        (made.creators[1], 450, 1),
    ]
    await agree(scene)
    await scene.later(days=10)
    await scene.matured()
    assert await balances(scene, made) == {"available": [900, 450]}
    await agree(scene)


async def test_each_change_is_told_once_to_the_payer_and_to_each_creator(scene: Scene, other: Viewer) -> None:
    made = await shared(scene, other)

    rows = await scene.owner.fetch(
        "select sequence, status, creator_id, in_activity from outbox_events where payment_id = $1 order by id",
        made.id,
    )
    statuses = await scene.owner.fetch(
        "select sequence, status from payment_events where payment_id = $1 and sequence > 1 order by sequence",
        made.id,
    )
    assert [(row["sequence"], row["status"], row["creator_id"]) for row in rows] == [
        (row["sequence"], row["status"], creator)
        for row in statuses
        for creator in sorted(made.creators, key=lambda key: made.shares[made.creators.index(key)])
    ]
    assert [row["creator_id"] for row in rows if row["in_activity"]] == list(made.creators)
    seen = [await payments.of_payee(scene.engine, creator, [made.id]) for creator in made.creators]
    assert [(int(row["gross"]), int(row["net"])) for (row,) in seen] == [(1_000, 900), (500, 450)]
    assert await payments.of_payee(scene.engine, uuid7(), [made.id]) == []


async def test_reserves_are_kept_by_each_share_and_released_at_once(scene: Scene, other: Viewer) -> None:
    await scene.run("update fee_rules set reserve_basis_points = 1000, reserve_delay_seconds = 864000")
    made = await shared(scene, other)
    await scene.later(days=10)
    await scene.matured()

    assert await balances(scene, made) == {"available": [810, 405], "reserve": [90, 45]}
    assert await shares_of(scene, made) == [(0, 0, 0, 90), (0, 0, 0, 45)]
    assert int((await scene.row("payments", made.id))["reserve"]) == 135
    await agree(scene)
    await refund_of(scene, made, 50, [Of(made.creators[1], 50, 2)])
    assert await balances(scene, made) == {"available": [810, 405], "reserve": [90, 0]}
    await agree(scene)
    await scene.later(days=20)
    assert await maturing.release_reserves(scene.engine) == 1
    assert await balances(scene, made) == {"available": [900, 405]}
    assert [row[3] for row in await shares_of(scene, made)] == [0, 0]
    await agree(scene)


async def test_part_that_is_captured_divides_over_both_shares(scene: Scene, other: Viewer) -> None:
    made = await shared(scene, other, manual_capture=True)
    operator = scene.payer

    for payee in (scene.seller, other):
        bare = Viewer(payee.user_id, scopes=frozenset())
        with pytest.raises(Refused) as refused:
            await charging.capture(scene.engine, bare, charging.Capture(made.id, None, str(uuid7())))
        assert refused.value.code is ErrorCode.NOT_FOUND
    assert await balances(scene, made) == {}
    command = charging.Capture(made.id, money(750, "USD"), str(uuid7()))
    await charging.capture(scene.engine, operator, command)
    await scene.told()

    assert await balances(scene, made) == {"pending": [450, 225]}
    await agree(scene)
    await refund_of(scene, made, 500, [Of(made.creators[0], 500, 20)])
    assert await balances(scene, made) == {"pending": [0, 225]}
    await agree(scene)


async def test_payment_of_one_creator_asks_for_no_shares(scene: Scene, other: Viewer) -> None:
    await scene.tip()
    await scene.arrived()
    with statements_sent(scene) as sent:  # type: ignore[arg-type]
        await scene.settled()
        await scene.later(days=10)
        await scene.matured()
    assert sent
    assert [sql for sql in sent if "from payment_shares s join" in sql or "return_shares" in sql] == []


# Refunded -----------------------------------------------------------------------------------------------------


async def test_refund_of_one_sale_takes_from_its_creator_alone(scene: Scene, other: Viewer) -> None:
    made = await shared(scene, other)

    await refund_of(scene, made, 500, [Of(made.creators[1], 500, 20)])

    assert await balances(scene, made) == {"pending": [900, 0]}
    assert await shares_of(scene, made) == [(0, 0, 0, 0), (450, 30, 20, 0)]
    row = await scene.row("payments", made.id)
    assert (int(row["returned_net"]), int(row["returned_fee"]), int(row["returned_tax"])) == (450, 30, 20)
    returned = await scene.owner.fetch("select creator_id, returned from earning_days where returned > 0")
    assert [(each["creator_id"], int(each["returned"])) for each in returned] == [(made.creators[1], 450)]
    await agree(scene)


async def test_refund_by_an_operator_takes_from_both_until_nothing_is_left(scene: Scene, other: Viewer) -> None:
    made = await shared(scene, other)
    for payee in (scene.seller, other):
        bare = Viewer(payee.user_id, scopes=frozenset())
        command = refunds.CreateRefund(made.id, None, RefundReason.OTHER, str(uuid7()))
        with pytest.raises(Refused) as refused:
            await refunds.create(scene.engine, bare, command)
        assert refused.value.code is ErrorCode.NOT_FOUND
    assert await scene.owner.fetchval("select count(*) from refunds") == 0

    await scene.refund(made.id, 150)
    await scene.told()
    assert await shares_of(scene, made) == [(90, 6, 4, 0), (45, 3, 2, 0)]
    await agree(scene)
    await scene.refund(made.id)
    await scene.told()

    assert await balances(scene, made) == {}
    assert (await scene.row("payments", made.id))["status"] == "REFUNDED"
    await agree(scene)


async def test_refund_that_fails_later_gives_each_what_they_had_given(scene: Scene, other: Viewer) -> None:
    made = await shared(scene, other, "tok_refund_fails_later")
    await scene.refund(made.id, 750)
    await scene.told()
    assert await balances(scene, made) == {"pending": [450, 225]}
    await scene.matured()
    await scene.later(days=10)
    await scene.matured()

    assert await balances(scene, made) == {"available": [900, 450]}
    assert await shares_of(scene, made) == [(0, 0, 0, 0), (0, 0, 0, 0)]
    await agree(scene)


async def test_debt_of_each_that_was_recovered_for_nothing_is_given_back_to_each(
    scene: Scene, other: Viewer
) -> None:
    made = await shared(scene, other, "tok_refund_fails_later")
    await scene.later(days=10)
    await scene.matured()
    await spend(scene, made)
    await shared(scene, other)
    await scene.later(days=10)
    await scene.refund(made.id)
    await scene.told()
    assert await balances(scene, made) == {"pending": [900, 450], "owed": [-900, -450]}
    # What they earned meanwhile pays the debt, before it turns out to be none.
    await scene.matured()
    assert await balances(scene, made) == {}

    await scene.later(days=1)

    assert await balances(scene, made) == {"available": [900, 450]}
    keys = await scene.owner.fetch("select key from ledger.request where key like 'overpaid_debt:%' order by key")
    refund = await scene.owner.fetchval("select id from refunds")
    assert [row["key"] for row in keys] == sorted(f"overpaid_debt:{refund}:{share}" for share in made.shares)
    await agree(scene)


async def spend(scene: Scene, made: SharedPayment) -> None:
    """Let creators have nothing available any more."""
    for creator in made.creators:
        amount = (await posted(scene, AccountKind.AVAILABLE, [creator]))[0]
        await scene.post(chart.payout_asked(payout=uuid7(), creator_id=creator, asset="USD", amount=amount))


# Disputed -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", ["tok_dispute_won", "tok_dispute_lost_then_won"])
async def test_dispute_takes_from_both_and_gives_back_to_both(scene: Scene, other: Viewer, outcome: str) -> None:
    made = await shared(scene, other, outcome, delay_seconds=31_536_000)
    await scene.later(seconds=30)
    assert await balances(scene, made) == {}
    assert await shares_of(scene, made) == [(900, 60, 40, 0), (450, 30, 20, 0)]
    await agree(scene)

    await answered(scene)
    await scene.later(days=100)

    assert await balances(scene, made) == {"pending": [900, 450]}
    assert await shares_of(scene, made) == [(0, 0, 0, 0), (0, 0, 0, 0)]
    await agree(scene)


async def answered(scene: Scene) -> None:
    """Answer the dispute there is, as an operator."""
    dispute = await scene.owner.fetchval("select id from disputes")
    command = disputes.AnswerDispute(dispute, {"uncategorized_text": "Ours."}, submit=True, key=str(uuid7()))
    assert (await disputes.answer(scene.engine, scene.payer, command)).refusal is None
    await scene.told()


async def test_open_dispute_holds_the_payouts_of_each_creator(scene: Scene, other: Viewer) -> None:
    await scene.tip(5_000)
    made = await shared(scene, other)
    await scene.told()
    await scene.later(days=10)
    await scene.matured()
    await shared(scene, other, "tok_dispute")
    await scene.later(seconds=30)
    statuses = []
    for viewer, creator in zip((scene.seller, other), made.creators, strict=True):
        command = payout_accounts.Onboard(creator, "ZZ", "http://front.test/", str(uuid7()))
        await payout_accounts.onboard(scene.engine, viewer, command)
        asked = payouts.RequestPayout(creator, money(200, "USD"), str(uuid7()))
        payout, _ = await payouts.request(scene.engine, viewer, asked)
        statuses.append((await scene.row("payouts", payout))["status"])

    assert statuses == ["ON_HOLD", "ON_HOLD"]
    assert not await payouts.release_holds(scene.engine)
    rows = await scene.owner.fetch("select status from payouts")
    assert {row["status"] for row in rows} == {"ON_HOLD"}
    await scene.later(days=100)
    while await payouts.release_holds(scene.engine):
        pass
    rows = await scene.owner.fetch("select status from payouts")
    assert "ON_HOLD" not in {row["status"] for row in rows}


async def test_creators_cannot_answer_a_dispute_over_others_money(scene: Scene, other: Viewer) -> None:
    await shared(scene, other, "tok_dispute")
    await scene.later(seconds=30)
    dispute = await scene.owner.fetchval("select id from disputes")
    for payee in (scene.seller, other):
        bare = Viewer(payee.user_id, scopes=frozenset())
        command = disputes.AnswerDispute(dispute, {"uncategorized_text": "Ours."}, submit=False, key=str(uuid7()))
        with pytest.raises(Refused) as refused:
            await disputes.answer(scene.engine, bare, command)
        assert refused.value.code is ErrorCode.NOT_FOUND
    assert (await scene.row("disputes", dispute))["evidence"] is None
    await answered(scene)
    assert (await scene.row("disputes", dispute))["evidence"] is not None


@pytest.mark.parametrize(
    ("outcome", "status"), [("tok_dispute_lost", "LOST"), ("tok_dispute_lost_then_won", "WON")]
)
async def test_lost_dispute_is_written_off_for_each_who_owes(
    scene: Scene, other: Viewer, outcome: str, status: str
) -> None:
    made = await shared(scene, other, outcome)
    await scene.run("update payments set matures_at = succeeded_at where id = $1", made.id)
    await scene.matured()
    await spend(scene, made)
    await scene.later(seconds=30)
    assert await balances(scene, made) == {"owed": [-900, -450]}
    dispute = await scene.owner.fetchval("select id from disputes")
    command = write_offs.WriteOff(dispute, str(uuid7()))
    with pytest.raises(Refused) as refused:
        await write_offs.write_off(scene.engine, scene.payer, command)
    assert refused.value.code is ErrorCode.NOTHING_TO_WRITE_OFF
    for _ in range(40):
        if (await scene.row("disputes", dispute))["status"] == "LOST":
            break
        await scene.later(days=1)

    await write_offs.write_off(scene.engine, scene.payer, replace(command, key=str(uuid7())))

    assert int((await scene.row("disputes", dispute))["written_off"]) == 1_350
    assert await balances(scene, made) == {}
    await agree(scene)
    await scene.later(days=100)
    assert (await scene.row("disputes", dispute))["status"] == status
    assert await balances(scene, made) == {}
    await agree(scene)
