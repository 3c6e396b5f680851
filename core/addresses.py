"""Postal addresses as values."""

from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Address:
    """A postal address. ``country`` is ISO 3166-1 alpha-2; what a country's addresses do not have is empty.

    ``region`` is a state or province, ``sorting_code`` what some countries have beside the postal code (CEDEX).
    """

    name: str
    line1: str
    city: str
    country: str
    line2: str = ""
    company: str = ""
    district: str = ""
    region: str = ""
    postal_code: str = ""
    sorting_code: str = ""

    def as_json(self) -> dict[str, str]:
        """Return it as it is stored."""
        return asdict(self)

    @classmethod
    def of(cls, stored: dict[str, Any]) -> Self:
        """Return a stored address."""
        return cls(**stored)
