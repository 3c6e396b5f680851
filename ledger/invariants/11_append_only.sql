-- The triggers stand on every table of the history, and the role of the application can write to none of the tables.
with history as (
    select 'ledger.request'::regclass as relation
    union
    select relid from pg_partition_tree('ledger.movement')
), forbidden (event, bits) as (
    -- pg_trigger.tgtype: 1 for each row, 2 before, 8 delete, 16 update, 32 truncate
    values ('UPDATE', 1 | 2 | 16), ('DELETE', 1 | 2 | 8), ('TRUNCATE', 2 | 32)
), tables as (
    select oid, oid::regclass as relation, relowner
    from pg_class
    where relnamespace = 'ledger'::regnamespace and relkind in ('r', 'p', 'v', 'm')
)
select format('%s: no trigger against %s', relation, event) as detail
from history
cross join forbidden
where not exists (
    select from pg_trigger
    where tgrelid = relation
        and tgfoid = 'ledger.append_only'::regproc
        and tgenabled in ('O', 'A')
        and tgtype & bits = bits
        and tgqual is null
)
union all
select format('%s: comptoir_app may %s', relation, privilege)
from tables
cross join unnest(array['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) as privilege
where has_table_privilege('comptoir_app', oid, privilege)
    or case when privilege in ('INSERT', 'UPDATE') then has_any_column_privilege('comptoir_app', oid, privilege) end
union all
select format('%s: comptoir_app is a member of its owner', relation)
from tables
where pg_has_role('comptoir_app', relowner, 'member')
union all
select 'comptoir_app may create objects in the schema'
where has_schema_privilege('comptoir_app', 'ledger', 'CREATE')
limit 20
