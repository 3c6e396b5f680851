"""Tax rates as the built-in table keeps them, and as files of them are written. Pure."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from core.catalogue import TaxCategory
from providers.tax.base import SHIPPING
from services.addresses import COUNTRIES

COLUMNS: Final = ("country", "region", "category", "name", "percent", "inclusive", "from")
CATEGORIES: Final = (*(category.value for category in TaxCategory if category is not TaxCategory.EXEMPT), SHIPPING)
"""What rates are for. What is exempt has none."""
_YES_OR_NO: Final = {"yes": True, "no": False}
_REGION: Final = re.compile(r"[^\s,](?:[^\n,]{0,58}[^\s,])?")
_PERCENT: Final = re.compile(r"([0-9]{1,3})(?:\.([0-9]{1,2}))?")
_MAXIMUM_NAME_LENGTH: Final = 40
_HUNDRED: Final = 100


@dataclass(frozen=True, slots=True)
class TableRate:
    """A rate of the table. ``region`` empty: all of the country. ``basis_points``: 1,950 is 19.5 %."""

    country: str
    region: str
    category: str
    name: str
    basis_points: int
    inclusive: bool
    valid_from: datetime

    @property
    def key(self) -> tuple[str, str, str, datetime]:
        """What no two rates share."""
        return self.country, self.region, self.category, self.valid_from


class RatesInvalidError(ValueError):
    """A rate, or a file of rates, that cannot be taken; it says which line and why. Nothing was written."""


def parse(text: str) -> list[TableRate]:
    """Read rates from CSV: the names of the columns, then a rate a line; lines that begin with ``#`` say nothing.

    Raises ``RatesInvalidError`` naming the first line that cannot be taken.
    """
    rates: dict[tuple[str, str, str, datetime], tuple[int, TableRate]] = {}
    header = False
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            cells = _cells(line)
            rate = _of_cells(cells) if header else None
            if rate is None and tuple(cells) != COLUMNS:
                raise RatesInvalidError(f"the columns are {','.join(COLUMNS)}.")  # ruff: ignore[raise-within-try] - the line is added below
        except RatesInvalidError as error:
            raise RatesInvalidError(f"Line {number}: {error}") from None
        header = True
        if rate is not None:
            first, _ = rates.setdefault(rate.key, (number, rate))
            if first != number:
                raise RatesInvalidError(f"Line {number}: it is for the same as line {first}.")
    if not rates:
        raise RatesInvalidError("There are no rates in the file.")
    return [rate for _, rate in rates.values()]


def checked(
    *, country: str, region: str, category: str, name: str, percent: str, inclusive: bool, valid_from: datetime
) -> TableRate:
    """Return a rate as the table takes it. Raises ``RatesInvalidError``."""
    code = country.upper()
    if code not in COUNTRIES:
        raise RatesInvalidError("send the country by its two letters (ISO 3166-1), such as DE.")
    if region and not _REGION.fullmatch(region):
        raise RatesInvalidError("a region is named as addresses name it, such as BC, with at most 60 characters.")
    if category not in CATEGORIES:
        raise RatesInvalidError(f"a category is one of {', '.join(CATEGORIES)}.")
    if not 1 <= len(name) <= _MAXIMUM_NAME_LENGTH or not name.isprintable():
        raise RatesInvalidError(f"a tax has a name of 1 to {_MAXIMUM_NAME_LENGTH} characters.")
    return TableRate(code, region, category, name, _basis_points(percent), inclusive, valid_from)


def moment(text: str) -> datetime:
    """Read a day (its beginning in UTC) or a moment. Raises ``RatesInvalidError``."""
    try:
        read = datetime.fromisoformat(text)
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):
        raise RatesInvalidError(
            "a moment is a day such as 2026-01-31, or 2026-01-31T12:00:00Z; UTC unless it says otherwise."
        ) from None


def _cells(line: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line], strict=True))]
    except csv.Error as error:
        raise RatesInvalidError(f"it is not CSV ({error}).") from None


def _of_cells(cells: Sequence[str]) -> TableRate:
    if len(cells) != len(COLUMNS):
        raise RatesInvalidError(f"there are {len(COLUMNS)} columns, not {len(cells)}.")
    country, region, category, name, percent, yes_or_no, since = cells
    inclusive = _YES_OR_NO.get(yes_or_no.lower())
    if inclusive is None:
        raise RatesInvalidError("inclusive is yes or no.")
    return checked(
        country=country,
        region=region,
        category=category,
        name=name,
        percent=percent,
        inclusive=inclusive,
        valid_from=moment(since),
    )


def _basis_points(percent: str) -> int:
    written = _PERCENT.fullmatch(percent)
    points = int(written[1]) * _HUNDRED + int((written[2] or "").ljust(2, "0")) if written else -1
    if not 0 <= points <= _HUNDRED * _HUNDRED:
        raise RatesInvalidError("a rate is a percentage from 0 to 100 with at most two decimals, such as 8.1.")
    return points
