"""Returns: refunds and disputes, read, folded and written together with the payment they take from.

Whoever calls holds the payment's row lock, which guards its refunds and disputes as well, and its shares.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Final
from uuid import UUID

import orjson

from core.disputes import DisputeStatus
from core.refunds import RefundReason
from ledger import Draft
from models.database import Connection
from services import payment_shares
from services.fold import (
    DisputeEntry,
    Known,
    Of,
    Part,
    Position,
    Premature,
    RefundEntry,
    ReturnFact,
    Returns,
    follow,
    set_aside,
    standing,
    take,
)
from services.return_rows import (
    WRITE_DISPUTES,
    WRITE_REFUNDS,
    WRITE_TAKEN,
    changed_disputes,
    changed_refunds,
    changed_taken,
    dispute_entry,
    refund_entry,
    taken_columns,
    taken_rows,
)

__all__ = [
    "Held",
    "Of",
    "ReturnsChange",
    "add_days",
    "fold_all",
    "left_of",
    "load",
    "open_refund",
    "position_of",
    "write",
]

_READ_REFUNDS: Final = "select * from refunds where payment_id = any($1::uuid[]) order by id"
_READ_DISPUTES: Final = "select * from disputes where payment_id = any($1::uuid[]) order by id"
_READ_TAKEN: Final = "select * from return_shares where return_id = any($1::uuid[]) order by return_id, share_id"
_WRITE_PAYMENTS: Final = """
    update payments p set returns = t.returns, refunded = t.refunded, refund_pending = t.refund_pending,
        returned_net = t.net, returned_fee = t.fee, returned_tax = t.tax, reserve = t.reserve, dispute = t.dispute,
        updated_at = $10
    from unnest($1::uuid[], $2::int[], $3::numeric[], $4::numeric[], $5::numeric[], $6::numeric[], $7::numeric[],
        $8::numeric[], $9::text[]) as t (id, returns, refunded, refund_pending, net, fee, tax, reserve, dispute)
    where p.id = t.id
"""
# A rule is asked of the row that is proposed before it is seen that there is one, so that it may not be negative.
_ADD_RETURNED: Final = """
    with d as (
        select * from unnest($1::uuid[], $2::text[], $3::date[], $4::text[], $5::numeric[])
            as d (creator_id, currency, day, source, returned)
    )
    insert into earning_days (creator_id, currency, day, source, net, payments, returned)
    select creator_id, currency, day, source, 0, 0, greatest(returned, 0) from d
    order by creator_id, currency, day, source
    on conflict (creator_id, currency, day, source)
    do update set returned = earning_days.returned + (
        select d.returned from d
        where (d.creator_id, d.currency, d.day, d.source)
            = (excluded.creator_id, excluded.currency, excluded.day, excluded.source)
    )
"""
_OPEN_REFUND: Final = """
    insert into refunds (id, payment_id, creator_id, requested_by_id, currency, amount, reason, provider, net, fee,
        tax, taken_from, from_reserve, calling_until, created_at, updated_at, status)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $15, 'CREATED')
"""
_SET_ASIDE: Final = """
    update payments set returns = returns + 1, refund_pending = refund_pending + $2, returned_net = $3,
        returned_fee = $4, returned_tax = $5, reserve = $6, updated_at = $7
    where id = $1
