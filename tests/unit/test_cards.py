"""Card numbers are recognised however they are typed; ids, keys and amounts are not taken for one."""

import string
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import ids
from core.cards import text_holds_card_number
from core.ids import Noun, uuid7

CARD = "4242424242424242"
CARDS = (
    CARD,
    "4000056655665556",
    "5555555555554444",
    "2223003122003222",
    "5105105105105100",
    "378282246310005",
    "371449635398431",
    "6011111111111117",
    "3056930009020004",
    "36227206271667",
    "3566002020360505",
    "6200000000000005",
    "6205500000000000004",
    "4222222222222",
)


def _check_digit(digits: str) -> str:
    """Return the digit that makes a number pass, worked out the other way round."""
    return next(
        last
        for last in string.digits
        if sum(
            sum(divmod(int(digit) * (2 if place % 2 else 1), 10))
            for place, digit in enumerate(reversed(digits + last))
        )
        % 10
        == 0
    )


numbers = st.builds(
    lambda start, rest: start + rest + _check_digit(start + rest),
    st.sampled_from("23456"),
    st.text(string.digits, min_size=12, max_size=17),
)


@given(numbers, st.sampled_from([" ", "-", "  ", "\u00a0", "\n"]), st.integers(2, 6))
def test_number_is_recognised_in_groups_of_any_size(number: str, separator: str, size: int) -> None:
    grouped = separator.join(number[place : place + size] for place in range(0, len(number), size))

    assert text_holds_card_number(number)
    assert text_holds_card_number(grouped)


@given(
    numbers,
    st.text(st.characters(blacklist_categories=["Cs"]), max_size=20),
    st.text(st.characters(blacklist_categories=["Cs"]), max_size=20),
    st.sampled_from("/:;,()[]!?\"' \n"),
)
def test_number_is_recognised_amid_other_words(number: str, before: str, after: str, edge: str) -> None:
    assert text_holds_card_number(f"{before}{edge}{number}{edge}{after}")


@pytest.mark.parametrize("number", CARDS)
def test_number_of_a_known_brand_is_recognised(number: str) -> None:
    assert text_holds_card_number(number)
    assert text_holds_card_number(f"{number} 12/30 123")
    assert text_holds_card_number(f"12 {number}")


@given(numbers, st.integers(0, 11), st.integers(1, 9))
def test_number_with_one_digit_mistyped_is_not_recognised(number: str, place: int, change: int) -> None:
    mistyped = number[: place + 1] + str((int(number[place + 1]) + change) % 10) + number[place + 2 :]

    assert not text_holds_card_number(mistyped)


@given(st.uuids(version=4))
def test_random_uuid_is_never_mistaken(key: UUID) -> None:
    assert not text_holds_card_number(str(key))
    assert not text_holds_card_number(str(key).upper())


@given(st.text(string.digits, min_size=32, max_size=32))
def test_uuid_of_digits_alone_is_never_mistaken(digits: str) -> None:
    key = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

    assert not text_holds_card_number(key)


@given(st.sampled_from(Noun), st.uuids())
def test_id_is_never_mistaken(noun: Noun, value: UUID) -> None:
    assert not text_holds_card_number(ids.encode(noun, value))
    assert not text_holds_card_number(ids.encode(noun, uuid7()))


@given(st.decimals(0, 10**11, places=2))
def test_amount_is_never_mistaken(amount: object) -> None:
    assert not text_holds_card_number(f"{amount}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "4242",
        "4242424242424241",
        "1234567890123456",
        "0000000000000000",
        "42424242424242424242",
        "tok_4242424242424242",
        "4242424242424242abc",
        "4242424242424242.00",
        "4242424242424242-",
        "-4242424242424242",
        "9.4242424242424242",
        "4242\n\n\n\n4242\n\n\n\n42424242",
        "2026-11-22 06:45:16",
        "+49 30 1234567",
        "order 12345, 3 items, 29.90 EUR",
    ],
)
def test_other_number_is_not_mistaken(text: str) -> None:
    assert not text_holds_card_number(text)


def test_long_text_of_digits_takes_no_time() -> None:
    for text in ("4 " * 100_000, "4-" * 100_000 + "x", "1" * 200_000 + "x", "9999 " * 50_000):
        assert text_holds_card_number(text) in {True, False}
