"""Accounts: opening them, finding them, and remembering their ids."""

from collections.abc import Iterable, Sequence
from typing import Final

import asyncpg

from ledger.chart import AccountSpec, Draft
from ledger.connections import Connection, Pool, PoolOrConnection
from ledger.groups import Group, Movement

_OPEN: Final = "select id, known from ledger.open_accounts($1, $2, $3, $4, $5, $6, $7)"
_FIND: Final = "select code, id from ledger.account where code = any ($1::text[])"
_REMEMBERED_LIMIT: Final = 200_000


class UnknownAssetError(LookupError):
    """Nobody declared the asset, so it has no accounts."""


class AccountMismatchError(RuntimeError):
    """An account of that code is there, but it is not the account that was asked for."""


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
    )
    for spec, row in zip(asked, rows, strict=True):
        if not row["known"]:
            raise UnknownAssetError(f"{spec.asset} is not a declared asset.")
        if row["id"] is None:
            raise AccountMismatchError(f"{spec.code} is another account than the one asked for.")
    return {spec: row["id"] for spec, row in zip(asked, rows, strict=True)}


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

    async def groups(self, drafts: Sequence[Draft]) -> list[Group]:
        """Return drafts as groups that can be posted. Errors: as :func:`ensure`."""
        ids = await self.ids(spec for draft in drafts for spec in draft.specs())
        return [
            Group(
                draft.key,
                tuple(
                    Movement(ids[line.debit], ids[line.credit], line.amount, line.kind, line.reference)
                    for line in draft.lines
                ),
                draft.effective_at,
            )
            for draft in drafts
        ]
