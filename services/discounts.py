"""Discounts as carts and orders use them: which there are, which of them are given, and how they count.

Setting them up is ``discount_terms``; what they take off is reckoned by ``pricing``.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from core.discounts import DiscountKind, DiscountPeriod, DiscountReason
from core.errors import ErrorCode, Refused
from models.database import PoolOrConnection
from services import usage
from services.engine import Engine
from services.paging import Page, PageQuery, fetch_page
from services.pricing import Item, Offer
from services.usage import UNLIMITED, Use

_CODE: Final = re.compile(r"[A-Z0-9][A-Z0-9_-]{0,39}")

# Those without a code only while they are given; those with one of the codes in any case, to say why they are not.
_OFFERS: Final = """
    select d.*,
        coalesce((select u.used from usage_counters u where u.subject = d.id and u.scope = 'all'), 0) as used,
        coalesce((select u.used from usage_counters u where u.subject = d.id and u.scope = 'buyer:' || $4), 0)
            as used_by_buyer,
        coalesce((select u.used from usage_counters u where u.subject = d.id and u.scope = 'period:' ||
            to_char($3::timestamptz at time zone 'UTC', case d.period
                when 'DAY' then 'YYYY-MM-DD' when 'WEEK' then 'IYYY-"W"IW' else 'YYYY-MM' end)), 0)
            as used_in_period
    from discounts d
    where d.creator_id = any($1::uuid[]) and d.state = 'active' and (
        d.code = any($2::text[])
        or d.code is null and (d.starts_at is null or d.starts_at <= $3) and (d.ends_at is null or d.ends_at > $3))
    order by d.id
"""
_READ: Final = """
    select d.*, c.user_id as creator_user_id from discounts d join creators c on c.id = d.creator_id
    where d.id = any($1::uuid[])
"""
_LIST_OF_CREATOR: Final = "select * from discounts where creator_id = $1"

# When several discounts of one code are not given, the reason of the one that came closest.
_CLOSEST: Final = (
    DiscountReason.BELOW_MINIMUM,
    DiscountReason.BUYER_LIMIT,
    DiscountReason.PERIOD_LIMIT,
    DiscountReason.USED_UP,
    DiscountReason.NOT_STARTED,
    DiscountReason.ENDED,
    DiscountReason.OTHER_CURRENCY,
    DiscountReason.NOT_APPLICABLE,
)
_SENTENCES: Final = {
    DiscountReason.UNKNOWN: "There is no such code for anything in the cart.",
    DiscountReason.NOT_STARTED: "This discount is not given yet.",
    DiscountReason.ENDED: "This discount is not given any more.",
    DiscountReason.USED_UP: "This discount was used as often as it may be.",
    DiscountReason.BUYER_LIMIT: "You used this discount as often as one may.",
    DiscountReason.PERIOD_LIMIT: "This discount was used as often as it may be for now.",
    DiscountReason.BELOW_MINIMUM: "There is not enough in the cart for this discount.",
    DiscountReason.OTHER_CURRENCY: "This discount is given in another currency.",
    DiscountReason.NOT_APPLICABLE: "This discount applies to nothing in the cart.",
}


@dataclass(frozen=True, slots=True)
class Rejected:
    """A discount that is not given. ``code`` as it was sent; None for one that is given without."""

    code: str | None
    reason: DiscountReason

    def refused(self, *path: str) -> Refused:
        """Return it as a refusal: DISCOUNT_REJECTED."""
        return Refused(
            ErrorCode.DISCOUNT_REJECTED,
            _SENTENCES[self.reason],
            path=path,
            data={"discountCode": self.code, "reason": self.reason.value},
        )


def tidy_code(code: str) -> str | None:
    """Return a code as codes are kept, in capitals; None for what cannot be one."""
    tidy = code.strip()
    if not tidy.isascii():
        return None
    tidy = tidy.upper()
    return tidy if _CODE.fullmatch(tidy) else None


async def offers(
    db: PoolOrConnection,
    creator_ids: Sequence[UUID],
    codes: Sequence[str],
    at: datetime,
    *,
    buyer_key: str | None = None,
) -> list[Any]:
    """Read the discounts of creators that have one of the codes, or that are given without one; one statement.

    Each row has how often it was used: ``used``, ``used_in_period`` and, with ``buyer_key``, ``used_by_buyer``.
    """
    known = [tidy for code in codes if (tidy := tidy_code(code)) is not None]
    return await db.fetch(_OFFERS, list(creator_ids), known, at, buyer_key)


def judge(
    rows: Sequence[Any], codes: Sequence[str], items: Sequence[Item], currency: str, at: datetime
) -> tuple[list[Offer], list[Rejected]]:
    """Return which discounts are given for a basket, and each code that is not with the reason.

    ``rows`` are those of ``offers``. A code that several creators have is given by each for what they sell, and
    rejected only if nobody gives it. Those without a code are given or not without a word.
    Limits are looked at as they stand; what holds them is ``usage.use`` with ``uses_of``.
    """
    given: list[Offer] = []
    reasons: dict[str | None, list[DiscountReason]] = {}
    for row in rows:
        offer = _offer(row)
        reason = _reason(row, offer, items, currency, at)
        if reason is None:
            given.append(offer)
        else:
            reasons.setdefault(row["code"], []).append(reason)
    with_codes = {offer.code for offer in given}
    rejected = []
    for code in dict.fromkeys(codes):
        tidy = tidy_code(code)
        if tidy is None or tidy not in with_codes:
            found = reasons.get(tidy, []) if tidy is not None else []
            rejected.append(Rejected(code, min(found, key=_CLOSEST.index) if found else DiscountReason.UNKNOWN))
    return given, rejected


def uses_of(rows: Sequence[Any], buyer_key: str | None, at: datetime) -> list[Use]:
    """Return what giving discounts once counts towards. ``rows``: those of ``offers`` that take something off.

    All uses of a discount are counted, to be shown and so that a limit set later knows them; those of a buyer and
    in a period only while there is a limit on them. Errors: EMAIL_NEEDED (a limit for each buyer, and no buyer).
    """
    uses = []
    for row in rows:
        uses.append(Use(row["id"], "all", 1, row["usage_limit"] or UNLIMITED))
        if row["per_buyer_limit"] is not None:
            if buyer_key is None:
                raise Refused(
                    ErrorCode.EMAIL_NEEDED,
                    "This discount is limited for each buyer. Send an email address.",
                    path=("email",),
                )
            uses.append(Use(row["id"], f"buyer:{buyer_key}", 1, row["per_buyer_limit"]))
        if row["period"] is not None:
            scope = period_scope(DiscountPeriod(row["period"]), at)
            uses.append(Use(row["id"], scope, 1, row["per_period_limit"]))
    return uses


def period_scope(period: DiscountPeriod, at: datetime) -> str:
    """Return the scope that uses at a moment are counted in: a UTC day, an ISO week or a month."""
    moment = at.astimezone(UTC)
    if period is DiscountPeriod.DAY:
        return f"period:{moment:%Y-%m-%d}"
    if period is DiscountPeriod.WEEK:
        year, week, _ = moment.isocalendar()
        return f"period:{year:04}-W{week:02}"
    return f"period:{moment:%Y-%m}"


async def by_id(engine: Engine, ids: Sequence[UUID]) -> list[Any]:
    """Read discounts, archived ones included, with ``creator_user_id``."""
    return await engine.database.reader.fetch(_READ, ids)


async def used(engine: Engine, ids: Sequence[UUID]) -> list[int]:
    """Return in how many orders each discount was given, without those that were cancelled."""
    found = await usage.used([(discount_id, "all") for discount_id in ids], db=engine.database.reader)
    return [found.get((discount_id, "all"), 0) for discount_id in ids]


async def of_creator(engine: Engine, creator_id: UUID, query: PageQuery) -> Page:
    """Page through a creator's discounts, archived ones included."""
    return await fetch_page(
        engine.database.reader, "discounts of a creator", _LIST_OF_CREATOR, (creator_id,), query
    )


