"""Keyset pages: stable under inserts, and as cheap on the last page as on the first."""

import base64
import binascii
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import orjson

from core.errors import ErrorCode, Refused
from core.texts import is_storable
from models.database import Pool

MAXIMUM_PAGE_SIZE: Final = 100
_MAXIMUM_SCORE: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Order:
    """A sort: by a column, then by id. ``read`` turns a cursor's text back into the column's type."""

    column: str
    read: Callable[[str], Any]
    descending: bool = True


NEWEST: Final = Order("id", UUID)
OLDEST: Final = Order("id", UUID, descending=False)


@dataclass(frozen=True, slots=True)
class Compare:
    """One comparison: a column of ours, an SQL operator of ours, and a client's value as a parameter."""

    column: str
    operator: str
    value: Any


@dataclass(frozen=True, slots=True)
class Combine:
    """Conditions of which all (``and``) or at least one (``or``) must hold."""

    operator: str
    conditions: "Sequence[Condition]"


@dataclass(frozen=True, slots=True)
class Within:
    """A column of ours is among what a SELECT of ours finds by a client's value, which stands in it as ``{}``."""

    column: str
    select: str
    value: Any


Condition = Compare | Combine | Within
EVERYTHING: Final = Combine("and", ())


@dataclass(frozen=True, slots=True)
class PageQuery:
    """Which part of a list: ``first`` after a cursor or ``last`` before one, 1 to 100."""

    first: int | None = None
    after: str | None = None
    last: int | None = None
    before: str | None = None
    where: Condition = EVERYTHING
    order: Order = NEWEST


@dataclass(frozen=True, slots=True)
class Page:
    """The rows of a page with a cursor each; ``count`` asks the database only when it is called."""

    rows: Sequence[Any]
    cursors: Sequence[str]
    has_next: bool
    has_previous: bool
    count: Callable[[], Awaitable[int]] = field(repr=False)


async def fetch_page(
    pool: Pool, listing: str, source: str, parameters: Sequence[Any], query: PageQuery, columns: str = "*"
) -> Page:
    """Read a page of ``source``, a SELECT with a column ``id`` and parameters from $1 on.

    ``listing`` names the list in its cursors, so that one of another list, or of another order, is known as such.
    ``columns`` are those that are shown, where the source has more to filter by.
    Errors: INPUT_INVALID (page size, both directions at once, a cursor of another list).
    """
    size, backwards = page_size(query)
    values = list(parameters)
    condition = _sql(query.where, values)
    base = f"select {columns} from ({source}) listed where {condition}"  # ruff: ignore[hardcoded-sql-expression] - columns and operators are ours
    base_values = tuple(values)

    order = query.order
    descending = order.descending != backwards
    bound = ""
    cursor = query.before if backwards else query.after
    if cursor is not None:
        keys = _decode(cursor, listing, order)
        values.extend(keys)
        columns = "id" if order.column == "id" else f"{order.column}, id"
        marks = ", ".join(f"${len(values) - len(keys) + n + 1}" for n in range(len(keys)))
        bound = f" and ({columns}) {'<' if descending else '>'} ({marks})"
    direction = "desc" if descending else "asc"
    tie = "" if order.column == "id" else f", id {direction}"
    statement = f"{base}{bound} order by {order.column} {direction}{tie} limit {size + 1}"
    rows = await pool.fetch(statement, *values)
    more = len(rows) > size
    rows = rows[:size]
    if backwards:
        rows.reverse()

    async def count() -> int:
        total: int = await pool.fetchval(
            f"select count(*) from ({base}) counted",  # ruff: ignore[hardcoded-sql-expression] - as above
            *base_values,
        )
        return total

    return Page(
        rows=rows,
        cursors=[_encode(row, listing, order) for row in rows],
        has_next=cursor is not None if backwards else more,
        has_previous=more if backwards else cursor is not None,
        count=count,
    )


