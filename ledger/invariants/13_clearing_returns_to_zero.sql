-- What lies in clearing is on its way, so this is a list of names; with $1 (an interval), what has not moved for that
-- long is overdue, and comes first. An account's stripes may have anything, as long as they sum to zero.
select
    format('%s: %s since %s', min(code) filter (where stripe_of is null), sum(posted), max(posted_at)) as detail,
    $1::interval is not null and max(posted_at) < clock_timestamp() - $1::interval as broken
from ledger.account
where kind = 'clearing'
group by coalesce(stripe_of, id)
having sum(posted) <> 0
order by broken desc, detail
