"""What can be under way: payments, refunds, disputes and payouts, and how to tell what became of each.

``differs`` takes in what the provider says as settlement would, and says what is new in it. When something
happened is not compared: told twice, it happened when it was first told to have.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from core.disputes import DisputeStatus
from core.payments import PaymentStatus
from core.payouts import PayoutStatus, PayoutStep
from core.refunds import RefundStatus
from providers.payments.base import (
    DisputeFact,
    Fact,
    PaymentFact,
    PayoutFact,
    RefundFact,
    Subject,
    TransferFact,
)
from services.fold import DisputeKnown, Known, RefundKnown, fold, fold_dispute, fold_refund
from services.fold.payouts import PayoutKnown, fold_payout
from services.reconciliation.codes import DifferenceCode
from services.reconciliation.differences import AboutKind, LookUp
from services.reconciliation.frame import Limits

_PAYMENTS: Final = """
    select p.*, count(*) over () as total,
        coalesce((select max(at) from payment_events e where e.payment_id = p.id), p.created_at) as status_at
    from payments p
    where provider = $1 and updated_at between $2 and $3
        and status in (
            'CREATED', 'RECONCILING', 'PENDING', 'REQUIRES_ACTION', 'PROCESSING', 'AUTHORIZED', 'FAILED')
    order by status in ('PENDING', 'FAILED'), updated_at desc limit $4
"""
_REFUNDS: Final = """
    select r.*, count(*) over () as total, coalesce(provider_state_at, created_at) as status_at
    from refunds r
    where provider = $1 and updated_at between $2 and $3 and status in ('CREATED', 'RECONCILING', 'PENDING')
    order by updated_at desc limit $4
"""
_DISPUTES: Final = """
    select d.*, count(*) over () as total, coalesce(respond_by, provider_state_at) as status_at
    from disputes d
    where provider = $1 and updated_at between $2 and $3 and status in ('NEEDS_RESPONSE', 'UNDER_REVIEW')
    order by updated_at desc limit $4
"""
_PAYOUTS: Final = """
    select o.*, count(*) over () as total,
        coalesce((select max(at) from payout_events e where e.payout_id = o.id), o.created_at) as status_at
    from payouts o
    where provider = $1 and updated_at between $2 and $3
        and (status in ('REQUESTED', 'RECONCILING', 'TRANSFERRED', 'IN_TRANSIT')
            or step is not null and status <> 'ON_HOLD')
    order by updated_at desc limit $4
