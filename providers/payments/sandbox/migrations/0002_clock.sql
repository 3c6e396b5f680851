-- The sandbox's own time: the wall clock's, moved ahead. What happens in business is dated by it; the leases and
-- retries of deliveries go by the wall clock.

create table sandbox.clock (
    only_one boolean  not null default true constraint one_clock primary key,
    ahead    interval not null default interval '0',
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
