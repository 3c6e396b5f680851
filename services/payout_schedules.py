"""Payout schedules: a creator's money of a currency, paid out by itself at UTC midnight."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog

import ledger
from core.clock import now
from core.errors import ErrorCode, Refused, not_found
from core.ids import uuid7
from core.money import Money, currency
from core.payouts import PayoutInterval
from core.viewer import Viewer
from ledger import AccountKind, chart
from models.database import DATABASE_ERRORS, Connection, Transaction
from providers.payments.base import Capability
from services.engine import Engine
from services.payouts import Origin, ensure_offered, open_payout, terms_of
from services.requests import INSERT_REQUEST, Request, once

_BATCH: Final = 20
_TRY_AGAIN_AFTER: Final = timedelta(minutes=1)
_LONGEST_WEEK_DAY: Final = 7
_LONGEST_MONTH_DAY: Final = 28
_DECEMBER: Final = 12

_IS_OWN: Final = "select exists (select from creators where id = $1 and user_id = $2)"
_SET: Final = """
    insert into payout_schedules (id, creator_id, currency, interval, day, minimum, next_at, created_at,
        updated_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $8)
    on conflict on constraint one_schedule_per_creator_and_currency do update
    set interval = excluded.interval, day = excluded.day, minimum = excluded.minimum, next_at = excluded.next_at,
        updated_at = excluded.updated_at
    returning id
"""
_DUE: Final = """
    select * from payout_schedules where next_at <= $1 order by next_at limit 1 for no key update skip locked
"""
_MOVE: Final = "update payout_schedules set next_at = $2 where id = $1"
_POSTPONE: Final = "update payout_schedules set next_at = $2 where id = $1 and next_at = $3"
_READ: Final = "select * from payout_schedules where id = any($1::uuid[])"
_READ_OF_CREATORS: Final = """
    select s.* from unnest($1::uuid[], $2::text[]) as asked (creator_id, currency)
    join payout_schedules s on s.creator_id = asked.creator_id and s.currency = asked.currency
