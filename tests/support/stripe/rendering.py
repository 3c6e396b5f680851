"""Answers as they are told: with what was asked to be expanded."""

from collections.abc import Callable
from typing import Any

from .refusals import Body, malformed
from .sdk import class_of
from .store import Store
from .typed import fields, is_resource, options

_DEPTH = 4


def expanded(
    store: Store, body: Body, paths: list[str], lists: dict[tuple[str, str], Callable[..., Body]]
) -> Body:
    """Return an answer with objects in the places of their ids. Raises Refused for what is not expandable.

    ``lists`` are the lists that are part of an object only when they are asked for.
    """
    for path in paths:
        steps = path.split(".")
        if len(steps) - ("data" in steps) > _DEPTH:
            raise malformed("You cannot expand more than 4 levels of a property.", None, None)
        _expand(store, body, steps, path, lists)
    return body


def _expand(store: Store, place: Any, steps: list[str], path: str, lists: Any) -> None:
    if not steps or place is None:
        return
    step, *rest = steps
    if step == "data" and place.get("object") == "list":
        for each in place["data"]:
            _expand(store, each, rest, path, lists)
        return
    kind = class_of(place) if "object" in place else None
    if kind is None or step not in fields(kind):
        raise malformed(f"This property cannot be expanded ({path}).", "expand[0]", None)
    if (make := lists.get((place["object"], step))) is not None:
        if step not in place:
            place[step] = make(store, place)
    elif isinstance(place.get(step), str):
        if not any(is_resource(option) for option in options(fields(kind)[step], kind)):
            raise malformed(f"This property cannot be expanded ({path}).", "expand[0]", None)
        place[step] = store.view(store.rows[place[step]].body)
    elif not rest and place.get(step) is not None and "object" not in _first(place[step]):
        raise malformed(f"This property cannot be expanded ({path}).", "expand[0]", None)
    for each in place[step] if isinstance(place.get(step), list) else [place.get(step)]:
        _expand(store, each, rest, path, lists)


def _first(value: object) -> Any:
    """Return what tells of what kind a value is: of a list its first."""
    if isinstance(value, list):
        return value[0] if value and isinstance(value[0], dict) else {}
    return value if isinstance(value, dict) else {}
