"""Scenario files: steps that the sandbox takes one after the other, in TOML."""

import asyncio
import re
import tomllib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from providers.payments.base import ProviderError
from providers.payments.sandbox.actions import ACTIONS, Action, Field, Kind, checked
from providers.payments.sandbox.control import SandboxControl

WAIT: Final = "wait"
MOST_STEPS: Final = 1_000

_STEP: Final = re.compile(r"^\s*\[\[\s*step\s*\]\]")
_VARIABLE: Final = re.compile(r"\$([a-z][a-z0-9_]{0,39})", re.ASCII)
_POLL_SECONDS: Final = 0.05

_WAITING: Final = Action(
    "Wait by the wall clock, or, when no time is given, until all events were delivered.",
    {"for": Field("How long.", Kind.DURATION), "within": Field("With no time: how long at most.", Kind.DURATION)},
    lambda control, given: _wait(control, given.get("for"), given.get("within", timedelta(seconds=30))),
)
STEPS: Final[Mapping[str, Action]] = {**ACTIONS, WAIT: _WAITING}


class ScriptError(ValueError):
    """A script that cannot be read or a step that cannot be taken: which line or step, and why."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step: what to do, with which fields, and where it is written. Variables are still in their places."""

    number: int
    line: int
    do: str
    fields: Mapping[str, object]
    say: str | None = None


@dataclass(frozen=True, slots=True)
class Script:
    """A script. ``variables`` are the names that have to be given to play it."""

    title: str
    steps: tuple[Step, ...]
    variables: frozenset[str] = field(default_factory=frozenset)


def parse(text: str) -> Script:
    """Read a script: a ``title`` and ``[[step]]`` tables, each with ``do`` and the fields of that action.

    A field that is ``$name`` stands for a variable. Everything else is checked here, before anything is done.
    Raises ScriptError.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScriptError(f"This is not TOML: {error}") from None
    unknown = document.keys() - {"title", "step"}
    if unknown:
        raise ScriptError(f"A script has a title and steps, and no {min(unknown)}.")
    title, steps = document.get("title"), document.get("step")
    if not isinstance(title, str) or not title:
        raise ScriptError("Line 1: a script begins with title = and what it shows.")
    if not isinstance(steps, list) or not 0 < len(steps) <= MOST_STEPS:
        raise ScriptError(f"A script has from 1 to {MOST_STEPS} steps, each under [[step]].")
    lines = [number for number, line in enumerate(text.splitlines(), 1) if _STEP.match(line)]
    # Steps that are written as an inline array have no lines of their own.
    lines += [0] * (len(steps) - len(lines))
    read = tuple(
        _step(number, line, step) for number, (line, step) in enumerate(zip(lines, steps, strict=False), 1)
    )
    names = frozenset(
        name for step in read for value in step.fields.values() if (name := _variable(value)) is not None
    )
    return Script(title, read, names)


def _step(number: int, line: int, source: object) -> Step:
    where = _where(number, line)
    if not isinstance(source, dict):
        raise ScriptError(f"{where}: a step is a table.")
    do, say = source.get("do"), source.get("say")
    action = STEPS.get(do) if isinstance(do, str) else None
    if not isinstance(do, str) or action is None:
        raise ScriptError(f"{where}: do is one of {', '.join(STEPS)}.")
    if say is not None and not isinstance(say, str):
        raise ScriptError(f"{where}: say is text.")
    fields = {name: value for name, value in source.items() if name not in {"do", "say"}}
    step = Step(number, line, do, fields, say)
    # What a variable will hold is not known yet: any text of its place, and one of the choices where there are.
    stand_ins = {
        name: value if _variable(value) is None else _stand_in(action.fields.get(name))
        for name, value in fields.items()
    }
    try:
        checked(action, stand_ins)
    except ValueError as error:
        raise ScriptError(f"{where}: {error}") from None
    return step


async def play(
    script: Script,
    control: SandboxControl,
    variables: Mapping[str, str],
    tell: Callable[[str], object],
) -> None:
    """Take the steps of a script one after the other; ``tell`` hears a line before each.

    Raises ScriptError for a variable that is missing, before the first step, and for a step that is refused; the
    steps before it have been taken.
    """
    missing = script.variables - variables.keys()
    if missing:
        raise ScriptError(f"Say what ${min(missing)} is: --set {min(missing)}=….")
    unknown = variables.keys() - script.variables
    if unknown:
        raise ScriptError(f"The script has no ${min(unknown)}.")
    for step in script.steps:
        where = _where(step.number, step.line)
        tell(f"{step.number}. {step.say or STEPS[step.do].summary}")
        try:
            await _take(step, control, variables)
        except ProviderError as error:
            raise ScriptError(
                f"{where}: the sandbox refuses ({error.code.value}, {error.provider_code})."
            ) from None
        except ValueError as error:
            raise ScriptError(f"{where}: {error}") from None


def _take(step: Step, control: SandboxControl, variables: Mapping[str, str]) -> Awaitable[object]:
    action = STEPS[step.do]
    filled: dict[str, object] = {}
    for name, value in step.fields.items():
        variable = _variable(value)
        filled[name] = value if variable is None else _typed(action.fields[name], variables[variable])
    return action.run(control, checked(action, filled))


def _variable(value: object) -> str | None:
    match = _VARIABLE.fullmatch(value) if isinstance(value, str) else None
    return None if match is None else match.group(1)


def _typed(place: Field, text: str) -> object:
    return int(text) if place.kind is Kind.NUMBER and text.isascii() and text.isdigit() else text


def _stand_in(place: Field | None) -> object:
    if place is None:
        return "x"
    if place.kind is Kind.TEXT:
        return place.choices[0] if place.choices else "x"
    return 1


def _where(number: int, line: int) -> str:
    return f"Line {line}, step {number}" if line else f"Step {number}"


async def _wait(control: SandboxControl, how_long: timedelta | None, within: timedelta) -> None:
    if how_long is not None:
        await asyncio.sleep(how_long.total_seconds())
        return
    try:
        async with asyncio.timeout(within.total_seconds()):
            while (await control.status()).events_to_send:
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        raise ValueError("Events are still waiting to be delivered. Does a worker run?") from None
