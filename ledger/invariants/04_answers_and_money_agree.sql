-- What was answered as posted is there, and nothing is there that was not answered. A group may consist of entries in
-- holds alone, and of nothing where it was to recover a debt and found none.
select format('%s/%s: posted, but its movements are absent', tenant, key) as detail
from ledger.request
where movements > 0 and not exists (select from ledger.movement where movement.group_id = request.group_id)
union all
select format('%s/%s: posted, but its entries in holds are absent', tenant, key)
from ledger.request
where hold_entries > 0 and not exists (select from ledger.hold_entry where hold_entry.group_id = request.group_id)
union all
select format('movement %s: nobody asked for its group', id)
from ledger.movement
where not exists (select from ledger.request where request.group_id = movement.group_id)
union all
select format('hold %s, entry %s: nobody asked for its group', hold_id, number)
from ledger.hold_entry
where event <> 'expired' and not exists (select from ledger.request where request.group_id = hold_entry.group_id)
order by detail
limit 20
