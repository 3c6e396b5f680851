"""When a schedule pays out next: at UTC midnight, after a moment, on its day."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from core.payouts import PayoutInterval
from services.payout_schedules import next_at


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("interval", "day", "after", "expected"),
    [
        (PayoutInterval.DAILY, None, "2026-05-04T00:00", "2026-05-05"),
        (PayoutInterval.DAILY, None, "2026-05-04T23:59:59", "2026-05-05"),
        (PayoutInterval.DAILY, None, "2026-12-31T12:00", "2027-01-01"),
        # 2026-05-04 is a Monday.
        (PayoutInterval.WEEKLY, 1, "2026-05-04T00:00", "2026-05-11"),
        (PayoutInterval.WEEKLY, 1, "2026-05-03T23:00", "2026-05-04"),
        (PayoutInterval.WEEKLY, 7, "2026-05-04T12:00", "2026-05-10"),
        (PayoutInterval.WEEKLY, 2, "2026-05-04T12:00", "2026-05-05"),
        (PayoutInterval.MONTHLY, 1, "2026-05-04T12:00", "2026-06-01"),
        (PayoutInterval.MONTHLY, 4, "2026-05-04T12:00", "2026-06-04"),
        (PayoutInterval.MONTHLY, 5, "2026-05-04T12:00", "2026-05-05"),
        (PayoutInterval.MONTHLY, 28, "2027-02-27T12:00", "2027-02-28"),
        (PayoutInterval.MONTHLY, 28, "2027-02-28T12:00", "2027-03-28"),
        (PayoutInterval.MONTHLY, 1, "2026-12-31T12:00", "2027-01-01"),
        (PayoutInterval.MONTHLY, 2, "2026-12-02T00:00", "2027-01-02"),
    ],
)
def test_next_time_is_the_first_midnight_that_fits(
    interval: PayoutInterval, day: int | None, after: str, expected: str
) -> None:
    assert next_at(interval, day, at(after)) == at(expected)


def test_manual_schedule_has_no_next_time() -> None:
    assert next_at(PayoutInterval.MANUAL, None, at("2026-05-04T12:00")) is None


def test_midnight_is_that_of_utc_wherever_the_moment_was_read() -> None:
    far_east = timezone(timedelta(hours=14))

    assert next_at(PayoutInterval.DAILY, None, datetime(2026, 5, 5, 1, tzinfo=far_east)) == at("2026-05-05")


@pytest.mark.parametrize("interval", [PayoutInterval.DAILY, PayoutInterval.WEEKLY, PayoutInterval.MONTHLY])
@pytest.mark.parametrize("day", range(1, 8))
def test_every_moment_of_a_year_has_a_next_time_ahead_of_it_within_a_month(
    interval: PayoutInterval, day: int
) -> None:
    chosen = None if interval is PayoutInterval.DAILY else day
    moment = at("2027-12-01T07:00")
    for _ in range(400):
        following = next_at(interval, chosen, moment)
        assert following is not None
        assert timedelta(0) < following - moment <= timedelta(days=31)
        assert following == following.replace(hour=0, minute=0, second=0, microsecond=0)
        moment += timedelta(days=1)
