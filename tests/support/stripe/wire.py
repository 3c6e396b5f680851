"""What comes over the wire: forms with brackets, given back the shapes and the types that the SDK's types name."""

import re
from typing import Any, Literal, get_args, get_origin
from urllib.parse import parse_qsl

from stripe._stripe_object import UntypedStripeObject  # ruff: ignore[import-private-name] - it has no public name
from typing_extensions import is_typeddict

from .typed import fields, options

Form = dict[str, Any]

_WHOLE = re.compile(r"-?\d+")


def form(text: str) -> Form:
    """Return a form as nested maps: ``a[b][0]=c`` is ``{"a": {"b": {"0": "c"}}}``. All leaves are strings."""
    found: Form = {}
    for name, value in parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text)):
        head, *inner = [part.rstrip("]") for part in name.split("[")]
        place = found
        path = [head, *inner]
        for part in path[:-1]:
            place = place.setdefault(part, {})
        last = path[-1] or str(len(place))
        place[last] = value
    return found


def shaped(raw: object, annotation: object, owner: object) -> object:
    """Return a form's value as its type has it; as it came where it fits no type, for the check to refuse."""
    kinds = options(annotation, owner)
    if isinstance(raw, str):
        return _leaf(raw, kinds)
    if not isinstance(raw, dict):
        return raw
    for kind in kinds:
        origin, args = get_origin(kind), get_args(kind)
        if origin is list and list(raw) == [str(number) for number in range(len(raw))]:
            return [shaped(item, args[0], owner) for item in raw.values()]
        if is_typeddict(kind):
            known = fields(kind)  # type: ignore[arg-type]
            return {key: shaped(item, known[key], kind) if key in known else item for key, item in raw.items()}
        if origin in {dict, UntypedStripeObject}:
            return {key: shaped(item, args[-1], owner) for key, item in raw.items()}
    return raw


def _leaf(raw: str, kinds: list[object]) -> object:
    if any(get_origin(kind) is Literal and raw in get_args(kind) for kind in kinds):
        return raw
    if bool in kinds and raw in {"true", "false"}:
        return raw == "true"
    if str in kinds:
        return raw
    if int in kinds and _WHOLE.fullmatch(raw):
        return int(raw)
    if any(get_origin(kind) is Literal and True in get_args(kind) for kind in kinds) and raw == "true":
        return True
    if float in kinds:
        try:
            return float(raw)
        except ValueError:
            return raw
    return raw
