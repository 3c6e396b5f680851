"""How a statement is written: a table for people, CSV for spreadsheets, JSON for programs."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from itertools import chain, repeat
from typing import Final, Protocol, TypeAlias

Row: TypeAlias = Mapping[str, str | int | None]

FIELDS: Final = (
    "version",
    "posted_at",
    "effective_at",
    "kind",
    "amount_minor",
    "amount",
    "balance_minor",
    "balance",
    "asset",
    "counterparty",
    "reference",
    "group_id",
    "movement_id",
)
"""What is told of each line, in order.

Amounts twice: ``…_minor`` as whole numbers of the asset's smallest unit, and as decimal text with all of its
decimals. Times are ISO 8601 in UTC. ``counterparty`` is an account's code.
"""

_COLUMNS: Final = {"version": 9, "posted_at": -27, "kind": -24, "amount": 22, "balance": 22, "counterparty": 0}
"""The width of each of a table's columns, negative where texts begin on the left; 0 for the last."""


class Format(StrEnum):
    """How a statement is written. JSON is one array with a line for each of its objects."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


class Writer(Protocol):
    """Writes a statement's lines as text."""

    def begin(self) -> str: ...

    def line(self, row: Row) -> str: ...

    def end(self) -> str: ...


class _Csv:
    """RFC 4180: a header, commas, lines that end with CR LF."""

    def begin(self) -> str:
        return self._written(FIELDS)

    def line(self, row: Row) -> str:
        return self._written([row[name] for name in FIELDS])

    def end(self) -> str:
        return ""

    def _written(self, values: Sequence[str | int | None]) -> str:
        text = io.StringIO()
        csv.writer(text).writerow(values)
        return text.getvalue()


class _Json:
    """One array, so that what broke off is no JSON; one object a line, so that it can be read line by line."""

    def __init__(self) -> None:
        self._separators = chain([""], repeat(","))

    def begin(self) -> str:
        return "["

    def line(self, row: Row) -> str:
        # Python's own writer: it knows whole numbers beyond 64 bits.
        return f"{next(self._separators)}\n{json.dumps(row, ensure_ascii=False)}"

    def end(self) -> str:
        return "\n]\n"


class _Table:
    """Columns of a fixed width, because nobody has seen the last line when the first one is printed."""

    def begin(self) -> str:
        return self.line({name: name.removesuffix("_at") for name in _COLUMNS})

    def line(self, row: Row) -> str:
        cells = [
            str(row[name]).rjust(width) if width > 0 else str(row[name]).ljust(-width)
            for name, width in _COLUMNS.items()
        ]
        return "  ".join(cells) + "\n"

    def end(self) -> str:
        return ""


WRITERS: Final[Mapping[Format, type[Writer]]] = {
    Format.TABLE: _Table,
    Format.CSV: _Csv,
    Format.JSON: _Json,
}