"""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SetSchedule:
    """Have a currency paid out by itself. ``day`` is of the week (1 is Monday) or of the month (at most 28).

    ``minimum`` is in the currency's smallest unit: what is less is left for the next time.
    """

    creator_id: UUID
    currency: str
    interval: PayoutInterval
    day: int | None
    minimum: int
    key: str


async def set_schedule(engine: Engine, viewer: Viewer, command: SetSchedule) -> tuple[UUID, bool]:
    """Set when a creator of the viewer's is paid out; return the schedule's id and whether this is a repeat.

    Errors: NOT_FOUND, INPUT_INVALID (day), PROVIDER_UNSUPPORTED, CURRENCY_NOT_SUPPORTED,
    IDEMPOTENCY_KEY_REUSED.
    """
    body = {
        "creator": command.creator_id,
        "currency": command.currency,
        "interval": command.interval,
        "day": command.day,
        "minimum": command.minimum,
    }
    request = Request.of(viewer, "payoutScheduleSet", command.key, body)
    ensure_offered(engine, command.currency, "currency")
    _check_day(command.interval, command.day)

    async def act(transaction: Transaction) -> dict[str, UUID]:
        connection = transaction.connection
        if not await connection.fetchval(_IS_OWN, command.creator_id, viewer.user_id):
            raise not_found("creator", "creatorId")
        at = now()
        schedule_id = await connection.fetchval(
            _SET,
            uuid7(),
            command.creator_id,
            command.currency,
            command.interval.value,
            command.day,
            command.minimum,
            next_at(command.interval, command.day, at),
            at,
        )
        return {"schedule": schedule_id}

    outcome = await once(engine, request, act)
    return outcome.ids["schedule"], outcome.replayed


def _check_day(interval: PayoutInterval, day: int | None) -> None:
    longest = {PayoutInterval.WEEKLY: _LONGEST_WEEK_DAY, PayoutInterval.MONTHLY: _LONGEST_MONTH_DAY}.get(interval)
    if longest is None and day is not None:
        raise Refused(ErrorCode.INPUT_INVALID, "Send a day only with WEEKLY and MONTHLY.", path=("day",))
    if longest is not None and (day is None or not 1 <= day <= longest):
        raise Refused(ErrorCode.INPUT_INVALID, f"Send a day from 1 to {longest}.", path=("day",))


def next_at(interval: PayoutInterval, day: int | None, after: datetime) -> datetime | None:
    """Return the first midnight (UTC) after a moment on which a schedule pays out; None if it never does."""
    midnight = after.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    if interval is PayoutInterval.MANUAL or (day is None and interval is not PayoutInterval.DAILY):
        return None
    if day is None:
        return midnight
    if interval is PayoutInterval.WEEKLY:
        return midnight + timedelta(days=(day - midnight.isoweekday()) % 7)
    if midnight.day <= day:
        return midnight.replace(day=day)
    if midnight.month == _DECEMBER:
        return midnight.replace(year=midnight.year + 1, month=1, day=day)
    return midnight.replace(month=midnight.month + 1, day=day)


async def run_due(engine: Engine) -> bool:
    """Pay out by those schedules whose time has come: all that is available, if it is enough to.

    Run by any number of workers. A schedule's next time is moved in the transaction that pays, so that each time
    is paid once; times that were missed are not made up for one by one. Return whether there may be more.
    """
    if Capability.PAYOUTS not in engine.provider.capabilities.features:
        return False
    for _ in range(_BATCH):
        if not await _run_next(engine):
            return False
    return True


async def _run_next(engine: Engine) -> bool:
    at = now()
    row: Any = None
    try:
        async with engine.database.transaction() as transaction:
            row = await transaction.connection.fetchrow(_DUE, at)
            if row is None:
                return False
            await transaction.connection.execute(_MOVE, row["id"], _next_of(row, at))
            await _pay(engine, transaction, row, at)
    except DATABASE_ERRORS:
        raise
    except Refused as refused:
        # Something else took of the balance meanwhile: what is left is paid out in a while.
        log.info("payout by schedule postponed", schedule=str(row["id"]), code=refused.code.value)
    except Exception:
        # Whatever is wrong with one schedule, the others wait behind it.
        log.exception("schedule could not be run", schedule=str(row["id"]) if row else None)
    else:
        return True
    if row is not None:
        await engine.database.writer.execute(_POSTPONE, row["id"], at + _TRY_AGAIN_AFTER, row["next_at"])
    return row is not None


def _next_of(row: Any, at: datetime) -> datetime | None:
    return next_at(PayoutInterval(row["interval"]), row["day"], at)


async def _pay(engine: Engine, transaction: Transaction, row: Any, at: datetime) -> None:
    connection = transaction.connection
    known = currency(row["currency"])
    terms = await terms_of(engine, connection, row["creator_id"], known)
    if terms is None or terms.account is None or not await _is_first(connection, row, at):
        return
    available = await _available(connection, row)
    if available >= terms.minimum:
        await open_payout(engine, transaction, row["creator_id"], Money(available, known), terms, Origin.SCHEDULED)


async def _is_first(connection: Connection, row: Any, at: datetime) -> bool:
    """Take this time of this schedule for ourselves, whatever becomes of its row."""
    principal, due = f"schedule:{row['id']}", row["next_at"].isoformat()
    return await connection.fetchval(INSERT_REQUEST, principal, "payoutSchedule", due, b"", at) is not None


async def _available(connection: Connection, row: Any) -> int:
    kinds = (AccountKind.AVAILABLE, AccountKind.OWED)
    specs = [chart.creator(kind, row["currency"], row["creator_id"]) for kind in kinds]
    ids = await ledger.find(specs, on=connection)
    balances = await ledger.balances(list(ids.values()), on=connection)
    available, owed = (balances[ids[spec]].posted if spec in ids else 0 for spec in specs)
    return max(available + min(owed, 0), 0)


async def by_id(engine: Engine, ids: Sequence[UUID]) -> list[Any]:
    """Read schedules. Says nothing about who may see them."""
    return await engine.database.reader.fetch(_READ, ids)


async def of_creators(engine: Engine, keys: Sequence[tuple[UUID, str]]) -> list[Any]:
    """Read the schedules of creators and currencies. Says nothing about who may see them."""
    creator_ids, codes = [key[0] for key in keys], [key[1] for key in keys]
    return await engine.database.reader.fetch(_READ_OF_CREATORS, creator_ids, codes)
