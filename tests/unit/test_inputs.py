"""What is refused whatever an operation asks for."""

from typing import Any

import pytest
from graphql import parse
from hypothesis import given
from hypothesis import strategies as st

from app.inputs import refusal_of_document, refusal_of_variables
from core.errors import ErrorCode

CARD = "4242424242424242"
harmless = st.recursive(
    st.none() | st.booleans() | st.integers(0, 10**6) | st.text("abc \u00e9\U0001f389"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab"), inner, max_size=4),
    max_leaves=20,
)


@given(harmless)
def test_harmless_variables_are_not_refused(value: object) -> None:
    assert refusal_of_variables({"value": value}) is None


@pytest.mark.parametrize("variables", [None, {}, {"a": None}, {"a": 0.5}, {"a": -1}, {"a": 1e300}, {"a": []}])
def test_empty_or_plain_variables_are_not_refused(variables: object) -> None:
    assert refusal_of_variables(variables) is None


@pytest.mark.parametrize("card", [CARD, int(CARD), float(CARD), f"a {CARD} b", "4242 4242-4242 4242"])
def test_card_number_is_found_at_any_depth(card: object) -> None:
    for value in (card, [card], {"a": card}, {"a": [{"b": ["x", card]}]}, [[], {}, [card]]):
        assert _code({"input": value}) is ErrorCode.CARD_NUMBER_REFUSED
    assert _code({CARD: 1}) is ErrorCode.CARD_NUMBER_REFUSED


@pytest.mark.parametrize("text", ["\0", "a\0b", "\ud800", "a\udfffb"])
def test_text_that_cannot_be_stored_is_found_at_any_depth(text: str) -> None:
    for value in (text, [text], {"a": [{"b": text}]}, {text: 1}):
        assert _code({"input": value}) is ErrorCode.INPUT_INVALID


def test_card_number_counts_for_more_than_a_text_that_cannot_be_stored() -> None:
    assert _code({"a": "\0", "b": CARD}) is ErrorCode.CARD_NUMBER_REFUSED


@pytest.mark.parametrize("depth", [40, 1_000, 100_000])
def test_nesting_is_bounded_and_costs_no_stack(depth: int) -> None:
    in_lists: Any = "x"
    in_objects: Any = "x"
    for _ in range(depth):
        in_lists, in_objects = [in_lists], {"a": in_objects}

    assert _code({"a": in_lists}) is ErrorCode.LIMIT_EXCEEDED
    assert _code({"a": in_objects}) is ErrorCode.LIMIT_EXCEEDED


def test_nesting_as_deep_as_a_filter_goes_is_not_refused() -> None:
    where: dict[str, Any] = {"price": {"currency": "USD", "gte": {"amount": "1", "currency": "USD"}}}
    for _ in range(6):
        where = {"AND": [where]}

    assert refusal_of_variables({"where": where}) is None


def _code(variables: object) -> ErrorCode | None:
    refused = refusal_of_variables(variables)
    return None if refused is None else refused.code


@pytest.mark.parametrize(
    ("literal", "code"),
    [
        (f'"{CARD}"', ErrorCode.CARD_NUMBER_REFUSED),
        (CARD, ErrorCode.CARD_NUMBER_REFUSED),
        (f'[{{a: """ {CARD} """}}]', ErrorCode.CARD_NUMBER_REFUSED),
        (r'"\u0034242424242424242"', ErrorCode.CARD_NUMBER_REFUSED),
        (r'"\u0000"', ErrorCode.INPUT_INVALID),
        (r'"\u{0}"', ErrorCode.INPUT_INVALID),
        ('"4242"', None),
        ("42", None),
        ('"\\u00e9"', None),
        (f"$a{CARD}", None),
    ],
)
def test_literal_of_a_document_is_looked_at(literal: str, code: ErrorCode | None) -> None:
    refused = refusal_of_document(parse(f"{{ a(b: {literal}) }}"))

    assert (None if refused is None else refused.code) is code
