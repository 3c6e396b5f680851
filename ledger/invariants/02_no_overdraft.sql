-- Not now, and not between any two movements of the past.
select format('%s: %s after version %s, below %s', code, balance, entry.version, -credit_limit) as detail
from ledger.entry
join ledger.account on account.id = entry.account
where guarded and balance < -credit_limit
union all
select format('%s: %s with %s held, below %s', code, posted, held_out, -credit_limit)
from ledger.account
where guarded and posted - held_out < -credit_limit
union all
select format('%s: a creator''s money without a guard', code)
from ledger.account
where not guarded and kind in ('pending', 'available', 'reserve', 'payout')
limit 20
