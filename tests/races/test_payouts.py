"""Payouts, schedules and accounts asked for and worked on at the same moment."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from core.clock import now
from core.ids import Noun
from services import payout_schedules, payouts
from tests.support.payouts import Till, running_till


@pytest.fixture
async def till(dsn: str) -> AsyncIterator[Till]:
    """A creator with 95.00 USD available and an account that is ready."""
    async with running_till(dsn) as opened:
        yield await opened.open()


async def _provider_was_asked_once(till: Till) -> None:
    """The transfer and the payout were made once, and each was called for once."""
    for table in ("sandbox.transfer", "sandbox.payout"):
        assert await till.world.count(table) == 1


async def test_of_ten_requests_for_all_that_is_available_one_is_taken(till: Till) -> None:
    payloads = await asyncio.gather(*(till.requests("95.00") for _ in range(10)))

    taken = [payload for payload in payloads if not payload["errors"]]
    refused = [payload["errors"][0] for payload in payloads if payload["errors"]]
    assert len(taken) == 1
    assert [error["code"] for error in refused] == ["INSUFFICIENT_BALANCE"] * 9
    assert all(error["available"]["amount"] == "0.00" for error in refused)
    assert await till.world.count("payouts") == await till.world.count("payout_events") == 1
    assert await till.balances() == {"available": 0, "payout": 9_500, "connected": 0}


async def test_six_requests_with_one_key_are_one_payout(till: Till) -> None:
    payloads = await asyncio.gather(*(till.requests("10.00", idempotencyKey="the-same") for _ in range(6)))

    assert all(payload["errors"] == [] for payload in payloads)
    assert len({payload["payout"]["id"] for payload in payloads}) == 1
    assert await till.world.count("payouts") == await till.world.count("jobs.pgqueuer") == 1
    assert (await till.balances())["payout"] == 1_000


async def test_payout_advanced_by_many_at_once_is_transferred_and_paid_out_once(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    payout = await till.requested("20.00")
    key = till.world.key(Noun.PAYOUT, payout)
    engine = till.world.engine
    calls: list[str] = []
    for name in ("transfer", "payout"):
        monkeypatch.setattr(engine.provider, name, _counting(calls, name, getattr(engine.provider, name)))

    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(payouts.advance(engine, key))
            group.create_task(payouts.sweep(engine))

    assert calls == ["transfer", "payout"]
    assert (await till.seen(payout))["status"] == "TRANSFERRED"
    await _provider_was_asked_once(till)
    assert await till.balances() == {"available": 7_500, "payout": 2_000, "connected": -2_000}


def _counting(calls: list[str], name: str, original):
    async def counted(command):
        calls.append(name)
        return await original(command)

    return counted


async def test_answer_and_event_of_a_payout_settled_at_once_are_settled_once(till: Till) -> None:
    payout = await till.requested("20.00")
    await till.advances(payout)
    await till.control.fail_payout("latest")

    async with asyncio.TaskGroup() as group:
        group.create_task(till.told())
        for _ in range(4):
            group.create_task(_look_up(till))
    await till.due()
    await payouts.sweep(till.world.engine)

    failed = await till.seen(payout)
    assert [event["status"] for event in failed["events"]] == ["REQUESTED", "TRANSFERRED", "FAILED"]
    assert await till.balances() == {"available": 9_500, "payout": 0, "connected": 0}


async def _look_up(till: Till) -> None:
    await till.due()
    await payouts.sweep(till.world.engine)


async def test_schedule_run_by_many_workers_at_once_pays_once(till: Till) -> None:
    await till.scheduled()
    await till.world.engine.database.writer.execute(
        "update payout_schedules set next_at = $1", now() - timedelta(hours=1)
    )

    await asyncio.gather(*(payout_schedules.run_due(till.world.engine) for _ in range(8)))

    assert await till.world.count("payouts") == 1
    assert await till.balances() == {"available": 0, "payout": 9_500, "connected": 0}


async def test_schedule_and_requests_at_once_never_pay_more_than_there_is(till: Till) -> None:
    await till.scheduled()
    await till.world.engine.database.writer.execute(
        "update payout_schedules set next_at = $1", now() - timedelta(hours=1)
    )

    await asyncio.gather(
        *(till.requests("30.00") for _ in range(6)),
        *(payout_schedules.run_due(till.world.engine) for _ in range(3)),
    )

    asked = await till.world.scalar("select coalesce(sum(amount), 0)::bigint from payouts")
    balances = await till.balances()
    assert (balances["payout"], balances["available"]) == (asked, 9_500 - asked)
    assert 6_000 <= asked <= 9_500


async def test_account_opened_many_times_at_once_is_one_account(dsn: str) -> None:
    async with running_till(dsn) as till:
        till.creator = await till.world.creator("fable")

        payloads = await asyncio.gather(*(till.onboarded("FR") for _ in range(6)))

        codes = {error["code"] for payload in payloads for error in payload["errors"]}
        assert codes <= {"PROVIDER_UNAVAILABLE"}
        assert any(payload["onboardingUrl"] for payload in payloads)
        assert await till.world.count("payout_accounts") == await till.world.count("sandbox.account") == 1
        assert (await till.onboarded("FR"))["errors"] == []


async def test_holds_released_by_many_at_once_are_released_once(till: Till) -> None:
    payment = await till.earns("10.00")
    dispute = await till.control.open_dispute(str(till.world.key(Noun.PAYMENT, payment)))
    await till.told()
    payout = await till.requested("20.00")
    await till.control.close_dispute(dispute.provider_reference, "WON")
    await till.told()

    await asyncio.gather(*(payouts.release_holds(till.world.engine) for _ in range(6)))

    events = (await till.seen(payout))["events"]
    assert [event["status"] for event in events] == ["ON_HOLD", "REQUESTED"]
