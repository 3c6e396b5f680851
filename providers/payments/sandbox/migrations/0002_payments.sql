-- Payments: authorised and captured later, in full or in part; and what their cards do to them afterwards.

-- ``card`` is what the card does beyond the outcome: null for one that only succeeds. ``disputed`` is what is
-- withdrawn because of disputes, ``refunded`` what was given back and has not returned.
alter table sandbox.payment
    drop constraint state_known,
    drop constraint captured_in_full_by_success_only,
    drop constraint declined_only_while_method_required,
    drop constraint settles_at_while_processing,
    add column manual_capture boolean not null default false,
    add column authorized     bigint  not null default 0,
    add column capture_before timestamptz,
    add column refunded       bigint  not null default 0,
    add column disputed       bigint  not null default 0,
    add column disputes       integer not null default 0,
    add column card           jsonb,
    add constraint state_known check (state in
        ('REQUIRES_METHOD', 'REQUIRES_ACTION', 'PROCESSING', 'AUTHORIZED', 'SUCCEEDED', 'CANCELED')),
    add constraint captured_by_success_only check (case
        when state <> 'SUCCEEDED' then captured = 0
        when manual_capture then captured between 1 and authorized
        else captured = amount end),
    add constraint authorized_in_full_if_at_all check (authorized in (0, case when manual_capture then amount else 0 end)),
    add constraint authorized_before_capture check (state <> 'AUTHORIZED' or authorized = amount),
    add constraint lapses_while_authorized check ((state = 'AUTHORIZED') = (capture_before is not null)),
    add constraint declined_while_open_or_expired check (
        decline_code is null or state = 'REQUIRES_METHOD' or (state, decline_code) = ('CANCELED', 'EXPIRED')),
    add constraint refunded_within_captured check (refunded between 0 and captured),
    add constraint disputed_within_captured check (disputed between 0 and captured);

insert into sandbox.agenda (due_at, action, object_id)
select settles_at, 'SETTLE_PAYMENT', id from sandbox.payment where settles_at is not null order by settles_at;

drop index sandbox.payment_settles_at;
drop function sandbox.settle_due(integer);
alter table sandbox.payment drop column settles_at;

-- ``reason`` is why a card was declined, for us alone. ``lost``: the answer shall not arrive.
alter type sandbox.answer add attribute authorized bigint;
alter type sandbox.answer add attribute capture_before timestamptz;
alter type sandbox.answer add attribute reason text;
alter type sandbox.answer add attribute lost boolean;

create or replace function sandbox.answer_of(payment sandbox.payment, problem text) returns sandbox.answer
language sql immutable as $$
    select problem, false, payment.id, payment.reference, payment.amount, payment.currency, payment.state,
           payment.changed_at, payment.captured, payment.decline_code, payment.action_url, payment.return_url,
           payment.authorized, payment.capture_before, null::text, false
$$;

create function sandbox.payment_object(payment sandbox.payment) returns json
language sql stable as $$
    select json_build_object(
        'id', payment.id, 'reference', payment.reference, 'state', payment.state,
        'at', sandbox.iso_time(payment.changed_at), 'amount', payment.amount,
        'currency', payment.currency, 'captured', payment.captured,
        'decline_code', payment.decline_code, 'action_url', payment.action_url,
        'authorized', payment.authorized, 'capture_before', sandbox.iso_time(payment.capture_before))
$$;

create function sandbox.charge_object(payment sandbox.payment, entry sandbox.balance_transaction) returns json
language sql stable as $$
    select json_build_object(
        'payment', payment.id, 'reference', payment.reference, 'balance_transaction', entry.id,
        'at', sandbox.iso_time(entry.at), 'gross', entry.amount, 'fee', entry.fee, 'currency', entry.currency,
        'available_on', sandbox.iso_time(entry.available_on))
$$;

-- Write a payment's new state, its events and its charge. The caller holds the row's lock, has set what changes,
-- and has read the clock or leaves that to this.
drop function sandbox.record_change(sandbox.payment);

create function sandbox.record_change(payment sandbox.payment, clock sandbox.clock default null)
returns sandbox.payment
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    succeeded constant boolean := payment.state = 'SUCCEEDED';
    effect constant text := payment.card ->> 'webhooks';
    charge sandbox.balance_transaction;
