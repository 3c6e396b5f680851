"""Counting what really overlapped in a race."""

from itertools import starmap

from hypothesis import given
from hypothesis import strategies as st

from races.overlap import Interval, Overlap, overlap


def counted(*intervals: tuple[float, float]) -> Overlap:
    return overlap(starmap(Interval, intervals))


def test_nothing_overlaps_nothing() -> None:
    assert counted() == Overlap(0, 0, 0)
    assert counted((1, 2)) == Overlap(1, 1, 0)


def test_one_after_another_do_not_overlap_even_if_one_is_sent_in_the_moment_of_an_answer() -> None:
    assert counted((1, 2), (2, 3), (4, 5)) == Overlap(3, 1, 0)


def test_requests_sent_in_the_same_moment_overlap() -> None:
    assert counted((1, 2), (1, 3), (1, 4)) == Overlap(3, 3, 3)


def test_a_chain_overlaps_without_ever_being_more_than_two_at_once() -> None:
    assert counted((1, 3), (2, 5), (4, 7), (6, 8)) == Overlap(4, 2, 4)


def test_a_long_request_overlaps_all_that_come_and_go_within_it() -> None:
    assert counted((1, 10), (2, 3), (4, 5), (6, 7), (11, 12)) == Overlap(5, 2, 4)


def test_order_in_which_they_are_told_does_not_matter() -> None:
    assert counted((6, 7), (1, 10), (11, 12), (4, 5), (2, 3)) == counted((1, 10), (2, 3), (4, 5), (6, 7), (11, 12))


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 10)).map(lambda at: (at[0], at[0] + at[1])), max_size=12)
)
def test_counts_are_those_of_comparing_each_with_each(intervals: list[tuple[int, int]]) -> None:
    def meet(one: tuple[int, int], other: tuple[int, int]) -> bool:
        return one[0] < other[1] and other[0] < one[1]

    overlapped = sum(
        any(meet(one, other) for place, other in enumerate(intervals) if place != number)
        for number, one in enumerate(intervals)
    )
    # The most are in flight right after some request was sent.
    most = max(
        (sum(sent <= moment < answered for sent, answered in intervals) for moment, _ in intervals), default=0
    )

    assert counted(*intervals) == Overlap(len(intervals), most, overlapped)
