"""Refunds and disputes as rows: what is read of them, and what is written when they change."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from core.disputes import OPEN_DISPUTES
from core.ids import uuid7
from core.refunds import RefundReason, RefundStatus
from ledger import AccountKind
from ledger.chart import Split
from services.calls import patience
from services.fold import DisputeEntry, DisputeKnown, RefundEntry, RefundKnown, Taken, TakenPart

WRITE_REFUNDS: Final = """
    insert into refunds as r (id, payment_id, creator_id, currency, amount, reason, provider, provider_reference,
        provider_state, provider_state_at, status, failure_code, net, fee, tax, taken_from, from_reserve,
        balance_transaction, return_transaction, reconciling, calling_until, accepted_at, returned_at, created_at,
        updated_at)
    select * from jsonb_to_recordset($1::jsonb) as t (id uuid, payment_id uuid, creator_id uuid, currency text,
        amount numeric, reason text, provider text, provider_reference text, provider_state text,
        provider_state_at timestamptz, status text, failure_code text, net numeric, fee numeric, tax numeric,
        taken_from text, from_reserve numeric, balance_transaction text, return_transaction text,
        reconciling boolean, calling_until timestamptz, accepted_at timestamptz, returned_at timestamptz,
        created_at timestamptz, updated_at timestamptz)
    on conflict (id) do update set provider_reference = excluded.provider_reference,
        provider_state = excluded.provider_state, provider_state_at = excluded.provider_state_at,
        status = excluded.status, failure_code = excluded.failure_code, net = excluded.net, fee = excluded.fee,
        tax = excluded.tax, taken_from = excluded.taken_from, from_reserve = excluded.from_reserve,
        balance_transaction = excluded.balance_transaction, return_transaction = excluded.return_transaction,
        reconciling = excluded.reconciling, calling_until = excluded.calling_until,
        accepted_at = excluded.accepted_at, returned_at = excluded.returned_at, updated_at = excluded.updated_at
"""
WRITE_DISPUTES: Final = """
    insert into disputes as d (id, payment_id, creator_id, currency, amount, reason, provider, provider_reference,
        status, provider_state_at, respond_by, withdrawal_transaction, withdrawn, withdrawal_fee,
        reinstatement_transaction, reinstated, reinstatement_fee, net, fee, tax, taken_from, from_reserve,
        written_off, calling_until, taken_at, returned_at, closed_at, created_at, updated_at)
    select * from jsonb_to_recordset($1::jsonb) as t (id uuid, payment_id uuid, creator_id uuid, currency text,
        amount numeric, reason text, provider text, provider_reference text, status text,
        provider_state_at timestamptz, respond_by timestamptz, withdrawal_transaction text, withdrawn numeric,
        withdrawal_fee numeric, reinstatement_transaction text, reinstated numeric, reinstatement_fee numeric,
        net numeric, fee numeric, tax numeric, taken_from text, from_reserve numeric, written_off numeric,
        calling_until timestamptz, taken_at timestamptz, returned_at timestamptz, closed_at timestamptz,
        created_at timestamptz, updated_at timestamptz)
    on conflict (id) do update set reason = excluded.reason, status = excluded.status,
        provider_state_at = excluded.provider_state_at, respond_by = excluded.respond_by,
        withdrawal_transaction = excluded.withdrawal_transaction, withdrawn = excluded.withdrawn,
        withdrawal_fee = excluded.withdrawal_fee,
        reinstatement_transaction = excluded.reinstatement_transaction, reinstated = excluded.reinstated,
        reinstatement_fee = excluded.reinstatement_fee, net = excluded.net, fee = excluded.fee, tax = excluded.tax,
        taken_from = excluded.taken_from, from_reserve = excluded.from_reserve,
        written_off = excluded.written_off, calling_until = excluded.calling_until, taken_at = excluded.taken_at,
        returned_at = excluded.returned_at, closed_at = excluded.closed_at, updated_at = excluded.updated_at
"""
# What is not taken of a share any more stays as a row of nothing: no row is ever deleted.
WRITE_TAKEN: Final = """
    insert into return_shares as s (id, return_id, share_id, net, fee, tax, from_reserve)
    select * from jsonb_to_recordset($1::jsonb) as t (id uuid, return_id uuid, share_id uuid, net numeric,
        fee numeric, tax numeric, from_reserve numeric)
    on conflict (return_id, share_id) do update set net = excluded.net, fee = excluded.fee, tax = excluded.tax,
        from_reserve = excluded.from_reserve
