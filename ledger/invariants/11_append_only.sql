-- The triggers stand on every table of the history; the application's role can write to none of the tables, and call
-- only what posts and reads, which runs with nobody else's names in its way.
with history as (
    select relation
    from unnest('{ledger.request,ledger.account_change,ledger.hold_entry,ledger.reversal}'::regclass[]) as relation
    union
    select relid from pg_partition_tree('ledger.movement')
), forbidden (event, bits) as (
    -- pg_trigger.tgtype: 1 for each row, 2 before, 8 delete, 16 update, 32 truncate
    values ('UPDATE', 1 | 2 | 16), ('DELETE', 1 | 2 | 8), ('TRUNCATE', 2 | 32)
), tables as (
    select oid, oid::regclass as relation, relowner, relkind
    from pg_class
    where relnamespace = 'ledger'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'f', 'S')
), functions as (
    select oid, oid::regprocedure as function, proname, prosecdef, proconfig, prorettype
    from pg_proc
    where pronamespace = 'ledger'::regnamespace
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
        and tgattr = ''
)
union all
select 'the trigger against changes lets them through'
from pg_proc
where oid = 'ledger.append_only'::regproc and (prosrc !~ '^\s*begin\s+raise exception ' or prosrc ~* '\mreturn\M')
union all
select 'comptoir_app may put triggers to sleep'
where has_parameter_privilege('comptoir_app', 'session_replication_role', 'SET')
union all
select format('%s: comptoir_app may %s', relation, privilege)
from tables
cross join unnest(array['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) as privilege
where relkind <> 'S' and (
    has_table_privilege('comptoir_app', oid, privilege)
    or case
        when privilege in ('INSERT', 'UPDATE', 'REFERENCES')
            then has_any_column_privilege('comptoir_app', oid, privilege)
    end
)
union all
select format('%s: comptoir_app may %s', relation, privilege)
from tables
cross join unnest(array['USAGE', 'UPDATE']) as privilege
where relkind = 'S' and has_sequence_privilege('comptoir_app', oid, privilege)
union all
select format('%s: comptoir_app is a member of its owner', relation)
from tables
where pg_has_role('comptoir_app', relowner, 'member')
union all
select 'comptoir_app may create objects in the schema'
where has_schema_privilege('comptoir_app', 'ledger', 'CREATE')
union all
select format('%s: comptoir_app may execute it', function)
from functions
-- A trigger's function nobody can call.
where prorettype <> 'trigger'::regtype and has_function_privilege('comptoir_app', oid, 'EXECUTE') and (
    proname not in (
        'post', 'transfer', 'open_accounts', 'change_account', 'declare_asset', 'expire_holds', 'create_partitions',
        'version_at', 'balance_at', 'statement', 'settled_moment'
    )
    -- Another function of one of these names.
    or exists (select from functions as other where other.proname = functions.proname and other.oid < functions.oid)
)
union all
select format('%s: runs as its owner, in a search path that others set', function)
from functions
where prosecdef and 'search_path=ledger, pg_temp' <> all (coalesce(proconfig, '{}'))
union all
select format('%s: runs as its owner, and speaks of the ledger', pg_proc.oid::regprocedure)
from pg_proc
where prosecdef
    and pronamespace <> 'ledger'::regnamespace
    and prosrc ~* '\mledger\.'
    and has_function_privilege('comptoir_app', oid, 'EXECUTE')
order by detail
limit 20
