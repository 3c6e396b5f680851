"""The words of discounts."""

from enum import StrEnum


class DiscountKind(StrEnum):
    """What a discount takes off."""

    PERCENT = "PERCENT"
    FIXED = "FIXED"
    FREE_SHIPPING = "FREE_SHIPPING"


class DiscountReason(StrEnum):
    """Why a discount is not given."""

    UNKNOWN = "UNKNOWN"
    NOT_STARTED = "NOT_STARTED"
    ENDED = "ENDED"
    USED_UP = "USED_UP"
    BUYER_LIMIT = "BUYER_LIMIT"
    PERIOD_LIMIT = "PERIOD_LIMIT"
    BELOW_MINIMUM = "BELOW_MINIMUM"
    OTHER_CURRENCY = "OTHER_CURRENCY"
    NOT_APPLICABLE = "NOT_APPLICABLE"


class DiscountPeriod(StrEnum):
    """The time a limit of a discount is counted in, in UTC; weeks begin on Monday (ISO 8601)."""

    DAY = "DAY"
    WEEK = "WEEK"
    MONTH = "MONTH"
