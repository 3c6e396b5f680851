"""Accounts: opening them, finding them, and remembering their ids."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

import asyncpg

from ledger.chart import AccountSpec, Draft, Line, RecoveryLine
from ledger.connections import Connection, Pool, PoolOrConnection
from ledger.groups import Group, Movement, Recovery, Reversal
from ledger.reversals import groups_by_key, reversals_of

STRIPES: Final = 16
"""How many rows a striped account has."""

_OPEN: Final = "select id, known from ledger.open_accounts($1, $2, $3, $4, $5, $6, $7, $8)"
_FIND: Final = "select code, id from ledger.account where code = any ($1::text[])"
_CHANGE: Final = "select ledger.change_account($1, $2, $3)"
_LIMIT_LIMIT: Final = 10**38
_REMEMBERED_LIMIT: Final = 200_000


class UnknownAssetError(LookupError):
    """Nobody declared the asset, so it has no accounts."""


class AccountMismatchError(RuntimeError):
    """An account of that code is there, but it is not the account that was asked for."""


class UnknownAccountError(LookupError):
    """There is no such account."""


class AccountNotEmptyError(RuntimeError):
    """Something is posted or held on the account, so it cannot be closed."""


class CreditLimitInUseError(RuntimeError):
    """The account is overdrawn further than the limit asked for, counting what is held."""


class UnknownGroupError(LookupError):
    """What is to be undone was never posted."""


async def ensure(specs: Iterable[AccountSpec], *, on: PoolOrConnection) -> dict[AccountSpec, int]:
    """Open the accounts that are not there yet and return the ids of all of them.

    Runs in a commit of its own, because ids are remembered: never hand it a connection with an open
    transaction (RuntimeError). Any number of processes may ask for the same accounts at the same time.

    Errors: UnknownAssetError, AccountMismatchError; nothing of the former's asset was opened.
    """
    if isinstance(on, asyncpg.Pool):
        async with on.acquire() as connection:
            return await ensure(specs, on=connection)
    if on.is_in_transaction():
        raise RuntimeError("Accounts are opened in a commit of their own: an id that rolls back is a lie.")
    asked = list(dict.fromkeys(specs))
    rows = await on.fetch(
        _OPEN,
        [spec.code for spec in asked],
        [spec.asset for spec in asked],
        [spec.owner for spec in asked],
        [spec.provider for spec in asked],
        [spec.kind.value for spec in asked],
        [spec.guarded for spec in asked],
        [spec.lock_rank for spec in asked],
        [spec.striped for spec in asked],
    )
    for spec, row in zip(asked, rows, strict=True):
        if not row["known"]:
            raise UnknownAssetError(f"{spec.asset} is not a declared asset.")
        if row["id"] is None:
            raise AccountMismatchError(f"{spec.code} is another account than the one asked for.")
    return {spec: row["id"] for spec, row in zip(asked, rows, strict=True)}


async def set_credit_limit(account_id: int, limit: int, *, on: Connection) -> None:
    """Let a guarded account go ``limit`` (in its smallest unit, 0 or more) below zero from now on.

    Errors: UnknownAccountError, CreditLimitInUseError, ValueError.
    """
    if type(limit) is not int or not 0 <= limit < _LIMIT_LIMIT:
        raise ValueError("A credit limit is a whole number of the smallest unit, 0 or more.")
    await _change(account_id, "credit_limit", Decimal(limit), on)


async def close_account(account_id: int, *, on: Connection) -> None:
    """Close an account, so that nothing can be posted to it. Its statement stays.

    Errors: UnknownAccountError, AccountNotEmptyError.
    """
    await _change(account_id, "closed", None, on)


async def reopen_account(account_id: int, *, on: Connection) -> None:
    """Open a closed account again. Errors: UnknownAccountError."""
    await _change(account_id, "reopened", None, on)


async def _change(account_id: int, change: str, limit: Decimal | None, on: Connection) -> None:
    match await on.fetchval(_CHANGE, account_id, change, limit):
        case "unknown":
            raise UnknownAccountError(f"There is no account {account_id}.")
        case "in_use":
            raise CreditLimitInUseError(f"Account {account_id} is overdrawn further than by {limit}.")
        case "not_empty":
            raise AccountNotEmptyError(f"Account {account_id} holds something: move or release it first.")


async def find(specs: Iterable[AccountSpec], *, on: Connection) -> dict[AccountSpec, int]:
    """Return the ids of those accounts that have been opened. Only reads; the others hold nothing yet."""
    by_code = {spec.code: spec for spec in specs}
    rows = await on.fetch(_FIND, list(by_code))
    return {by_code[row["code"]]: row["id"] for row in rows}


class Accounts:
    """The ids of accounts, remembered for the life of a process: an account's id never changes.

    Opens what is missing on a connection of its pool's. Ask before the transaction begins rather than within
    it: a transaction that waits for a second connection of the same pool can wait for ever.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._ids: dict[AccountSpec, int] = {}

    async def ids(self, specs: Iterable[AccountSpec]) -> dict[AccountSpec, int]:
        """Return the ids of accounts, opened where necessary. Errors: as :func:`ensure`."""
        asked = dict.fromkeys(specs)
        known = {spec: self._ids[spec] for spec in asked if spec in self._ids}
        missing = [spec for spec in asked if spec not in known]
        if not missing:
            return known
        opened = await ensure(missing, on=self._pool)
        if len(self._ids) + len(opened) > _REMEMBERED_LIMIT:
            self._ids.clear()
        self._ids.update(opened)
        return known | opened

    async def groups(self, drafts: Sequence[Draft], *, on: "Connection | None" = None) -> list[Group]:
        """Return drafts as groups that can be posted.

        What a draft undoes is looked up on ``on``, else on a connection of the pool's. Errors: as
        :func:`ensure`; UnknownGroupError.
        """
        ids = await self.ids(spec for draft in drafts for spec in draft.specs())
        undone = await self._undone([draft for draft in drafts if draft.undoes is not None], on)
        return [
            Group(
                draft.key,
                (*(_operation(line, ids) for line in draft.lines), *undone.get(draft.key, ())),
                draft.effective_at,
            )
            for draft in drafts
        ]

    async def _undone(self, drafts: Sequence[Draft], on: "Connection | None") -> dict[str, tuple[Reversal, ...]]:
        """Return what sends back the groups that drafts undo, by the drafts' keys."""
        if not drafts:
            return {}
        if on is None:
            async with self._pool.acquire() as connection:
                return await self._undone(drafts, connection)
        groups = await groups_by_key([draft.undoes or "" for draft in drafts], on=on)
        undone = {}
        for draft in drafts:
            group = groups.get(draft.undoes or "")
            if group is None:
                raise UnknownGroupError(f"{draft.undoes} was never posted.")
            reversals = await reversals_of([group], kind=draft.undo_kind, reference=draft.reference, on=on)
            undone[draft.key] = reversals.get(group, ())
        return undone


def _operation(line: Line | RecoveryLine, ids: Mapping[AccountSpec, int]) -> Movement | Recovery:
    if isinstance(line, RecoveryLine):
        return Recovery(ids[line.debit], ids[line.credit], line.kind, line.reference)
    shortfall = None if line.shortfall is None else ids[line.shortfall]
    return Movement(ids[line.debit], ids[line.credit], line.amount, line.kind, line.reference, shortfall)
