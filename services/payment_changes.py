"""What a locked payment becomes by what was told of it, and when it is asked for again. Touches nothing."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from core.payments import CAPTURED_STATUSES
from providers.payments.base import BalanceEntry, ChargeFact, PaymentFact, ProviderState
from services import returns
from services.calls import patience
from services.fold import Contradiction, Known, ReturnFact, fold
from services.payments import Change
from services.returns import ReturnsChange

OfPayment = PaymentFact | ChargeFact | BalanceEntry | ReturnFact
"""What can be told of a payment; a line of the provider's books where it is what was let go of one."""

_UNFINISHED: Final = (ProviderState.PROCESSING, ProviderState.REQUIRES_ACTION)
_LOOK_UP_AFTER: Final = timedelta(minutes=1)
_DISPUTE_LOOK_UP: Final = timedelta(hours=1)


def change_of(
    row: Any,
    facts: Sequence[OfPayment],
    held: returns.Held | None,
    at: datetime,
    *,
    answered: bool,
    look_up_at: datetime | None,
    shares: Sequence[Any] = (),
) -> tuple[Change | None, ReturnsChange | None]:
    """Return what a locked payment becomes, with its refunds and disputes; None for what stays as it is.

    ``held`` are the refunds and disputes there were, ``shares`` its creators' where there are several; the rest is
    as for ``settlement.settle``. Raises ``Contradiction``.
    """
    of_returns: list[ReturnFact] = []
    own: list[PaymentFact | ChargeFact] = []
    for fact in facts:
        if isinstance(fact, (PaymentFact, ChargeFact)):
            own.append(fact)
        elif not isinstance(fact, BalanceEntry):
            of_returns.append(fact)
    known, tied, available_on = _fold_own(row, own)
    if answered and own:
        known = replace(known, reconciling=False)
    back = None
    undecided_since = None
    if held is not None:
        back = returns.fold_all(row, known, held, of_returns, at, shares)
        known = replace(known, refunded=back.refunded, dispute=back.dispute)
        undecided_since = back.undecided_since
        if not back.refunds and not back.disputes:
            back = None
    change = _change(
        row,
        known,
        available_on,
        at,
        tied=tied,
        answered=answered and bool(own),
        look_up_at=look_up_at,
        undecided_since=undecided_since,
    )
    if (
        of_returns
        and known.own_status not in CAPTURED_STATUSES
        and (change is None or change.calling_until is None)
    ):
        # Money cannot go back that was never taken: what is missing here is asked for.
        change = replace(change or Change(row, known), calling_until=at)
    if change is not None and shares:
        change = replace(change, shares=shares)
    return change, back


def _fold_own(row: Any, facts: Iterable[PaymentFact | ChargeFact]) -> tuple[Known, bool, datetime | None]:
    known = Known.of(row)
    tied = False
    available_on = row["available_on"]
    for fact in facts:
        if isinstance(fact, PaymentFact):
            known, tie = fold(known, fact)
            tied = tied or tie
            continue
        if fact.currency != known.currency:
            # The provider converted it: what it came to cannot be compared with the payment.
            whole = fact.gross > 0
        else:
            whole = fact.gross <= known.gross if known.manual_capture else fact.gross == known.gross
        if not whole:
            raise Contradiction("The provider charged another amount than the payment's.")
        available_on = fact.available_on
    return known, tied, available_on


def _change(
    row: Any,
    known: Known,
    available_on: datetime | None,
    at: datetime,
    *,
    tied: bool,
    answered: bool,
    look_up_at: datetime | None,
    undecided_since: datetime | None,
) -> Change | None:
    """Return what a payment becomes with what is known of it now, or None when it stays as it is."""
    before = Known.of(row)
    calling_until = look_up_at if answered else row["calling_until"]
    if known.state is ProviderState.REQUIRES_METHOD and before.state is ProviderState.REQUIRES_ACTION:
        # The payer did not authenticate: there is nothing left to look up, and another method may be tried.
        calling_until = None
    succeeded_at = row["succeeded_at"]
    if known.state in {ProviderState.SUCCEEDED, ProviderState.CANCELED}:
        calling_until = None
        known = replace(known, reconciling=False)
        if known.captured and succeeded_at is None:
            succeeded_at = known.at
        if succeeded_at is not None and available_on is None:
            # Without the provider's charge the earning would wait for ever: it is asked for, if nobody tells it.
            first = row["succeeded_at"] is None or row["calling_until"] is None or answered
            again_at = at + patience(at - succeeded_at, _LOOK_UP_AFTER)
            calling_until = again_at if first else row["calling_until"]
    elif tied:
        # Two states for one instant: only the provider knows which came last, so it is asked at once.
        calling_until = at
    if calling_until is None and known.state in _UNFINISHED:
        # Whoever told it, what is not finished is looked up one day: its last event may be lost.
        calling_until = row["calling_until"] or at + _LOOK_UP_AFTER
    if calling_until is None and known.state is ProviderState.AUTHORIZED and known.capture_before is not None:
        # Nobody has to tell that a reservation has lapsed.
        calling_until = max(known.capture_before, at) + _LOOK_UP_AFTER
    if calling_until is None and undecided_since is not None:
        # The end of a dispute may be lost as well, and a creator's payouts wait for it.
        calling_until = at + patience(at - undecided_since, _DISPUTE_LOOK_UP)
    matures_at = row["matures_at"]
    if matures_at is None and succeeded_at is not None and available_on is not None:
        delay = timedelta(seconds=row["maturity_delay_seconds"])
        matures_at = max(available_on, succeeded_at + delay)
    same = (calling_until, succeeded_at, available_on, matures_at) == (
        row["calling_until"],
        row["succeeded_at"],
        row["available_on"],
        row["matures_at"],
    )
    # A call that was answered captures and cancels no longer, unless what it captures is still being processed.
    ends_call = answered and known.state is not ProviderState.PROCESSING
    if known == before and same and not (ends_call and (row["capturing"] or row["canceling"])):
        return None
    return Change(row, known, calling_until, succeeded_at, available_on, matures_at, ends_call=ends_call)
