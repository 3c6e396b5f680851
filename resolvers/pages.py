"""Lists: from arguments to a query, from rows to a connection."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from core.errors import ErrorCode, Refused
from schema.connections import (
    Connection,
    DateTimeFilter,
    Edge,
    PageArguments,
    PageInfo,
    StringFilter,
)
from services.paging import EVERYTHING, NEWEST, Combine, Compare, Condition, Order, Page, PageQuery

T = TypeVar("T")

# A search form with a dozen fields, each a choice of several values.
_MAXIMUM_CONDITIONS: Final = 200


def page_query(arguments: PageArguments, *, where: Condition = EVERYTHING, order: Order = NEWEST) -> PageQuery:
    """Return the query for a page."""
    return PageQuery(arguments.first, arguments.after, arguments.last, arguments.before, where, order)


def connection(page: Page, show: Callable[[Any], T]) -> Connection[T]:
    """Return a page as a connection."""
    nodes = [show(row) for row in page.rows]
    return Connection(
        edges=[Edge(node=node, cursor=cursor) for node, cursor in zip(nodes, page.cursors, strict=True)],
        nodes=nodes,
        page_info=PageInfo(
            has_next_page=page.has_next,
            has_previous_page=page.has_previous,
            start_cursor=page.cursors[0] if page.cursors else None,
            end_cursor=page.cursors[-1] if page.cursors else None,
        ),
        count=page.count,
    )


def tree(where: Any, leaves: Callable[[Any], Sequence[Condition]]) -> Condition:
    """Return a ``where`` input with its AND and OR as a condition; ``leaves`` reads one level's own fields.

    Errors: LIMIT_EXCEEDED (more conditions than a list is worth).
    """
    condition = _tree(where, leaves)
    if _size(condition) > _MAXIMUM_CONDITIONS:
        raise Refused(
            ErrorCode.LIMIT_EXCEEDED, f"A filter has at most {_MAXIMUM_CONDITIONS} conditions.", path=("where",)
        )
    return condition


def _tree(where: Any, leaves: Callable[[Any], Sequence[Condition]]) -> Condition:
    if where is None:
        return EVERYTHING
    conditions = list(leaves(where))
    if where.and_ is not None:
        conditions.append(Combine("and", [_tree(part, leaves) for part in where.and_]))
    if where.or_:
        conditions.append(Combine("or", [_tree(part, leaves) for part in where.or_]))
    return Combine("and", conditions)


def _size(condition: Condition) -> int:
    if not isinstance(condition, Combine):
        return len(condition.value) if isinstance(condition.value, list) else 1
    return 1 + sum(_size(part) for part in condition.conditions)


def text_conditions(column: str, text: StringFilter | None) -> list[Condition]:
    """Return the conditions on a text column."""
    if text is None:
        return []
    operators: Mapping[str, Any] = {
        "=": text.eq,
        "in": text.in_,
        "contains": text.contains,
        "starts": text.starts_with,
    }
    return [Compare(column, operator, value) for operator, value in operators.items() if value is not None]


def time_conditions(column: str, moment: DateTimeFilter | None) -> list[Condition]:
    """Return the conditions on a column of moments."""
    if moment is None:
        return []
    bounds: Mapping[str, datetime | None] = {">=": moment.gte, "<": moment.lt}
    return [
        Compare(column, operator, in_utc(value, "where"))
        for operator, value in bounds.items()
        if value is not None
    ]


def in_utc(moment: datetime, *path: str) -> datetime:
    """Return a moment in UTC. Errors: INPUT_INVALID (no offset; outside the calendar)."""
    try:
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except OverflowError:
        pass  # before the first year or after the last
    raise Refused(
        ErrorCode.INPUT_INVALID,
        "Send a moment with its offset from UTC, such as 2026-01-31T12:00:00Z.",
        path=path,
    )


def status_conditions(column: str, status: Any) -> list[Condition]:
    """Return the conditions on a payment's status."""
    if status is None:
        return []
    conditions: list[Condition] = []
    if status.eq is not None:
        conditions.append(Compare(column, "=", status.eq.value))
    if status.in_ is not None:
        conditions.append(Compare(column, "in", [value.value for value in status.in_]))
    return conditions