def _offer(row: Any) -> Offer:
    return Offer(
        id=row["id"],
        creator_id=row["creator_id"],
        kind=DiscountKind(row["kind"]),
        code=row["code"],
        title=row["title"],
        basis_points=row["basis_points"] or 0,
        amount=int(row["amount"] or 0),
        product_ids=frozenset(row["product_ids"]),
        minimum_subtotal=None if row["minimum_subtotal"] is None else int(row["minimum_subtotal"]),
        currency=row["currency"],
    )


def _reason(row: Any, offer: Offer, items: Sequence[Item], currency: str, at: datetime) -> DiscountReason | None:
    """Return why a discount is not given, or None if it is."""
    if row["starts_at"] is not None and row["starts_at"] > at:
        return DiscountReason.NOT_STARTED
    if row["ends_at"] is not None and row["ends_at"] <= at:
        return DiscountReason.ENDED
    applicable = [item for item in items if offer.is_for(item)]
    shipped = offer.kind is not DiscountKind.FREE_SHIPPING or any(item.requires_shipping for item in applicable)
    if not applicable or not shipped:
        return DiscountReason.NOT_APPLICABLE
    if offer.currency is not None and offer.currency != currency:
        return DiscountReason.OTHER_CURRENCY
    if offer.minimum_subtotal is not None and sum(item.subtotal for item in applicable) < offer.minimum_subtotal:
        return DiscountReason.BELOW_MINIMUM
    return _limit(row)


def _limit(row: Any) -> DiscountReason | None:
    """Return which of its limits a discount has reached, or None."""
    if row["usage_limit"] is not None and row["used"] >= row["usage_limit"]:
        return DiscountReason.USED_UP
    if row["per_period_limit"] is not None and row["used_in_period"] >= row["per_period_limit"]:
        return DiscountReason.PERIOD_LIMIT
    if row["per_buyer_limit"] is not None and row["used_by_buyer"] >= row["per_buyer_limit"]:
        return DiscountReason.BUYER_LIMIT
    return None
