"""Earnings: what creators took in, by source and by day, and what of it is theirs to use."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date
from typing import Any, Final
from uuid import UUID

import ledger
from core.clock import now
from core.money import Money, currency
from ledger import AccountKind, chart
from models.database import Connection
from services.engine import Engine
from services.payments import Change

_ADD_DAYS: Final = """
    insert into earning_days (creator_id, currency, day, source, net, payments)
    select * from unnest($1::uuid[], $2::text[], $3::date[], $4::text[], $5::numeric[], $6::int[])
        as d (creator_id, currency, day, source, net, payments)
    order by creator_id, currency, day, source
    on conflict (creator_id, currency, day, source)
    do update set net = earning_days.net + excluded.net, payments = earning_days.payments + excluded.payments
"""
_DAYS: Final = """
    select day, source, net, returned, payments from earning_days
    where creator_id = $1 and currency = $2 and ($3::date is null or day >= $3) and ($4::date is null or day <= $4)
    order by day desc, source
"""


@dataclass(frozen=True, slots=True)
class SourceTotal:
    """What one kind of payment brought in: the net of its number of payments, and what left of it again."""

    source: str
    net: Money
    returned: Money
    payments: int


@dataclass(frozen=True, slots=True)
class DayTotal:
    """What one UTC day brought in, and what left on it."""

    day: date
    net: Money
    returned: Money
    payments: int


@dataclass(frozen=True, slots=True)
class Earnings:
    """A creator's money in one currency.

    ``lifetime`` is all net captured in the period asked for, ``returned`` what left again in it. ``owed`` is a
    debt, as an amount above zero.
    """

    pending: Money
    available: Money
    reserved: Money
    in_payout: Money
    owed: Money
    lifetime: Money
    returned: Money
    by_source: Sequence[SourceTotal]
    by_day: Sequence[DayTotal]


async def of_creator(
    engine: Engine, creator_id: UUID, code: str, since: date | None, until: date | None
) -> Earnings:
    """Read a creator's balances and what made them. The caller has checked that the viewer may see them.

    Errors: CURRENCY_NOT_SUPPORTED.
    """
    asset = currency(code)
    kinds = (
        AccountKind.PENDING,
        AccountKind.AVAILABLE,
        AccountKind.RESERVE,
        AccountKind.PAYOUT,
        AccountKind.OWED,
    )
    specs = [chart.creator(kind, code, creator_id) for kind in kinds]
    # One snapshot: the balances and the days that explain them belong to the same moment.
    async with (
        engine.database.reader.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        ids = await ledger.find(specs, on=connection)
        balances = await ledger.balances(list(ids.values()), on=connection)
        days = await connection.fetch(_DAYS, creator_id, code, since, until)

    def posted(spec: ledger.AccountSpec) -> Money:
        return Money(balances[ids[spec]].posted if spec in ids else 0, asset)

    by_source: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    by_day: defaultdict[date, list[int]] = defaultdict(lambda: [0, 0, 0])
    for row in days:
        for total in (by_source[row["source"]], by_day[row["day"]]):
            total[0] += int(row["net"])
            total[1] += int(row["returned"])
            total[2] += row["payments"]
    pending, available, reserved, in_payout, owed = map(posted, specs)
    return Earnings(
        pending=pending,
        available=available,
        reserved=reserved,
        in_payout=in_payout,
        owed=Money(max(-owed.minor, 0), asset),
        lifetime=Money(sum(int(row["net"]) for row in days), asset),
        returned=Money(sum(int(row["returned"]) for row in days), asset),
        by_source=[
            SourceTotal(source, Money(net, asset), Money(returned, asset), number)
            for source, (net, returned, number) in sorted(by_source.items())
        ],
        by_day=[
            DayTotal(day, Money(net, asset), Money(returned, asset), number)
            for day, (net, returned, number) in by_day.items()
        ],
    )


async def add_days(succeeded: Sequence[Change], *, on: Connection) -> None:
    """Add captured payments to their creators' days, in the transaction that settles them.

    One for several creators is a payment to each of them.
    """
    totals: defaultdict[tuple[UUID, str, date, str], list[int]] = defaultdict(lambda: [0, 0])
    for change in succeeded:
        row: Any = change.row
        moment = change.succeeded_at or now()
        day = moment.astimezone(UTC).date()
        for part in change.parts:
            total = totals[part.creator_id, row["currency"], day, row["kind"]]
            total[0] += part.captured.net if part.captured is not None else 0
            total[1] += 1
    columns = list(zip(*((*key, *total) for key, total in totals.items()), strict=True))
    await on.execute(_ADD_DAYS, *columns)
