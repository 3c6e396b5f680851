"""Enums of the core, described for the contract."""

from collections.abc import Mapping
from enum import Enum
from typing import Any

import strawberry


def described(enum: type[Enum], description: str, values: Mapping[Any, str]) -> Any:
    """Make an enum part of the contract, with a sentence for each of its values."""
    decorated = strawberry.enum(enum, description=description)
    for value in decorated.__strawberry_definition__.values:  # type: ignore[attr-defined] # added by enum()
        value.description = values[enum[value.name]]
    return decorated
