"""Tidying up: what is held is released, and every account of the hammer goes back to zero."""

from collections.abc import Sequence
from typing import Final

from core.ids import uuid7
from ledger.accounts import reopen_account
from ledger.balances import balances
from ledger.connections import Connection
from ledger.groups import Group, Movement, Operation, Release
from ledger.hammer.accounts import Books
from ledger.posting import post

_BATCH: Final = 200
_ROUNDS: Final = 5
_OPEN_HOLDS: Final = """
    select id from ledger.hold where ended_at is null and debit = any ($1::bigint[]) order by id
"""


async def tidy(books: Books, tenant: str, *, on: Connection) -> int:
    """Bring all accounts back to zero; return how many are not. (Another hammer may be at work.)"""
    for account in books.closing:
        await reopen_account(account, on=on)
    for _ in range(_ROUNDS):
        open_holds = [row["id"] for row in await on.fetch(_OPEN_HOLDS, books.all)]
        await _post([Release(hold) for hold in open_holds], tenant, on)
        found = await balances(books.all, on=on)
        left = {account: balance.posted for account, balance in found.items() if balance.posted}
        if not left:
            return 0
        await _post(
            [
                _back(account, posted, books.foreign_clearing if account in books.foreign else books.clearing)
                for account, posted in left.items()
                if account not in {books.clearing, books.foreign_clearing}
            ],
            tenant,
            on,
        )
    return len(left)


def _back(account: int, posted: int, clearing: int) -> Movement:
    if posted > 0:
        return Movement(account, clearing, posted, "hammer.tidied")
    return Movement(clearing, account, -posted, "hammer.tidied")


async def _post(operations: Sequence[Operation], tenant: str, on: Connection) -> None:
    groups = [Group(f"tidy:{uuid7()}", (operation,)) for operation in operations]
    for first in range(0, len(groups), _BATCH):
        await post(groups[first : first + _BATCH], on=on, tenant=tenant)
