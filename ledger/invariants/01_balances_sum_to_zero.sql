-- Whatever one account gained another one lost; and what its rows say is held is what is left of the holds.
with left_over as (
    select asset_id, debit, credit, amount - captured - released as rest
    from ledger.hold
    where amount <> captured + released
), held as (
    select row, sum(outgoing) as outgoing, sum(incoming) as incoming
    from (
        select debit as row, rest as outgoing, 0 as incoming from left_over
        union all
        select credit, 0, rest from left_over
    ) as side
    group by row
), by_asset as (
    select
        asset.code, sum(posted) as posted, sum(held_out) as held_out, sum(held_in) as held_in,
        coalesce((select sum(rest) from left_over where left_over.asset_id = asset.id), 0) as rest
    from ledger.account
    join ledger.asset on asset.id = account.asset_id
    group by asset.id
)
select format('%s: the balances sum to %s', code, posted) as detail
from by_asset
where posted <> 0
union all
select format('%s: %s held out, %s held in, %s left of the holds', code, held_out, held_in, rest)
from by_asset
where held_out <> rest or held_in <> rest
union all
select format(
    '%s: %s held out, %s held in, but its holds have %s and %s left',
    code, held_out, held_in, coalesce(outgoing, 0), coalesce(incoming, 0)
)
from ledger.account
left join held on held.row = account.id
where held_out <> coalesce(outgoing, 0) or held_in <> coalesce(incoming, 0)
order by detail
limit 20
