"""What refunds and disputes take out of a payment, and what they give back to it: pure, in the books' words.

What each of them takes is set aside once (:class:`Taken`) and does not change with what is told later. So
whatever order facts arrive in, the same groups are posted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from ledger import AccountKind, Draft, chart
from ledger.chart import Return
from providers.payments.base import BalanceMove
from services.fold.contradictions import Contradiction, Premature
from services.fold.entries import DisputeEntry, RefundEntry, Taken, TakenPart
from services.fold.position import Part, Position, minus, set_aside


@dataclass(slots=True)
class Effects:
    """What follows: groups to post, in order, and what gave money back, each time with the part that got it."""

    drafts: list[Draft] = field(default_factory=list)
    gave_back: list[tuple[UUID, Part]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Returns:
    """A payment's refunds and disputes, and the position they leave it in."""

    position: Position
    refunds: tuple[RefundEntry, ...] = ()
    disputes: tuple[DisputeEntry, ...] = ()


def follow(before: Sequence[RefundEntry], after: Returns, at: datetime) -> tuple[Returns, Effects]:
    """Return a payment's refunds and disputes with all done that follows from what is known now.

    ``before`` holds the refunds as they were, in the same order; refunds beyond them are new.
    """
    effects = Effects()
    position = after.position
    refunds: list[RefundEntry] = []
    for number, refund in enumerate(after.refunds):
        known_before = before[number] if number < len(before) else None
        position, entry = _follow_refund(position, known_before, refund, at, effects)
        refunds.append(entry)
    disputes: list[DisputeEntry] = []
    for dispute in after.disputes:
        position, followed = _follow_dispute(position, dispute, at, effects)
        disputes.append(followed)
    return Returns(position, tuple(refunds), tuple(disputes)), effects


def _follow_refund(
    position: Position, before: RefundEntry | None, entry: RefundEntry, at: datetime, effects: Effects
) -> tuple[Position, RefundEntry]:
    known = entry.known
    if position.is_captured and known.state is not None:
        if entry.returned_at is not None and entry.accepted_at is None:
            # Ended here before its provider spoke of it: what it had given back is set aside anew.
            entry = replace(entry, taken=None, returned_at=None)
        taken = entry.taken
        if taken is None:
            position, taken = set_aside(position, known.amount)
        if entry.accepted_at is None:
            entry = replace(entry, taken=taken, accepted_at=at)
            effects.drafts.append(_refund(position, entry, taken))
    if entry.accepted_at is None and (known.converted or known.return_converted):
        raise Premature("Money went back in another currency before any is told to have been taken.")
    posted = before is not None and before.accepted_at is not None
    paid_before = before.known.balance_transaction if before is not None and posted else None
    if entry.accepted_at is not None and known.balance_transaction is not None and paid_before is None:
        effects.drafts.append(_paid(position, entry, known.balance_transaction))
    # What the provider had is posted before it is undone, also where its failure is the first that is told.
    settled = entry.accepted_at is not None or known.state is None
    if entry.taken is not None and settled and not known.stands and entry.returned_at is None:
        if entry.accepted_at is not None:
            effects.drafts.append(chart.refund_failed(refund=entry.id, effective_at=known.at))
            effects.gave_back.extend(_receivers(position, entry.id, entry.taken))
        position = _give_back(position, entry.id, entry.taken, at, effects)
        entry = replace(entry, returned_at=at)
    returned_before = before.known.return_transaction if before is not None and paid_before is not None else None
    if (
        entry.accepted_at is not None
        and known.balance_transaction is not None
        and known.return_transaction is not None
        and returned_before is None
    ):
        effects.drafts.append(_returned(position, entry, known.balance_transaction, known.return_transaction))
    return position, entry


def _refund(position: Position, entry: RefundEntry, taken: Taken) -> Draft:
    return chart.refund(
        refund=entry.id,
        provider=position.provider,
        asset=position.asset,
        returns=_returns(position, taken),
        beyond=entry.known.amount - taken.split.gross,
        effective_at=entry.known.at,
    )


def _paid(position: Position, entry: RefundEntry, balance_transaction: str) -> Draft:
    known = entry.known
    if known.converted is not None:
        return _foreign(position, known.converted, entry.id, known.at, sign=-1)
    return chart.refund_transaction(
        provider=position.provider,
        balance_transaction=balance_transaction,
        asset=position.asset,
        amount=known.amount,
        reference=entry.id,
        effective_at=known.at,
    )


def _returned(position: Position, entry: RefundEntry, paid_by: str, balance_transaction: str) -> Draft:
    known = entry.known
    converted = known.return_converted
    if converted is None and known.converted is not None:
        # What it undoes is not in clearing, so it waits beside it, though in the payment's own currency.
        converted = BalanceMove(balance_transaction, known.amount, 0)
    if converted is not None:
        return _foreign(position, converted, entry.id, known.at, sign=1)
    return chart.refund_returned(
        provider=position.provider,
        balance_transaction=balance_transaction,
        refund_transaction=paid_by,
        reference=entry.id,
        effective_at=known.at,
    )


def _foreign(
    position: Position,
    move: BalanceMove,
    reference: UUID,
    at: datetime | None,
    *,
    sign: int,
    fees_to: AccountKind = AccountKind.PROVIDER_FEES,
) -> Draft:
    """Return the group of a line that was converted: what left (``sign`` -1), or came back (1) with its fee."""
    return chart.foreign_settlement(
        provider=position.provider,
        balance_transaction=move.balance_transaction,
        asset=move.currency or position.asset,
        gross=sign * move.amount,
        provider_fee=-sign * move.fee,
        fees_to=fees_to,
        reference=reference,
        effective_at=at,
    )


