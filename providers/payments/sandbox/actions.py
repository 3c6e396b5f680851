"""What can be asked of the sandbox from behind, as data: the control API and scripts read it alike."""

import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, is_dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

from providers.payments.base import DisputeState
from providers.payments.sandbox.cards import DisputeOutcome, WebhookEffect
from providers.payments.sandbox.control import COMMAND_EFFECTS, COMMANDS, RULE_SUBJECTS, SandboxControl

_LARGEST_NUMBER: Final = 2**63 - 1
_LONGEST_TEXT: Final = 1_000
_PART: Final = re.compile(r"(\d{1,9})(w|d|h|m|s)", re.ASCII)
_UNITS: Final = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}


class Kind(StrEnum):
    """What a field holds."""

    TEXT = "text"
    NUMBER = "whole number"
    DURATION = "duration"


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an action. ``choices`` are all it can be, when it can't be anything."""

    summary: str
    kind: Kind = Kind.TEXT
    required: bool = False
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Action:
    """Something that can be asked: ``run`` does it with the fields that were given, checked."""

    summary: str
    fields: Mapping[str, Field]
    run: Callable[[SandboxControl, Mapping[str, Any]], Awaitable[object]]


def duration(text: object) -> timedelta:
    """Read a duration: ``7d``, ``2h30m``, ``90s`` or a whole number of seconds. Raises ValueError."""
    if type(text) is int and 0 <= text <= 10**9:
        return timedelta(seconds=text)
    if isinstance(text, str) and text and not _PART.sub("", text):
        parts = ({_UNITS[unit]: int(number)} for number, unit in _PART.findall(text))
        with suppress(OverflowError):
            return sum((timedelta(**part) for part in parts), timedelta(0))
    raise ValueError("A duration is written as 7d, 2h30m or 90s, or as a whole number of seconds.")


def checked(action: Action, given: Mapping[str, object]) -> dict[str, Any]:
    """Return what was given for an action, each field as its kind has it. Raises ValueError, with a sentence."""
    for name in given:
        if name not in action.fields:
            known = ", ".join(action.fields) or "none"
            raise ValueError(f"There is no field {name[:40]}; there is: {known}.")
    for name, field in action.fields.items():
        if field.required and given.get(name) is None:
            raise ValueError(f"The field {name} is missing: {field.summary}")
    return {name: _value(name, action.fields[name], value) for name, value in given.items() if value is not None}


def _value(name: str, field: Field, value: object) -> object:
    if field.kind is Kind.DURATION:
        return duration(value)
    if field.kind is Kind.NUMBER:
        if type(value) is not int or not 0 <= value <= _LARGEST_NUMBER:
            raise ValueError(f"The field {name} is a whole number.")
        return value
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_TEXT or "\x00" in value:
        raise ValueError(f"The field {name} is text of 1 to {_LONGEST_TEXT} characters.")
    if field.choices and value not in field.choices:
        raise ValueError(f"The field {name} is one of {', '.join(field.choices)}.")
    return value


def told(result: object) -> object:
    """Return a result as JSON has it: facts as objects."""
    if is_dataclass(result) and not isinstance(result, type):
        return asdict(result)
    if isinstance(result, timedelta):
        return {"ahead_seconds": result.total_seconds()}
    return {} if result is None else result


_PAYMENT: Final = Field("The payment: its provider reference, our id, or latest.", required=True)
_DISPUTE: Final = Field("The dispute: its provider reference, or latest.", required=True)
_REFUND: Final = Field("The refund: its provider reference, our id, or latest.", required=True)
_PAYOUT: Final = Field("The payout: its provider reference, our id, or latest.", required=True)
_ACCOUNT: Final = Field("The account: its provider reference, our id of its creator, or latest.", required=True)


ACTIONS: Final[Mapping[str, Action]] = {
    "advance": Action(
        "Move the clock forward and do what has become due.",
        {"by": Field("How far.", Kind.DURATION, required=True)},
        lambda control, given: control.advance(given["by"]),
    ),
    "arm": Action(
        "Let something go wrong with the next events or commands of a kind.",
        {
            "target": Field("What goes wrong.", required=True, choices=("EVENT", *COMMANDS)),
            "effect": Field("How.", required=True, choices=(*WebhookEffect, *COMMAND_EFFECTS)),
            "times": Field("How often; once unless said.", Kind.NUMBER),
            "event_type": Field("With events: only those of this type."),
            "copies": Field("With DUPLICATE: how often it is sent besides.", Kind.NUMBER),
            "delay": Field("With DELAY: for how long, by the sandbox's clock.", Kind.DURATION),
        },
        lambda control, given: control.arm(**given),
    ),
    "rule": Action(
        "Say what shall happen to charges, refunds or payouts that match all that is given.",
        {
            "subject": Field("What it is about.", required=True, choices=RULE_SUBJECTS),
            "behaviour": Field("A card token, a refund's or a payout's scenario.", required=True),
            "token": Field("Of charges: the token, a saved method's too."),
            "amount": Field("The amount in the smallest unit.", Kind.NUMBER),
            "currency": Field("The currency's code."),
            "description": Field("A part of the payment's description."),
        },
        lambda control, given: control.add_rule(**given),
    ),
    "dispute": Action(
        "Dispute a captured payment.",
        {
            "payment": _PAYMENT,
            "amount": Field("How much of it; all unless said.", Kind.NUMBER),
            "reason": Field("Why; fraudulent unless said."),
            "outcome": Field("How it ends once it was answered.", choices=tuple(DisputeOutcome)),
        },
        lambda control, given: control.open_dispute(**given),
    ),
    "close_dispute": Action(
        "Close a dispute; one that was lost can be won.",
        {
            "dispute": _DISPUTE,
            "outcome": Field("How.", required=True, choices=(DisputeState.WON, DisputeState.LOST)),
        },
        lambda control, given: control.close_dispute(given["dispute"], DisputeState(given["outcome"])),
    ),
    "refund": Action(
        "Refund a payment at the provider itself.",
        {"payment": _PAYMENT, "amount": Field("How much.", Kind.NUMBER, required=True)},
        lambda control, given: control.refund(**given),
    ),
    "fail_refund": Action(
        "Let a refund fail, even one that succeeded.",
        {"refund": _REFUND},
        lambda control, given: control.fail_refund(**given),
    ),
    "fail_payout": Action(
        "Let a payout fail, even one that was paid.",
        {"payout": _PAYOUT},
        lambda control, given: control.fail_payout(**given),
    ),
    "pay_payout": Action(
        "Let a payout be paid now.",
        {"payout": _PAYOUT},
        lambda control, given: control.pay_payout(**given),
    ),
    "account_ready": Action(
        "Let an account have all that is asked for.",
        {"account": _ACCOUNT},
        lambda control, given: control.make_account_ready(**given),
    ),
    "revoke_account": Action(
        "Ask an account for its identity document again.",
        {"account": _ACCOUNT},
        lambda control, given: control.revoke_account(**given),
    ),
    "expire": Action(
        "Let an authorisation lapse now.",
        {"payment": _PAYMENT},
        lambda control, given: control.expire(**given),
    ),
    "reset": Action(
        "Disarm all faults, end all rules, let go of the events that were held back.",
        {},
        lambda control, _: control.reset(),
    ),
}
