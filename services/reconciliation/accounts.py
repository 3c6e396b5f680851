"""The ledger's own invariants, what has been in clearing for long, and what waits in suspense."""

from collections.abc import AsyncIterator
from typing import Any, Final

import ledger
from ledger import AccountKind
from services.reconciliation.amounts import shown
from services.reconciliation.codes import DifferenceCode
from services.reconciliation.differences import About, AboutKind, Difference
from services.reconciliation.frame import PATIENCE_SECONDS, Frame, Snapshot

# Whatever passes through clearing is about a payment, or a share, a refund or a dispute of one. The total of each
# payment comes to nothing once the provider has accounted for all of it.
# A conversion names what it converts, so that the total of each payment comes to nothing in suspense as well.
_OPEN: Final = """
    select coalesce(f.payment_id, d.payment_id, p.id, h.payment_id) as payment_id, a.provider, s.code,
        sum(e.amount) as minor, max(e.effective_at) as moved_at
    from ledger.entry e
    join ledger.account a on a.id = e.account
    join ledger.asset s on s.id = a.asset_id
    left join refunds f on f.id = e.reference
    left join disputes d on d.id = e.reference
    left join payments p on p.id = e.reference
    left join payment_shares h on h.id = e.reference
    where a.kind = $3
    group by 1, a.provider, s.code
    having sum(e.amount) <> 0 and max(e.effective_at) between $1 and $2
    order by moved_at, 1, s.code
"""


async def find_broken(frame: Frame) -> AsyncIterator[Difference]:
    """Check the ledger's invariants. Raises ``TimeoutError`` where one takes longer than an hour."""
    async with frame.engine.database.reader.acquire() as connection:
        findings = await ledger.verify(connection, timeout_seconds=PATIENCE_SECONDS)
    for finding in findings:
        if finding.status is ledger.Status.BROKEN:
            yield Difference(
                DifferenceCode.INVARIANT_BROKEN,
                About(AboutKind.INVARIANT, finding.name),
                f"Invariant {finding.number} is broken: {finding.detail}.",
            )


async def find_uncleared(snapshot: Snapshot) -> AsyncIterator[Difference]:
    """Yield the payments whose money has been in clearing for too long, and what of that is no payment's."""
    overdue = snapshot.at - snapshot.limits.clearing
    async for row in snapshot.rows(_OPEN, snapshot.since, overdue, AccountKind.CLEARING):
        # Debited when we book what is due, credited when the provider accounts for it.
        minor, code = -int(row["minor"]), row["code"]
        about, whose = _whose(row, f"{row['provider']}:clearing:{code}")
        told = (
            f"{shown(minor, code)} are booked that {row['provider']} has not accounted for"
            if minor > 0
            else f"{row['provider']} accounted for {shown(-minor, code)} more than is booked"
        )
        sentence = f"{told}{whose}; nothing moved since {row['moved_at']:%Y-%m-%d %H:%M} UTC."
        yield Difference(DifferenceCode.CLEARING_OPEN, about, sentence, code, 0, minor)


async def find_unconverted(snapshot: Snapshot) -> AsyncIterator[Difference]:
    """Yield the payments whose money waits in suspense, and what of that is no payment's."""
    async for row in snapshot.rows(_OPEN, snapshot.since, snapshot.judged_until, AccountKind.SUSPENSE):
        minor, code = int(row["minor"]), row["code"]
        about, whose = _whose(row, f"platform:suspense:{code}")
        told = (
            f"{shown(minor, code)} came in and wait"
            if minor > 0
            else f"{shown(-minor, code)} were taken and are to be covered"
        )
        sentence = f"In another currency {told} in suspense{whose} since {row['moved_at']:%Y-%m-%d %H:%M} UTC."
        yield Difference(DifferenceCode.SETTLED_IN_OTHER_CURRENCY, about, sentence, code, 0, minor)


def _whose(row: Any, account: str) -> tuple[About, str]:
    """Return what open money is about, its payment or else its account, and how to say that it is no payment's."""
    if row["payment_id"] is not None:
        return About.ours(AboutKind.PAYMENT, row["payment_id"]), ""
    return About(AboutKind.ACCOUNT, account), ", for none of our payments"