"""


@dataclass(slots=True)
class Held:
    """The refunds and disputes of a locked payment: their rows.

    ``taken_rows`` is what each took of which share, where the payment is for several creators.
    """

    refund_rows: list[Any] = field(default_factory=list)
    dispute_rows: list[Any] = field(default_factory=list)
    taken_rows: defaultdict[UUID, list[Any]] = field(default_factory=lambda: defaultdict(list))


@dataclass(frozen=True, slots=True)
class ReturnsChange:
    """What becomes of a payment's refunds and disputes.

    ``gave_back`` are those that gave money back, each time with the part of the payment that got it, and ``taken``
    what is set aside of shares, as rows.
    ``undecided_since`` is when last something was told of a dispute that is open, or that was won and whose money
    has not come back.
    """

    row: Any
    returns: Returns
    refunded: int
    refund_pending: int
    dispute: str | None
    undecided_since: datetime | None
    drafts: tuple[Draft, ...]
    gave_back: tuple[tuple[UUID, Part], ...]
    refunds: tuple[dict[str, Any], ...]
    disputes: tuple[dict[str, Any], ...]
    taken: tuple[dict[str, Any], ...] = ()


async def load(payment_ids: Sequence[UUID], *, on: Connection) -> dict[UUID, Held]:
    """Read the refunds and disputes of payments that are locked."""
    held = {payment_id: Held() for payment_id in payment_ids}
    of_shares: dict[UUID, Held] = {}
    for row in await on.fetch(_READ_REFUNDS, payment_ids):
        held[row["payment_id"]].refund_rows.append(row)
        if row["creator_id"] is None:
            of_shares[row["id"]] = held[row["payment_id"]]
    for row in await on.fetch(_READ_DISPUTES, payment_ids):
        held[row["payment_id"]].dispute_rows.append(row)
        if row["creator_id"] is None:
            of_shares[row["id"]] = held[row["payment_id"]]
    if of_shares:
        for row in await on.fetch(_READ_TAKEN, list(of_shares)):
            of_shares[row["return_id"]].taken_rows[row["return_id"]].append(row)
    return held


def position_of(row: Any, captured: int, shares: Sequence[Any] = ()) -> Position:
    """Return a payment's money as its row, or its ``shares``', have it, with so much captured."""
    return Position(
        payment=row["id"],
        provider=row["provider"],
        asset=row["currency"],
        parts=payment_shares.parts_of(row, captured, shares),
        matured=row["matured_at"] is not None,
        reserve_released=row["reserve_released_at"] is not None,
    )


def left_of(row: Any) -> int:
    """Return what refunds and disputes have not set aside of a captured payment, in minor units."""
    return int(row["captured"] - row["returned_net"] - row["returned_fee"] - row["returned_tax"])


def fold_all(
    row: Any, known: Known, held: Held, facts: Sequence[ReturnFact], at: datetime, shares: Sequence[Any] = ()
) -> ReturnsChange:
    """Return what becomes of a payment's refunds and disputes once facts are taken in.

    ``known`` is the payment itself with its own facts folded, ``shares`` are its creators' where there are
    several. Raises ``Contradiction``.
    """
    before = [refund_entry(stored, held.taken_rows[stored["id"]]) for stored in held.refund_rows]
    disputes_before = [dispute_entry(stored, held.taken_rows[stored["id"]]) for stored in held.dispute_rows]
    refunds = list(before)
    disputes = list(disputes_before)
    take(refunds, disputes, facts)
    captured = known.captured if known.own_status.value == "SUCCEEDED" else 0
    position = position_of(row, captured, shares)
    returns, effects = follow(before, Returns(position, tuple(refunds), tuple(disputes)), at)
    refunded, pending, dispute = standing(returns.refunds, returns.disputes)
    if captured and refunded + pending > captured:
        # A refund that failed gave its money free for this one, and that has not been told yet.
        raise Premature("More is told to have gone back than was captured.")
    return ReturnsChange(
        row=row,
        returns=returns,
        refunded=refunded if captured else 0,
        refund_pending=pending if captured else 0,
        dispute=dispute,
        undecided_since=_undecided_since(returns),
        drafts=tuple(effects.drafts),
        gave_back=tuple(effects.gave_back),
        refunds=changed_refunds(row, held.refund_rows, before, returns.refunds, at),
        disputes=changed_disputes(row, held.dispute_rows, disputes_before, returns.disputes, at),
        taken=(
            *changed_taken(before, returns.refunds),
            *changed_taken(disputes_before, returns.disputes),
        )
        if shares
        else (),
    )


def _undecided_since(returns: Returns) -> datetime | None:
    return max(
        (
            entry.known.at
            for entry in returns.disputes
            if entry.known.is_open or (entry.known.status is DisputeStatus.WON and entry.returned_at is None)
        ),
        default=None,
    )


async def write(changes: Sequence[ReturnsChange], *, on: Connection, at: datetime) -> None:
    """Write payments' refunds and disputes, and what they sum to; :func:`add_days` comes later."""
    refunds = [written for change in changes for written in change.refunds]
    if refunds:
        await on.execute(WRITE_REFUNDS, orjson.dumps(refunds, default=str).decode())
    disputes = [written for change in changes for written in change.disputes]
    if disputes:
        await on.execute(WRITE_DISPUTES, orjson.dumps(disputes, default=str).decode())
    columns: list[list[Any]] = [[] for _ in range(9)]
    for change in changes:
        position = change.returns.position
        values = (
            change.row["id"],
            len(change.returns.refunds) + len(change.returns.disputes),
            change.refunded,
            change.refund_pending,
            position.returned.net,
            position.returned.fee,
            position.returned.tax,
            position.reserve,
            change.dispute,
        )
        for column, value in zip(columns, values, strict=True):
            column.append(value)
    if changes:
        await on.execute(_WRITE_PAYMENTS, *columns, at)
    shared = [part for change in changes if _is_shared(change.row) for part in change.returns.position.parts]
    await payment_shares.write(shared, on=on)
    taken = [row for change in changes for row in change.taken]
    if taken:
        await on.execute(WRITE_TAKEN, orjson.dumps(taken, default=str).decode())


