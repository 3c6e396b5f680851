-- Makes a partition of the movements for each of the coming months that has none, and returns the names of the new ones.
-- Ids are UUIDv7, so a month is a range of them. Where a month cannot have one just now, because the tables are busy or
-- because movements of it are in the default partition already, it goes without: nothing depends on a partition.
create or replace function ledger.create_partitions(months int) returns setof text
language plpgsql security definer
set search_path = ledger, pg_temp
set lock_timeout = '1s'
as $$
declare
    -- Where the partition ends that was there before there were months.
    beginning constant uuid := (
        select substring(pg_get_expr(relpartbound, oid) from 'TO \(''([0-9a-f-]+)''\)')
        from pg_class
        where oid = 'ledger.movement_first'::regclass
    );
    bounds uuid[];
    name text;
begin
    for i in 0..months loop
        select array_agg((lpad(to_hex((extract(epoch from month at time zone 'UTC') * 1000)::bigint), 12, '0')
            || repeat('0', 20))::uuid order by month), to_char(min(month), '"movement_"YYYY_MM')
        into bounds, name
        from generate_series(i, i + 1) as number
        cross join lateral (
            select date_trunc('month', clock_timestamp() at time zone 'UTC') + number * interval '1 month' as month
        ) as months;
        continue when bounds[1] < beginning or to_regclass('ledger.' || name) is not null;
        begin
            execute format('create table ledger.%I partition of ledger.movement for values from (%L) to (%L)',
                name, bounds[1], bounds[2]);
            execute format('create unique index on ledger.%I (debit, debit_version)', name);
            execute format('create unique index on ledger.%I (credit, credit_version)', name);
            -- TRUNCATE of a partition does not ask its parent's triggers.
            execute format('create trigger append_only_as_a_whole before truncate on ledger.%I'
                ' for each statement execute function ledger.append_only()', name);
            execute format('grant select on ledger.%I to comptoir_app', name);
            return next name;
        exception
            when check_violation or duplicate_table then null;
            -- Whoever posts is queueing behind this.
            when lock_not_available or deadlock_detected then exit;
        end;
    end loop;
end
$$;

revoke execute on function ledger.create_partitions from public;
grant execute on function ledger.create_partitions to comptoir_app;
