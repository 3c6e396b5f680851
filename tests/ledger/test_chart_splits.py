"""What goes back of a payment: to the last unit, whatever the order and whatever fails in between."""

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from uuid import UUID, uuid4

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.money import allocate
from ledger import AccountKind, AccountSpec, Draft, chart
from ledger.chart import Line, Return, Share, Split, give_back, refund_split

UNHURRIED = settings(deadline=None)
SCALES = {"JPY": 0, "USD": 2, "KWD": 3}
assets = st.sampled_from(sorted(SCALES))
creators = st.sampled_from([UUID(int=number) for number in range(1, 6)])


@st.composite
def splits(draw: st.DrawFn, asset: str) -> Split:
    """A payment of up to a million in the asset's main unit, as some fee and some tax divide it."""
    gross = draw(st.integers(1, 10 ** (6 + SCALES[asset])))
    fee = gross * draw(st.integers(0, 3_000)) // 10_000
    tax = (gross - fee) * draw(st.integers(0, 2_500)) // 10_000
    return Split(gross - fee - tax, fee, tax)


@st.composite
def refunds(draw: st.DrawFn, total: int) -> list[int]:
    """Amounts that sum to a total."""
    cuts = sorted(draw(st.lists(st.integers(0, total), max_size=8)))
    return [after - before for before, after in zip([0, *cuts], [*cuts, total], strict=True)]


parts_lists = st.lists(st.integers(0, 40), min_size=1, max_size=6).filter(any)


def unit_by_unit(parts: Sequence[int], amount: int, before: Sequence[int]) -> list[int]:
    """The rule itself: each unit to the part that is furthest behind its share."""
    after = list(before)
    for _ in range(amount):
        index = max(range(len(parts)), key=lambda i: (Fraction(parts[i], 2 * after[i] + 1), i))
        after[index] += 1
    return [now - back for now, back in zip(after, before, strict=True)]


def difference(after: Split, before: Split) -> Split:
    return Split(after.net - before.net, after.fee - before.fee, after.tax - before.tax)


def total(*of: Split) -> Split:
    return Split(sum(s.net for s in of), sum(s.fee for s in of), sum(s.tax for s in of))


@UNHURRIED
@given(st.data(), assets)
def test_refunds_of_all_give_back_each_part_exactly(data: st.DataObject, asset: str) -> None:
    payment = data.draw(splits(asset))
    returned = Split(0, 0, 0)
    for amount in data.draw(refunds(payment.gross)):
        part = refund_split(payment, amount, returned)
        assert part.gross == amount
        assert min(part.net, part.fee, part.tax) >= 0
        returned = total(returned, part)
        assert returned.net <= payment.net
        assert returned.fee <= payment.fee
        assert returned.tax <= payment.tax
        # Never a whole unit away from the exact share.
        for back, whole in ((returned.net, payment.net), (returned.fee, payment.fee), (returned.tax, payment.tax)):
            assert abs(back * payment.gross - whole * returned.gross) < payment.gross
    assert returned == payment


@UNHURRIED
@given(st.data(), assets)
def test_many_refunds_divide_as_one(data: st.DataObject, asset: str) -> None:
    payment = data.draw(splits(asset))
    returned = Split(0, 0, 0)
    for amount in data.draw(refunds(payment.gross)):
        returned = total(returned, refund_split(payment, amount, returned))
        assert returned == refund_split(payment, returned.gross)


@UNHURRIED
@given(st.data(), assets)
def test_refunds_that_failed_leave_no_trace_in_the_end(data: st.DataObject, asset: str) -> None:
    payment = data.draw(splits(asset))
    standing: list[Split] = []
    for _ in range(data.draw(st.integers(1, 6))):
        returned = total(*standing)
        amount = data.draw(st.integers(0, payment.gross - returned.gross))
        standing.append(refund_split(payment, amount, returned))
        if data.draw(st.booleans()):
            standing.pop(data.draw(st.integers(0, len(standing) - 1)))
    returned = total(*standing)
    rest = refund_split(payment, payment.gross - returned.gross, returned)
    assert rest == difference(payment, returned)
    assert min(rest.net, rest.fee, rest.tax) >= 0


