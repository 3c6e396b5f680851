"""Balances: what accounts hold now, and what they held."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from core.clock import now
from ledger.connections import Connection
from ledger.whole import whole

# A striped account is its stripes taken together.
_BALANCES: Final = """
select coalesce(stripe_of, id) as id, sum(posted) as posted, sum(held_out) as held_out,
    sum(posted - held_out) as available, sum(version)::bigint as version
from ledger.account
where id = any ($1::bigint[]) and stripe = 0 or stripe_of = any ($1::bigint[])
group by 1
"""
_AT_VERSION: Final = """
select entry.balance, entry.version, entry.posted_at, account.version as latest,
    exists (select from ledger.account as other where other.stripe_of = account.id) as striped
from ledger.account
left join ledger.entry on entry.account = account.id and entry.version = $2
where account.id = $1 and account.stripe = 0
"""
_AT_MOMENT: Final = "select posted, version, posted_at from ledger.balance_at($1, $2)"


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account holds, in its asset's smallest unit; credits minus debits.

    ``available`` is ``posted`` without what is ``held``. ``version`` is the number of lines on its statement.
    """

    posted: int
    held: int
    available: int
    version: int


@dataclass(frozen=True, slots=True)
class PastBalance:
    """What an account held, in its asset's smallest unit, after line ``version`` of its statement.

    ``posted_at`` is when that line was posted; None before the first.
    """

    posted: int
    version: int
    posted_at: datetime | None


async def balances(account_ids: Iterable[int], *, on: Connection) -> dict[int, Balance]:
    """Return the balances of accounts at one moment, by id. An id that is no account's is left out."""
    rows = await on.fetch(_BALANCES, list(account_ids))
    return {
        row["id"]: Balance(whole(row["posted"]), whole(row["held_out"]), whole(row["available"]), row["version"])
        for row in rows
    }


async def balance(account_id: int, *, on: Connection) -> Balance | None:
    """Return what an account holds now, or None if there is no such account."""
    return (await balances([account_id], on=on)).get(account_id)


async def history(
    account_id: int, *, on: Connection, version: int | None = None, at: datetime | None = None
) -> PastBalance | None:
    """Return what an account held after a version of it, or at a moment (aware); None if there is no such account.

    What it says never changes afterwards. For a moment after the account's last movement, whoever is posting to
    it right now is waited for, on a connection that may write.

    ValueError: not one of the two was asked for; the moment lies ahead; the version is not reached yet, or is
    one of a striped account, whose stripes have versions of their own: ask for a moment.
    """
    if (version is None) == (at is None):
        raise ValueError("Ask for a version or for a moment.")
    if at is not None:
        return await _at_moment(account_id, at, on)
    row = await on.fetchrow(_AT_VERSION, account_id, version)
    if row is None:
        return None
    if row["striped"]:
        raise ValueError("The past of a striped account is asked for by the moment, not by the version.")
    if version == 0:
        return PastBalance(0, 0, None)
    if row["version"] is None:
        raise ValueError(f"The account is at version {row['latest']}: {version} is not one of it.")
    return PastBalance(whole(row["balance"]), row["version"], row["posted_at"])


async def _at_moment(account_id: int, at: datetime, on: Connection) -> PastBalance | None:
    if at > now():
        raise ValueError("The balance of the future is not known.")
    row = await on.fetchrow(_AT_MOMENT, account_id, at)
    if row is None or row["posted"] is None:
        return None
    return PastBalance(whole(row["posted"]), int(row["version"]), row["posted_at"])
