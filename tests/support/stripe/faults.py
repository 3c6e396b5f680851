"""What goes wrong between a caller and Stripe."""

import asyncio
import re
from dataclasses import dataclass, field
from enum import StrEnum


class Fault(StrEnum):
    """What goes wrong with a call.

    NO_ANSWER: it takes effect, and nobody is told. ERROR_AFTER: it takes effect and 500 is answered, to its key for
    as long as that is kept. ERROR_BEFORE: 500, and nothing happened. RATE_LIMITED: 429, and nothing happened.
    HELD: it waits until ``Plan.release``, and its key is in use for as long.
    """

    NO_ANSWER = "NO_ANSWER"
    ERROR_AFTER = "ERROR_AFTER"
    ERROR_BEFORE = "ERROR_BEFORE"
    RATE_LIMITED = "RATE_LIMITED"
    HELD = "HELD"


@dataclass(slots=True)
class Plan:
    """A fault of the next ``times`` calls that match; ``met`` counts them, ``release`` lets those held go on."""

    fault: Fault
    pattern: re.Pattern[str]
    times: int
    met: int = 0
    _gate: asyncio.Event = field(default_factory=asyncio.Event)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def meet(self) -> None:
        self.met += 1
        self._arrived.set()

    async def wait_until_met(self) -> None:
        await self._arrived.wait()

    def release(self) -> None:
        self._gate.set()

    async def hold(self) -> None:
        await self._gate.wait()


class Faults:
    def __init__(self) -> None:
        self._plans: list[Plan] = []

    def plan(self, fault: Fault, calls: str, *, times: int = 1) -> Plan:
        """Let a fault befall the next calls whose method and path match, as ``POST /v1/refunds``."""
        made = Plan(fault, re.compile(calls), times)
        self._plans.append(made)
        return made

    def of(self, call: str) -> Plan | None:
        for plan in self._plans:
            if plan.met < plan.times and plan.pattern.fullmatch(call):
                plan.meet()
                return plan
        return None

    def release_all(self) -> None:
        for plan in self._plans:
            plan.release()
