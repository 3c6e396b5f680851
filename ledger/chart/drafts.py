"""Drafts: the groups of business events, between named accounts."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Self
from uuid import UUID

from ledger.chart.specs import AccountSpec


@dataclass(frozen=True, slots=True)
class Line:
    """A movement between named accounts. ``amount`` is in the asset's smallest unit.

    ``shortfall`` pays what ``debit`` has not got, where a provider has done it already.
    """

    debit: AccountSpec
    credit: AccountSpec
    amount: int
    kind: str
    reference: UUID | None = None
    shortfall: AccountSpec | None = None


@dataclass(frozen=True, slots=True)
class RecoveryLine:
    """A debt recovered: what ``debit`` has and ``credit`` is below zero, whichever is less, as it then stands."""

    debit: AccountSpec
    credit: AccountSpec
    kind: str
    reference: UUID | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """A group between named accounts, before their ids are known.

    ``undoes`` is the key of a group whose movements this one sends back after its own lines, each linked to its
    original and as far as it was not sent back before; on a statement they are ``undo_kind``, about
    ``reference``.
    """

    key: str
    lines: tuple[Line | RecoveryLine, ...]
    effective_at: datetime | None = None
    undoes: str | None = None
    undo_kind: str = "reversal"
    reference: UUID | None = None

    @classmethod
    def of(cls, key: str, *lines: Line | RecoveryLine, effective_at: datetime | None = None) -> Self:
        """Return a draft without those lines that move nothing."""
        return cls(key, _moving(lines), effective_at)

    @classmethod
    def undoing(
        cls,
        undoes: str,
        key: str,
        *lines: Line | RecoveryLine,
        kind: str,
        reference: UUID | None,
        effective_at: datetime | None = None,
    ) -> Self:
        """Return a draft that sends back what was posted under the key ``undoes``, beside lines of its own."""
        return cls(key, _moving(lines), effective_at, undoes, kind, reference)

    def specs(self) -> Iterator[AccountSpec]:
        """Yield the accounts its lines name, some of them more than once."""
        for line in self.lines:
            yield line.debit
            yield line.credit
            if isinstance(line, Line) and line.shortfall is not None:
                yield line.shortfall


def signed_line(
    debit: AccountSpec, credit: AccountSpec, amount: int, kind: str, reference: UUID | None = None
) -> Line:
    """Return the line that moves ``amount`` from ``debit`` to ``credit``, or the other way round below zero."""
    if amount < 0:
        debit, credit = credit, debit
    return Line(debit, credit, abs(amount), kind, reference)


def _moving(lines: tuple[Line | RecoveryLine, ...]) -> tuple[Line | RecoveryLine, ...]:
    return tuple(line for line in lines if isinstance(line, RecoveryLine) or line.amount != 0)