"""


@dataclass(frozen=True, slots=True)
class OpenNoun:
    """A noun that can be under way.

    ``statement`` lists those that are, with ``status_at``; its parameters are the provider, the times between
    which they last changed, and how many. ``is_call`` says whether ``calling_until`` of a row is the end of a
    call to the provider, and not the time of a look-up. ``differs`` returns what the provider says that is not
    known here, or None; it raises ``Contradiction``.
    """

    about: AboutKind
    statement: str
    read: str
    look_ups: Callable[[Any], tuple[LookUp, ...]]
    is_call: Callable[[Any], bool]
    differs: Callable[[Any, Sequence[Fact]], str | None]
    limit: Callable[[Limits, Any], timedelta | None]
    outdated: DifferenceCode
    stuck: DifferenceCode
    unknown: DifferenceCode


def _look_up(subject: Subject) -> Callable[[Any], tuple[LookUp, ...]]:
    def look_ups(row: Any) -> tuple[LookUp, ...]:
        return (LookUp(subject, row["provider_reference"], row["id"]),)

    return look_ups


# Payments -------------------------------------------------------------------------------------------------


def _payment_differs(row: Any, facts: Sequence[Fact]) -> str | None:
    before = known = Known.of(row)
    own = [fact for fact in facts if isinstance(fact, PaymentFact)]
    for fact in own:
        known, _ = fold(known, fact)
    if not own or replace(known, at=before.at, reconciling=False) == before:
        return None
    status = replace(known, reconciling=False).status
    return f"what makes it {status}" if status != row["status"] else "more of it than is known here"


def _payment_is_call(row: Any) -> bool:
    if row["status"] in {PaymentStatus.PROCESSING, PaymentStatus.REQUIRES_ACTION}:
        return False
    return row["status"] != PaymentStatus.AUTHORIZED or bool(row["capturing"]) or bool(row["canceling"])


def _payment_limit(limits: Limits, row: Any) -> timedelta | None:
    return {
        PaymentStatus.CREATED: limits.call,
        PaymentStatus.RECONCILING: limits.call,
        PaymentStatus.REQUIRES_ACTION: limits.payer,
        PaymentStatus.PROCESSING: limits.processing,
    }.get(row["status"])


# Refunds --------------------------------------------------------------------------------------------------


def _refund_differs(row: Any, facts: Sequence[Fact]) -> str | None:
    before = known = RefundKnown.of(row)
    own = [fact for fact in facts if isinstance(fact, RefundFact)]
    for fact in own:
        known = fold_refund(known, fact)
    if replace(known, at=before.at) == before:
        return None
    return f"what makes it {known.status}" if known.status != row["status"] else "more of it than is known here"


def _refund_limit(limits: Limits, row: Any) -> timedelta | None:
    return limits.refund if row["status"] == RefundStatus.PENDING else limits.call


# Disputes -------------------------------------------------------------------------------------------------


def _dispute_differs(row: Any, facts: Sequence[Fact]) -> str | None:
    before = known = DisputeKnown.of(row)
    for fact in facts:
        if isinstance(fact, DisputeFact):
            known = fold_dispute(known, fact)
    if replace(known, at=before.at) == before:
        return None
    return f"what makes it {known.status}" if known.status != row["status"] else "more of it than is known here"


def _dispute_limit(limits: Limits, row: Any) -> timedelta | None:
    # One that still wants an answer when the time for it is over was lost without one.
    return timedelta(0) if row["status"] == DisputeStatus.NEEDS_RESPONSE else limits.dispute


# Payouts --------------------------------------------------------------------------------------------------


def _payout_look_ups(row: Any) -> tuple[LookUp, ...]:
    transfer = LookUp(Subject.TRANSFER, row["transfer_reference"], row["id"])
    if row["transfer_reference"] is None and row["provider_reference"] is None:
        return (transfer,)
    return (transfer, LookUp(Subject.PAYOUT, row["provider_reference"], row["id"]))


def _payout_differs(row: Any, facts: Sequence[Fact]) -> str | None:
    before = known = PayoutKnown.of(row)
    for fact in facts:
        if isinstance(fact, (TransferFact, PayoutFact)):
            known = fold_payout(known, fact)
    told = replace(known, at=before.at, transferred_at=before.transferred_at, reversed_at=before.reversed_at)
    if told == before:
        return None
    status = replace(known, reconciling=False).status
    return f"what makes it {status}" if status != row["status"] else "more of it than is known here"


def _payout_limit(limits: Limits, row: Any) -> timedelta | None:
    return limits.payout if row["status"] == PayoutStatus.IN_TRANSIT else limits.step


NOUNS: Final = (
    OpenNoun(
        AboutKind.PAYMENT,
        _PAYMENTS,
        "select * from payments where id = $1",
        _look_up(Subject.PAYMENT),
        _payment_is_call,
        _payment_differs,
        _payment_limit,
        DifferenceCode.PAYMENT_OUTDATED,
        DifferenceCode.PAYMENT_STUCK,
        DifferenceCode.PAYMENT_UNKNOWN,
    ),
    OpenNoun(
        AboutKind.REFUND,
        _REFUNDS,
        "select * from refunds where id = $1",
        _look_up(Subject.REFUND),
        lambda row: row["status"] != RefundStatus.PENDING,
        _refund_differs,
        _refund_limit,
        DifferenceCode.REFUND_OUTDATED,
        DifferenceCode.REFUND_STUCK,
        DifferenceCode.REFUND_UNKNOWN,
    ),
    OpenNoun(
        AboutKind.DISPUTE,
        _DISPUTES,
        "select * from disputes where id = $1",
        _look_up(Subject.DISPUTE),
        lambda _: True,
        _dispute_differs,
        _dispute_limit,
        DifferenceCode.DISPUTE_OUTDATED,
        DifferenceCode.DISPUTE_STUCK,
        DifferenceCode.DISPUTE_UNKNOWN,
    ),
    OpenNoun(
        AboutKind.PAYOUT,
        _PAYOUTS,
        "select * from payouts where id = $1",
        _payout_look_ups,
        lambda row: row["step"] in {PayoutStep.TRANSFER, PayoutStep.PAYOUT, PayoutStep.REVERSE},
        _payout_differs,
        _payout_limit,
        DifferenceCode.PAYOUT_OUTDATED,
        DifferenceCode.PAYOUT_STUCK,
        DifferenceCode.PAYOUT_UNKNOWN,
    ),
)
