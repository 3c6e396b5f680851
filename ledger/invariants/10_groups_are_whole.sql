-- One transaction, one moment, and as many movements and entries in holds as the answer says: no snapshot ever showed
-- a part of a group.
with part as (
    select group_id, posted_at as moment, xid, 1 as movement
    from ledger.movement
    union all
    select group_id, at, xid, 0
    from ledger.hold_entry
    where event <> 'expired'
), whole as (
    select
        group_id, count(*) as parts, sum(movement) as movements, min(moment) as earliest, max(moment) as latest,
        min(xid) as first_xid, max(xid) as last_xid
    from part
    group by group_id
)
select format(
    '%s/%s: %s of %s movements, %s of %s entries in holds, from %s to %s, by %s to %s',
    tenant, key, coalesce(whole.movements, 0), request.movements, coalesce(parts - whole.movements, 0), hold_entries,
    earliest, latest, first_xid, last_xid
) as detail
from ledger.request
left join whole using (group_id)
where outcome = 'posted' and (
    request.movements <> coalesce(whole.movements, 0)
    or hold_entries <> coalesce(parts - whole.movements, 0)
    or earliest <> decided_at
    or latest <> decided_at
    or first_xid <> xid
    or last_xid <> xid
)
order by detail
limit 20
