"""Earnings by day: the sum of what was captured for each creator, and of what left again."""

from collections.abc import AsyncIterator
from typing import Final

from services.reconciliation.amounts import shown
from services.reconciliation.codes import DifferenceCode
from services.reconciliation.differences import About, AboutKind, Difference
from services.reconciliation.frame import Snapshot

# What was captured in part divides by a rule of its own; what was posted of it says how.
_DAYS: Final = """
    with posted as (
        select r.key, m.reference, sum(m.amount) as net
        from ledger.request r join ledger.movement m using (group_id)
        where r.tenant = 'platform' and r.outcome = 'posted' and r.key like 'capture:%' and m.kind = 'capture.net'
        group by r.key, m.reference
    ), taken as (
        select id, payment_id, creator_id, currency, net, accepted_at as at from refunds
        where accepted_at is not null and returned_at is null
        union all
        select id, payment_id, creator_id, currency, net, taken_at from disputes
        where taken_at is not null and returned_at is null
    ), earned as (
        select coalesce(p.creator_id, s.creator_id) as creator_id, p.currency,
            (p.succeeded_at at time zone 'UTC')::date as day, p.kind as source,
            case when p.captured = p.gross then coalesce(s.net, p.net) else coalesce(posted.net, 0) end as net,
            0 as returned, 1 as payments
        from payments p
        left join payment_shares s on s.payment_id = p.id and p.creator_id is null
        left join posted on posted.key = 'capture:' || p.id and posted.reference = coalesce(s.id, p.id)
        where p.provider_state = 'SUCCEEDED' and p.captured > 0 and p.succeeded_at is not null
        union all
        select coalesce(t.creator_id, s.creator_id), t.currency, (t.at at time zone 'UTC')::date, p.kind, 0,
            coalesce(r.net, t.net), 0
        from taken t
        join payments p on p.id = t.payment_id
        left join return_shares r on r.return_id = t.id and t.creator_id is null
        left join payment_shares s on s.id = r.share_id
        where t.creator_id is not null or s.id is not null
    ), expected as (
        select creator_id, currency, day, source, sum(net) as net, sum(returned) as returned,
            sum(payments) as payments
        from earned where day >= $1::date group by creator_id, currency, day, source
    )
    select coalesce(e.creator_id, d.creator_id) as creator_id, coalesce(e.currency, d.currency) as currency,
        coalesce(e.day, d.day) as day, coalesce(e.source, d.source) as source,
        coalesce(e.net, 0) as net, coalesce(e.returned, 0) as returned, coalesce(e.payments, 0) as payments,
        coalesce(d.net, 0) as shown_net, coalesce(d.returned, 0) as shown_returned,
        coalesce(d.payments, 0) as shown_payments
    from expected e
    full join (select * from earning_days where day >= $1::date) d
        on (d.creator_id, d.currency, d.day, d.source) = (e.creator_id, e.currency, e.day, e.source)
    where (coalesce(e.net, 0), coalesce(e.returned, 0), coalesce(e.payments, 0))
        <> (coalesce(d.net, 0), coalesce(d.returned, 0), coalesce(d.payments, 0))
    order by 1, 2, 3, 4
"""


async def find_earnings(snapshot: Snapshot) -> AsyncIterator[Difference]:
    """Compare each creator's days with the payments, refunds and disputes they are the sums of."""
    async for row in snapshot.rows(_DAYS, snapshot.since.date()):
        code = row["currency"]
        creator = About.ours(AboutKind.CREATOR, row["creator_id"])
        expected, found = int(row["net"] - row["returned"]), int(row["shown_net"] - row["shown_returned"])
        yield Difference(
            DifferenceCode.EARNINGS_DIFFER,
            About(AboutKind.CREATOR, f"{creator.id}/{code}/{row['day']}/{row['source']}"),
            f"Of {row['day']} the {row['source']} earnings are {shown(int(row['shown_net']), code)} from "
            f"{row['shown_payments']} payments, {shown(int(row['shown_returned']), code)} returned; by the "
            f"payments it is {shown(int(row['net']), code)} from {row['payments']}, "
            f"{shown(int(row['returned']), code)} returned.",
            code,
            expected,
            found,
        )
