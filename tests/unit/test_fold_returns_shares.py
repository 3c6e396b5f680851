"""What goes back of a payment for several creators comes out of their shares, each unit of it once."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.refunds import RefundStatus
from ledger import AccountKind, Line, chart
from ledger.chart import Split
from providers.payments.base import BalanceMove, DisputeState, RefundState
from services.fold import (
    DisputeEntry,
    DisputeKnown,
    Of,
    Part,
    Position,
    RefundEntry,
    RefundKnown,
    Returns,
    Taken,
    captured_splits,
    follow,
    set_aside,
)

PAYMENT = UUID(int=1)
AT = datetime(2026, 5, 4, 12, tzinfo=UTC)
NOTHING = Split(0, 0, 0)


def share(number: int) -> UUID:
    return UUID(int=100 + number)


def creator(number: int) -> UUID:
    return UUID(int=200 + number)


def position(*splits: Split, reserves: tuple[int, ...] = (), matured: bool = False) -> Position:
    kept = reserves or (0,) * len(splits)
    parts = (Part(share(n), creator(n), split, reserve=kept[n]) for n, split in enumerate(splits))
    return Position(PAYMENT, "sandbox", "USD", tuple(parts), matured=matured)


def of(number: int, amount: int, tax: int) -> Of:
    return Of(creator(number), amount, tax)


def divided(taken: Taken) -> dict[UUID, Split]:
    return {part.id: part.split for part in taken.parts}


FIRST, SECOND = Split(net=900, fee=60, tax=40), Split(net=450, fee=30, tax=20)


# What is asked of one share -----------------------------------------------------------------------------------


def test_lines_that_go_back_take_exactly_their_tax_and_the_rest_of_net_and_fee() -> None:
    after, taken = set_aside(position(FIRST, SECOND), 500, [of(0, 500, 20)])

    assert divided(taken) == {share(0): Split(net=450, fee=30, tax=20)}
    assert [part.returned for part in after.parts] == [Split(450, 30, 20), NOTHING]


def test_lines_of_two_creators_go_back_in_one_refund() -> None:
    _, taken = set_aside(position(FIRST, SECOND), 600, [of(0, 100, 40), of(1, 500, 20)])

    assert divided(taken)[share(1)] == SECOND
    assert divided(taken)[share(0)].tax == 40
    assert divided(taken)[share(0)].gross == 100


def test_refund_that_names_nobody_is_divided_over_all_parts_alike() -> None:
    _, taken = set_aside(position(FIRST, SECOND), 750)

    assert divided(taken) == {share(0): Split(450, 30, 20), share(1): Split(225, 15, 10)}


def test_share_that_gave_more_before_gives_less_when_all_are_asked() -> None:
    before, _ = set_aside(position(FIRST, SECOND), 1_000, [of(0, 1_000, 40)])

    _, taken = set_aside(before, 100)

    assert divided(taken) == {share(1): Split(90, 6, 4)}


@pytest.mark.parametrize(
    ("asked", "taken_of_first"),
    [
        # Of its tax a proportional refund took half already.
        (of(0, 100, 40), Split(75, 5, 20)),
        # More than is left of it: all of it, and the rest comes out of the other.
        (of(0, 900, 40), Split(450, 30, 20)),
        # Net and fee have less than that: tax bears it.
        (of(0, 500, 0), Split(450, 30, 20)),
    ],
)
def test_share_that_has_too_little_left_gives_what_it_has(asked: Of, taken_of_first: Split) -> None:
    before, _ = set_aside(position(FIRST, SECOND), 750)

    after, taken = set_aside(before, asked.amount, [asked])

    assert divided(taken)[share(0)] == taken_of_first
    assert taken.split.gross == min(asked.amount, 750)
    assert after.left == 750 - taken.split.gross


def test_part_that_is_nobodys_is_taken_out_of_everything() -> None:
    _, taken = set_aside(position(FIRST, SECOND), 750, [of(7, 750, 0)])

    assert taken.split == Split(675, 45, 30)


def test_payment_of_one_creator_takes_what_is_named_of_itself() -> None:
    alone = Position(PAYMENT, "sandbox", "USD", (Part(PAYMENT, creator(0), FIRST),))

    _, taken = set_aside(alone, 500, [of(0, 500, 40)])

    assert divided(taken) == {PAYMENT: Split(net=431, fee=29, tax=40)}


def test_more_than_is_named_comes_out_of_everything() -> None:
    _, taken = set_aside(position(FIRST, SECOND), 600, [of(1, 500, 20)])

    assert divided(taken) == {share(0): Split(90, 6, 4), share(1): SECOND}


def test_dispute_beyond_what_is_left_takes_all_of_each() -> None:
    before, _ = set_aside(position(FIRST, SECOND), 250, [of(1, 250, 5)])

    after, taken = set_aside(before, 1_500)

    assert taken.split.gross == 1_250
    assert after.left == 0
    assert [part.returned for part in after.parts] == [FIRST, SECOND]


def test_nothing_is_set_aside_of_what_was_not_captured() -> None:
    open_ = Position(PAYMENT, "sandbox", "USD", (Part(share(0), creator(0), None),))

    with pytest.raises(ValueError, match="not captured"):
        set_aside(open_, 1)


def test_each_share_gives_out_of_its_own_reserve_first() -> None:
    after, taken = set_aside(position(FIRST, SECOND, reserves=(90, 0), matured=True), 750)

    assert [part.from_reserve for part in taken.parts] == [90, 0]
    assert taken.taken_from is AccountKind.AVAILABLE
    assert [part.reserve for part in after.parts] == [0, 0]


# Whatever happens ---------------------------------------------------------------------------------------------

amounts = st.integers(0, 300)
splits = st.builds(Split, net=st.integers(1, 2_000), fee=amounts, tax=amounts)


@given(st.data(), st.lists(splits, min_size=1, max_size=4))
@settings(max_examples=300, deadline=None)
def test_each_unit_is_accounted_for_whatever_goes_back_and_comes_again(
    data: st.DataObject, whole: list[Split]
) -> None:
    now = position(*whole)
    total = sum(split.gross for split in whole)
    standing: list[Taken] = []
    for _ in range(data.draw(st.integers(1, 8))):
        if standing and data.draw(st.booleans()):
            back = standing.pop(data.draw(st.integers(0, len(standing) - 1)))
            now = given_back(now, back)
        else:
            named = data.draw(
                st.none()
                | st.lists(
                    st.builds(of, st.integers(0, len(whole)), st.integers(0, 800), st.integers(0, 800)), max_size=3
                )
            )
            before = now.left
            amount = data.draw(st.integers(0, before + 50))
            now, taken = set_aside(now, amount, named)
            assert taken.split.gross == min(amount, before)
            assert now.left == before - taken.split.gross
            standing.append(taken)
        assert now.returned == total_of(standing)
        for part in now.parts:
            captured = part.captured
            assert captured is not None
            for one, other in zip(
                (part.returned.net, part.returned.fee, part.returned.tax),
                (captured.net, captured.fee, captured.tax),
                strict=True,
            ):
                assert 0 <= one <= other

    ended, rest = set_aside(now, total)

    assert rest.split.gross == now.left
    assert [part.returned for part in ended.parts] == whole


def given_back(before: Position, back: Taken) -> Position:
    """Return a position after a refund that never reached its provider gave back what it had set aside."""
    entry = RefundEntry(UUID(int=3), RefundKnown(back.split.gross, "USD", decided=RefundStatus.CANCELED), back)
    followed, effects = follow((entry,), Returns(before, (entry,)), AT)
    assert effects.drafts == []
    return followed.position


def total_of(standing: list[Taken]) -> Split:
    taken = [each.split for each in standing]
    return Split(sum(s.net for s in taken), sum(s.fee for s in taken), sum(s.tax for s in taken))


@given(st.lists(splits, min_size=1, max_size=4), st.data())
def test_what_is_captured_in_part_divides_over_all_shares_to_the_unit(
    whole: list[Split], data: st.DataObject
) -> None:
    total = sum(split.gross for split in whole)
    captured = data.draw(st.integers(0, total))

    parts = captured_splits(whole, captured)

    assert sum(part.gross for part in parts) == captured
    for part, split in zip(parts, whole, strict=True):
        assert part.net <= split.net
        assert part.fee <= split.fee
        assert part.tax <= split.tax
    assert captured_splits(whole, total) == whole


# What is posted -----------------------------------------------------------------------------------------------


def moves(lines: tuple[object, ...]) -> list[tuple[str, int]]:
    return [(line.debit.code, line.amount) for line in lines if isinstance(line, Line)]


def account(kind: AccountKind, number: int) -> str:
    return chart.creator(kind, "USD", creator(number)).code


def test_refund_of_both_is_one_group_and_its_failure_gives_each_their_own_again() -> None:
    refund = UUID(int=3)
    known = RefundKnown(750, "USD", "re_1", RefundState.SUCCEEDED, AT)

    told, effects = follow((), Returns(position(FIRST, SECOND), (RefundEntry(refund, known),)), AT)

    (group,) = effects.drafts
    assert moves(group.lines) == [
        (account(AccountKind.PENDING, 0), 450),
        ("platform:fees:USD", 30),
        ("platform:tax_payable:USD", 20),
        (account(AccountKind.PENDING, 1), 225),
        ("platform:fees:USD", 15),
        ("platform:tax_payable:USD", 10),
    ]
    failed = replace(told.refunds[0], known=replace(known, state=RefundState.FAILED))
    later = Returns(replace(told.position, matured=True), (failed,))

    ended, effects = follow(told.refunds, later, AT)

    assert [draft.key for draft in effects.drafts] == [
        f"refund:{refund}:failed",
        f"earning:{share(0)}:{refund}",
        f"earning:{share(1)}:{refund}",
    ]
    assert [(by, part.creator_id) for by, part in effects.gave_back] == [
        (refund, creator(0)),
        (refund, creator(1)),
    ]
    assert ended.position.returned == NOTHING


def test_refund_of_one_creators_lines_concerns_nobody_else() -> None:
    start, taken = set_aside(position(FIRST, SECOND), 500, [of(1, 500, 20)])
    known = RefundKnown(500, "USD", "re_1", RefundState.FAILED, AT)

    _, effects = follow((), Returns(start, (RefundEntry(UUID(int=3), known, taken),)), AT)

    assert {code for draft in effects.drafts for code, _ in moves(draft.lines) if "creator" in code} == {
        account(AccountKind.PENDING, 1)
    }
    assert [part.id for _, part in effects.gave_back] == [share(1)]


def test_dispute_that_is_won_gives_each_share_its_reserve_again() -> None:
    taken_by = BalanceMove("txn_d", 1_500, 15)
    open_ = DisputeKnown(1_500, "USD", "dp_1", DisputeState.NEEDS_RESPONSE, AT, "fraudulent", withdrawal=taken_by)
    start = position(FIRST, SECOND, reserves=(90, 45), matured=True)
    lost, effects = follow((), Returns(start, disputes=(DisputeEntry(UUID(int=4), open_),)), AT)
    assert lost.position.reserve == 0
    (group,) = effects.drafts
    assert (account(AccountKind.RESERVE, 1), 45) in moves(group.lines)

    won = replace(open_, state=DisputeState.WON, reinstatement=BalanceMove("txn_w", 1_500, 15))
    again = replace(lost.disputes[0], known=won)
    ended, effects = follow((), Returns(lost.position, disputes=(again,)), AT)

    assert [part.reserve for part in ended.position.parts] == [90, 45]
    assert len(effects.gave_back) == 2
