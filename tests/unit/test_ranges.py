"""Which bytes of a file a request gets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ranges import Span, span_of

ETAG = '"0123"'


def span(asked: str | None, if_range: str | None = None, size: int = 100) -> Span | None:
    return span_of(asked, if_range, size=size, etag=ETAG)


WHOLE = Span(0, 100, 100, part=False)


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, 100),
        ("bytes=10-19", 10, 20),
        ("bytes=99-", 99, 100),
        ("bytes=90-1000", 90, 100),
        ("bytes=0-99999999999999999999999999999999999999", 0, 100),
        ("bytes=-1", 99, 100),
        ("bytes=-100", 0, 100),
        ("bytes=-1000", 0, 100),
        ("Bytes= 10-19 ", 10, 20),
    ],
)
def test_a_range_within_the_file_is_a_part(asked: str, start: int, end: int) -> None:
    assert span(asked) == Span(start, end, 100, part=True)


def test_a_part_says_where_it_is() -> None:
    found = span("bytes=10-19")

    assert found is not None
    assert (found.content_range, found.length) == ("bytes 10-19/100", 10)


@pytest.mark.parametrize("asked", ["bytes=100-", "bytes=100-200", "bytes=500-", "bytes=-0"])
def test_a_range_beyond_the_file_is_not_satisfiable(asked: str) -> None:
    assert span(asked) is None


@pytest.mark.parametrize(
    "asked",
    [
        None,
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=5",
        "bytes=9-5",
        "bytes=1-2-3",
        "bytes=+1-2",
        "bytes=٣-٤",
        "bytes=0-1,5-6",
        "items=0-1",
        f"bytes={'9' * 5000}-",
    ],
)
def test_what_is_no_single_range_of_bytes_is_answered_with_all_of_it(asked: str | None) -> None:
    assert span(asked) == WHOLE


@pytest.mark.parametrize("if_range", ['"other"', f"W/{ETAG}", "Sat, 01 Jan 2028 00:00:00 GMT", ""])
def test_a_range_of_another_version_is_answered_with_all_of_it(if_range: str) -> None:
    assert span("bytes=10-19", if_range) == WHOLE
    assert span("bytes=500-", if_range) == WHOLE


def test_a_range_of_this_version_is_a_part() -> None:
    assert span("bytes=10-19", ETAG) == Span(10, 20, 100, part=True)


@given(asked=st.text() | st.from_regex(r"bytes=[0-9]{0,3}-[0-9]{0,3}", fullmatch=True), size=st.integers(1, 500))
def test_whatever_is_asked_for_stays_within_the_file(asked: str, size: int) -> None:
    found = span(asked, size=size)

    assert found is None or 0 <= found.start < found.end <= size == found.size