def page_size(query: PageQuery) -> tuple[int, bool]:
    """Return how many items are asked for, and whether from the end backwards. Errors: INPUT_INVALID."""
    if (query.first is None) == (query.last is None):
        raise _invalid("Say how many you want with either first or last.", "first")
    size, backwards = (query.first, False) if query.first is not None else (query.last, True)
    if size is None or not 1 <= size <= MAXIMUM_PAGE_SIZE:
        raise _invalid(f"A page holds 1 to {MAXIMUM_PAGE_SIZE} items.", "last" if backwards else "first")
    if (query.after if backwards else query.before) is not None:
        raise _invalid("Use after with first, and before with last.", "after" if backwards else "before")
    return size, backwards


def _sql(condition: Condition, values: list[Any]) -> str:
    if isinstance(condition, Within):
        values.append(condition.value)
        return f"{condition.column} in ({condition.select.format(f'${len(values)}')})"
    if isinstance(condition, Compare):
        if condition.operator == "matches":
            values.extend(condition.value)
            return f"{condition.column} @@ {text_query(f'${len(values) - 1}', f'${len(values)}')}"
        values.append(condition.value)
        mark = f"${len(values)}"
        if condition.operator == "in":
            return f"{condition.column} = any({mark})"
        if condition.operator == "contains":
            return f"position(lower({mark}) in lower({condition.column})) > 0"
        if condition.operator == "starts":
            return f"starts_with(lower({condition.column}), lower({mark}))"
        if condition.operator == "has":
            return f"{condition.column} @> array[{mark}]::text[]"
        return f"{condition.column} {condition.operator} {mark}"
    if not condition.conditions:
        return "true"
    return "(" + f" {condition.operator} ".join(_sql(part, values) for part in condition.conditions) + ")"


def _mark(listing: str, order: Order) -> str:
    return f"{listing}.{order.column}.{'desc' if order.descending else 'asc'}"


def _encode(row: Any, listing: str, order: Order) -> str:
    keys = [str(row["id"])] if order.column == "id" else [_key_text(row[order.column]), str(row["id"])]
    return base64.urlsafe_b64encode(orjson.dumps([_mark(listing, order), *keys])).decode().rstrip("=")


def _key_text(value: Any) -> str:
    # A Decimal of 10,000 may be written 1E+4, which is not how a whole amount is read back.
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _decode(cursor: str, listing: str, order: Order) -> list[Any]:
    try:
        mark, *keys = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        readers = [UUID] if order.column == "id" else [order.read, UUID]
        if mark != _mark(listing, order) or not all(isinstance(key, str) and is_storable(key) for key in keys):
            raise ValueError("a cursor of another list")  # ruff: ignore[raise-within-try] - one refusal for all of them
        return [read(key) for read, key in zip(readers, keys, strict=True)]
    except (ValueError, TypeError, ArithmeticError, AttributeError, binascii.Error) as error:
        raise foreign_cursor() from error


def foreign_cursor() -> Refused:
    """Return the refusal of a cursor that is not one of the list it was sent to."""
    return _invalid("This cursor is not one of this list. Start again without it.", "after")


def _invalid(message: str, *path: str) -> Refused:
    return Refused(ErrorCode.INPUT_INVALID, message, path=path)


def text_query(words: str, beginning: str) -> str:
    """Return the SQL of what full-text search looks for, from two parameters as ``search_words`` makes them."""
    return f"(websearch_to_tsquery('simple', {words}) && to_tsquery('simple', {beginning}))"


def search_words(text: str) -> tuple[str, str]:
    """Return what somebody searches for as whole words, and the word they are still typing as a beginning.

    In small letters, as products are found by. The last word is taken as a beginning where it stands alone: not in
    quotes, not excluded, not after an "or".
    """
    text = text.lower()
    head, last = text.rstrip().rpartition(" ")[::2]
    if last == "or":
        return search_words(head)
    alone = last.isalnum() and text.count('"') % 2 == 0 and head.rpartition(" ")[2] != "or"
    return (head, f"{last}:*") if alone else (text, "")


def decimal_key(text: str) -> Decimal:
    """Read a whole amount back from a cursor."""
    return Decimal(int(text))


def score_key(text: str) -> Decimal:
    """Read a score back from a cursor."""
    score = Decimal(text)
    if not 0 <= score < _MAXIMUM_SCORE:
        raise ValueError("no score is that high")
    return score
