-- Events of every object, replayed by their moments, and webhooks that go wrong on purpose.

-- ``queued_at`` is by the wall clock, as retries are. ``copies``: how often it is sent besides. ``fate``: it was
-- LOST (never sent; only a replay shows it), is HELD until a later one was sent, or DELAYED.
alter table sandbox.event
    alter column payment_id drop not null,
    add column queued_at timestamptz not null default clock_timestamp(),
    add column copies    integer     not null default 0,
    add column fate      text,
    add constraint copies_not_negative check (copies >= 0),
    add constraint fate_known check (fate in ('LOST', 'HELD', 'DELAYED'));

update sandbox.event set queued_at = created_at;

create index event_created_at on sandbox.event (created_at, id);
create index event_held on sandbox.event (created_at) where fate = 'HELD';

drop function sandbox.append_event(sandbox.payment, integer, text, timestamptz, json);

-- Ids follow from the object's: the same story always has the same events. ``effect`` is what goes wrong with
-- the webhook if no fault says otherwise; ``armed`` is false where it is known that none is.
create function sandbox.append_event(
    given_object text, given_payment text, number integer, type text, at timestamptz, object json, effect text,
    armed boolean default true
) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    event_id constant text := format('evt_%s_%s', substr(given_object, 5), number);
    fault sandbox.fault;
    sent_at timestamptz := clock_timestamp();
    its_fate text;
begin
    if armed then
        fault := sandbox.take_fault('EVENT', type);
        effect := coalesce(fault.effect, effect);
    end if;
    if effect in ('LOSE', 'REORDER', 'DELAY') then
        sent_at := null;
        its_fate := case effect when 'LOSE' then 'LOST' when 'REORDER' then 'HELD' else 'DELAYED' end;
    end if;
    insert into sandbox.event (id, payment_id, type, created_at, next_attempt_at, copies, fate, body)
    values (
        event_id, given_payment, append_event.type, append_event.at, sent_at,
        case when effect = 'DUPLICATE' then coalesce(fault.copies, 1) else 0 end, its_fate,
        json_build_object(
            'id', event_id, 'type', append_event.type, 'created', sandbox.iso_time(append_event.at),
            'livemode', false, 'data', json_build_object('object', append_event.object)));
    if effect = 'DELAY' then
        perform sandbox.schedule(
            sandbox.now() + coalesce(fault.delay, interval '60 seconds'), 'RELEASE_EVENT', event_id, null);
    end if;
end
$$;

-- Do what is due, and take events to send, one row for each time they are sent. Their next attempt moves beyond
-- the lease, so that no other worker takes them meanwhile and a worker that dies leaves them to the others.
create or replace function sandbox.claim_events(most integer, lease interval)
returns table (id text, body text, attempts integer)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    moment constant timestamptz := clock_timestamp();
begin
    perform sandbox.settle_due(most, false);
    return query
    with due as materialized (
        select stored.id from sandbox.event as stored where stored.next_attempt_at <= moment
         order by stored.next_attempt_at limit most for no key update skip locked
    ), claimed as (
        update sandbox.event as stored
           set next_attempt_at = moment + lease, attempts = stored.attempts + 1
          from due
         where stored.id = due.id
        returning stored.id, stored.body::text as text, stored.attempts, stored.copies
    )
    select claimed.id, claimed.text, claimed.attempts
      from claimed,
           generate_series(0, case when claimed.attempts = 1 then claimed.copies else 0 end);
end
$$;

-- Write what became of the attempts. An event that waits for longer than ``keep_trying`` is given up; one that
-- was held back goes after a later one was delivered.
create or replace function sandbox.record_attempts(
    ids text[], delivered boolean[], retry_after interval[], keep_trying interval
) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    moment constant timestamptz := clock_timestamp();
begin
    update sandbox.event as stored
       set delivered_at = case when attempt.delivered then moment end,
           next_attempt_at = case
               when not attempt.delivered and stored.queued_at + keep_trying > moment
               then moment + attempt.retry_after
           end
      from (
        select attempt.id, bool_or(attempt.delivered) as delivered, min(attempt.retry_after) as retry_after
          from unnest(ids, delivered, retry_after) as attempt (id, delivered, retry_after)
         group by attempt.id
      ) as attempt
     where stored.id = attempt.id
       and stored.delivered_at is null; -- a slow worker's late failure does not undo another's delivery
    if exists (select from sandbox.event as held where held.fate = 'HELD') then
        update sandbox.event as held
           set fate = null, next_attempt_at = moment
         where held.fate = 'HELD'
           and held.created_at < (
                select max(sent.created_at) from sandbox.event as sent
                 where sent.id = any(ids) and sent.delivered_at = moment);
    end if;
end
$$;
