"""A payment is a fold of facts: told late, twice and in any order, they end in the same."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.payments import PaymentStatus
from providers.payments.base import PaymentFact, ProviderState
from services.fold import Contradiction, Known, fold

REFERENCE = UUID("01890000-0000-7000-8000-000000000000")
START = datetime(2026, 5, 4, 12, tzinfo=UTC)
CREATED = Known(gross=500, currency="USD")


def fact(second: float, state: ProviderState, **given: object) -> PaymentFact:
    captured = 500 if state is ProviderState.SUCCEEDED else 0
    return PaymentFact(
        reference=REFERENCE,
        provider_reference="sbx_1",
        state=state,
        at=START + timedelta(seconds=second),
        amount=500,
        currency="USD",
        **{"captured": captured, **given},
    )


def waits(second: float) -> PaymentFact:
    return fact(second, ProviderState.REQUIRES_METHOD)


def declined(second: float, code: str = "DECLINED") -> PaymentFact:
    return fact(second, ProviderState.REQUIRES_METHOD, decline_code=code)


def asks(second: float) -> PaymentFact:
    return fact(second, ProviderState.REQUIRES_ACTION, action_url="https://bank.test/3ds")


def processes(second: float) -> PaymentFact:
    return fact(second, ProviderState.PROCESSING)


def reserves(second: float) -> PaymentFact:
    return fact(second, ProviderState.AUTHORIZED, authorized=500)


def succeeds(second: float) -> PaymentFact:
    return fact(second, ProviderState.SUCCEEDED)


def cancels(second: float) -> PaymentFact:
    return fact(second, ProviderState.CANCELED)


FLOWS: dict[str, tuple[tuple[PaymentFact, ...], PaymentStatus, str | None]] = {
    "waits": ((waits(0),), PaymentStatus.PENDING, None),
    "paid": ((waits(0), processes(1), succeeds(2)), PaymentStatus.SUCCEEDED, None),
    "paid, the answer and the event at one instant": (
        (waits(0), processes(2), succeeds(2)),
        PaymentStatus.SUCCEEDED,
        None,
    ),
    "declined": ((waits(0), declined(1)), PaymentStatus.FAILED, "DECLINED"),
    "declined within the second it was made": ((waits(0), declined(0)), PaymentStatus.FAILED, "DECLINED"),
    "declined twice": (
        (waits(0), declined(1), declined(2, "INSUFFICIENT_FUNDS")),
        PaymentStatus.FAILED,
        "INSUFFICIENT_FUNDS",
    ),
    "declined, then paid": ((waits(0), declined(1), processes(2), succeeds(3)), PaymentStatus.SUCCEEDED, None),
    "authenticated": ((waits(0), asks(1), processes(2), succeeds(3)), PaymentStatus.SUCCEEDED, None),
    "waits for its payer": ((waits(0), declined(1), asks(2)), PaymentStatus.REQUIRES_ACTION, None),
    "authentication refused": (
        (waits(0), asks(1), declined(2, "AUTHENTICATION_FAILED")),
        PaymentStatus.FAILED,
        "AUTHENTICATION_FAILED",
    ),
    "processing": ((waits(0), asks(1), processes(2)), PaymentStatus.PROCESSING, None),
    "reserved": ((waits(0), asks(1), reserves(2)), PaymentStatus.AUTHORIZED, None),
    "reserved, then captured": ((waits(0), reserves(1), succeeds(2)), PaymentStatus.SUCCEEDED, None),
    "cancelled": ((waits(0), declined(1), cancels(2)), PaymentStatus.CANCELED, None),
    "cancelled, and paid all the same": ((waits(0), cancels(1), succeeds(2)), PaymentStatus.SUCCEEDED, None),
    "paid, and told of again later": ((waits(0), succeeds(1), succeeds(9)), PaymentStatus.SUCCEEDED, None),
    "everything within one second": (
        (waits(0), asks(0), processes(0), succeeds(0)),
        PaymentStatus.SUCCEEDED,
        None,
    ),
    "states within one second, not ended": ((waits(0), asks(0), processes(0)), PaymentStatus.PROCESSING, None),
}


def _orders(facts: Sequence[PaymentFact]) -> Iterator[tuple[PaymentFact, ...]]:
    """Return every order of the facts told twice each; a repeat is no different from the first."""
    if not facts:
        yield ()
        return
    seen: set[int] = set()
    for place, first in enumerate(facts):
        if id(first) not in seen:
            seen.add(id(first))
            for rest in _orders([*facts[:place], *facts[place + 1 :]]):
                yield (first, *rest)


def _folded(facts: Sequence[PaymentFact]) -> Known:
    known = CREATED
    for told in facts:
        known, _ = fold(known, told)
    return known


@pytest.mark.parametrize("flow", FLOWS)
def test_every_order_with_every_fact_told_twice_ends_in_the_same(flow: str) -> None:
    facts, status, reason = FLOWS[flow]
    expected = _folded(facts)
    assert (expected.status, expected.reason) == (status, reason)

    orders = 0
    for order in _orders([*facts, *facts]):
        orders += 1
        assert _folded(order) == expected
    assert orders == {1: 1, 2: 6, 3: 90, 4: 2_520}[len(facts)]


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(ProviderState)), min_size=1, max_size=7), st.randoms()
)
def test_any_facts_in_any_order_end_in_the_same(told: list[tuple[int, ProviderState]], random: object) -> None:
    facts = list(itertools.starmap(fact, told))
    shuffled = [*facts, *facts]
    random.shuffle(shuffled)  # type: ignore[attr-defined] # Hypothesis' own Random

    assert _folded(shuffled) == _folded(facts)


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(ProviderState)), min_size=1, max_size=7))
def test_payment_that_ended_never_goes_back(told: list[tuple[int, ProviderState]]) -> None:
    known = CREATED
    for second, state in told:
        before = known.status
        known, _ = fold(known, fact(second, state))
        if before is PaymentStatus.SUCCEEDED:
            assert known.status is PaymentStatus.SUCCEEDED
        if before is PaymentStatus.CANCELED:
            assert known.status in {PaymentStatus.CANCELED, PaymentStatus.SUCCEEDED}
        assert known.captured in {0, 500}


def test_fact_told_again_changes_nothing() -> None:
    for facts, _, _ in FLOWS.values():
        known = _folded(facts)
        for told in facts:
            assert fold(known, told) == (known, False) or known.at == told.at


def test_captured_and_authorised_only_grow() -> None:
    known = _folded([waits(0), fact(2, ProviderState.AUTHORIZED, authorized=500)])

    later, _ = fold(known, fact(3, ProviderState.AUTHORIZED, authorized=200, captured=300))
    last, _ = fold(later, fact(4, ProviderState.AUTHORIZED, authorized=0, captured=0))

    assert (later.authorized, later.captured) == (500, 300)
    assert (last.authorized, last.captured) == (500, 300)


# Ties -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second"),
    list(itertools.permutations([waits(1), declined(1), asks(1), processes(1), reserves(1)], 2)),
    ids=lambda told: f"{told.state.value} {told.decline_code or ''}",
)
def test_two_states_of_one_instant_are_a_tie(first: PaymentFact, second: PaymentFact) -> None:
    known, _ = fold(CREATED, first)

    assert fold(known, second)[1] is True


def test_states_of_two_instants_and_repeats_are_no_tie() -> None:
    for told in ([waits(0), declined(1)], [asks(1), asks(1)], [processes(2), asks(1)], [declined(1), declined(1)]):
        known = CREATED
        for one in told:
            known, tie = fold(known, one)
            assert tie is False


def test_end_is_never_in_a_tie() -> None:
    for end in (succeeds(1), cancels(1)):
        for other in (waits(1), declined(1), asks(1), processes(1)):
            for order in ((end, other), (other, end)):
                known, _ = fold(CREATED, order[0])
                assert fold(known, order[1])[1] is False


# What is not known ------------------------------------------------------------------------------------------


def test_payment_of_no_facts_is_created_and_one_being_looked_up_is_reconciling() -> None:
    assert CREATED.status is PaymentStatus.CREATED
    assert replace(CREATED, reconciling=True).status is PaymentStatus.RECONCILING


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        ([waits(0)], PaymentStatus.RECONCILING),
        ([waits(0), processes(1)], PaymentStatus.RECONCILING),
        ([waits(0), declined(1)], PaymentStatus.RECONCILING),
        ([waits(0), succeeds(1)], PaymentStatus.SUCCEEDED),
        ([waits(0), cancels(1)], PaymentStatus.CANCELED),
    ],
    ids=["waits", "processes", "declined", "succeeded", "canceled"],
)
def test_what_is_being_looked_up_is_reconciling_unless_it_has_ended(
    facts: list[PaymentFact], status: PaymentStatus
) -> None:
    known = replace(_folded(facts), reconciling=True)

    assert known.status is status
    assert known.reason is None


# Contradictions ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changed",
    [
        {"amount": 501},
        {"amount": 0},
        {"currency": "EUR"},
        {"currency": "usd"},
        {"provider_reference": "sbx_2"},
        {"captured": 501},
        {"captured": -1},
        {"authorized": 501},
        {"authorized": -1},
    ],
    ids=str,
)
@pytest.mark.parametrize("state", ProviderState)
def test_fact_that_cannot_be_true_is_a_contradiction(changed: dict[str, object], state: ProviderState) -> None:
    known = _folded([waits(0), processes(1)])

    with pytest.raises(Contradiction):
        fold(known, replace(fact(2, state), **changed))


def test_first_fact_names_the_provider_object() -> None:
    assert CREATED.provider_reference is None
    assert fold(CREATED, waits(0))[0].provider_reference == "sbx_1"
