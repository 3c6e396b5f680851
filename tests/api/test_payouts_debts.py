"""Payouts of creators who owe: what was taken back from them comes first."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from core.clock import now
from core.ids import Noun, encode
from providers.payments import base
from services import payout_schedules, payouts
from tests.api.shop import do, usd
from tests.support.payouts import Till, running_till


@pytest.fixture
async def till(dsn: str) -> AsyncIterator[Till]:
    """A creator with 95.00 USD available, of one tip of 100.00, and an account that is ready."""
    async with running_till(dsn) as opened:
        yield await opened.open()


async def standing(till: Till) -> tuple[int, int, int]:
    """Return what a creator has available, on its way to the bank, and owed, in cents."""
    available, on_its_way, owed = [await till.balance(kind, till.key) for kind in ("available", "payout", "owed")]
    return available, on_its_way, owed


async def paid(till: Till) -> str:
    """Return the payment of the tip of 100.00."""
    return encode(Noun.PAYMENT, await till.world.scalar("select id from payments order by id limit 1"))


async def disputed(till: Till, payment: str) -> str:
    """Return the provider's reference of a dispute over a payment that was told of."""
    opened = await till.control.open_dispute(str(till.world.key(Noun.PAYMENT, payment)))
    await till.told()
    return opened.provider_reference


async def somebody_else_is_paid(till: Till) -> None:
    """Let the platform have money at the provider that is not this creator's."""
    other = await till.world.creator("other")
    supporter = till.world.client("supporter")
    payment = str((await till.world.tip(supporter, other, "500.00"))["payment"]["id"])
    await till.world.confirm(supporter, payment)
    await till.told()


async def indebted(till: Till, refunded: str) -> None:
    """Let a part of the tip be refunded while all of it is on its way to the bank, which then sends it back."""
    payout = await till.requested("95.00")
    await till.advances(payout)
    await do(till.client, "refundCreate", paymentId=await paid(till), amount=usd(refunded))
    await till.told()
    await till.control.fail_payout("latest")
    await till.told()
    assert (await till.seen(payout))["status"] == "FAILED"
    await till.due()
    await payouts.sweep(till.world.engine)
    await till.told()


def statuses(payout: dict[str, Any]) -> list[str]:
    return [event["status"] for event in payout["events"]]


# Asked for ----------------------------------------------------------------------------------------------------


async def test_debt_is_paid_before_a_payout_is_made(till: Till) -> None:
    await somebody_else_is_paid(till)
    await indebted(till, "60.00")
    assert await standing(till) == (9_500, 0, -5_700)
    before = await till.counts()

    for amount in ("95.00", "38.01"):
        refused = await till.requests(amount)
        (error,) = refused["errors"]
        assert (error["code"], error["path"]) == ("INSUFFICIENT_BALANCE", ["input", "amount", "amount"])
        assert error["available"] == usd("38.00")
        assert refused["payout"] is None
    assert await till.counts() == before
    assert await standing(till) == (9_500, 0, -5_700)

    payout = await till.requested("38.00")

    assert await standing(till) == (0, 3_800, 0)
    assert (await till.advances(payout))["status"] == "TRANSFERRED"
    await till.control.pay_payout("latest")
    await till.told()
    assert (await till.seen(payout))["status"] == "PAID"
    assert await standing(till) == (0, 0, 0)


async def test_debt_of_all_there_is_leaves_nothing_to_pay_out(till: Till) -> None:
    await indebted(till, "100.00")
    assert await standing(till) == (9_500, 0, -9_500)
    before = await till.counts()

    refused = await till.requests("1.00")

    assert [(error["code"], error["available"]) for error in refused["errors"]] == [
        ("INSUFFICIENT_BALANCE", usd("0.00"))
    ]
    assert await till.counts() == before
    assert await standing(till) == (9_500, 0, -9_500)


async def test_payout_that_is_made_twice_under_its_key_pays_the_debt_once(till: Till) -> None:
    await indebted(till, "60.00")

    first = await till.requests("20.00", idempotencyKey="once")
    again = await till.requests("20.00", idempotencyKey="once")

    assert first["errors"] == []
    assert again == first
    assert await standing(till) == (1_800, 2_000, 0)


# Under way ----------------------------------------------------------------------------------------------------


async def test_payout_that_was_on_hold_while_a_dispute_was_lost_is_not_paid(till: Till) -> None:
    await somebody_else_is_paid(till)
    payment = await paid(till)
    opened = await till.control.open_dispute(str(till.world.key(Noun.PAYMENT, payment)))
    payout = await till.requested("95.00")
    await till.told()
    assert statuses(await till.advances(payout)) == ["REQUESTED", "ON_HOLD"]
    assert await standing(till) == (0, 9_500, -9_500)

    await till.control.close_dispute(opened.provider_reference, base.DisputeState.LOST)
    await till.told()
    await payouts.release_holds(till.world.engine)
    ended = await till.advances(payout)

    assert statuses(ended) == ["REQUESTED", "ON_HOLD", "REQUESTED", "FAILED"]
    assert (ended["statusReason"], ended["nextAction"]) == ("CREATOR_OWES", "REQUEST_AGAIN")
    assert ended["statusMessage"] == (
        "What was taken back from the creator comes first. The rest of the money is available again."
    )
    assert (await till.world.count("sandbox.transfer"), await till.world.count("sandbox.payout")) == (0, 0)
    assert await standing(till) == (9_500, 0, -9_500)
    refused = await till.requests("1.00")
    assert [error["code"] for error in refused["errors"]] == ["INSUFFICIENT_BALANCE"]
    assert await standing(till) == (9_500, 0, -9_500)


