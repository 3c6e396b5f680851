"""Ids: opaque, reversible, and only ever one spelling of each."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import ids
from core.ids import Noun, uuid7

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
nouns = st.sampled_from(Noun)


@given(nouns, st.uuids())
def test_id_leads_back_to_its_uuid(noun: Noun, value: UUID) -> None:
    text = ids.encode(noun, value)

    assert ids.decode(noun, text) == value
    assert ids.noun_of(text) is noun
    assert len(text) == len(noun.value) + 27


@pytest.mark.parametrize(
    ("value", "text"),
    [
        # The vectors of the TypeID specification.
        ("00000000-0000-0000-0000-000000000000", "00000000000000000000000000"),
        ("00000000-0000-0000-0000-000000000001", "00000000000000000000000001"),
        ("00000000-0000-0000-0000-00000000000a", "0000000000000000000000000a"),
        ("00000000-0000-0000-0000-000000000020", "00000000000000000000000010"),
        ("ffffffff-ffff-ffff-ffff-ffffffffffff", "7zzzzzzzzzzzzzzzzzzzzzzzzz"),
        ("0110c853-1d09-52d8-d73e-1194e95b5f19", "0123456789abcdefghjkmnpqrs"),
        ("01890a5d-ac96-774b-bcce-b302099a8057", "01h455vb4pex5vsknk084sn02q"),
    ],
)
def test_id_is_written_as_the_specification_says(value: str, text: str) -> None:
    assert ids.encode(Noun.TIP, UUID(value)) == f"tip_{text}"
    assert ids.decode(Noun.TIP, f"tip_{text}") == UUID(value)


@given(nouns, nouns, st.uuids())
def test_id_of_another_noun_is_none(noun: Noun, other: Noun, value: UUID) -> None:
    assert (ids.decode(other, ids.encode(noun, value)) is None) == (noun is not other)


@given(st.text())
def test_any_text_is_an_id_or_none(text: str) -> None:
    for noun in Noun:
        value = ids.decode(noun, text)
        assert value is None or ids.encode(noun, value) == text


@given(nouns, st.text(ALPHABET, min_size=26, max_size=26))
def test_suffix_is_an_id_exactly_when_it_fits_128_bits(noun: Noun, suffix: str) -> None:
    value = ids.decode(noun, f"{noun.value}_{suffix}")

    assert (value is not None) == (suffix[0] <= "7")
    assert value is None or ids.encode(noun, value) == f"{noun.value}_{suffix}"


@given(nouns, st.uuids(), st.integers(4, 29), st.characters())
def test_id_with_one_character_changed_is_another_or_none(
    noun: Noun, value: UUID, place: int, character: str
) -> None:
    text = ids.encode(noun, value)
    changed = text[:place] + character + text[place + 1 :]

    assert (ids.decode(noun, changed) == value) == (changed == text)


def test_uppercase_and_look_alikes_are_no_second_spelling() -> None:
    text = ids.encode(Noun.TIP, UUID("01890a5d-ac96-774b-bcce-b302099a8057"))

    for other in (text.upper(), text.replace("0", "o"), text.replace("1", "l"), text.replace("1", "i")):
        assert ids.decode(Noun.TIP, other) is None


def test_ids_made_later_sort_later() -> None:
    made = [ids.encode(Noun.TIP, uuid7()) for _ in range(10_000)]

    assert made == sorted(made)
    assert len(set(made)) == 10_000


def test_nouns_have_prefixes_of_their_own() -> None:
    assert len({noun.value for noun in Noun}) == len(Noun)
    assert all(len(noun.value) in {2, 3, 4} and noun.value.islower() for noun in Noun)


@pytest.mark.parametrize("text", ["", "_", "tip", "nonsense_01h455vb4pex5vsknk084sn02q", "TIP_x", "tip-x"])
def test_text_of_no_noun_speaks_of_none(text: str) -> None:
    found = ids.noun_of(text)

    assert found is (Noun.TIP if text == "tip" else None)
