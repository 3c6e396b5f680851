-- Versions count the legs without a gap, each balance is the one before it plus the leg, and the row is at the last: so
-- its balance is the sum. Each stripe is a row of its own, with versions of its own.
with line as (
    select
        account, version, amount, balance,
        row_number() over history as expected_version,
        coalesce(lag(balance) over history, 0) + amount as expected_balance,
        lead(version) over history is null as is_last
    from ledger.entry
    window history as (partition by account order by version)
), judged as (
    select case
        when line.version <> expected_version or balance <> expected_balance then format(
            'account %s: version %s with balance %s, expected version %s with %s',
            line.account, line.version, balance, expected_version, expected_balance
        )
        when not is_last then null
        when (posted, account.version) is distinct from (coalesce(balance, 0), coalesce(line.version, 0)) then format(
            '%s: balance %s at version %s, but its movements end at version %s with %s',
            coalesce(code, 'no account ' || line.account), posted, account.version, coalesce(line.version, 0),
            coalesce(balance, 0)
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
