"""Limits of discounts: what they are counted in, and what is said when one is reached."""

from datetime import UTC, datetime

import pytest

from core.discounts import DiscountPeriod, DiscountReason
from core.errors import ErrorCode
from schema.errors import DiscountRejected, user_error
from services import discounts
from services.discounts import Rejected, tidy_code


def test_periods_have_their_names() -> None:
    at = datetime(2027, 1, 3, 23, 59, tzinfo=UTC)

    assert [discounts.period_scope(period, at) for period in DiscountPeriod] == [
        "period:2027-01-03",
        "period:2026-W53",
        "period:2027-01",
    ]


@pytest.mark.parametrize("reason", DiscountReason)
def test_what_is_not_given_becomes_a_typed_refusal(reason: DiscountReason) -> None:
    refused = Rejected("Code", reason).refused("discountCodes")

    assert (refused.code, refused.path) == (ErrorCode.DISCOUNT_REJECTED, ("discountCodes",))
    shown = user_error(refused)
    assert isinstance(shown, DiscountRejected)
    assert (shown.discount_code, shown.reason) == ("Code", reason)
    assert shown.message.endswith(".")


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("spring", "SPRING"),
        (" Spring_24-x ", "SPRING_24-X"),
        ("0", "0"),
        ("A" * 40, "A" * 40),
        ("A" * 41, None),
        ("", None),
        ("_A", None),
        ("A B", None),
        ("A\nB", None),
        # Their capitals are SS, S and K.
        ("stra\u00dfe", None),
        ("\u017f", None),
        ("\u212a", None),
    ],
)
def test_codes_are_kept_in_capitals(sent: str, kept: str | None) -> None:
    assert tidy_code(sent) == kept
