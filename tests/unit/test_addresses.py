"""Addresses: in order, or refused with the names of the fields that are not."""

from dataclasses import asdict, replace

import pytest

from core.addresses import Address
from core.errors import ErrorCode, Refused
from schema.addresses import AddressInput, PostalAddress
from schema.errors import AddressInvalid, user_error
from services.addresses import COUNTRIES, checked, checked_email

BERLIN = Address("Ada Example", "Musterweg 1", "Berlin", "DE", postal_code="10115")
CALIFORNIA = Address("Ada Example", "1 Main Street", "Springfield", "US", region="CA", postal_code="94043")


def faults(address: Address) -> dict[str, str]:
    """Return what is wrong with an address, by the contract's names of its fields."""
    with pytest.raises(Refused) as refusal:
        checked(address, "address")
    assert (refusal.value.code, refusal.value.path) == (ErrorCode.ADDRESS_INVALID, ("address",))
    return {fault["field"]: fault["reason"] for fault in refusal.value.data["fields"]}


@pytest.mark.parametrize(
    "address",
    [
        BERLIN,
        CALIFORNIA,
        Address("A", "1 High Street", "London", "GB", postal_code="SW1A 1AA"),
        Address("A", "1 Orchard Road", "", "SG", postal_code="238801"),
        Address("A", "1 Queen Street", "Toronto", "CA", region="ON", postal_code="M5V 3L9"),
        Address("A", "1 rue Exemple", "Paris", "FR", postal_code="75001", sorting_code="CEDEX 08"),
    ],
)
def test_an_address_in_order_stays_as_it_is(address: Address) -> None:
    assert checked(address) == address


def test_an_address_is_trimmed_composed_and_its_country_in_capitals() -> None:
    untidy = replace(BERLIN, name="  Zoe\u0308 ", line2=" 2. Stock\u00a0", country=" de ")

    tidy = checked(untidy)

    assert (tidy.name, tidy.line2, tidy.country) == ("Zoë", "2. Stock", "DE")


@pytest.mark.parametrize("region", ["CA", "ca", "California", " CALIFORNIA "])
def test_a_region_is_known_by_its_name_and_kept_by_its_key(region: str) -> None:
    assert checked(replace(CALIFORNIA, region=region)).region == "CA"


def test_names_are_kept_as_they_are_written() -> None:
    """The data has capitals for what machines sort; people write otherwise."""
    assert checked(replace(CALIFORNIA, city="Mountain View")).city == "Mountain View"


def test_what_a_country_has_no_field_for_is_kept() -> None:
    """Japanese addresses have no field for the city, but somebody who writes it there means it."""
    written = Address("A", "1-1", "Minato-ku", "JP", district="Shiba", region="東京都", postal_code="105-0011")

    assert checked(written) == written


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (replace(BERLIN, postal_code=""), {"postalCode": "REQUIRED"}),
        (replace(BERLIN, postal_code="1011"), {"postalCode": "INVALID"}),
        (replace(BERLIN, postal_code="10115 "), {}),
        (replace(BERLIN, postal_code="10115x"), {"postalCode": "INVALID"}),
        (replace(BERLIN, city=" "), {"city": "REQUIRED"}),
        (replace(BERLIN, name=""), {"name": "REQUIRED"}),
        (replace(BERLIN, line1="", line2="Hof"), {"line1": "REQUIRED"}),
        (replace(CALIFORNIA, region=""), {"region": "REQUIRED"}),
        (replace(CALIFORNIA, region="Bavaria"), {"region": "INVALID"}),
        # It is one of another state.
        (replace(CALIFORNIA, postal_code="10001"), {"postalCode": "INVALID"}),
        (replace(BERLIN, country=""), {"country": "REQUIRED"}),
        (replace(BERLIN, country="XX"), {"country": "INVALID"}),
        (replace(BERLIN, country="ZZ"), {"country": "INVALID"}),
        # The library has a file of that name.
        (replace(BERLIN, country="ALL"), {"country": "INVALID"}),
        (replace(BERLIN, country="../DE"), {"country": "INVALID"}),
        # Its capital is SS, a country of its own.
        (replace(BERLIN, country="ß"), {"country": "INVALID"}),
        (replace(BERLIN, company="x" * 201), {"company": "INVALID"}),
        (replace(BERLIN, line2="one\ntwo"), {"line2": "INVALID"}),
        (replace(BERLIN, line2="one\x00two"), {"line2": "INVALID"}),
        (replace(BERLIN, line2="one\u2028two"), {"line2": "INVALID"}),
        (
            Address("", "", "", "US"),
            {
                "name": "REQUIRED",
                "line1": "REQUIRED",
                "city": "REQUIRED",
                "region": "REQUIRED",
                "postalCode": "REQUIRED",
            },
        ),
    ],
)
def test_what_is_wrong_is_named(address: Address, expected: dict[str, str]) -> None:
    if not expected:
        checked(address)
        return
    assert faults(address) == expected


