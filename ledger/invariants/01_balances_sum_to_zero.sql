-- Whatever one account gained another one lost. Nothing is held, as long as there are no holds.
select format('%s: the balances sum to %s', asset.code, sum(posted)) as detail
from ledger.account
join ledger.asset on asset.id = account.asset_id
group by asset.code
having sum(posted) <> 0
union all
select format('%s: %s held out, %s held in, but there are no holds', code, held_out, held_in)
from ledger.account
where held_out <> 0 or held_in <> 0
limit 20
