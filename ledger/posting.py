"""Posting: one call of one SQL function for a whole batch of groups."""

from collections.abc import Sequence
from typing import Final, cast

from core.ids import uuid7
from ledger.checks import unsendable
from ledger.connections import Connection
from ledger.groups import Group, Movement, Outcome, Refused
from ledger.wire import (
    body_hash,
    is_plain,
    movement_columns,
    operation_columns,
    outcome_of_transfer,
    outcomes_of,
)

PLATFORM: Final = "platform"
"""The tenant of keys that the platform makes itself."""

# Amounts travel as text, which both sides read faster than numeric's own form.
_POST: Final = """
select outcome_ids, replays, outcomes, accounts, missing::text[], moments, posted_groups,
    posted_ids, debit_rows, credit_rows, posted_amounts::text[], debit_afters::text[], credit_afters::text[],
    debit_versions, credit_versions
from ledger.post(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10::text[]::numeric[], $11, $12, $13, $14, $15, $16, $17
)
"""
_TRANSFER: Final = """
select group_id, replayed, outcome, account, missing::text, decided_at, movement_id, debit_row, credit_row,
    debit_after::text, credit_after::text, debit_version, credit_version
from ledger.transfer($1, $2, $3, $4, $5, $6, $7, $8, $9::text::numeric, $10, $11)
"""


async def post(groups: Sequence[Group], *, on: Connection, tenant: str = PLATFORM) -> list[Outcome]:
    """Post a batch of groups and return the outcome of each, in order.

    Runs inside the caller's transaction, if one is open, which has to be READ COMMITTED: what was posted is
    in the books when that commits. Call it once per transaction and last, because it locks every account it
    touches, in an order of its own, until the end. Up to 500 groups in one call are a good batch.

    A repeat of a key with the same body returns the first outcome, a stored refusal included; with another
    body it is refused. A refused group never fails its neighbours, and groups are judged in order. Every
    refusal is an outcome (see :class:`Refusal`); asyncpg's errors are for what broke, with the transaction
    undone.
    """
    refusals = [unsendable(group) for group in groups]
    sent = [group for group, refusal in zip(groups, refusals, strict=True) if refusal is None]
    outcomes = iter(await _send(sent, on, tenant)) if sent else iter(())
    return [next(outcomes) if refusal is None else Refused(refusal) for refusal in refusals]


async def _send(groups: list[Group], on: Connection, tenant: str) -> Sequence[Outcome]:
    operations = [operation for group in groups for operation in group.operations]
    plain = is_plain(operations)
    if plain and len(groups) == len(operations) == 1:
        return [await _transfer(groups[0], on, tenant)]
    group_ids = [uuid7() for _ in groups]
    movement_ids = [uuid7() for _ in operations]
    columns = (*movement_columns(operations), *(None,) * 5) if plain else operation_columns(operations)
    effective_times = [group.effective_at for group in groups]
    row = await on.fetchrow(
        _POST,
        tenant,
        [group.key for group in groups],
        [body_hash(group) for group in groups],
        group_ids,
        effective_times if any(effective_times) else None,
        [len(group.operations) for group in groups],
        movement_ids,
        *columns,
    )
    if row is None:
        raise LookupError("a function that always gives a row gave none")
    return outcomes_of(row, groups, group_ids, movement_ids)


async def _transfer(group: Group, on: Connection, tenant: str) -> Outcome:
    movement = cast("Movement", group.operations[0])
    row = await on.fetchrow(
        _TRANSFER,
        tenant,
        group.key,
        body_hash(group),
        uuid7(),
        group.effective_at,
        uuid7(),
        movement.debit,
        movement.credit,
        str(movement.amount),
        movement.kind,
        movement.reference,
    )
    if row is None:
        raise LookupError("a function that always gives a row gave none")
    return outcome_of_transfer(row, movement.amount)
