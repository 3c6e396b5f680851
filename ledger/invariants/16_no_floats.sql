-- No float in any table, and no fraction and no unbounded number in the ledger's own; no float into or out of its functions.
select format('%s.%s: %s', attrelid::regclass, attname, format_type(atttypid, atttypmod)) as detail
from pg_attribute
join pg_class on pg_class.oid = attrelid
join pg_namespace on pg_namespace.oid = relnamespace
where attnum > 0 and not attisdropped
    and relkind in ('r', 'p')
    and nspname not in ('pg_catalog', 'information_schema') and nspname not like 'pg\_t%'
    and (
        atttypid in (
            'real'::regtype, 'double precision'::regtype, 'money'::regtype, 'real[]'::regtype,
            'double precision[]'::regtype
        )
        -- numeric's modifier holds precision and scale; without one it takes any fraction
        or (nspname = 'ledger' and atttypid = 'numeric'::regtype
            and (atttypmod = -1 or ((atttypmod - 4) & 2047) <> 0))
    )
union all
select format('%s: takes or returns a float', pg_proc.oid::regprocedure)
from pg_proc
where pronamespace = 'ledger'::regnamespace
    and coalesce(proallargtypes, proargtypes::oid[]) || prorettype && array[
        'real'::regtype, 'double precision'::regtype, 'real[]'::regtype, 'double precision[]'::regtype
    ]::oid[]
limit 20
