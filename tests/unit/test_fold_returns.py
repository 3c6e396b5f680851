"""A payment with its refunds and disputes ends in one status and in one ledger, however its facts are told.

Every state that any order of telling can lead to is visited, each fact being told again at any moment: so the
permutations are exhausted, with any number of duplicates, and not only up to a length.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from core.payments import PaymentStatus
from core.refunds import RefundStatus
from ledger import AccountKind, Draft, Line, chart
from ledger.chart import Split
from providers.payments.base import (
    BalanceMove,
    ChargeFact,
    DisputeFact,
    DisputeState,
    PaymentFact,
    ProviderState,
    RefundFact,
    RefundState,
)
from services.fold import (
    Contradiction,
    DisputeEntry,
    Known,
    Part,
    Position,
    Premature,
    RefundEntry,
    RefundKnown,
    Returns,
    fold,
    follow,
    set_aside,
    standing,
    take,
)

PAYMENT, CREATOR = UUID(int=1), UUID(int=2)
OURS, OURS_TOO, THEIRS, DISPUTE = UUID(int=3), UUID(int=4), UUID(int=5), UUID(int=6)
START = datetime(2026, 5, 4, 12, tzinfo=UTC)
SPLIT = Split(net=931, fee=50, tax=19)
GROSS = SPLIT.gross

Fact = PaymentFact | ChargeFact | RefundFact | DisputeFact


def at(second: int) -> datetime:
    return START + timedelta(seconds=second)


def paid(second: int = 0, state: ProviderState = ProviderState.SUCCEEDED) -> PaymentFact:
    captured = GROSS if state is ProviderState.SUCCEEDED else 0
    return PaymentFact(PAYMENT, "sbx_1", state, at(second), GROSS, "USD", captured=captured)


def charged(second: int = 1) -> ChargeFact:
    return ChargeFact(PAYMENT, "txn_1", at(second), GROSS, 30, "USD", at(second))


def refund(
    second: int,
    state: RefundState,
    amount: int,
    *,
    ours: UUID | None = OURS,
    paid_by: str | None = None,
    returned_by: str | None = None,
) -> RefundFact:
    name = "re_theirs" if ours is None else f"re_{ours.int}"
    code = "card_closed" if state is RefundState.FAILED else None
    return RefundFact(PAYMENT, ours, name, state, at(second), amount, "USD", code, paid_by, returned_by)


def dispute(second: int, state: DisputeState, amount: int = GROSS, *, won: bool = False) -> DisputeFact:
    taken = BalanceMove("txn_d", amount, 1500)
    back = BalanceMove("txn_w", amount, 1500) if won else None
    return DisputeFact(
        PAYMENT, "dp_1", state, at(second), amount, "USD", "fraudulent", withdrawal=taken, reinstatement=back
    )


PENDING, SUCCEEDED, FAILED = RefundState.PENDING, RefundState.SUCCEEDED, RefundState.FAILED


@dataclass(frozen=True)
class Flow:
    """Facts in the order they happened, refunds asked for by us beforehand, and the status they end in."""

    facts: Sequence[Fact]
    status: PaymentStatus
    asked: Sequence[tuple[UUID, int]] = ()


CAPTURED = (paid(), charged())
FLOWS = {
    "captured": Flow(CAPTURED, PaymentStatus.SUCCEEDED),
    "processed, captured": Flow((paid(-1, ProviderState.PROCESSING), *CAPTURED), PaymentStatus.SUCCEEDED),
    "refunded at the provider": Flow(
        (*CAPTURED, refund(2, SUCCEEDED, GROSS, ours=None, paid_by="txn_r")), PaymentStatus.REFUNDED
    ),
    "refunded in part": Flow(
        (*CAPTURED, refund(2, PENDING, 333), refund(3, SUCCEEDED, 333, paid_by="txn_r")),
        PaymentStatus.PARTIALLY_REFUNDED,
        [(OURS, 333)],
    ),
    "refunded, failed later": Flow(
        (
            *CAPTURED,
            refund(2, PENDING, 333),
            refund(3, SUCCEEDED, 333, paid_by="txn_r"),
            refund(4, FAILED, 333, paid_by="txn_r", returned_by="txn_b"),
        ),
        PaymentStatus.SUCCEEDED,
        [(OURS, 333)],
    ),
    "refunded twice in part, the first failed later": Flow(
        (
            *CAPTURED,
            refund(2, SUCCEEDED, 333, paid_by="txn_r"),
            refund(3, SUCCEEDED, 667, ours=OURS_TOO, paid_by="txn_s"),
            refund(4, FAILED, 333, paid_by="txn_r", returned_by="txn_b"),
        ),
        PaymentStatus.PARTIALLY_REFUNDED,
        [(OURS, 333), (OURS_TOO, 667)],
    ),
    "disputed": Flow((*CAPTURED, dispute(2, DisputeState.NEEDS_RESPONSE)), PaymentStatus.DISPUTED),
    "disputed and won": Flow(
        (
            *CAPTURED,
            dispute(2, DisputeState.NEEDS_RESPONSE),
            dispute(3, DisputeState.UNDER_REVIEW),
            dispute(4, DisputeState.WON, won=True),
        ),
        PaymentStatus.SUCCEEDED,
    ),
    "disputed and lost": Flow(
        (
            *CAPTURED,
            dispute(2, DisputeState.NEEDS_RESPONSE),
            dispute(3, DisputeState.UNDER_REVIEW),
            dispute(4, DisputeState.LOST),
        ),
        PaymentStatus.CHARGED_BACK,
    ),
    "disputed, lost, and won on appeal": Flow(
        (
            *CAPTURED,
            dispute(2, DisputeState.NEEDS_RESPONSE),
            dispute(3, DisputeState.UNDER_REVIEW),
            dispute(4, DisputeState.LOST),
            dispute(5, DisputeState.WON, won=True),
        ),
        PaymentStatus.SUCCEEDED,
    ),
    "refunded in part, then the rest disputed": Flow(
        (
            *CAPTURED,
            refund(2, SUCCEEDED, 250, paid_by="txn_r"),
            dispute(3, DisputeState.NEEDS_RESPONSE, 750),
            dispute(4, DisputeState.LOST, 750),
        ),
        PaymentStatus.CHARGED_BACK,
        [(OURS, 250)],
    ),
    "refunded in part, and yet all of it disputed": Flow(
        (
            *CAPTURED,
            refund(2, SUCCEEDED, 250, paid_by="txn_r"),
            dispute(3, DisputeState.NEEDS_RESPONSE, GROSS),
            dispute(4, DisputeState.LOST, GROSS),
        ),
        PaymentStatus.CHARGED_BACK,
        [(OURS, 250)],
    ),
}


@dataclass(frozen=True)
class Books:
    """Balances by account, and what was posted under each key."""

    balances: frozenset[tuple[str, int]] = frozenset()
    groups: frozenset[tuple[str, tuple[tuple[str, str, int], ...]]] = frozenset()

    def posted(self, drafts: Sequence[Draft]) -> "Books":
        balances, groups = dict(self.balances), dict(self.groups)
        for draft in drafts:
            assert draft.key not in groups, f"{draft.key} is posted twice"
            moves = [
                (line.debit.code, line.credit.code, line.amount) for line in draft.lines if isinstance(line, Line)
            ]
            if draft.undoes is not None:
                moves += [(credit, debit, amount) for debit, credit, amount in groups[draft.undoes]]
            groups[draft.key] = tuple(moves)
            for debit, credit, amount in moves:
                balances[debit] = balances.get(debit, 0) - amount
                balances[credit] = balances.get(credit, 0) + amount
        return Books(frozenset((code, sum_) for code, sum_ in balances.items() if sum_), frozenset(groups.items()))


@dataclass(frozen=True)
class Payment:
    """A payment as settlement keeps it, with its books."""

    known: Known
    returns: Returns
    charged: bool = False
    books: Books = field(default_factory=Books)

    def told(self, fact: Fact) -> "Payment":
        """Settle one fact."""
        known, charged_now = self.known, self.charged
        drafts: list[Draft] = []
        refunds, disputes = list(self.returns.refunds), list(self.returns.disputes)
        if isinstance(fact, PaymentFact):
            known, _ = fold(known, fact)
        elif isinstance(fact, ChargeFact):
            if not charged_now:
                settled = chart.charge if fact.currency == "USD" else chart.foreign_settlement
                drafts.append(
                    settled(
                        provider="sandbox",
                        balance_transaction=fact.balance_transaction,
                        asset=fact.currency,
                        gross=fact.gross,
                        provider_fee=fact.fee,
                        reference=PAYMENT,
                    )
                )
            charged_now = True
        else:
            take(refunds, disputes, [fact], lambda: THEIRS if isinstance(fact, RefundFact) else DISPUTE)
        captured = known.own_status is PaymentStatus.SUCCEEDED
        if captured and self.known.own_status is not PaymentStatus.SUCCEEDED:
            drafts.append(
                chart.capture(
                    payment=PAYMENT,
                    creator_id=CREATOR,
                    provider="sandbox",
                    asset="USD",
                    net=SPLIT.net,
                    fee=SPLIT.fee,
                    tax=SPLIT.tax,
                )
            )
        position = having(self.returns.position, captured=SPLIT if captured else None)
        after = Returns(position, tuple(refunds), tuple(disputes))
        followed, effects = follow(self.returns.refunds, after, START)
        refunded, pending, stand = standing(followed.refunds, followed.disputes)
        assert pending >= 0
        known = replace(known, refunded=refunded if captured else 0, dispute=stand)
        return Payment(known, remembered(followed), charged_now, self.books.posted([*drafts, *effects.drafts]))

    def matured(self) -> "Payment":
        """Let the earning mature as it stands, a tenth of it into the reserve."""
        position = self.returns.position
        left = SPLIT.net - position.returned.net
        reserve = left // 10
        draft = chart.earning(payment=PAYMENT, creator_id=CREATOR, asset="USD", net=left, reserve=reserve)
        position = replace(having(position, reserve=reserve), matured=True)
        books = self.books.posted([draft] if left else [])
        return replace(self, returns=replace(self.returns, position=position), books=books)

    def reserve_released(self) -> "Payment":
        """Let what is left in reserve go."""
        position = self.returns.position
        draft = chart.reserve_due(payment=PAYMENT, creator_id=CREATOR, asset="USD", amount=position.reserve)
        books = self.books.posted([draft] if position.reserve else [])
        position = replace(having(position, reserve=0), reserve_released=True)
        return replace(self, returns=replace(self.returns, position=position), books=books)

    def balance(self, kind: AccountKind) -> int:
        return dict(self.books.balances).get(chart.creator(kind, "USD", CREATOR).code, 0)


def having(position: Position, **changed: Any) -> Position:
    """Return a position with its one part changed."""
    (part,) = position.parts
    return replace(position, parts=(replace(part, **changed),))


def remembered(returns: Returns) -> Returns:
    """Return refunds and disputes as the tables keep them: without the currencies their lines were in."""
    refunds = (
        replace(entry, known=replace(entry.known, converted=None, return_converted=None))
        for entry in returns.refunds
    )
    disputes = (
        replace(entry, known=replace(entry.known, withdrawal_currency=None, reinstatement_currency=None))
        for entry in returns.disputes
    )
    return replace(returns, refunds=tuple(refunds), disputes=tuple(disputes))


def fresh(asked: Sequence[tuple[UUID, int]] = ()) -> Payment:
    """Return a payment that nothing was told of but what we asked for ourselves; that needed it captured."""
    position = Position(PAYMENT, "sandbox", "USD", (Part(PAYMENT, CREATOR, SPLIT if asked else None),))
    entries = []
    for identity, amount in asked:
        position, taken = set_aside(position, amount)
        entries.append(RefundEntry(identity, RefundKnown(amount, "USD"), taken))
    return Payment(Known(gross=GROSS, currency="USD"), Returns(position, tuple(entries)))


def ends(flow: Flow) -> set[Payment]:
    """Return every end that telling all facts of a flow can lead to, in any order and with any repetition."""
    everything = (1 << len(flow.facts)) - 1
    seen = {(0, fresh(flow.asked))}
    waiting = list(seen)
    while waiting:
        mask, payment = waiting.pop()
        for number, fact in enumerate(flow.facts):
            try:
                reached = (mask | 1 << number, payment.told(fact))
            except Premature:
                continue  # told again later
            if reached not in seen:
                seen.add(reached)
                waiting.append(reached)
    return {payment for mask, payment in seen if mask == everything}


@pytest.mark.parametrize("name", FLOWS)
def test_every_order_with_any_repetition_ends_in_one_status_and_one_ledger(name: str) -> None:
    flow = FLOWS[name]
    reached = ends(flow)

    assert {payment.known.status for payment in reached} == {flow.status}
    assert len({payment.books.balances for payment in reached}) == 1
    if name != "refunded in part, and yet all of it disputed":
        assert len({payment.books.groups for payment in reached}) == 1
    books = dict(next(iter(reached)).books.balances)
    assert chart.with_provider(AccountKind.CLEARING, "USD", "sandbox").code not in books, "clearing is at zero"


def test_longer_flow_told_in_thousands_of_orders_ends_in_one_ledger() -> None:
    facts = [
        paid(-1, ProviderState.PROCESSING),
        *CAPTURED,
        refund(2, PENDING, 100),
        refund(3, SUCCEEDED, 100, paid_by="txn_r"),
        refund(4, FAILED, 100, paid_by="txn_r", returned_by="txn_b"),
        refund(5, SUCCEEDED, 200, ours=OURS_TOO, paid_by="txn_s"),
        dispute(6, DisputeState.NEEDS_RESPONSE, 700),
        dispute(7, DisputeState.LOST, 700),
        dispute(8, DisputeState.WON, 700, won=True),
    ]
    chance = random.Random(7)
    reached = set()
    for _ in range(3_000):
        order = [*facts, *chance.choices(facts, k=5)]
        chance.shuffle(order)
        payment = fresh([(OURS, 100), (OURS_TOO, 200)])
        for fact in order:
            payment = payment.told(fact)
        reached.add((payment.known.status, payment.books))

    assert len(reached) == 1
    assert next(iter(reached))[0] is PaymentStatus.PARTIALLY_REFUNDED


def test_refund_that_fails_after_its_earning_matured_becomes_available() -> None:
    payment = fresh([(OURS, 333)])
    for fact in CAPTURED:
        payment = payment.told(fact)
    payment = payment.told(refund(2, SUCCEEDED, 333, paid_by="txn_r")).matured()
    kept = payment.balance(AccountKind.RESERVE)
    assert payment.balance(AccountKind.PENDING) == 0

    payment = payment.told(refund(4, FAILED, 333, paid_by="txn_r", returned_by="txn_b"))

    assert payment.balance(AccountKind.PENDING) == 0
    assert payment.balance(AccountKind.AVAILABLE) == SPLIT.net - kept
    assert payment.balance(AccountKind.OWED) == 0


@pytest.mark.parametrize("released", [False, True])
def test_dispute_takes_from_the_reserve_first_and_a_won_one_gives_back_what_is_due_by_then(released: bool) -> None:
    payment = fresh()
    for fact in CAPTURED:
        payment = payment.told(fact)
    payment = payment.matured()
    kept = payment.balance(AccountKind.RESERVE)
    assert kept == SPLIT.net // 10

    payment = payment.told(dispute(2, DisputeState.NEEDS_RESPONSE))
    assert payment.balance(AccountKind.RESERVE) == 0
    assert payment.balance(AccountKind.AVAILABLE) == 0
    if released:
        payment = payment.reserve_released()
    payment = payment.told(dispute(3, DisputeState.WON, won=True))

    assert payment.balance(AccountKind.RESERVE) == (0 if released else kept)
    assert payment.balance(AccountKind.AVAILABLE) == SPLIT.net - (0 if released else kept)
    assert payment.returns.position.returned == Split(0, 0, 0)


def test_refund_that_never_reached_the_provider_gives_back_what_it_had_set_aside() -> None:
    payment = fresh([(OURS, 333)])
    for fact in CAPTURED:
        payment = payment.told(fact)
    payment = payment.matured()
    assert payment.balance(AccountKind.PENDING) > 0, "what is set aside waits"

    (entry,) = payment.returns.refunds
    canceled = replace(entry, known=replace(entry.known, decided=RefundStatus.CANCELED))
    followed, effects = follow((entry,), replace(payment.returns, refunds=(canceled,)), START)

    assert [draft.key for draft in effects.drafts] == [f"earning:{PAYMENT}:{OURS}"]
    assert followed.position.returned == Split(0, 0, 0)
    assert effects.gave_back == []


@pytest.mark.parametrize(
    "wrong",
    [
        refund(3, SUCCEEDED, 334, paid_by="txn_r"),
        replace(refund(3, SUCCEEDED, 333), currency="EUR"),
        replace(refund(3, SUCCEEDED, 333), provider_reference="re_other"),
        refund(3, SUCCEEDED, 333, paid_by="txn_other"),
        dispute(3, DisputeState.NEEDS_RESPONSE, 999),
        replace(dispute(3, DisputeState.LOST), withdrawal=BalanceMove("txn_x", GROSS, 1500)),
    ],
)
def test_fact_that_cannot_be_true_is_a_contradiction(wrong: Fact) -> None:
    payment = fresh([(OURS, 333)])
    for fact in (*CAPTURED, refund(2, SUCCEEDED, 333, paid_by="txn_r"), dispute(2, DisputeState.NEEDS_RESPONSE)):
        payment = payment.told(fact)
    with pytest.raises(Contradiction):
        payment.told(wrong)


def test_disputes_are_of_the_payment_they_are_told_of() -> None:
    entries: list[DisputeEntry] = []
    take([], entries, [dispute(2, DisputeState.NEEDS_RESPONSE)], lambda: DISPUTE)
    take([], entries, [dispute(3, DisputeState.LOST)], lambda: UUID(int=99))
    assert [(entry.id, entry.known.state) for entry in entries] == [(DISPUTE, DisputeState.LOST)]


# What the provider converted ------------------------------------------------------------------------------


def euros(transaction: str, amount: int, fee: int = 0) -> BalanceMove:
    return BalanceMove(transaction, amount, fee, "EUR")


def converted_refund(second: int, state: RefundState, *, returned: bool = False) -> RefundFact:
    fact = refund(second, state, 333, paid_by="txn_r", returned_by="txn_b" if returned else None)
    back = euros("txn_b", 301) if returned else None
    return replace(fact, converted=euros("txn_r", 306, 2), return_converted=back)


def converted_dispute(second: int, state: DisputeState, *, won: bool = False) -> DisputeFact:
    fact = dispute(second, state)
    back = euros("txn_w", 915, 1000) if won else None
    return replace(fact, withdrawal=euros("txn_d", 920, 1400), reinstatement=back)


CHARGED_IN_EUROS = replace(charged(), gross=918, fee=28, currency="EUR")
# The flow; what is left in clearing and in suspense; and what stands of fees of the provider.
CONVERTED = {
    "charged": (Flow((paid(), CHARGED_IN_EUROS), PaymentStatus.SUCCEEDED), -GROSS, 918, (-28, 0)),
    "charged and refunded": (
        Flow(
            (paid(), CHARGED_IN_EUROS, refund(2, PENDING, 333), converted_refund(3, SUCCEEDED)),
            PaymentStatus.PARTIALLY_REFUNDED,
            [(OURS, 333)],
        ),
        333 - GROSS,
        918 - 306,
        (-30, 0),
    ),
    "refunded at the provider": (
        Flow(
            (*CAPTURED, replace(converted_refund(2, SUCCEEDED), reference=None)), PaymentStatus.PARTIALLY_REFUNDED
        ),
        333,
        -306,
        (-2, 0),
    ),
    "refunded, failed later": (
        Flow(
            (*CAPTURED, converted_refund(2, SUCCEEDED), converted_refund(3, FAILED, returned=True)),
            PaymentStatus.SUCCEEDED,
            [(OURS, 333)],
        ),
        0,
        -5,
        (-2, 0),
    ),
    "disputed": (
        Flow((*CAPTURED, converted_dispute(2, DisputeState.NEEDS_RESPONSE)), PaymentStatus.DISPUTED),
        GROSS,
        -920,
        (0, -1400),
    ),
    "disputed, lost, and won on appeal": (
        Flow(
            (
                *CAPTURED,
                converted_dispute(2, DisputeState.NEEDS_RESPONSE),
                converted_dispute(3, DisputeState.LOST),
                converted_dispute(4, DisputeState.WON, won=True),
            ),
            PaymentStatus.SUCCEEDED,
        ),
        0,
        -5,
        (0, -400),
    ),
}


@pytest.mark.parametrize("name", CONVERTED)
def test_what_was_converted_waits_in_suspense_in_every_order_and_the_rest_is_as_ever(name: str) -> None:
    flow, due, waiting, (provider_fees, dispute_fees) = CONVERTED[name]
    reached = ends(flow)

    assert {payment.known.status for payment in reached} == {flow.status}
    assert len({payment.books for payment in reached}) == 1
    books = dict(next(iter(reached)).books.balances)
    assert books.get("sandbox:clearing:USD", 0) == due
    assert books.get("platform:suspense:EUR", 0) == waiting
    assert books.get("platform:provider_fees:EUR", 0) == provider_fees
    assert books.get("platform:dispute_fees:EUR", 0) == dispute_fees
    # What came in and went out, and is still at the provider, is in euros.
    assert -books.get("sandbox:balance:EUR", 0) == waiting + provider_fees + dispute_fees
    same = ends(Flow([as_if_not_converted(fact) for fact in flow.facts], flow.status, flow.asked))
    of_the_creator = f"creator:{CREATOR}"
    for payment in (*reached, *same):
        creators = {code: amount for code, amount in payment.books.balances if code.startswith(of_the_creator)}
        assert creators == {code: amount for code, amount in books.items() if code.startswith(of_the_creator)}


def as_if_not_converted(fact: Fact) -> Fact:
    match fact:
        case ChargeFact():
            return charged()
        case RefundFact():
            return replace(fact, converted=None, return_converted=None)
        case DisputeFact():
            return dispute((fact.at - START).seconds, fact.state, won=fact.reinstatement is not None)
        case _:
            return fact


def told(*facts: Fact, asked: Sequence[tuple[UUID, int]] = ()) -> Payment:
    payment = fresh(asked)
    for fact in facts:
        payment = payment.told(fact)
    return payment


def test_line_is_posted_once_as_the_fact_that_named_it_first_says() -> None:
    plain = told(*CAPTURED, refund(2, SUCCEEDED, 333, paid_by="txn_r"), asked=[(OURS, 333)])
    assert plain.told(converted_refund(3, SUCCEEDED)).books == plain.books
    converted = told(*CAPTURED, converted_refund(2, SUCCEEDED), asked=[(OURS, 333)])
    assert converted.told(refund(3, SUCCEEDED, 333, paid_by="txn_r")).books == converted.books


def test_refund_that_came_back_in_the_payments_own_currency_waits_beside_what_had_left_in_another() -> None:
    back = replace(converted_refund(3, FAILED, returned=True), return_converted=None)
    books = dict(told(*CAPTURED, converted_refund(2, SUCCEEDED), back, asked=[(OURS, 333)]).books.balances)
    assert books["platform:suspense:EUR"] == -306
    assert books["platform:suspense:USD"] == 333
    assert "sandbox:clearing:USD" not in books


@pytest.mark.parametrize(
    "early", [converted_refund(2, SUCCEEDED), converted_dispute(2, DisputeState.NEEDS_RESPONSE)]
)
def test_what_was_converted_of_a_payment_not_yet_captured_is_told_again(early: Fact) -> None:
    with pytest.raises(Premature):
        fresh().told(early)


def test_dispute_withdrawn_in_its_own_currency_and_reinstated_in_another_is_for_a_person() -> None:
    taken = told(*CAPTURED, dispute(2, DisputeState.NEEDS_RESPONSE))
    won = replace(dispute(3, DisputeState.WON, won=True), reinstatement=euros("txn_w", 915))
    with pytest.raises(Contradiction, match="another currency"):
        taken.told(won)


def test_move_in_the_disputes_own_currency_is_none_that_was_converted() -> None:
    fact = replace(dispute(2, DisputeState.NEEDS_RESPONSE), withdrawal=BalanceMove("txn_d", GROSS, 1500, "USD"))
    assert told(*CAPTURED, fact).books == told(*CAPTURED, dispute(2, DisputeState.NEEDS_RESPONSE)).books


def test_what_was_converted_says_nothing_new_when_it_is_told_again() -> None:
    """So that a dispute or a refund is not taken for outdated, or written anew, each time it is looked up."""
    facts = (converted_refund(2, SUCCEEDED), converted_dispute(2, DisputeState.NEEDS_RESPONSE))
    payment = told(*CAPTURED, *facts, asked=[(OURS, 333)])
    for fact in facts:
        assert payment.told(fact) == payment