def _is_shared(row: Any) -> bool:
    return row["creator_id"] is None


async def add_days(changes: Sequence[ReturnsChange], *, on: Connection) -> None:
    """Add what left earnings to the days it left on, and take off again what came back."""
    totals: defaultdict[tuple[UUID, str, date, str], int] = defaultdict(int)
    for change in changes:
        returns = change.returns
        creators = {part.id: part.creator_id for part in returns.position.parts}
        entries: tuple[RefundEntry | DisputeEntry, ...] = (*returns.refunds, *returns.disputes)
        taken = {entry.id: entry.taken for entry in entries}
        for written in (*change.refunds, *change.disputes):
            moment = written["accepted_at"] if "accepted_at" in written else written["taken_at"]
            moves = written["left_now"] - written["came_back_now"]
            if moment is not None and moves:
                row, day = change.row, moment.astimezone(UTC).date()
                divided = taken[written["id"]]
                for part in divided.parts if divided is not None else ():
                    totals[creators[part.id], row["currency"], day, row["kind"]] += moves * part.split.net
    columns = list(zip(*((*key, total) for key, total in totals.items() if total), strict=True))
    if columns:
        await on.execute(_ADD_RETURNED, *columns)


async def open_refund(
    row: Any,
    refund_id: UUID,
    amount: int,
    *,
    of: Sequence[Of] | None = None,
    reason: RefundReason,
    requested_by: UUID | None,
    calling_until: datetime,
    on: Connection,
    at: datetime,
) -> None:
    """Write a refund that is about to be asked for, and set aside what it takes of its locked payment.

    ``row`` is the payment's, captured, with at least ``amount`` minor units left: the caller has checked that.
    ``of`` says whose parts it comes out of; without it, it comes out of everything in proportion. The refund is
    CREATED; ``calling_until`` is how long its caller may take.
    """
    shares = (await payment_shares.load([row], on=on)).get(row["id"], ())
    position, taken = set_aside(position_of(row, int(row["captured"]), shares), amount, of)
    columns = taken_columns(taken)
    await on.execute(
        _OPEN_REFUND,
        refund_id,
        row["id"],
        row["creator_id"],
        requested_by,
        row["currency"],
        amount,
        reason.value,
        row["provider"],
        columns["net"],
        columns["fee"],
        columns["tax"],
        columns["taken_from"],
        columns["from_reserve"],
        calling_until,
        at,
    )
    await on.execute(
        _SET_ASIDE,
        row["id"],
        amount,
        position.returned.net,
        position.returned.fee,
        position.returned.tax,
        position.reserve,
        at,
    )
    if shares:
        await payment_shares.write(position.parts, on=on)
        await on.execute(WRITE_TAKEN, orjson.dumps(taken_rows(refund_id, None, taken), default=str).decode())
