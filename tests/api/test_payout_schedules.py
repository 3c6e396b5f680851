"""Schedules: all that is available, paid out by itself, once for each time."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from core import clock
from core.clock import now
from services import payout_schedules
from tests.support.payouts import PAYOUTS, Till, running_till


@pytest.fixture
async def till(dsn: str) -> AsyncIterator[Till]:
    """A creator with 95.00 USD available and an account that is ready."""
    async with running_till(dsn) as opened:
        yield await opened.open()


async def _set(till: Till, **given: Any) -> dict[str, Any]:
    payload = await till.scheduled(**given)
    assert payload["errors"] == []
    shown: dict[str, Any] = payload["payoutSchedule"]
    return shown


async def _time_comes(till: Till) -> None:
    await till.world.engine.database.writer.execute(
        "update payout_schedules set next_at = $1 where next_at is not null", now() - timedelta(hours=1)
    )


async def _payouts(till: Till) -> list[tuple[str, bool]]:
    rows = await till.world.engine.database.reader.fetch("select amount, origin from payouts order by id")
    return [(f"{row['amount'] / 100:.2f}", row["origin"] == "SCHEDULED") for row in rows]


async def test_schedule_is_set_shown_and_replaced(till: Till) -> None:
    minimum = {"amount": "10.00", "currency": "USD"}
    shown = await _set(till, interval="WEEKLY", day=1, minimum=minimum)
    assert (shown["interval"], shown["day"], shown["minimum"], shown["currency"]) == ("WEEKLY", 1, minimum, "USD")
    assert shown["nextAt"] is not None
    await _set(till, currency="EUR")

    replaced = await _set(till, interval="MANUAL")

    assert (replaced["interval"], replaced["day"], replaced["nextAt"]) == ("MANUAL", None, None)
    assert replaced["minimum"]["amount"] == "0.00"
    found = (await till.client.run(PAYOUTS, handle="fable"))["creator"]["payoutSchedule"]
    assert found == {"interval": "MANUAL", "day": None, "minimum": {"amount": "0.00"}, "nextAt": None}
    assert await till.world.count("payout_schedules") == 2


@pytest.mark.parametrize(
    ("given", "code", "path"),
    [
        ({"interval": "DAILY", "day": 1}, "INPUT_INVALID", ["day"]),
        ({"interval": "MANUAL", "day": 1}, "INPUT_INVALID", ["day"]),
        ({"interval": "WEEKLY"}, "INPUT_INVALID", ["day"]),
        ({"interval": "WEEKLY", "day": 0}, "INPUT_INVALID", ["day"]),
        ({"interval": "WEEKLY", "day": 8}, "INPUT_INVALID", ["day"]),
        ({"interval": "MONTHLY"}, "INPUT_INVALID", ["day"]),
        ({"interval": "MONTHLY", "day": 29}, "INPUT_INVALID", ["day"]),
        ({"currency": "XXX"}, "CURRENCY_NOT_SUPPORTED", ["currency"]),
        ({"minimum": {"amount": "1", "currency": "EUR"}}, "INPUT_INVALID", ["minimum", "currency"]),
        ({"minimum": {"amount": "0", "currency": "USD"}}, "AMOUNT_INVALID", ["minimum", "amount"]),
        ({"minimum": {"amount": "1.001", "currency": "USD"}}, "AMOUNT_TOO_PRECISE", ["minimum", "amount"]),
    ],
    ids=str,
)
async def test_schedule_that_cannot_be_is_refused(
    till: Till, given: dict[str, Any], code: str, path: list[str]
) -> None:
    before = await till.counts()

    payload = await till.scheduled(**given)

    assert [(error["code"], error["path"]) for error in payload["errors"]] == [(code, ["input", *path])]
    assert payload["payoutSchedule"] is None
    assert await till.counts() == before


async def test_everything_available_is_paid_out_when_its_time_comes_and_not_before(till: Till) -> None:
    await _set(till)
    assert await payout_schedules.run_due(till.world.engine) is False
    assert await _payouts(till) == []

    await _time_comes(till)
    await payout_schedules.run_due(till.world.engine)

    assert await _payouts(till) == [("95.00", True)]
    assert (await till.balances())["available"] == 0
    assert await till.world.scalar("select next_at > now() from payout_schedules")
    await payout_schedules.run_due(till.world.engine)
    assert await till.world.count("payouts") == 1


async def test_time_that_was_paid_is_not_paid_again_even_if_it_comes_back(till: Till) -> None:
    await _set(till)
    due = now() - timedelta(hours=1)
    for _ in range(2):
        await till.world.engine.database.writer.execute("update payout_schedules set next_at = $1", due)
        await payout_schedules.run_due(till.world.engine)
        await till.earns("10.00")

    assert await _payouts(till) == [("95.00", True)]


async def test_times_that_were_missed_are_not_made_up_for_one_by_one(till: Till) -> None:
    await _set(till)
    await till.world.engine.database.writer.execute(
        "update payout_schedules set next_at = $1", now() - timedelta(days=30)
    )
    await payout_schedules.run_due(till.world.engine)
    await till.earns("10.00")

    await payout_schedules.run_due(till.world.engine)

    assert await _payouts(till) == [("95.00", True)]


async def test_less_than_the_minimum_is_left_for_the_next_time(till: Till) -> None:
    await _set(till, minimum={"amount": "100.00", "currency": "USD"})
    await _time_comes(till)
    await payout_schedules.run_due(till.world.engine)
    assert await _payouts(till) == []
    assert await till.world.scalar("select next_at > now() from payout_schedules")

    await till.earns("10.00")
    await _time_comes(till)
    await payout_schedules.run_due(till.world.engine)

    assert await _payouts(till) == [("104.50", True)]


async def test_nothing_is_paid_out_without_an_account_or_anything_to_pay(dsn: str) -> None:
    async with running_till(dsn) as till:
        await till.open(country="FR")
        await _set(till)
        await _set(till, currency="EUR")
        await _time_comes(till)

        assert await payout_schedules.run_due(till.world.engine) is False

        assert await _payouts(till) == []
        assert await till.world.scalar("select count(*) from payout_schedules where next_at <= now()") == 0


async def test_schedule_goes_by_business_time(till: Till) -> None:
    await _set(till)
    clock.set_ahead(timedelta(days=1))
    try:
        await payout_schedules.run_due(till.world.engine)
    finally:
        clock.set_ahead(timedelta(0))

    assert await _payouts(till) == [("95.00", True)]


async def test_schedule_that_cannot_be_run_does_not_hold_up_the_others(till: Till) -> None:
    await _set(till)
    await till.world.engine.database.writer.execute(
        "update payout_schedules set currency = 'USD', next_at = $1", now() - timedelta(hours=1)
    )
    await _set(till, currency="EUR")
    await _time_comes(till)
    original = payout_schedules.currency
    try:
        payout_schedules.currency = _broken_for("EUR", original)
        await payout_schedules.run_due(till.world.engine)
    finally:
        payout_schedules.currency = original

    assert await _payouts(till) == [("95.00", True)]
    postponed = await till.world.scalar("select next_at from payout_schedules where currency = 'EUR'")
    assert timedelta(0) < postponed - now() <= timedelta(minutes=1)


def _broken_for(broken: str, original: Any) -> Any:
    def instead(code: str) -> Any:
        if code == broken:
            raise RuntimeError("this one cannot be run")
        return original(code)

    return instead