begin
    if clock.ahead is null then
        select * into clock from sandbox.clock;
    end if;
    -- A payment's moments never stand still or go back, whatever the clock does; a success takes two of them.
    payment.changed_at := greatest(clock_timestamp() + clock.ahead, payment.changed_at + interval '2 microseconds');
    payment.event_count := payment.event_count + case when succeeded then 2 else 1 end;
    if succeeded and payment.captured = 0 then
        payment.captured := payment.amount;
    end if;
    if payment.state = 'AUTHORIZED' then
        payment.authorized := payment.amount;
        payment.capture_before := payment.changed_at + interval '168 hours';
        perform sandbox.schedule(payment.capture_before, 'EXPIRE_PAYMENT', payment.id, null);
    else
        payment.capture_before := null;
    end if;
    update sandbox.payment as stored
       set state = payment.state, captured = payment.captured, authorized = payment.authorized,
           capture_before = payment.capture_before, decline_code = payment.decline_code,
           action_url = payment.action_url, return_url = payment.return_url, card = payment.card,
           event_count = payment.event_count, changed_at = payment.changed_at
     where stored.id = payment.id;
    perform sandbox.append_event(
        payment.id,
        payment.id,
        payment.event_count - succeeded::integer,
        case payment.state
            when 'SUCCEEDED' then 'payment.succeeded'
            when 'PROCESSING' then 'payment.processing'
            when 'REQUIRES_ACTION' then 'payment.requires_action'
            when 'AUTHORIZED' then 'payment.authorized'
            when 'CANCELED' then 'payment.canceled'
            when 'REQUIRES_METHOD' then 'payment.failed'
        end,
        payment.changed_at,
        sandbox.payment_object(payment),
        effect,
        clock.armed);
    if succeeded then
        insert into sandbox.balance_transaction
            (id, kind, subject, object_id, amount, fee, currency, at, available_on)
        values (
            'txn_' || substr(payment.id, 5), 'CHARGE', 'PAYMENT', payment.id, payment.captured,
            -- 2.9 % rounded half up, and 30 of the smallest unit: never more than was paid.
            least(payment.captured, (payment.captured * 29 + 500) / 1000 + 30), payment.currency,
            payment.changed_at + interval '1 microsecond', payment.changed_at)
        returning * into charge;
        perform sandbox.append_event(
            payment.id, payment.id, payment.event_count, 'charge.updated', charge.at,
            -- A pair is put out of order by holding its first back, not both.
            sandbox.charge_object(payment, charge), nullif(effect, 'REORDER'), clock.armed);
        if payment.card ? 'dispute' then
            perform sandbox.schedule(
                payment.changed_at + (payment.card ->> 'delay')::interval, 'OPEN_DISPUTE', payment.id,
                jsonb_build_object('outcome', payment.card ->> 'dispute', 'delay', payment.card ->> 'delay'));
        end if;
    end if;
    return payment;
end
$$;

drop function sandbox.create_payment(text, text, uuid, bigint, text, text);

create function sandbox.create_payment(
    given_key text, given_id text, given_reference uuid, given_amount bigint, given_currency text,
    given_description text, given_manual_capture boolean default false
) returns sandbox.answer
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    clock constant sandbox.clock := (select stored from sandbox.clock as stored);
    moment constant timestamptz := clock_timestamp() + clock.ahead;
    payment sandbox.payment;
    fault sandbox.fault;
    answer sandbox.answer;
begin
    if exists (select from sandbox.request where key = given_key) then
        answer.problem := 'KEY_REUSED';
        return answer;
    end if;
    -- Only when one is armed is there a look whether this is the first time; a repeat meets no fault.
    if clock.armed and not exists (
            select from sandbox.payment as stored
             where stored.create_key = given_key or stored.reference = given_reference) then
        fault := sandbox.take_fault('CREATE', null);
        if fault.effect in ('REQUEST_LOST', 'UNAVAILABLE') then
            answer.problem := fault.effect;
            return answer;
        end if;
    end if;
    insert into sandbox.payment as stored
        (id, reference, create_key, amount, currency, description, manual_capture, created_at, changed_at)
    values (given_id, given_reference, given_key, given_amount, given_currency, given_description,
            given_manual_capture, moment, moment)
    on conflict do nothing
    returning stored.* into payment;
    if found then
        answer := sandbox.answer_of(payment, null);
        answer.lost := fault.effect is not distinct from 'ANSWER_LOST';
        return answer;
    end if;
    select * into payment from sandbox.payment as stored where stored.create_key = given_key;
    if not found then
        select * into payment from sandbox.payment as stored where stored.reference = given_reference;
    end if;
    answer := sandbox.answer_of(payment, case
        when payment.create_key = given_key and (payment.reference, payment.description)
             is distinct from (given_reference, given_description) then 'KEY_REUSED'
        when (payment.amount, payment.currency, payment.manual_capture)
             is not distinct from (given_amount, given_currency, given_manual_capture) then null
        when payment.create_key = given_key then 'KEY_REUSED'
        else 'REFERENCE_REUSED'
    end);
    -- The answer is what creating it did, whatever became of it since.
    answer.state := 'REQUIRES_METHOD';
    answer.at := payment.created_at;
    answer.captured := 0;
    answer.authorized := 0;
    answer.capture_before := null;
    answer.decline_code := null;
    answer.action_url := null;
    answer.return_url := null;
    answer.replayed := true;
    return answer;
end
$$;

drop function sandbox.earlier_answer(sandbox.payment, text, text, text);

-- Return what a key answered before: null when it is new, KEY_REUSED when it asked for something else.
create function sandbox.earlier_answer(
    payment sandbox.payment, given_key text, given_command text, given_method text, given_input jsonb
) returns sandbox.answer
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    earlier sandbox.request;
    answer sandbox.answer;
begin
    select * into earlier from sandbox.request where key = given_key;
    if found then
        if (earlier.command, earlier.payment_id, earlier.method, earlier.input)
           is distinct from (given_command, payment.id, given_method, given_input) then
            return sandbox.answer_of(payment, 'KEY_REUSED');
        end if;
        answer := earlier.answer;
        answer.replayed := true;
    elsif exists (select from sandbox.payment where create_key = given_key) then
        answer := sandbox.answer_of(payment, 'KEY_REUSED');
    end if;
    return answer;
end
$$;
