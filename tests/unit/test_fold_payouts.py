"""A payout is a fold of facts: told late, twice and in any order, the status and the books end the same."""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from core.payouts import PayoutStatus, PayoutStep
from ledger.chart import AccountSpec, Draft, Line
from providers.payments.base import PayoutFact, PayoutState, TransferFact
from services.fold import Contradiction
from services.fold.payouts import PayoutKnown, booked, drafts, fold_payout, give_up

PAYOUT = UUID("01890000-0000-7000-8000-000000000001")
CREATOR = UUID("01890000-0000-7000-8000-000000000002")
START = datetime(2026, 5, 4, 12, tzinfo=UTC)
REQUESTED = PayoutKnown(
    id=PAYOUT, creator_id=CREATOR, provider="sandbox", account="acct_1", amount=2_000, currency="USD"
)

Told = TransferFact | PayoutFact


def moved(second: int = 0, reversal: str | None = None) -> TransferFact:
    return TransferFact(
        reference=PAYOUT,
        provider_reference="tr_1",
        account="acct_1",
        at=START + timedelta(seconds=second),
        amount=2_000,
        currency="USD",
        balance_transaction="txn_1",
        reversal_transaction=reversal,
    )


def told(second: int, state: PayoutState, code: str | None = None, arrives: int | None = None) -> PayoutFact:
    return PayoutFact(
        reference=PAYOUT,
        provider_reference="po_1",
        account="acct_1",
        state=state,
        at=START + timedelta(seconds=second),
        amount=2_000,
        currency="USD",
        arrives_at=None if arrives is None else START + timedelta(days=arrives),
        failure_code=code,
    )


PENDING = told(1, PayoutState.PENDING, arrives=2)
TRANSIT = told(2, PayoutState.IN_TRANSIT, arrives=3)
PAID = told(3, PayoutState.PAID, arrives=3)
FAILED = told(4, PayoutState.FAILED, "account_closed")
CANCELED = told(4, PayoutState.CANCELED)
REVERSED = moved(5, "txn_2")

FLOWS: dict[str, tuple[tuple[Told, ...], PayoutStatus, str | None, PayoutStep | None]] = {
    "transferred": ((moved(),), PayoutStatus.TRANSFERRED, None, PayoutStep.PAYOUT),
    "handed over": ((moved(), PENDING), PayoutStatus.TRANSFERRED, None, None),
    "on its way": ((moved(), PENDING, TRANSIT), PayoutStatus.IN_TRANSIT, None, None),
    "paid": ((moved(), PENDING, TRANSIT, PAID), PayoutStatus.PAID, None, None),
    "paid, told again later": ((moved(), PENDING, PAID, told(9, PayoutState.PAID)), PayoutStatus.PAID, None, None),
    "failed": ((moved(), PENDING, FAILED), PayoutStatus.FAILED, "account_closed", PayoutStep.REVERSE),
    "failed and taken back": (
        (moved(), PENDING, TRANSIT, FAILED, REVERSED),
        PayoutStatus.FAILED,
        "account_closed",
        None,
    ),
    "paid, then failed": (
        (moved(), PENDING, TRANSIT, PAID, FAILED),
        PayoutStatus.FAILED,
        "account_closed",
        PayoutStep.REVERSE,
    ),
    "paid, then failed, and taken back": (
        (moved(), PENDING, TRANSIT, PAID, FAILED, REVERSED),
        PayoutStatus.FAILED,
        "account_closed",
        None,
    ),
    "everything that can be told of one": (
        (moved(), PENDING, TRANSIT, PAID, CANCELED, FAILED, REVERSED),
        PayoutStatus.FAILED,
        "account_closed",
        None,
    ),
    "cancelled and taken back": ((moved(), PENDING, CANCELED, REVERSED), PayoutStatus.CANCELED, None, None),
    "paid and all the same taken back": ((moved(), PENDING, PAID, REVERSED), PayoutStatus.PAID, None, None),
}
LONGEST = 7


def _orders(facts: Sequence[Told]) -> Iterator[tuple[Told, ...]]:
    """Return every order of the facts, each told at least once, up to seven in all."""
    for length in range(len(facts), LONGEST + 1):
        for extra in itertools.combinations_with_replacement(range(len(facts)), length - len(facts)):
            for order in _arrangements([*range(len(facts)), *extra]):
                yield tuple(facts[place] for place in order)


