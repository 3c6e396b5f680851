"""How groups travel to the database and outcomes come back: an array for each column."""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice, starmap
from typing import Any, cast
from uuid import UUID

import asyncpg
import orjson

from core.ids import uuid7
from ledger.groups import (
    AccountAfter,
    Capture,
    Group,
    Hold,
    Increment,
    Movement,
    Operation,
    Outcome,
    Posted,
    PostedMovement,
    Recovery,
    Refusal,
    Refused,
    Release,
    Reversal,
)

# The codes of ledger.post.
_MOVEMENT, _RECOVERY, _HOLD, _CAPTURE, _LAST_CAPTURE, _INCREMENT, _RELEASE, _REVERSAL = range(8)


def is_plain(operations: Sequence[Operation]) -> bool:
    """Tell whether they are movements and nothing else."""
    return all(type(operation) is Movement and operation.shortfall is None for operation in operations)


def movement_columns(operations: Sequence[Operation]) -> tuple[list[Any], ...]:
    """Return the columns of plain movements: debits, credits, amounts, kinds, references."""
    movements = cast("Sequence[Movement]", operations)
    return (
        [movement.debit for movement in movements],
        [movement.credit for movement in movements],
        [str(movement.amount) for movement in movements],
        [movement.kind for movement in movements],
        [movement.reference for movement in movements],
    )


def operation_columns(operations: Sequence[Operation]) -> tuple[list[Any], ...]:
    """Return the columns of any operations: those of movements, then what only others have."""
    return tuple(list(column) for column in zip(*map(_row, operations), strict=True))


def _row(operation: Operation) -> tuple[Any, ...]:
    """Return debit, credit, amount, kind, reference, code, target, shortfall, another id, expiry."""
    match operation:
        case Movement(debit, credit, amount, kind, reference, shortfall):
            another = uuid7() if shortfall is not None else None
            return debit, credit, str(amount), kind, reference, _MOVEMENT, None, shortfall, another, None
        case Recovery(debit, credit, kind, reference):
            return debit, credit, None, kind, reference, _RECOVERY, None, None, None, None
        case Hold(name, debit, credit, amount, kind, reference, expires_at):
            return debit, credit, str(amount), kind, reference, _HOLD, name, None, None, expires_at
        case Capture(hold, amount, kind, reference, final):
            code = _LAST_CAPTURE if final else _CAPTURE
            return None, None, _text(amount), kind, reference, code, hold, None, None, None
        case Increment(hold, amount):
            return None, None, str(amount), None, None, _INCREMENT, hold, None, None, None
        case Release(hold, amount):
            return None, None, _text(amount), None, None, _RELEASE, hold, None, None, None
        case Reversal(movement, amount, kind, reference):
            return None, None, _text(amount), kind, reference, _REVERSAL, movement, None, None, None


def _text(amount: int | None) -> str | None:
    return None if amount is None else str(amount)


def body_hash(group: Group) -> bytes:
    """Return the SHA-256 of what a key stands for: the operations in order and when they took effect.

    Stored for ever, so the canonical form never changes; a new one needs a new number in front. Groups of plain
    movements have the first form, all others the second.
    """
    effective_at = group.effective_at and group.effective_at.astimezone(UTC)
    if is_plain(group.operations):
        # The amounts as text: JSON's writer ends at 64 bits.
        lines = list(zip(*movement_columns(group.operations), strict=True))
        return hashlib.sha256(orjson.dumps((1, effective_at, lines), default=str)).digest()
    operations = [_canonical(operation) for operation in group.operations]
    return hashlib.sha256(orjson.dumps((2, effective_at, operations), default=str)).digest()


def _canonical(operation: Operation) -> tuple[Any, ...]:
    debit, credit, amount, kind, reference, code, target, shortfall, _, expires_at = _row(operation)
    expires_at = expires_at and expires_at.astimezone(UTC)
    return code, debit, credit, amount, kind, reference, target, shortfall, expires_at


def outcome_of_transfer(row: asyncpg.Record, amount: int) -> Outcome:
    """Return what became of a group of one movement; its amount is what was asked for."""
    group_id, replayed, outcome, account, missing, decided_at, name, debit, credit, *after = row
    if name is None:
        return _outcome(group_id, replayed, outcome, account, missing, decided_at, ())
    debit_after, credit_after, debit_version, credit_version = after
    movement = PostedMovement(
        name,
        debit,
        credit,
        amount,
        AccountAfter(int(debit_after), debit_version),
        AccountAfter(int(credit_after), credit_version),
    )
    return _outcome(group_id, replayed, outcome, account, missing, decided_at, (movement,))


def outcomes_of(
    row: asyncpg.Record, groups: Sequence[Group], group_ids: Sequence[UUID], movement_ids: Sequence[UUID]
) -> list[Outcome]:
    """Return what became of each group of a batch, under the ids that were proposed for it."""
    ids, replays, outcomes, accounts, missing, moments, owners, *movements = row
    if outcomes is None:
        return _all_posted(groups, group_ids, movement_ids, moments[0], movements)
    by_group: list[list[PostedMovement]] = [[] for _ in ids]
    for owner, movement in zip(owners or (), _movements(*movements), strict=True):
        by_group[owner - 1].append(movement)
    rows = zip(ids, replays, outcomes, accounts, missing, moments, map(tuple, by_group), strict=True)
    return list(starmap(_outcome, rows))


def _all_posted(
    groups: Sequence[Group],
    group_ids: Sequence[UUID],
    movement_ids: Sequence[UUID],
    moment: datetime,
    movements: Sequence[Any],
) -> list[Outcome]:
    """Return the outcomes of groups of plain movements that were all posted as they were asked for."""
    _, debits, credits_, _, *after = movements
    amounts = [
        operation.amount for group in groups for operation in cast("tuple[Movement, ...]", group.operations)
    ]
    posted = _movements(movement_ids, debits, credits_, amounts, *after)
    return [
        Posted(group_id, moment, False, tuple(islice(posted, len(group.operations))))
        for group_id, group in zip(group_ids, groups, strict=True)
    ]


def _outcome(
    group_id: UUID,
    replayed: bool,
    outcome: str,
    account: int | None,
    missing: str | None,
    decided_at: datetime,
    movements: tuple[PostedMovement, ...],
) -> Outcome:
    if outcome == "posted":
        return Posted(group_id, decided_at, replayed, movements)
    return Refused(Refusal(outcome), account, None if missing is None else int(missing), replayed)


def _movements(
    ids: Sequence[UUID] | None,
    debits: Sequence[int],
    credits_: Sequence[int],
    amounts: Sequence[str | int],
    debit_afters: Sequence[str],
    credit_afters: Sequence[str],
    debit_versions: Sequence[int],
    credit_versions: Sequence[int],
) -> Iterator[PostedMovement]:
    if not ids:
        return iter(())
    return map(
        PostedMovement,
        ids,
        debits,
        credits_,
        map(int, amounts),
        map(AccountAfter, map(int, debit_afters), debit_versions),
        map(AccountAfter, map(int, credit_afters), credit_versions),
    )
