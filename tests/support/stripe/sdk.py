"""The SDK's operations: of each method of its services, where it goes, what it takes and what it answers."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from stripe import StripeObject
from stripe._object_classes import get_object_class  # ruff: ignore[import-private-name] - nothing public tells it

from .typed import unwrapped

_REQUEST = re.compile(r'_request_async\(\s*"(\w+)",\s*"([^"]+)"')


@dataclass(frozen=True, slots=True)
class Operation:
    """``path`` has a name in braces for each id; ``params`` and ``answer`` are the SDK's types for them.

    ``name`` is that of the service's module and of the method, as ``_refund_service.create_async``.
    """

    name: str
    verb: str
    path: str
    params: object
    answer: object
    owner: object

    @property
    def is_v2(self) -> bool:
        return self.path.startswith("/v2/")

    @property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.path))


def operation(method: Callable[..., object]) -> Operation:
    """Return what a method of a service does, bound to it or not; only of the asynchronous ones."""
    return _operation(inspect.unwrap(getattr(method, "__func__", method)))


@cache
def _operation(function: Callable[..., object]) -> Operation:
    found = _REQUEST.search(inspect.getsource(function))
    if found is None:
        raise TypeError(f"{function.__qualname__} asks Stripe nothing that can be read here")
    verb, path = found.groups()
    owner = inspect.getmodule(function)
    annotations = function.__annotations__
    return Operation(
        f"{function.__module__.removeprefix('stripe.')}.{function.__name__}",
        verb.upper(),
        path,
        unwrapped(annotations["params"], owner) if "params" in annotations else None,
        unwrapped(annotations["return"], owner),
        owner,
    )


def class_of(body: dict[str, object], *, v2: bool = False) -> type:
    """Return the SDK's class for an object by its own name; raises LookupError for none."""
    found = get_object_class("V2" if v2 else "V1", str(body["object"]))
    if found is StripeObject:
        raise LookupError(body["object"])
    return found
