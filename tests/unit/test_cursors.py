"""Cursors of streams: each names one place in one stream."""

import itertools
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.cursors import decode_cursor, encode_cursor
from core.ids import uuid7

STREAM = UUID("01890a5d-ac96-774b-bcce-b302099a8057")


@given(st.uuids(), st.integers(0, 2**63 - 1))
def test_cursor_leads_back_to_its_place(stream: UUID, place: int) -> None:
    cursor = encode_cursor(stream, place)

    assert decode_cursor(stream, cursor) == place
    assert cursor.isascii()
    assert "=" not in cursor


def test_cursor_of_another_stream_is_none() -> None:
    streams = [uuid7() for _ in range(1_000)]

    for stream, other in itertools.pairwise(streams):
        assert decode_cursor(other, encode_cursor(stream, 1)) is None


@given(st.text(max_size=40))
def test_any_text_is_a_cursor_or_none(text: str) -> None:
    place = decode_cursor(STREAM, text)

    assert place is None or 0 <= place <= 2**63 - 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "é",
        "====",
        "A" * 10_000,
        encode_cursor(STREAM, 1) + "AA",
        encode_cursor(STREAM, 1)[:-2],
        encode_cursor(STREAM, 1) + "\n",
        " " + encode_cursor(STREAM, 1),
        encode_cursor(STREAM, 2**64 - 1),
        encode_cursor(STREAM, 2**63),
    ],
    ids=lambda text: ascii(text)[:30],
)
def test_text_that_is_no_cursor_is_none(text: str) -> None:
    assert decode_cursor(STREAM, text) is None


def test_places_that_differ_have_cursors_that_differ() -> None:
    assert len({encode_cursor(STREAM, place) for place in range(10_000)}) == 10_000