async def test_payout_on_hold_goes_on_when_the_dispute_is_won(till: Till) -> None:
    await somebody_else_is_paid(till)
    opened = await till.control.open_dispute(str(till.world.key(Noun.PAYMENT, await paid(till))))
    payout = await till.requested("95.00")
    await till.told()
    await till.advances(payout)

    await till.control.close_dispute(opened.provider_reference, base.DisputeState.WON)
    await till.told()
    assert await standing(till) == (0, 9_500, 0)
    await payouts.release_holds(till.world.engine)

    assert (await till.advances(payout))["status"] == "TRANSFERRED"
    assert await standing(till) == (0, 9_500, 0)


async def test_payout_refused_for_lack_of_balance_is_held_when_a_dispute_opens_before_the_next_attempt(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = await till.earns("10.00")
    payout = await till.requested("95.00")
    provider = till.world.engine.provider
    asked: list[str] = []

    async def not_now(command: base.Transfer) -> base.TransferFact:
        asked.append(command.idempotency_key)
        raise base.ProviderError(
            base.ProviderErrorCode.BALANCE_INSUFFICIENT,
            base.ProviderAction.LATER,
            ambiguous=False,
            provider_code="test",
        )

    with monkeypatch.context() as patched:
        patched.setattr(provider, "transfer", not_now)
        assert (await till.advances(payout))["status"] == "REQUESTED"
    assert len(asked) == 1
    await disputed(till, payment)
    await till.due()
    await payouts.sweep(till.world.engine)

    held = await till.seen(payout)
    assert statuses(held) == ["REQUESTED", "ON_HOLD"]
    assert held["statusReason"] == "DISPUTE_OPEN"
    assert await till.world.scalar("select calling_until from payouts") is None
    assert (await till.world.count("sandbox.transfer"), await till.world.count("sandbox.payout")) == (0, 0)
    assert await standing(till) == (0, 9_500, 0)


async def test_payout_held_after_a_call_nobody_finished_is_looked_up_before_it_is_sent_again(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    await somebody_else_is_paid(till)
    payment = await till.earns("10.00")
    payout = await till.requested("95.00")
    provider = till.world.engine.provider
    original, asked = provider.transfer, []

    async def killed(command: base.Transfer) -> base.TransferFact:
        asked.append(command.idempotency_key)
        await original(command)
        raise RuntimeError("killed")

    async def finds_nothing(*_: Any) -> tuple[()]:
        return ()

    monkeypatch.setattr(provider, "transfer", killed)
    assert (await till.advances(payout))["status"] == "REQUESTED"
    await till.world.engine.database.writer.execute(
        "update sandbox.event set delivered_at = created_at, next_attempt_at = null where delivered_at is null"
    )
    opened = await till.control.open_dispute(str(till.world.key(Noun.PAYMENT, payment)))
    await till.told()
    with monkeypatch.context() as patched:
        # The search at the provider lags behind.
        patched.setattr(provider, "find", finds_nothing)
        await till.due()
        await payouts.sweep(till.world.engine)
    assert (await till.seen(payout))["status"] == "ON_HOLD"

    await till.control.close_dispute(opened.provider_reference, base.DisputeState.WON)
    await till.told()
    await payouts.release_holds(till.world.engine)
    await till.due()

    assert (await till.advances(payout))["status"] == "TRANSFERRED"
    assert asked == [f"transfer:{till.world.key(Noun.PAYOUT, payout)}"]
    assert await till.world.count("sandbox.transfer") == 1


# By schedule --------------------------------------------------------------------------------------------------


async def runs(till: Till) -> list[int]:
    """Let the schedule's time come; return what it paid out, in cents."""
    writer = till.world.engine.database.writer
    await writer.execute("update payout_schedules set next_at = $1", now() - timedelta(hours=1))
    await payout_schedules.run_due(till.world.engine)
    assert await till.world.scalar("select bool_and(next_at > now() + interval '1 minute') from payout_schedules")
    rows = await writer.fetch("select amount from payouts where origin = 'SCHEDULED' order by id")
    return [int(row["amount"]) for row in rows]


async def test_schedule_pays_out_what_the_debt_leaves(till: Till) -> None:
    await indebted(till, "60.00")
    assert (await till.scheduled())["errors"] == []

    assert await runs(till) == [3_800]

    assert await standing(till) == (0, 3_800, 0)


async def test_schedule_pays_nothing_where_the_debt_takes_it_all(till: Till) -> None:
    await indebted(till, "100.00")
    assert (await till.scheduled())["errors"] == []

    assert await runs(till) == []

    assert await standing(till) == (9_500, 0, -9_500)
