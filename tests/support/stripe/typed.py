"""Plain values checked against the SDK's own types, at every depth.

Two kinds of types are known: the TypedDicts of what Stripe is asked, and the resource classes of what it answers. Both
name each other in strings, and import what they name for type checkers only; names are looked up here as a type
checker would.
"""

import importlib
import inspect
import re
import sys
import textwrap
import types
from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import (
    Any,
    ForwardRef,
    Literal,
    NoReturn,
    NotRequired,
    Required,
    TypeVar,
    Union,
    get_args,
    get_origin,
)

from stripe import ListObject, RequestOptions, StripeObject
from stripe._stripe_object import UntypedStripeObject  # ruff: ignore[import-private-name] - it has no public name
from stripe.events._event_classes import (  # ruff: ignore[import-private-name] - nothing public tells it
    get_v2_event_class,
)
from stripe.v2.core import Event
from typing_extensions import is_typeddict

_OPTIONS = frozenset(RequestOptions.__annotations__)
_FOR_CHECKERS = re.compile(r"^if TYPE_CHECKING:\n((?:(?: .*)?\n)+)", re.MULTILINE)
_PLAIN = {bool: "boolean", int: "integer", float: "number", str: "string", Decimal: "decimal"}


@dataclass(frozen=True, slots=True)
class Violation:
    """What is wrong with a value: ``path`` is where, ``problem`` one of unknown, missing, type and enum."""

    path: str
    problem: str
    wanted: str = ""

    def __str__(self) -> str:
        return f"{self.path or 'the value'}: {self.problem} {self.wanted}".rstrip()


def violations(
    value: object, annotation: object, *, owner: object = None, closed: bool = False
) -> list[Violation]:
    """Return all that is wrong with a value; nothing when it is as the type says.

    ``owner`` is the class or module in which the annotation stands, where it names others in strings. ``closed``
    takes an open enumeration, ``Literal["a"] | str``, for the values that it names.
    """
    return list(_Check(closed=closed).of(value, annotation, owner, ""))


def unwrapped(annotation: object, owner: object) -> object:
    """Return what an annotation means: strings evaluated where they stand, requiredness taken off."""
    while True:
        if isinstance(annotation, ForwardRef):
            annotation = annotation.__forward_arg__
        elif isinstance(annotation, str):
            annotation = _evaluated(annotation, owner)
        elif get_origin(annotation) in {NotRequired, Required}:
            (annotation,) = get_args(annotation)
        else:
            return annotation


def options(annotation: object, owner: object) -> list[object]:
    """Return the types of which a value may have any one."""
    annotation = unwrapped(annotation, owner)
    if get_origin(annotation) in {Union, types.UnionType}:
        return [option for part in get_args(annotation) for option in options(part, owner)]
    return [annotation]


def fields(kind: type) -> dict[str, object]:
    """Return the annotations of a TypedDict's keys, or of a resource's fields.

    The SDK lets parameters carry the options of a request (the key, the account): none of ours do.
    """
    if is_typeddict(kind):
        inherits = RequestOptions in getattr(kind, "__orig_bases__", ())
        return {
            name: annotation
            for name, annotation in kind.__annotations__.items()
            if not (inherits and name in _OPTIONS)
        }
    # Of a list the SDK names the parts, and not that it says what it is.
    start: dict[str, object] = {"object": Literal["list"]} if kind is ListObject else {}
    return start | {
        name: annotation
        for base in reversed(kind.__mro__)
        if base.__module__.startswith("stripe.") and base is not StripeObject
        for name, annotation in inspect.get_annotations(base).items()
        if not name.startswith("_") and "ClassVar" not in str(annotation)
    }


def required(kind: type) -> set[str]:
    """Return the keys that a value must have: of a resource those that are never null."""
    if not is_typeddict(kind):
        return {name for name, annotation in fields(kind).items() if type(None) not in options(annotation, kind)}
    named: frozenset[str] = getattr(kind, "__required_keys__")  # ruff: ignore[get-attr-with-constant] - a TypedDict's
    return {
        name
        for name, annotation in fields(kind).items()
        if name in named and get_origin(_revealed(annotation, kind)) is not NotRequired
    }


def _revealed(annotation: object, owner: object) -> object:
    if isinstance(annotation, ForwardRef):
        annotation = annotation.__forward_arg__
    return _evaluated(annotation, owner) if isinstance(annotation, str) else annotation


def is_resource(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, StripeObject)


@cache
def _names(module: str) -> Mapping[str, object]:
    """Return what a module's annotations may name: its own names, and those imported for type checkers."""
    found = importlib.import_module(module)
    names = dict(vars(found))
    for block in _FOR_CHECKERS.findall(inspect.getsource(found)):
        exec(textwrap.dedent(block), names)  # ruff: ignore[exec-builtin] - the SDK's own imports
    return names