def _arrangements(places: Sequence[int]) -> Iterator[tuple[int, ...]]:
    if not places:
        yield ()
    for first in sorted(set(places)):
        rest = list(places)
        rest.remove(first)
        for arrangement in _arrangements(rest):
            yield (first, *arrangement)


class Books:
    """What the drafts come to: by account, and which keys were posted. A key is posted once."""

    def __init__(self) -> None:
        self.posted: dict[str, Draft] = {}
        self.balances: defaultdict[AccountSpec, int] = defaultdict(int)

    def post(self, due: Sequence[Draft]) -> None:
        for draft in due:
            assert draft.key not in self.posted, "the same was posted twice"
            self.posted[draft.key] = draft
            for line in draft.lines:
                assert isinstance(line, Line)
                self._move(line.debit, line.credit, line.amount)
            if draft.undoes is not None:
                for line in self.posted[draft.undoes].lines:
                    assert isinstance(line, Line)
                    self._move(line.credit, line.debit, line.amount)

    def _move(self, debit: AccountSpec, credit: AccountSpec, amount: int) -> None:
        self.balances[debit] -= amount
        self.balances[credit] += amount

    def ends(self) -> dict[str, int]:
        return {str(spec.kind): amount for spec, amount in self.balances.items() if amount}


def _settle(known: PayoutKnown, facts: Sequence[Told], books: Books) -> PayoutKnown:
    """Settle facts in one transaction, as services.payout_books does."""
    after = known
    for fact in facts:
        after = fold_payout(after, fact)
    books.post(drafts(known, after))
    return booked(known, after)


def _one_by_one(facts: Sequence[Told], known: PayoutKnown = REQUESTED) -> tuple[PayoutKnown, dict[str, int]]:
    books = Books()
    for fact in facts:
        known = _settle(known, [fact], books)
    return known, books.ends()


@pytest.mark.parametrize("flow", FLOWS)
def test_every_order_with_facts_told_again_ends_in_the_same_status_and_the_same_books(flow: str) -> None:
    facts, status, reason, step = FLOWS[flow]
    expected, ends = _one_by_one(facts)
    assert (expected.status, expected.reason, expected.step) == (status, reason, step)

    orders = 0
    for order in _orders(facts):
        orders += 1
        known, reached = _one_by_one(order)
        # Whether it was ever posted as paid depends on what came first; the balances do not.
        assert replace(known, paid_at=expected.paid_at) == expected
        assert reached == ends
    assert orders >= LONGEST


@pytest.mark.parametrize("flow", [flow for flow, (facts, *_) in FLOWS.items() if len(facts) <= 5])
def test_facts_settled_together_end_as_those_settled_one_by_one(flow: str) -> None:
    facts, *_ = FLOWS[flow]
    expected, ends = _one_by_one(facts)
    for order in itertools.permutations(facts):
        for cuts in itertools.product([False, True], repeat=len(order) - 1):
            books, known, batch = Books(), REQUESTED, [order[0]]
            for fact, cut in zip(order[1:], cuts, strict=True):
                if cut:
                    known, batch = _settle(known, batch, books), []
                batch.append(fact)
            known = _settle(known, batch, books)
            assert replace(known, paid_at=expected.paid_at) == expected
            assert books.ends() == ends


@pytest.mark.parametrize(
    ("flow", "ends"),
    [
        ("transferred", {"connected": -2_000, "balance": 2_000}),
        ("handed over", {"connected": -2_000, "balance": 2_000}),
        ("paid", {"payout": -2_000, "balance": 2_000}),
        ("failed", {"payout": -2_000, "available": 2_000, "connected": -2_000, "balance": 2_000}),
        ("failed and taken back", {"payout": -2_000, "available": 2_000}),
        ("paid, then failed, and taken back", {"payout": -2_000, "available": 2_000}),
    ],
)
def test_books_of_a_flow_are_as_its_words_say(flow: str, ends: dict[str, int]) -> None:
    facts, *_ = FLOWS[flow]

    assert _one_by_one(facts)[1] == ends


