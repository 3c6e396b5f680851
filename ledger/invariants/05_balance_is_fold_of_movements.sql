-- Versions count the legs without a gap, each balance is the one before it plus the leg, and the account is at the last.
with history as (
    select
        account, version, amount, balance,
        row_number() over line as expected_version,
        coalesce(lag(balance) over line, 0) + amount as expected_balance
    from ledger.entry
    window line as (partition by account order by version)
), fold as (
    select account, count(*) as legs, sum(amount) as balance
    from ledger.entry
    group by account
)
select format(
    'account %s: version %s with balance %s, expected version %s with %s',
    account, version, balance, expected_version, expected_balance
) as detail
from history
where version <> expected_version or balance <> expected_balance
union all
select format(
    '%s: balance %s at version %s, but its %s movements sum to %s',
    code, posted, version, coalesce(legs, 0), coalesce(balance, 0)
)
from ledger.account
left join fold on fold.account = account.id
where posted <> coalesce(balance, 0) or version <> coalesce(legs, 0)
limit 20
