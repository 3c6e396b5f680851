"""Accounts, holds and movements in every state in which something can be refused."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import asyncpg

import ledger
from ledger import Capture, Hold, Increment, Movement, Recovery, Release, Reversal
from tests.ledger.ledger_helpers import funded, new_clearing, opened, owed, posted, wallet

LARGEST = 10**38 - 1
NOBODYS = 2**40


@dataclass
class Scene:
    """Accounts, holds and movements by name, so that a case reads as a sentence."""

    accounts: dict[str, int]
    holds: dict[str, UUID]
    movements: dict[str, UUID]

    def move(self, debit: str | int, credit: str | int, amount: Any = 1, **others: Any) -> Movement:
        if "shortfall" in others:
            others["shortfall"] = self.id(others["shortfall"])
        return Movement(self.id(debit), self.id(credit), amount, "test", **others)

    def recover(self, debit: str | int, credit: str | int) -> Recovery:
        return Recovery(self.id(debit), self.id(credit), "test")

    def hold(self, debit: str | int, credit: str | int, amount: Any = 1, **others: Any) -> Hold:
        return Hold(others.pop("id", None) or uuid4(), self.id(debit), self.id(credit), amount, "test", **others)

    def capture(self, hold: str, amount: Any = None, **others: Any) -> Capture:
        return Capture(self.holds[hold], amount, "test", **others)

    def increment(self, hold: str, amount: Any) -> Increment:
        return Increment(self.holds[hold], amount)

    def release(self, hold: str, amount: Any = None) -> Release:
        return Release(self.holds[hold], amount)

    def reverse(self, movement: str, amount: Any = None) -> Reversal:
        return Reversal(self.movements[movement], amount, "test")

    def id(self, account: str | int) -> int:
        return self.accounts[account] if isinstance(account, str) else account


async def set_scene(connection: asyncpg.Connection, owner: asyncpg.Connection) -> Scene:
    """``purse`` has 100 of which 50 are held, ``lender`` nothing and a limit of 50, ``full`` all that fits."""
    source, full = await funded(connection, LARGEST)
    more, purse, spent, other, closed, lender, partly = await funded(connection, 100, 7, 0, 0, 0, 0)
    euros, debt, striped, another = await opened(connection, wallet("EUR"), owed(), new_clearing(), wallet())
    stripe = await connection.fetchval(
        "select id from ledger.account where stripe_of = $1 and stripe = (pg_backend_pid() + 1) % 16"
        " or stripe_of = $1 and stripe = 5 and (pg_backend_pid() + 1) % 16 = 0",
        striped,
    )
    await ledger.set_credit_limit(lender, 50, on=connection)
    holds = {name: uuid4() for name in ("open", "late", "ended")}
    gift = await posted(connection, Movement(more, spent, 10, "test"), Movement(more, closed, 10, "test"))
    partial = await posted(connection, Movement(more, partly, 20, "test"))
    await posted(
        connection,
        Movement(spent, other, 17, "test"),
        Movement(closed, more, 10, "test"),
        Movement(debt, more, 30, "test"),
        Hold(holds["open"], purse, other, 40, "test"),
        Hold(holds["late"], purse, other, 10, "test"),
        Hold(holds["ended"], purse, other, 10, "test"),
        Reversal(partial.movements[0].id, 15, "test"),
    )
    await posted(connection, Release(holds["ended"]))
    await ledger.close_account(closed, on=connection)
    await owner.execute("update ledger.hold set expires_at = clock_timestamp() where id = $1", holds["late"])
    return Scene(
        {
            "source": source, "purse": purse, "other": other, "closed": closed, "lender": lender, "full": full,
            "spent": spent, "partly": partly, "more": more, "euros": euros, "debt": debt, "striped": striped,
            "stripe": stripe, "another": another,
        },
        holds | {"unknown": uuid4()},
        {
            "spent": gift.movements[0].id, "to closed": gift.movements[1].id, "partly": partial.movements[0].id,
            "unknown": uuid4(),
        },
    )  # fmt: skip
