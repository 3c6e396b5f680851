-- One transaction, one moment, and as many movements as the answer says: no snapshot ever showed a part of a group.
select format(
    '%s/%s: %s of %s movements, %s moments, %s transactions',
    tenant, key, count(*), movements, count(distinct movement.posted_at), count(distinct movement.xid)
) as detail
from ledger.request
join ledger.movement on movement.group_id = request.group_id
where outcome = 'posted'
group by tenant, key, movements
having count(*) <> movements
    or bool_or(movement.posted_at <> decided_at)
    or bool_or(movement.xid <> request.xid)
limit 20
