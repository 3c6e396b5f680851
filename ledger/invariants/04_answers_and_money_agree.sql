-- What was answered as posted is there, and nothing is there that was not answered.
select format('%s/%s: posted, but its movements are absent', tenant, key) as detail
from ledger.request
where outcome = 'posted' and not exists (select from ledger.movement where movement.group_id = request.group_id)
union all
select format('movement %s: nobody asked for its group', movement.id)
from ledger.movement
where not exists (select from ledger.request where request.group_id = movement.group_id)
limit 20