def _follow_dispute(
    position: Position, entry: DisputeEntry, at: datetime, effects: Effects
) -> tuple[Position, DisputeEntry]:
    known = entry.known
    if position.is_captured and known.withdrawal is not None and entry.taken is None:
        position, taken = set_aside(position, known.amount)
        entry = replace(entry, taken=taken, taken_at=at)
        effects.drafts.extend(_withdrawn(position, entry, taken, known.withdrawal))
    if entry.taken is None and known.withdrawal_currency is not None:
        raise Premature("Money was withdrawn in another currency before any is told to have been taken.")
    if (
        entry.taken is not None
        and entry.returned_at is None
        and known.status == "WON"
        and known.withdrawal is not None
        and known.reinstatement is not None
    ):
        effects.drafts.extend(_won(position, entry, known.withdrawal, known.reinstatement))
        if entry.written_off:
            effects.drafts.append(chart.write_off_undone(dispute=entry.id, effective_at=known.at))
        position = _give_back(position, entry.id, entry.taken, at, effects)
        effects.gave_back.extend(_receivers(position, entry.id, entry.taken))
        entry = replace(entry, returned_at=at, written_off=0)
    return position, entry


def _withdrawn(position: Position, entry: DisputeEntry, taken: Taken, move: BalanceMove) -> tuple[Draft, ...]:
    known = entry.known
    returns = _returns(position, taken)
    if known.withdrawal_currency is None:
        whole = chart.dispute_withdrawn(
            dispute=entry.id,
            provider=position.provider,
            balance_transaction=move.balance_transaction,
            asset=position.asset,
            returns=returns,
            withdrawn=move.amount,
            dispute_fee=move.fee,
            effective_at=known.at,
        )
        return (whole,)
    own = chart.dispute_taken(
        dispute=entry.id,
        provider=position.provider,
        asset=position.asset,
        returns=returns,
        amount=known.amount,
        effective_at=known.at,
    )
    converted = replace(move, currency=known.withdrawal_currency)
    line = _foreign(position, converted, entry.id, known.at, sign=-1, fees_to=AccountKind.DISPUTE_FEES)
    return own, line


def _won(
    position: Position, entry: DisputeEntry, withdrawal: BalanceMove, reinstatement: BalanceMove
) -> tuple[Draft, ...]:
    known = entry.known
    if known.withdrawal_currency is not None:
        own = chart.dispute_given_back(dispute=entry.id, effective_at=known.at)
        converted = replace(reinstatement, currency=known.reinstatement_currency)
        line = _foreign(position, converted, entry.id, known.at, sign=1, fees_to=AccountKind.DISPUTE_FEES)
        return own, line
    if known.reinstatement_currency is not None:
        # One group undoes the whole withdrawal, of which nothing is in that currency.
        raise Contradiction("The provider gave back in another currency what it had withdrawn in the payment's.")
    whole = chart.dispute_won(
        dispute=entry.id,
        provider=position.provider,
        balance_transaction=reinstatement.balance_transaction,
        withdrawal=withdrawal.balance_transaction,
        asset=position.asset,
        fee_kept=withdrawal.fee - reinstatement.fee,
        difference=withdrawal.amount - reinstatement.amount,
        effective_at=known.at,
    )
    return (whole,)


def _returns(position: Position, taken: Taken) -> list[Return]:
    creators = {part.id: part.creator_id for part in position.parts}
    return [Return(creators[part.id], part.split, taken.taken_from, part.from_reserve) for part in taken.parts]


def _receivers(position: Position, by: UUID, taken: Taken) -> list[tuple[UUID, Part]]:
    """Return the parts of a payment to which a refund or a dispute gave back what it had taken."""
    ids = {part.id for part in taken.parts}
    return [(by, part) for part in position.parts if part.id in ids]


def _give_back(position: Position, by: UUID, taken: Taken, at: datetime, effects: Effects) -> Position:
    """Let a payment have again what was set aside of it, and let that catch up with the rest of its earning."""
    returned = {part.id: part for part in taken.parts}
    parts = tuple(
        _give_back_part(position, part, returned[part.id], taken.taken_from, by, at, effects)
        if part.id in returned
        else part
        for part in position.parts
    )
    return replace(position, parts=parts)


def _give_back_part(
    position: Position,
    part: Part,
    taken: TakenPart,
    taken_from: AccountKind,
    by: UUID,
    at: datetime,
    effects: Effects,
) -> Part:
    left_pending = taken.split.net - taken.from_reserve if taken_from is AccountKind.PENDING else 0
    if position.matured and left_pending:
        effects.drafts.append(
            chart.earning(
                payment=part.id,
                creator_id=part.creator_id,
                asset=position.asset,
                net=left_pending,
                reserve=0,
                returned_by=by,
                effective_at=at,
            )
        )
    kept = taken.from_reserve
    if kept and position.reserve_released:
        effects.drafts.append(
            chart.reserve_due(
                payment=part.id,
                creator_id=part.creator_id,
                asset=position.asset,
                amount=kept,
                returned_by=by,
                effective_at=at,
            )
        )
        kept = 0
    return replace(part, returned=minus(part.returned, taken.split), reserve=part.reserve + kept)
