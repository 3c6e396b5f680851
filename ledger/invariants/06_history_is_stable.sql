-- The order of posting is the order of versions, so the past has one balance, asked for by version or by time.
with history as (
    select
        account, version, balance, posted_at,
        sum(amount) over (partition by account order by posted_at, version) as balance_by_time,
        lag(posted_at) over (partition by account order by version) as posted_before
    from ledger.entry
), latest as (
    select account, max(posted_at) as posted_at
    from ledger.entry
    group by account
)
select format('account %s: version %s was posted before the version before it', account, version) as detail
from history
where posted_at < posted_before
union all
select format('account %s: %s by version, %s by time, at %s', account, balance, balance_by_time, posted_at)
from history
where balance <> balance_by_time
union all
select format('%s: last moved %s, but its last movement was posted %s', code, account.posted_at, latest.posted_at)
from ledger.account
left join latest on latest.account = account.id
where account.posted_at is distinct from latest.posted_at
limit 20
