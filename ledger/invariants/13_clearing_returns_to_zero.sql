-- What lies in clearing is on its way, so this is a list of names; with $1 (an interval), what has not moved for that
-- long is overdue.
select
    format('%s: %s since %s', code, posted, posted_at) as detail,
    $1::interval is not null and posted_at < clock_timestamp() - $1::interval as broken
from ledger.account
where kind = 'clearing' and posted <> 0
order by code
