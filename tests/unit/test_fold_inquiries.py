"""A bank's inquiry that becomes a chargeback ends in one state and one ledger, however its facts are told."""

from dataclasses import replace
from itertools import permutations

import pytest

from core.disputes import DisputeStatus
from core.payments import PaymentStatus
from providers.payments.base import DisputeFact, DisputeState
from services.fold.disputes import DisputeKnown, fold_dispute
from tests.unit.test_fold_returns import CAPTURED, GROSS, Flow, dispute, ends


def inquiry(second: int, state: DisputeState) -> DisputeFact:
    """Return what is told of a dispute that took no money."""
    return replace(dispute(second, state), withdrawal=None)


ASKED = inquiry(2, DisputeState.NEEDS_RESPONSE)
ANSWERED = inquiry(3, DisputeState.UNDER_REVIEW)
CLOSED = inquiry(4, DisputeState.WON)
TAKEN = dispute(5, DisputeState.NEEDS_RESPONSE)
EVIDENCE = dispute(6, DisputeState.UNDER_REVIEW)
FOR_GOOD = dispute(7, DisputeState.LOST)

NEEDS_RESPONSE, UNDER_REVIEW, LOST = DisputeStatus.NEEDS_RESPONSE, DisputeStatus.UNDER_REVIEW, DisputeStatus.LOST
DISPUTED, CHARGED_BACK = PaymentStatus.DISPUTED, PaymentStatus.CHARGED_BACK
OPEN = {NEEDS_RESPONSE, UNDER_REVIEW}
STORIES: dict[str, tuple[tuple[DisputeFact, ...], DisputeStatus, PaymentStatus]] = {
    "answered, then a chargeback": ((ASKED, ANSWERED, TAKEN), NEEDS_RESPONSE, DISPUTED),
    "closed, then a chargeback": ((ASKED, ANSWERED, CLOSED, TAKEN), NEEDS_RESPONSE, DISPUTED),
    "closed, then a chargeback that is answered": (
        (ANSWERED, CLOSED, TAKEN, EVIDENCE),
        UNDER_REVIEW,
        DISPUTED,
    ),
    "closed, then a chargeback that is lost": ((ANSWERED, CLOSED, TAKEN, FOR_GOOD), LOST, CHARGED_BACK),
    "closed, and nothing after": ((ASKED, ANSWERED, CLOSED), DisputeStatus.WON, PaymentStatus.SUCCEEDED),
}


@pytest.mark.parametrize("name", STORIES)
def test_every_order_of_an_inquiry_and_its_chargeback_ends_in_the_same_state(name: str) -> None:
    facts, status, _ = STORIES[name]
    reached = set()
    for first, *rest in permutations((*facts, *facts[:1])):
        known = DisputeKnown.first(first)
        for fact in rest:
            known = fold_dispute(known, fact)
        reached.add(known)
    assert {(known.status, known.at) for known in reached} == {(status, facts[-1].at)}
    assert {(known.withdrawal, known.is_open) for known in reached} == {(facts[-1].withdrawal, status in OPEN)}


@pytest.mark.parametrize("name", STORIES)
def test_every_order_of_an_inquiry_and_its_chargeback_ends_in_one_status_and_one_ledger(name: str) -> None:
    facts, _, status = STORIES[name]
    reached = ends(Flow((*CAPTURED, *facts), status))
    assert {payment.known.status for payment in reached} == {status}
    assert len({payment.books.balances for payment in reached}) == 1
    balance = dict(next(iter(reached)).books.balances)["sandbox:balance:USD"]
    assert balance == 30 - GROSS if facts[-1].withdrawal is None else balance > 30 - GROSS