def _evaluated(text: str, owner: object) -> object:
    if owner is None:
        raise TypeError(f"{text!r} names something, and nobody said where it stands")
    if isinstance(owner, types.ModuleType):
        return eval(text, {}, _names(owner.__name__))  # ruff: ignore[suspicious-eval-usage] - the SDK's own words
    scopes: list[Mapping[str, object]] = [_names(owner.__module__)]
    place: Any = sys.modules[owner.__module__]
    for name in owner.__qualname__.split("."):  # type: ignore[attr-defined]
        place = getattr(place, name, None)
        if not isinstance(place, type):
            break
        scopes.insert(0, vars(place))
    return eval(text, {}, ChainMap(*scopes))  # type: ignore[arg-type]  # ruff: ignore[suspicious-eval-usage] - as above


@dataclass(frozen=True, slots=True)
class _Check:
    closed: bool

    def of(self, value: object, annotation: object, owner: object, path: str) -> Iterator[Violation]:
        choices = self._choices(options(annotation, owner))
        if len(choices) > 1:
            yield from self._any_of(value, choices, owner, path)
        else:
            yield from self._one(value, choices[0], owner, path)

    def _choices(self, choices: list[object]) -> list[object]:
        named = [arg for choice in choices if get_origin(choice) is Literal for arg in get_args(choice)]
        if self.closed and any(isinstance(arg, str) and arg for arg in named):
            return [choice for choice in choices if choice is not str]
        return choices

    def _any_of(self, value: object, choices: list[object], owner: object, path: str) -> Iterator[Violation]:
        """State the complaints of the choice that comes nearest."""
        found = [list(self._one(value, choice, owner, path)) for choice in choices]
        if all(found):
            at_the_top = [sum(each.path == path and each.problem == "type" for each in one) for one in found]
            yield from min(zip(at_the_top, found, strict=True), key=lambda pair: (pair[0], len(pair[1])))[1]

    def _one(self, value: object, kind: object, owner: object, path: str) -> Iterator[Violation]:
        origin, args = get_origin(kind), get_args(kind)
        if kind is Any or isinstance(kind, TypeVar):
            return
        if kind is type(None) or kind is None:
            if value is not None:
                yield Violation(path, "type", "null")
        elif origin is Literal:
            if not any(type(value) is type(arg) and value == arg for arg in args):
                same = any(type(value) is type(arg) for arg in args)
                yield Violation(path, "enum" if same else "type", f"one of {', '.join(map(repr, args[:8]))}")
        elif isinstance(kind, type) and kind in _PLAIN:
            if not _is_plain(value, kind):
                yield Violation(path, "type", _PLAIN[kind])
        elif origin in {list, Sequence} or kind is list:
            yield from self._list(value, args[0] if args else Any, owner, path)
        elif origin in {dict, Mapping} or kind is dict:
            yield from self._map(value, args[1] if args else Any, owner, path)
        elif origin is UntypedStripeObject or kind is UntypedStripeObject:
            yield from self._map(value, args[0] if args else Any, owner, path)
        elif is_typeddict(kind) or is_resource(origin or kind):
            yield from self._object(value, kind, owner, path)
        else:
            _unknown_type(kind)

    def _list(self, value: object, inner: object, owner: object, path: str) -> Iterator[Violation]:
        if not isinstance(value, list):
            yield Violation(path, "type", "list")
            return
        for number, item in enumerate(value):
            yield from self.of(item, inner, owner, f"{path}[{number}]")

    def _map(self, value: object, inner: object, owner: object, path: str) -> Iterator[Violation]:
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            yield Violation(path, "type", "map")
            return
        for key, item in value.items():
            yield from self.of(item, inner, owner, _joined(path, key))

    def _object(self, value: object, kind: Any, owner: object, path: str) -> Iterator[Violation]:
        if not isinstance(value, Mapping):
            yield Violation(path, "type", "object")
            return
        plain: type = get_origin(kind) or kind
        if plain is Event and "type" in value:
            # Each type of a v2 event is a class of its own, as the SDK reads it.
            plain = get_v2_event_class(str(value["type"]))
        # What a generic type is of was named where it was written, not where it is declared.
        bound = tuple(unwrapped(arg, owner) for arg in get_args(kind))
        known = fields(plain)
        for name in value:
            if name not in known:
                yield Violation(_joined(path, str(name)), "unknown")
        for name in sorted(required(plain) - set(value)):
            yield Violation(_joined(path, name), "missing")
        for name, item in value.items():
            if name in known:
                annotation = unwrapped(known[name], plain)
                if bound and getattr(annotation, "__parameters__", ()):
                    annotation = annotation[bound]  # type: ignore[index]
                yield from self.of(item, annotation, plain, _joined(path, name))


def _is_plain(value: object, kind: type) -> bool:
    if kind is Decimal:
        return isinstance(value, Decimal | str) or (type(value) in {int, float})
    if kind is float:
        return type(value) in {int, float}
    return type(value) is kind


def _joined(path: str, name: str) -> str:
    return f"{path}[{name}]" if path else name


def _unknown_type(kind: object) -> NoReturn:
    raise TypeError(f"what a value of {kind!r} looks like is not known here")
