-- The primary key says so; this holds even where an index is damaged. A refusal stays a refusal: nothing came of it.
select format('%s/%s: %s outcomes', tenant, key, count(*)) as detail
from ledger.request
group by tenant, key
having count(*) > 1
union all
select format('group %s: asked for by %s requests', group_id, count(*))
from ledger.request
group by group_id
having count(*) > 1
union all
select format('%s/%s: refused with %s, and yet posted', tenant, key, outcome)
from ledger.request
where outcome <> 'posted' and (
    movements <> 0
    or hold_entries <> 0
    or exists (select from ledger.movement where movement.group_id = request.group_id)
    or exists (select from ledger.hold_entry where hold_entry.group_id = request.group_id)
)
order by detail
limit 20
