"""What a process reads while others write: nothing half done, and no past that changes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Final

from core.clock import now
from ledger.balances import PastBalance, balance, history
from ledger.connections import Connection
from ledger.hammer.accounts import Books
from ledger.statements import StatementLine, statement

_REMEMBERED: Final = 200
_RECENT: Final = 200
_LINES: Final = 50
_BEFORE: Final = timedelta(milliseconds=100)

# All of it from one snapshot.
_HALF_DONE: Final = """
    with touched as (
        select group_id from (
            select group_id from ledger.movement where debit = $1 order by debit_version desc limit $2
        ) as outgoing
        union
        select group_id from (
            select group_id from ledger.movement where credit = $1 order by credit_version desc limit $2
        ) as incoming
    )
    select touched.group_id, found.movements, request.movements as promised, found.hold_entries
    from touched
    left join ledger.request on request.group_id = touched.group_id
    cross join lateral (
        select
            (select count(*)::int from ledger.movement where group_id = touched.group_id) as movements,
            (select count(*)::int from ledger.hold_entry where group_id = touched.group_id) as hold_entries
    ) as found
    where (found.movements, found.hold_entries) is distinct from (request.movements, request.hold_entries)
"""
_OUT_OF_BALANCE: Final = """
    with own as (
        select * from ledger.account where id = any ($1::bigint[]) or stripe_of = any ($1::bigint[])
    )
    select
        (select max(abs(total)) from (select sum(posted) as total from own group by asset_id) as sums) as posted,
        (select sum(held_out) - sum(held_in) from own) as held,
        (select sum(held_out) from own) - (
            select coalesce(sum(amount - captured - released), 0) from ledger.hold
            where ended_at is null and debit in (select id from own)
        ) as unexplained
"""
_MOMENT: Final = "select clock_timestamp()"


@dataclass(frozen=True, slots=True)
class _Past:
    """What was once read of an account's past: by version, or by time and with the lines just before it."""

    account: int
    version: int | None
    at: datetime | None
    balance: PastBalance | None
    lines: Sequence[StatementLine] = ()


class Reader:
    """Looks at accounts as they are and were, and remembers what it saw."""

    def __init__(self, books: Books, chance: Random) -> None:
        self._books = books
        self._chance = chance
        self._striped = (books.clearing, books.connected, books.foreign_clearing)
        self._seen: list[_Past] = []

    async def look(self, on: Connection) -> Sequence[str]:
        """Take one look; return what is wrong."""
        looks = (
            self._half_done,
            self._out_of_balance,
            self._present,
            self._past,
            self._past,
            self._again,
            self._again,
        )
        return await self._chance.choice(looks)(on)

    def _account(self) -> int:
        hot = self._books.creators[0]
        return self._chance.choice([hot.pending, hot.available, hot.owed, *self._striped, *self._books.guarded])

    async def _half_done(self, on: Connection) -> Sequence[str]:
        rows = await on.fetch(_HALF_DONE, self._account(), _RECENT)
        return [f"a group is partly visible: {dict(row)}" for row in rows]

    async def _out_of_balance(self, on: Connection) -> Sequence[str]:
        rows = await on.fetch(_OUT_OF_BALANCE, self._books.all)
        return [f"the accounts do not balance: {dict(row)}" for row in rows if any(row.values())]

    async def _present(self, on: Connection) -> Sequence[str]:
        """A balance read now is the one of its version ever after."""
        account = self._chance.choice(self._books.guarded)
        found = await balance(account, on=on)
        if found is None:
            return [f"account {account} is gone"]
        past = await history(account, version=found.version, on=on)
        if past is None or past.posted != found.posted:
            return [f"account {account} held {found}, and then {past}"]
        self._remember(_Past(account, found.version, None, past))
        return []

    async def _past(self, on: Connection) -> Sequence[str]:
        """A balance of this very moment, whoever is posting."""
        account = self._account()
        at: datetime = await on.fetchval(_MOMENT)
        if at > now():
            return []  # the server's clock is ahead of ours
        past = await history(account, at=at, on=on)
        lines = await statement(account, since=at - _BEFORE, until=at, limit=_LINES, on=on)
        self._remember(_Past(account, None, at, past, lines))
        return []

    async def _again(self, on: Connection) -> Sequence[str]:
        """What was read of the past once is read again."""
        if not self._seen:
            return []
        seen = self._chance.choice(self._seen)
        found = await history(seen.account, version=seen.version, at=seen.at, on=on)
        faults = [] if found == seen.balance else [f"account {seen.account} had {seen.balance}, and now {found}"]
        if seen.at is not None:
            lines = await statement(seen.account, since=seen.at - _BEFORE, until=seen.at, limit=_LINES, on=on)
            if lines != seen.lines:
                faults.append(f"account {seen.account}: a statement changed before {seen.at}")
        return faults

    def _remember(self, past: _Past) -> None:
        if len(self._seen) < _REMEMBERED:
            self._seen.append(past)
        else:
            self._seen[self._chance.randrange(_REMEMBERED)] = past
