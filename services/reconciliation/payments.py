"""Payments: what each says of itself, against its facts, its events, its refunds, and what was posted for it."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

from providers.payments.base import Subject
from services.fold import Known
from services.reconciliation.amounts import shown
from services.reconciliation.codes import DifferenceCode
from services.reconciliation.differences import About, AboutKind, Difference, LookUp
from services.reconciliation.frame import Snapshot

_PAYMENTS: Final = """
    with posted as (
        select substr(r.key, 9)::uuid as payment_id, sum(m.amount) as amount
        from ledger.request r join ledger.movement m using (group_id)
        where r.tenant = 'platform' and r.outcome = 'posted' and r.key like 'capture:%'
        group by r.key
    ), refund as (
        select payment_id, count(*) as number,
            coalesce(sum(amount) filter (where status = 'SUCCEEDED'), 0) as refunded,
            coalesce(sum(amount) filter (where status in ('CREATED', 'RECONCILING', 'PENDING')), 0) as pending,
            coalesce(sum(net) filter (where returned_at is null), 0) as net,
            coalesce(sum(fee) filter (where returned_at is null), 0) as fee,
            coalesce(sum(tax) filter (where returned_at is null), 0) as tax
        from refunds group by payment_id
    ), dispute as (
        select payment_id, count(*) as number, bool_or(status = 'LOST') as lost,
            bool_or(status in ('NEEDS_RESPONSE', 'UNDER_REVIEW')) as open,
            coalesce(sum(net) filter (where returned_at is null), 0) as net,
            coalesce(sum(fee) filter (where returned_at is null), 0) as fee,
            coalesce(sum(tax) filter (where returned_at is null), 0) as tax
        from disputes group by payment_id
    ), event as (
        select distinct on (payment_id) payment_id, sequence, status, reason,
            count(*) over (partition by payment_id) as number
        from payment_events order by payment_id, sequence desc
    )
    select p.id, p.currency, p.gross, p.provider, p.provider_reference, p.status, p.reason, p.sequence,
        p.provider_state, p.provider_state_at, p.authorized, p.captured, p.decline_code, p.action_url,
        p.reconciling, p.manual_capture, p.capture_before, p.succeeded_at, p.available_on, p.returns, p.refunded,
        p.refund_pending, p.returned_net, p.returned_fee, p.returned_tax, p.dispute, posted.amount as posted,
        event.sequence as event_sequence, event.status as event_status, event.reason as event_reason,
        coalesce(event.number, 0) as events,
        coalesce(refund.number, 0) + coalesce(dispute.number, 0) as returns_there_are,
        coalesce(refund.refunded, 0) as refunded_there_is, coalesce(refund.pending, 0) as pending_there_is,
        coalesce(refund.net, 0) + coalesce(dispute.net, 0) as net_there_is,
        coalesce(refund.fee, 0) + coalesce(dispute.fee, 0) as fee_there_is,
        coalesce(refund.tax, 0) + coalesce(dispute.tax, 0) as tax_there_is,
        case when dispute.lost then 'LOST' when dispute.open then 'OPEN' end as dispute_there_is
    from payments p
    left join posted on posted.payment_id = p.id
    left join refund on refund.payment_id = p.id
    left join dispute on dispute.payment_id = p.id
    left join event on event.payment_id = p.id
    where p.updated_at >= $1
    order by p.id
"""
# A group for a payment that is none.
_STRAY: Final = """
    select substr(r.key, 9)::uuid as id, s.code as currency, sum(m.amount) as posted
    from ledger.request r join ledger.movement m using (group_id) join ledger.asset s on s.id = m.asset_id
    where r.tenant = 'platform' and r.outcome = 'posted' and r.key like 'capture:%'
        and not exists (select from payments p where p.id = substr(r.key, 9)::uuid)
    group by r.key, s.code having min(m.effective_at) >= $1 order by 1
