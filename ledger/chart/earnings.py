"""Earnings: how a creator's money becomes available, and how a debt is paid from it.

``payment`` is the payment, or in an order split over several creators the reference of the creator's share.
``returned_by`` is the failed refund, or the dispute won, that gave back what had left before the rest moved on:
a group of its own, because the key of the first one stands for what moved then.
"""

from datetime import datetime
from uuid import UUID

from ledger.chart.drafts import Draft, Line, RecoveryLine
from ledger.chart.specs import AccountKind, creator


def earning(
    *,
    payment: UUID,
    creator_id: UUID,
    asset: str,
    net: int,
    reserve: int,
    recover: bool = False,
    returned_by: UUID | None = None,
    effective_at: datetime | None = None,
) -> Draft:
    """Return the group of a matured earning: available to the creator, except what is kept in reserve.

    ``net`` is the whole earning as it was captured, less what has gone back of it since, and ``reserve`` the
    part of it kept back, both in the asset's smallest unit. ``recover``: what the creator owes is paid from
    what is then available, as far as it goes.
    """
    pending = creator(AccountKind.PENDING, asset, creator_id)
    available = creator(AccountKind.AVAILABLE, asset, creator_id)
    kept = creator(AccountKind.RESERVE, asset, creator_id)
    lines: list[Line | RecoveryLine] = [
        Line(pending, available, net - reserve, "earning.available", payment),
        Line(pending, kept, reserve, "earning.reserve", payment),
    ]
    if recover:
        lines.append(_recovery(creator_id, asset, "earning.recovery", payment))
    return Draft.of(_key("earning", payment, returned_by), *lines, effective_at=effective_at)


def reserve_due(
    *,
    payment: UUID,
    creator_id: UUID,
    asset: str,
    amount: int,
    recover: bool = False,
    returned_by: UUID | None = None,
    effective_at: datetime | None = None,
) -> Draft:
    """Return the group of a reserve that is due: what is left of it becomes available.

    ``amount`` is in the asset's smallest unit; ``recover`` is as for :func:`earning`.
    """
    kept = creator(AccountKind.RESERVE, asset, creator_id)
    available = creator(AccountKind.AVAILABLE, asset, creator_id)
    lines: list[Line | RecoveryLine] = [Line(kept, available, amount, "reserve.due", payment)]
    if recover:
        lines.append(_recovery(creator_id, asset, "reserve.recovery", payment))
    return Draft.of(_key("reserve", payment, returned_by), *lines, effective_at=effective_at)


def overpaid_debt(
    *,
    returned_by: UUID,
    creator_id: UUID,
    asset: str,
    amount: int,
    share: UUID | None = None,
    effective_at: datetime | None = None,
) -> Draft:
    """Return the group of a debt that is none any more, after it had been recovered.

    When a refund fails or a dispute is won, what the creator's debt had paid goes back to it. If earnings have
    paid the debt by then, that stands above zero and is the creator's: ``amount`` of it, in the asset's
    smallest unit, becomes available. ``returned_by`` is that refund or dispute; ``share`` is the creator's share
    where it gave back to several of them, each of whom has a group then.
    """
    owed = creator(AccountKind.OWED, asset, creator_id)
    available = creator(AccountKind.AVAILABLE, asset, creator_id)
    return Draft.of(
        f"overpaid_debt:{returned_by}" if share is None else f"overpaid_debt:{returned_by}:{share}",
        Line(owed, available, amount, "overpaid_debt", returned_by),
        effective_at=effective_at,
    )


def _key(event: str, payment: UUID, returned_by: UUID | None) -> str:
    return f"{event}:{payment}" if returned_by is None else f"{event}:{payment}:{returned_by}"


def _recovery(creator_id: UUID, asset: str, kind: str, reference: UUID) -> RecoveryLine:
    available = creator(AccountKind.AVAILABLE, asset, creator_id)
    return RecoveryLine(available, creator(AccountKind.OWED, asset, creator_id), kind, reference)
