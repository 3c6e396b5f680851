-- No float in any table, and no fraction and no unbounded number in the ledger's own; no float into or out of its
-- functions, and none within them, where a number written as 1e38 is a numeric.
with recursive float_type as (
    select oid from pg_type where oid in ('real'::regtype, 'double precision'::regtype, 'money'::regtype)
    union
    -- Arrays, domains and shapes of them.
    select pg_type.oid from pg_type join float_type on float_type.oid in (typbasetype, typelem)
), columns as (
    select
        attrelid::regclass as relation, attname, relkind, nspname = 'ledger' as is_ledger, atttypid,
        format_type(atttypid, atttypmod) as type,
        case typtype when 'd' then typbasetype else atttypid end as base,
        case typtype when 'd' then typtypmod else atttypmod end as modifier
    from pg_attribute
    join pg_class on pg_class.oid = attrelid
    join pg_namespace on pg_namespace.oid = relnamespace
    join pg_type on pg_type.oid = atttypid
    where attnum > 0 and not attisdropped
        and nspname not in ('pg_catalog', 'information_schema') and nspname not like 'pg\_t%'
), functions as (
    select
        oid::regprocedure as function, coalesce(proallargtypes, proargtypes::oid[]) || prorettype as types,
        -- Without its comments, which may say what they like.
        regexp_replace(
            regexp_replace(case prokind when 'a' then '' else pg_get_functiondef(oid) end, '--[^\n]*', '', 'g'),
            '/\*.*?\*/', '', 'g'
        ) as definition
    from pg_proc
    where pronamespace = 'ledger'::regnamespace
)
select format('%s.%s: %s', relation, attname, type) as detail
from columns
where relkind in ('r', 'p') and atttypid in (select oid from float_type)
    or is_ledger and relkind in ('v', 'm', 'c') and atttypid in (select oid from float_type)
    -- numeric's modifier holds precision and scale; without one it takes any fraction
    or is_ledger and relkind in ('r', 'p') and base in ('numeric'::regtype, 'numeric[]'::regtype)
        and (modifier = -1 or ((modifier - 4) & 2047) <> 0)
union all
select format('%s: takes or returns a float', function)
from functions
where types && array(select oid from float_type)
union all
select format('%s: speaks of a float: %s', function, found[1])
from functions
cross join regexp_match(definition, '\m(real|float[48]?|double\s+precision)\M', 'i') as found
where found is not null
order by detail
limit 20