"""


async def find_payments(snapshot: Snapshot) -> AsyncIterator[Difference]:
    """Compare every payment with all that is said of it elsewhere in our own tables."""
    async for row in snapshot.rows(_PAYMENTS, snapshot.since):
        for difference in (*_capture(snapshot, row), *_status(row), *_events(row), *_returns(row)):
            yield difference
    async for row in snapshot.rows(_STRAY, snapshot.since):
        yield Difference(
            DifferenceCode.CAPTURE_NOT_CAPTURED,
            _about(row),
            f"{shown(int(row['posted']), row['currency'])} are posted as captured for no payment there is.",
            row["currency"],
            0,
            int(row["posted"]),
        )


def _capture(snapshot: Snapshot, row: Any) -> Iterator[Difference]:
    code = row["currency"]
    captured = int(row["captured"]) if row["provider_state"] == "SUCCEEDED" else 0
    posted = None if row["posted"] is None else int(row["posted"])
    if captured and posted is None:
        sentence = f"{shown(captured, code)} were captured, and nothing is posted for it."
        yield Difference(DifferenceCode.CAPTURE_NOT_POSTED, _about(row), sentence, code, captured, 0)
    elif posted is not None and not captured:
        sentence = f"{shown(posted, code)} are posted as captured, and the payment is {row['status']}."
        yield Difference(DifferenceCode.CAPTURE_NOT_CAPTURED, _about(row), sentence, code, 0, posted)
    elif posted is not None and posted != captured:
        sentence = f"{shown(captured, code)} were captured, and {shown(posted, code)} are posted for it."
        yield Difference(DifferenceCode.CAPTURE_AMOUNT_DIFFERS, _about(row), sentence, code, captured, posted)
    overdue = snapshot.at - snapshot.limits.charge
    if (
        captured
        and row["available_on"] is None
        and row["succeeded_at"] is not None
        and row["succeeded_at"] < overdue
    ):
        sentence = (
            f"{shown(captured, code)} were captured at {row['succeeded_at']:%Y-%m-%d %H:%M} UTC, and the "
            "provider's charge for it never came."
        )
        look_up = LookUp(Subject.PAYMENT, row["provider_reference"], row["id"])
        ours = row["provider"] == snapshot.provider
        yield Difference(
            DifferenceCode.CHARGE_MISSING, _about(row), sentence, code, captured, 0, (look_up,) if ours else ()
        )


def _status(row: Any) -> Iterator[Difference]:
    known = Known.of(row)
    if (row["status"], row["reason"]) != (known.status, known.reason):
        yield Difference(
            DifferenceCode.PAYMENT_STATUS_DIFFERS,
            _about(row),
            f"It is {_said(row['status'], row['reason'])}, and its facts amount to "
            f"{_said(known.status, known.reason)}.",
        )


def _events(row: Any) -> Iterator[Difference]:
    last = (row["event_sequence"], row["event_status"], row["event_reason"])
    if last != (row["sequence"], row["status"], row["reason"]) or row["events"] != row["sequence"]:
        told = _said(row["event_status"] or "nothing", row["event_reason"])
        yield Difference(
            DifferenceCode.PAYMENT_EVENTS_DIFFER,
            _about(row),
            f"It is {_said(row['status'], row['reason'])} after {row['sequence']} events; there are "
            f"{row['events']}, the last of which says {told}.",
        )


def _returns(row: Any) -> Iterator[Difference]:
    captured = row["provider_state"] == "SUCCEEDED" and row["captured"] > 0
    expected = {
        "refunded": int(row["refunded_there_is"]) if captured else 0,
        "refund_pending": int(row["pending_there_is"]) if captured else 0,
        "returned_net": int(row["net_there_is"]),
        "returned_fee": int(row["fee_there_is"]),
        "returned_tax": int(row["tax_there_is"]),
    }
    wrong = {name: minor for name, minor in expected.items() if int(row[name]) != minor}
    code = row["currency"]
    if wrong:
        name, minor = next(iter(wrong.items()))
        told = ", ".join(
            f"{name} is {shown(int(row[name]), code)} and should be {shown(due, code)}"
            for name, due in wrong.items()
        )
        sentence = f"By its refunds and disputes, {told}."
        yield Difference(DifferenceCode.PAYMENT_RETURNS_DIFFER, _about(row), sentence, code, minor, int(row[name]))
    elif row["returns"] != row["returns_there_are"] or row["dispute"] != row["dispute_there_is"]:
        yield Difference(
            DifferenceCode.PAYMENT_RETURNS_DIFFER,
            _about(row),
            f"It counts {row['returns']} refunds and disputes, the latter {row['dispute'] or 'not open'}; there "
            f"are {row['returns_there_are']}, the latter {row['dispute_there_is'] or 'not open'}.",
        )


def _about(row: Any) -> About:
    return About.ours(AboutKind.PAYMENT, row["id"])


def _said(status: str, reason: str | None) -> str:
    return f"{status} ({reason})" if reason else f"{status}"
