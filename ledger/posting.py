"""Posting: one call of one SQL function for a whole batch of groups."""

import hashlib
from collections.abc import Sequence
from datetime import UTC
from decimal import Decimal
from typing import Final

import asyncpg
import orjson

from core.ids import uuid7
from ledger.connections import Connection
from ledger.groups import Group, Movement, Outcome, Posted, Refusal, Refused
from ledger.whole import whole

PLATFORM: Final = "platform"
"""The tenant of keys that the platform makes itself."""

_POST: Final = "select * from ledger.post($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
_AMOUNT_LIMIT: Final = 10**38
_ID_LIMIT: Final = 2**63
_TEXT_LIMIT: Final = 255


async def post(groups: Sequence[Group], *, on: Connection, tenant: str = PLATFORM) -> list[Outcome]:
    """Post a batch of groups and return the outcome of each, in order.

    Runs inside the caller's transaction, if one is open, which has to be READ COMMITTED: what was posted is
    in the books when that commits. Call it once per transaction and last, because it locks every account it
    touches, in an order of its own, until the end. Up to 500 groups in one call are a good batch.

    A repeat of a key with the same body returns the first outcome, a refusal for lack of funds included;
    with another body it is refused. A refused group never fails its neighbours, and groups are judged in
    order. Every refusal is an outcome (see :class:`Refusal`); asyncpg's errors are for what broke, with the
    transaction undone.
    """
    refusals = [_unsendable(group) for group in groups]
    sent = [group for group, refusal in zip(groups, refusals, strict=True) if refusal is None]
    rows = iter(await _call(sent, on, tenant) if sent else ())
    return [_outcome(next(rows)) if refusal is None else Refused(refusal) for refusal in refusals]


async def _call(groups: list[Group], on: Connection, tenant: str) -> list[asyncpg.Record]:
    movements = [movement for group in groups for movement in group.movements]
    rows: list[asyncpg.Record] = await on.fetch(
        _POST,
        tenant,
        [group.key for group in groups],
        [body_hash(group) for group in groups],
        [uuid7() for _ in groups],
        [group.effective_at for group in groups],
        [len(group.movements) for group in groups],
        [uuid7() for _ in movements],
        [movement.debit for movement in movements],
        [movement.credit for movement in movements],
        [Decimal(movement.amount) for movement in movements],
        [movement.kind for movement in movements],
        [movement.reference for movement in movements],
    )
    return rows


def _outcome(row: asyncpg.Record) -> Outcome:
    if row["outcome"] == "posted":
        return Posted(row["group_id"], row["decided_at"], row["replayed"])
    missing = row["missing"]
    return Refused(
        Refusal(row["outcome"]),
        row["account"],
        None if missing is None else whole(missing),
        row["replayed"],
    )


def body_hash(group: Group) -> bytes:
    """Return the SHA-256 of what a key stands for: the movements in order and when they took effect.

    Stored for ever, so the canonical form never changes; a new one would need a new number in front.
    """
    effective_at = group.effective_at and group.effective_at.astimezone(UTC)
    lines = [
        # The amount as text: JSON's writer ends at 64 bits.
        (movement.debit, movement.credit, str(movement.amount), movement.kind, movement.reference)
        for movement in group.movements
    ]
    return hashlib.sha256(orjson.dumps((1, effective_at, lines), default=str)).digest()


def _unsendable(group: Group) -> Refusal | None:
    """Return why a group cannot even be sent. One that could not be encoded would fail the whole batch."""
    if not _is_text(group.key):
        return Refusal.MALFORMED
    if group.effective_at is not None and group.effective_at.tzinfo is None:
        return Refusal.MALFORMED
    return next(filter(None, map(_unsendable_movement, group.movements)), None)


def _unsendable_movement(movement: Movement) -> Refusal | None:
    if type(movement.amount) is not int:
        return Refusal.AMOUNT_NOT_WHOLE
    if movement.amount >= _AMOUNT_LIMIT:
        return Refusal.AMOUNT_TOO_LARGE
    if movement.amount <= 0:
        return Refusal.AMOUNT_NOT_POSITIVE
    if not 0 < movement.debit < _ID_LIMIT or not 0 < movement.credit < _ID_LIMIT:
        return Refusal.UNKNOWN_ACCOUNT
    return None if _is_text(movement.kind) else Refusal.MALFORMED


def _is_text(value: str) -> bool:
    """Tell whether a short text is one that PostgreSQL can hold."""
    return 0 < len(value) <= _TEXT_LIMIT and "\0" not in value and value.isprintable()