@UNHURRIED
@given(st.data(), parts_lists)
def test_outcome_is_that_of_giving_back_unit_by_unit(data: st.DataObject, parts: list[int]) -> None:
    before = [data.draw(st.integers(0, part)) for part in parts]
    amount = data.draw(st.integers(0, sum(parts) - sum(before)))
    assert give_back(parts, amount, before) == unit_by_unit(parts, amount, before)


def test_many_small_parts_are_not_passed_over_for_a_large_one() -> None:
    parts = [8_400, *[160] * 10]
    given_back = give_back(parts, 100)
    assert given_back == unit_by_unit(parts, 100, [0] * 11) == [80, *[2] * 10]


@UNHURRIED
@example([6, 6, 2])
@given(parts_lists)
def test_no_refund_pays_in(parts: list[int]) -> None:
    returned = [0] * len(parts)
    for _ in range(sum(parts)):
        part = give_back(parts, 1, returned)
        assert sorted(part) == [0] * (len(parts) - 1) + [1]
        returned = [back + unit for back, unit in zip(returned, part, strict=True)]
    assert returned == parts


def test_largest_remainder_would_have_a_refund_pay_in() -> None:
    """Why the rule is another: with it, the tax on 11 units is less than the tax on 10."""
    assert allocate(10, [6, 6, 2])[2] == 2
    assert allocate(11, [6, 6, 2])[2] == 1


@UNHURRIED
@given(st.data())
def test_amounts_as_large_as_the_books_hold_are_divided_exactly(data: st.DataObject) -> None:
    parts = data.draw(st.lists(st.integers(0, 10**37), min_size=1, max_size=9))
    before = [data.draw(st.integers(0, part)) for part in parts]
    amount = data.draw(st.integers(0, sum(parts) - sum(before)))
    given_back = give_back(parts, amount, before)
    assert sum(given_back) == amount
    for part, back, now in zip(parts, before, given_back, strict=True):
        assert 0 <= now <= part - back


@pytest.mark.parametrize(
    ("amount", "returned"),
    [(-1, [0, 0]), (11, [0, 0]), (6, [3, 2]), (1, [-1, 0]), (0, [8, 0]), (1, [0]), (1, [0, 0, 0])],
)
def test_what_cannot_be_given_back_is_refused(amount: int, returned: list[int]) -> None:
    with pytest.raises(ValueError, match=r"returned|left"):
        give_back([7, 3], amount, returned)


def test_fee_goes_back_before_the_net_where_both_are_owed_as_much() -> None:
    assert refund_split(Split(2, 2, 0), 1) == Split(0, 1, 0)


def fold(*drafts: Draft) -> Counter[AccountSpec]:
    """What drafts leave on each account, where every debit has enough."""
    balances: Counter[AccountSpec] = Counter()
    for draft in drafts:
        for line in draft.lines:
            assert isinstance(line, Line)
            assert line.amount > 0
            balances[line.debit] -= line.amount
            balances[line.credit] += line.amount
    return balances


@UNHURRIED
@given(st.data(), assets, st.lists(creators, min_size=1, max_size=5))
def test_order_over_several_creators_is_captured_and_given_back_to_the_last_unit(
    data: st.DataObject, asset: str, owners: list[UUID]
) -> None:
    of = [data.draw(splits(asset)) for _ in owners]
    gross = sum(split.gross for split in of)
    shares = [Share(owner, split, uuid4()) for owner, split in zip(owners, of, strict=True)]
    captured = chart.capture_order(payment=uuid4(), provider="sandbox", asset=asset, shares=shares)
    charged = chart.charge(provider="sandbox", balance_transaction="txn", asset=asset, gross=gross, provider_fee=0)
    assert not any(
        balance for spec, balance in fold(captured, charged).items() if spec.kind is AccountKind.CLEARING
    )

    drafts = [captured]
    flat = [part for split in of for part in (split.net, split.fee, split.tax)]
    returned = [0] * len(flat)
    for amount in data.draw(refunds(gross)):
        parts = give_back(flat, amount, returned)
        returned = [back + now for back, now in zip(returned, parts, strict=True)]
        returns = [
            Return(owner, Split(*parts[3 * i : 3 * i + 3]), AccountKind.PENDING) for i, owner in enumerate(owners)
        ]
        refund = chart.refund(refund=uuid4(), provider="sandbox", asset=asset, returns=returns)
        assert sum(line.amount for line in refund.lines if isinstance(line, Line)) == amount
        drafts.append(refund)
    assert not any(fold(*drafts).values())