"""
# A refund under way is looked up when its provider says nothing more of it.
_LOOK_UP_AFTER: Final = timedelta(hours=1)


def refund_entry(row: Any, shares: Sequence[Any] = ()) -> RefundEntry:
    return RefundEntry(
        row["id"], RefundKnown.of(row), taken_of(row, shares), row["accepted_at"], row["returned_at"]
    )


def dispute_entry(row: Any, shares: Sequence[Any] = ()) -> DisputeEntry:
    return DisputeEntry(
        row["id"],
        DisputeKnown.of(row),
        taken_of(row, shares),
        row["taken_at"],
        row["returned_at"],
        int(row["written_off"]),
    )


def taken_of(row: Any, shares: Sequence[Any] = ()) -> Taken | None:
    """Return what a refund or a dispute set aside, as its row has it.

    ``shares`` is what it took of each share, in the order of the shares' ids, where the payment is for several
    creators.
    """
    if row["net"] is None:
        return None
    if row["creator_id"] is not None:
        parts = [_part(row["payment_id"], row)]
    else:
        parts = [_part(each["share_id"], each) for each in shares]
        parts = [part for part in parts if part.split.gross]
    return Taken(tuple(parts), AccountKind(row["taken_from"]))


def _part(part: UUID, row: Any) -> TakenPart:
    return TakenPart(part, Split(int(row["net"]), int(row["fee"]), int(row["tax"])), int(row["from_reserve"]))


def changed_taken(
    before: Sequence[RefundEntry | DisputeEntry], after: Sequence[RefundEntry | DisputeEntry]
) -> list[dict[str, Any]]:
    """Return what refunds or disputes set aside of shares, as rows, where that is something else than before."""
    rows = []
    for number, entry in enumerate(after):
        old = before[number].taken if number < len(before) else None
        if entry.taken != old:
            rows.extend(taken_rows(entry.id, old, entry.taken))
    return rows


def taken_rows(by: UUID, old: Taken | None, new: Taken | None) -> list[dict[str, Any]]:
    """Return the rows of what a refund or a dispute sets aside of shares, and no longer sets aside."""
    parts: Mapping[UUID, TakenPart] = {
        **{part.id: TakenPart(part.id, Split(0, 0, 0)) for part in (old.parts if old else ())},
        **{part.id: part for part in (new.parts if new else ())},
    }
    return [
        {
            "id": uuid7(),
            "return_id": by,
            "share_id": part.id,
            "net": part.split.net,
            "fee": part.split.fee,
            "tax": part.split.tax,
            "from_reserve": part.from_reserve,
        }
        for part in parts.values()
    ]


def changed_refunds(
    row: Any, stored: Sequence[Any], before: Sequence[RefundEntry], after: Sequence[RefundEntry], at: datetime
) -> tuple[dict[str, Any], ...]:
    changed = []
    for number, entry in enumerate(after):
        old = stored[number] if number < len(stored) else None
        if old is not None and entry == before[number]:
            continue
        known = entry.known
        was_accepted = old is not None and old["accepted_at"] is not None
        was_returned = old is not None and old["returned_at"] is not None
        changed.append(
            {
                "id": entry.id,
                "payment_id": row["id"],
                "creator_id": row["creator_id"],
                "currency": row["currency"],
                "amount": known.amount,
                "reason": old["reason"] if old is not None else RefundReason.OTHER.value,
                "provider": row["provider"],
                "provider_reference": known.provider_reference,
                "provider_state": known.state.value if known.state else None,
                "provider_state_at": known.at,
                "status": known.status.value,
                "failure_code": known.failure_code,
                **taken_columns(entry.taken),
                "balance_transaction": known.balance_transaction,
                "return_transaction": known.return_transaction,
                "reconciling": known.reconciling,
                "calling_until": _refund_look_up(entry, old, at),
                "accepted_at": entry.accepted_at,
                "returned_at": entry.returned_at,
                "created_at": old["created_at"] if old is not None else at,
                "updated_at": at,
                "left_now": entry.accepted_at is not None and not was_accepted,
                "came_back_now": entry.returned_at is not None
                and not was_returned
                and entry.accepted_at is not None,
            }
        )
    return tuple(changed)


def _refund_look_up(entry: RefundEntry, old: Any, at: datetime) -> datetime | None:
    """Return when to ask about a refund again: the longer it has stood still, the more rarely."""
    status = entry.known.status
    if status is RefundStatus.RECONCILING:
        return at
    if status is RefundStatus.CREATED:
        return old["calling_until"] if old is not None else at
    if status is not RefundStatus.PENDING or entry.known.at is None:
        return None
    return at + patience(at - entry.known.at, _LOOK_UP_AFTER)


def changed_disputes(
    row: Any, stored: Sequence[Any], before: Sequence[DisputeEntry], after: Sequence[DisputeEntry], at: datetime
) -> tuple[dict[str, Any], ...]:
    changed = []
    for number, entry in enumerate(after):
        old = stored[number] if number < len(stored) else None
        if old is not None and entry == before[number]:
            continue
        known = entry.known
        closed = None if known.status in OPEN_DISPUTES else known.at
        withdrawal, reinstatement = known.withdrawal, known.reinstatement
        changed.append(
            {
                "id": entry.id,
                "payment_id": row["id"],
                "creator_id": row["creator_id"],
                "currency": row["currency"],
                "amount": known.amount,
                "reason": known.reason,
                "provider": row["provider"],
                "provider_reference": known.provider_reference,
                "status": known.status.value,
                "provider_state_at": known.at,
                "respond_by": known.respond_by,
                "withdrawal_transaction": withdrawal.balance_transaction if withdrawal else None,
                "withdrawn": withdrawal.amount if withdrawal else None,
                "withdrawal_fee": withdrawal.fee if withdrawal else None,
                "reinstatement_transaction": reinstatement.balance_transaction if reinstatement else None,
                "reinstated": reinstatement.amount if reinstatement else None,
                "reinstatement_fee": reinstatement.fee if reinstatement else None,
                **taken_columns(entry.taken),
                "written_off": entry.written_off,
                "calling_until": None if closed else (old["calling_until"] if old is not None else None),
                "taken_at": entry.taken_at,
                "returned_at": entry.returned_at,
                "closed_at": closed,
                "created_at": old["created_at"] if old is not None else at,
                "updated_at": at,
                "left_now": entry.taken_at is not None and (old is None or old["taken_at"] is None),
                "came_back_now": entry.returned_at is not None and (old is None or old["returned_at"] is None),
            }
        )
    return tuple(changed)


def taken_columns(taken: Taken | None) -> dict[str, Any]:
    return {
        "net": taken.split.net if taken else None,
        "fee": taken.split.fee if taken else None,
        "tax": taken.split.tax if taken else None,
        "taken_from": taken.taken_from.value if taken else None,
        "from_reserve": taken.from_reserve if taken else 0,
    }
