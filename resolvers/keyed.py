"""Rows in the order of the keys they were asked for, as batch functions answer."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID


def aligned(
    keys: Sequence[UUID], rows: Sequence[Any], show: Callable[[Any], Any], column: str = "id"
) -> list[Any]:
    """Return for each key what its one row shows, None where there is none."""
    by_key: Mapping[UUID, Any] = {row[column]: row for row in rows}
    return [show(by_key[key]) if key in by_key else None for key in keys]


def grouped(
    keys: Sequence[UUID], rows: Sequence[Any], show: Callable[[Any], Any], column: str = "product_id"
) -> list[Any]:
    """Return for each key what its rows show, in the rows' order; an empty list where there are none."""
    by_key: dict[UUID, list[Any]] = {key: [] for key in keys}
    for row in rows:
        by_key[row[column]].append(show(row))
    return [by_key[key] for key in keys]
