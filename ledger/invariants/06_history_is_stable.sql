-- The order of posting is the order of versions. So the past has one balance, asked for by version or by time; and as
-- the next movement is never earlier than the row's last one, it keeps it.
with line as (
    select
        account, version, posted_at,
        lag(posted_at) over history as posted_before,
        lead(version) over history is null as is_last
    from ledger.entry
    window history as (partition by account order by version)
), judged as (
    select case
        when line.posted_at < posted_before
            then format('account %s: version %s was posted before the version before it', line.account, line.version)
        when not is_last then null
        when account.posted_at is distinct from line.posted_at then format(
            '%s: last moved %s, but its last movement was posted %s',
            coalesce(code, 'no account ' || line.account), account.posted_at, line.posted_at
        )
    end as detail
    from line
    full join ledger.account on id = case when is_last then account end
)
select detail
from judged
where detail is not null
order by detail
limit 20
