-- The sandbox's own time: the wall clock's, moved ahead. What happens in business is dated by it; the leases and
-- retries of deliveries go by the wall clock.

-- Its one row is read by every command, so it also says whether there is anything to look for among faults
-- (``armed``) and rules (``ruled``): nearly always there is not.
create table sandbox.clock (
    only_one boolean  not null default true constraint one_clock primary key,
    ahead    interval not null default interval '0',
    armed    boolean  not null default false,
    ruled    boolean  not null default false,
    constraint only_one_row check (only_one),
    constraint never_behind check (ahead >= interval '0')
);

insert into sandbox.clock default values;

create function sandbox.now() returns timestamptz
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    return clock_timestamp() + (select ahead from sandbox.clock);
end
$$;

-- Declared as what it is, for the planner to put it in place: called, it took longer than a look into an index.
create or replace function sandbox.iso_time(moment timestamptz) returns text
language sql stable as $$
    select pg_catalog.to_char(moment at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;

-- Kept in seconds: a day added in the time zone of a session may have 23 hours.
create function sandbox.advance_clock(by interval) returns interval
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    total interval;
begin
    update sandbox.clock set ahead = ahead + make_interval(secs => extract(epoch from by)::double precision)
    returning ahead into total;
    return total;
end
$$;
