"""What a run did, and what was wrong with it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from ledger.groups import Posted, Refused
from ledger.hammer.journal import Answered, Asked, Happened

FATAL: Final = frozenset({"deadlocks", "errors", "wrong answers", "wrong readings", "calls given up"})
"""What must not happen at all."""

_ALWAYS: Final = ("calls", "calls repeated", "connections lost", "deadlocks")
_SHOWN: Final = 10


@dataclass(slots=True)
class Report:
    """What was counted, by name; and a sentence for everything that is wrong.

    ``posted`` and ``refused`` count groups by what was asked, ``operations`` count operations by their type.
    """

    seconds: float
    posted: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    operations: Counter[str] = field(default_factory=Counter)
    happened: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def well(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults

    def add(self, asked: Asked, answered: Answered) -> None:
        """Count a call that was answered."""
        self.happened["calls"] += 1
        self.happened["calls repeated"] += answered.attempts > 1
        for ask, outcome in zip(asked.asks, answered.outcomes, strict=True):
            match outcome:
                case Posted():
                    self.posted[ask.kind] += 1
                    if not outcome.replayed:
                        self.operations.update(type(operation).__name__ for operation in ask.group.operations)
                case Refused(code):
                    self.refused[ask.kind] += 1
                    self.refusals[code] += 1

    def note(self, happened: Happened) -> None:
        """Count what happened beside."""
        self.happened[happened.what] += happened.times
        if happened.what in FATAL:
            self.faults.append(f"{happened.what}: {happened.why}")

    def lines(self) -> Iterator[str]:
        """Yield the summary, line by line."""
        asked = self.posted + self.refused
        yield f"{'asked':<12} {'groups':>10} {'a second':>10} {'posted':>10} {'refused':>10}"
        for kind, number in asked.most_common():
            yield self._row(kind, number, self.posted[kind], self.refused[kind])
        yield self._row("all", asked.total(), self.posted.total(), self.refused.total())
        yield "Operations done, a second: " + self._listed(
            {kind: f"{number / self.seconds:,.0f}" for kind, number in self.operations.most_common()}
        )
        yield "Refused with: " + self._listed(dict(self.refusals.most_common()))
        yield "Beside: " + self._listed(
            {what: self.happened[what] for what in (*_ALWAYS, *sorted({*self.happened} - {*_ALWAYS}))}
        )
        yield from self.notes
        yield from (f"WRONG: {fault}" for fault in self.faults[:_SHOWN])
        if len(self.faults) > _SHOWN:
            yield f"WRONG: and {len(self.faults) - _SHOWN} more"

    def _row(self, kind: str, asked: int, posted: int, refused: int) -> str:
        return f"{kind:<12} {asked:>10,} {asked / self.seconds:>10,.0f} {posted:>10,} {refused:>10,}"

    def _listed(self, counted: "dict[str, int] | dict[str, str]") -> str:
        return ", ".join(f"{name.replace('_', ' ')} {number}" for name, number in counted.items()) or "nothing"
