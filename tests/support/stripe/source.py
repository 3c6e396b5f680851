"""Which of the SDK's methods a package's source names, found in its syntax trees."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .sdk import operation

_ENDING = "_async"


@dataclass(slots=True)
class _Module:
    """What a module's source names: SDK paths, what they were called, and methods of names that are no path."""

    paths: set[str] = field(default_factory=set)
    aliases: dict[str, set[str]] = field(default_factory=dict)
    passed: set[str] = field(default_factory=set)
    loose: set[tuple[str, str]] = field(default_factory=set)


def methods_in(package: Path, client: Any) -> set[str]:
    """Return the names of the operations that a package names, by whatever variable.

    ``client`` is the SDK's. A service may be kept under a name, or be passed on to a function, whose parameter
    then stands for every service that is passed on anywhere in the package.
    """
    modules = [_read(ast.parse(path.read_text())) for path in sorted(package.rglob("*.py"))]
    passed = {path for module in modules for path in module.passed}
    found: set[str] = set()
    for module in modules:
        found |= {path for path in module.paths if path.endswith(_ENDING)}
        for name, rest in module.loose:
            found |= {f"{service}.{rest}" for service in module.aliases.get(name, passed)}
    return {operation(_resolved(client, path)).name for path in found}


def _resolved(client: Any, path: str) -> Any:
    place = client
    for part in path.split("."):
        place = getattr(place, part)
    return place


def _read(tree: ast.Module) -> _Module:
    module = _Module()
    for chain in _chains(tree):
        path = _path(chain)
        if path is not None:
            module.paths.add(path)
        elif chain[-1].endswith(_ENDING) and len(chain) > 1 and not chain[-1].startswith("_"):
            module.loose.add((chain[0], ".".join(chain[1:])))
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                _bind(module, target, node.value)
        elif isinstance(node, ast.Call):
            for argument in node.args:
                path = _path(_chain(argument) or [])
                if path is not None and not path.endswith(_ENDING):
                    module.passed.add(path)
                elif isinstance(argument, ast.Name):
                    module.passed |= module.aliases.get(argument.id, set())
    # What is called something may be passed on under that name before it is read here.
    names = {
        argument.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for argument in node.args
        if isinstance(argument, ast.Name)
    }
    module.passed |= {path for name in names for path in module.aliases.get(name, set())}
    # Methods of the client's own, as close_async, are none of a service.
    module.loose = {(name, rest) for name, rest in module.loose if name not in {"self", "stripe"}}
    return module


def _bind(module: _Module, target: ast.expr, value: ast.expr) -> None:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for one, other in zip(target.elts, value.elts, strict=True):
            _bind(module, one, other)
    elif isinstance(target, ast.Name):
        path = _path(_chain(value) or [])
        if path is not None and not path.endswith(_ENDING):
            module.aliases.setdefault(target.id, set()).add(path)


def _chains(tree: ast.Module) -> Iterator[list[str]]:
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and id(node) not in inner:
            chain = _chain(node)
            if chain is not None:
                yield chain


def _chain(node: ast.expr) -> list[str] | None:
    """Return ``a.b.c`` as its names; None for what is more than names."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.insert(0, node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    return [node.id, *names]


def _path(chain: list[str]) -> str | None:
    """Return where in the SDK's client a chain leads, as ``v1.refunds``; None when it does not."""
    for start, name in enumerate(chain[:-1]):
        if name == "stripe" and chain[start + 1] in {"v1", "v2"}:
            return ".".join(chain[start + 1 :])
    return None