def test_failure_learnt_before_the_payment_is_posted_as_never_paid() -> None:
    books = Books()
    known = _settle(REQUESTED, [moved()], books)
    known = _settle(known, [FAILED], books)
    before = set(books.posted)
    known = _settle(known, [PAID], books)

    assert known.status is PayoutStatus.FAILED
    assert set(books.posted) == before == {"transfer:sandbox:txn_1", f"payout:{PAYOUT}:failed"}
    assert len(books.posted[f"payout:{PAYOUT}:failed"].lines) == 1


def test_failure_after_it_was_paid_takes_that_back_first() -> None:
    books = Books()
    _settle(_settle(_settle(REQUESTED, [moved()], books), [PAID], books), [FAILED], books)

    kinds = [line.kind for line in books.posted[f"payout:{PAYOUT}:failed"].lines]
    assert kinds == ["payout.returned", "payout.failed"]


def test_status_before_anything_was_told_follows_from_where_we_stand() -> None:
    assert (REQUESTED.status, REQUESTED.step) == (PayoutStatus.REQUESTED, PayoutStep.TRANSFER)
    held = replace(REQUESTED, held=True)
    assert (held.status, held.reason) == (PayoutStatus.ON_HOLD, "DISPUTE_OPEN")
    assert replace(REQUESTED, reconciling=True).status is PayoutStatus.RECONCILING
    assert fold_payout(held, moved()).status is PayoutStatus.TRANSFERRED


@pytest.mark.parametrize("end", [PAID, FAILED, CANCELED])
def test_payout_that_ended_is_not_reconciling(end: PayoutFact) -> None:
    known = replace(fold_payout(REQUESTED, end), reconciling=True)

    assert known.status is PayoutStatus(end.state.value)


# Given up here ----------------------------------------------------------------------------------------------


def test_payout_given_up_before_its_transfer_gives_the_money_back_and_has_nothing_left_to_do() -> None:
    books = Books()
    after = give_up(REQUESTED, "ACCOUNT_NOT_READY", START)
    books.post(drafts(REQUESTED, after))
    known = booked(REQUESTED, after)

    assert (known.status, known.reason, known.step) == (PayoutStatus.FAILED, "ACCOUNT_NOT_READY", None)
    assert books.ends() == {"payout": -2_000, "available": 2_000}


def test_payout_given_up_after_its_transfer_takes_the_transfer_back() -> None:
    books = Books()
    transferred = _settle(REQUESTED, [moved()], books)
    after = give_up(transferred, "ACCOUNT_NOT_READY", START)
    books.post(drafts(transferred, after))
    known = booked(transferred, after)
    assert known.step is PayoutStep.REVERSE

    known = _settle(known, [REVERSED], books)
    assert (known.status, known.step) == (PayoutStatus.FAILED, None)
    assert books.ends() == {"payout": -2_000, "available": 2_000}


@pytest.mark.parametrize("late", [PENDING, TRANSIT, PAID])
def test_payout_given_up_that_goes_on_at_the_provider_is_a_contradiction(late: PayoutFact) -> None:
    given_up = booked(REQUESTED, give_up(REQUESTED, "PROVIDER_SILENT", START))

    with pytest.raises(Contradiction):
        fold_payout(given_up, late)
    failed = fold_payout(given_up, FAILED)
    assert drafts(given_up, failed) == []
    assert fold_payout(failed, late).status is PayoutStatus.FAILED


# Contradictions ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changed",
    [{"amount": 2_001}, {"amount": 0}, {"currency": "EUR"}, {"account": "acct_2"}, {"provider_reference": "x_2"}],
    ids=str,
)
@pytest.mark.parametrize("fact", [moved(9), TRANSIT, PAID, FAILED], ids=lambda fact: type(fact).__name__)
def test_fact_that_cannot_be_true_is_a_contradiction(fact: Told, changed: dict[str, object]) -> None:
    known, _ = _one_by_one([moved(), PENDING])

    with pytest.raises(Contradiction):
        fold_payout(known, replace(fact, **changed))  # type: ignore[arg-type] # a field of both


@pytest.mark.parametrize(
    "fact", [replace(moved(), balance_transaction="txn_9"), replace(REVERSED, reversal_transaction="txn_9")]
)
def test_money_of_a_transfer_moved_twice_is_a_contradiction(fact: TransferFact) -> None:
    known, _ = _one_by_one([moved(), FAILED, REVERSED])

    with pytest.raises(Contradiction):
        fold_payout(known, fact)