def test_a_field_may_be_as_long_as_said() -> None:
    assert checked(replace(BERLIN, company="x" * 200)).company == "x" * 200


@pytest.mark.parametrize("country", sorted(COUNTRIES))
def test_every_country_is_understood(country: str) -> None:
    """None of its data makes the check break, whatever is missing."""
    assert _named(Address("A", "1", "B", country, region="C", postal_code="D")) <= {"city", "region", "postalCode"}


def _named(address: Address) -> set[str]:
    try:
        checked(address)
    except Refused as refused:
        return {fault["field"] for fault in refused.data["fields"]}
    return set()


def test_clients_are_told_by_a_typed_error() -> None:
    with pytest.raises(Refused) as refusal:
        checked(replace(BERLIN, postal_code=""), "address")

    shown = user_error(refusal.value)

    assert isinstance(shown, AddressInvalid)
    assert [(fault.field, fault.reason) for fault in shown.fields] == [("postalCode", "REQUIRED")]
    assert shown.path == ["input", "address"]
    assert shown.message == "This is not an address of its country. Correct the fields that are named: postalCode."


def test_an_address_goes_through_the_contract_and_back() -> None:
    sent = AddressInput(
        name="Ada", line1="1 Main Street", country="US", city="X", region="CA", postal_code="94043"
    )

    parsed = sent.parsed()

    assert parsed == Address("Ada", "1 Main Street", "X", "US", region="CA", postal_code="94043")
    assert Address.of(parsed.as_json()) == parsed
    shown = asdict(PostalAddress.of(parsed))
    assert (shown["postal_code"], shown["company"]) == ("94043", None)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("somebody@example.com", "somebody@example.com"),
        (" Some.Body+tag@EXAMPLE.Co.UK ", "Some.Body+tag@example.co.uk"),
        ("jos\u0065\u0301@bücher.example", "josé@bücher.example"),
        ("x" * 64 + "@example.com", "x" * 64 + "@example.com"),
    ],
)
def test_an_email_address_is_kept_with_its_domain_in_small_letters(text: str, kept: str) -> None:
    assert checked_email(text) == kept


@pytest.mark.parametrize(
    "text",
    [
        "",
        "somebody",
        "@example.com",
        "somebody@",
        "somebody@example",
        "somebody@.com",
        "somebody@example.",
        "somebody@example..com",
        "some body@example.com",
        "somebody@exam ple.com",
        "somebody@example.com\nbcc:other@example.com",
        "some\x00body@example.com",
        "some\u200bbody@example.com",
        "a@b@example.com",
        "x" * 65 + "@example.com",
        "somebody@" + "x" * 64 + ".com",
        "somebody@" + ".".join(["x" * 60] * 5),
    ],
)
def test_what_is_no_email_address_is_refused(text: str) -> None:
    with pytest.raises(Refused) as refusal:
        checked_email(text, "email")

    assert (refusal.value.code, refusal.value.path) == (ErrorCode.INPUT_INVALID, ("email",))
    assert str(refusal.value) == "Send an email address such as somebody@example.com."
