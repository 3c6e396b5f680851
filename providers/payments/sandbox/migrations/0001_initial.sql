-- The sandbox provider's own books, in a schema of their own: to the rest of the house they are another
-- company's database, and nothing but the sandbox reads them.

-- The role belongs to the cluster: another database of it may be making it at this very moment.
do $$
begin
    if not exists (select from pg_catalog.pg_roles where rolname = 'comptoir_app') then
        create role comptoir_app nologin;
    end if;
exception
    when duplicate_object or unique_violation then null;
end
$$;

create schema sandbox;

create table sandbox.payment (
    id           text        not null constraint payment_id_unique primary key,
    reference    uuid        not null constraint one_payment_per_reference unique,
    create_key   text        not null constraint one_payment_per_create_key unique,
    amount       bigint      not null,
    currency     text        not null,
    description  text        not null,
    state        text        not null default 'REQUIRES_METHOD',
    captured     bigint      not null default 0,
    decline_code text,
    action_url   text,
    return_url   text,
    settles_at   timestamptz,
    event_count  integer     not null default 0,
    created_at   timestamptz not null,
    changed_at   timestamptz not null,
    constraint amount_positive check (amount > 0),
    constraint currency_named check (currency <> ''),
    constraint create_key_named check (length(create_key) between 1 and 255),
    constraint state_known check (state in
        ('REQUIRES_METHOD', 'REQUIRES_ACTION', 'PROCESSING', 'SUCCEEDED', 'CANCELED')),
    constraint captured_in_full_by_success_only check
        (captured = case state when 'SUCCEEDED' then amount else 0 end),
    constraint declined_only_while_method_required check (decline_code is null or state = 'REQUIRES_METHOD'),
    constraint action_url_while_action_required check ((state = 'REQUIRES_ACTION') = (action_url is not null)),
    constraint settles_at_while_processing check ((state = 'PROCESSING') = (settles_at is not null))
) with (fillfactor = 80); -- room for each row's next state beside it, so that no index is touched

create index payment_settles_at on sandbox.payment (settles_at) where settles_at is not null;

-- What a command answers, and what is kept to answer its repeats: the payment as the command left it.
-- ``problem`` is why it was refused: NOT_FOUND, KEY_REUSED, REFERENCE_REUSED, STATE_CONFLICT or DECLINED.
create type sandbox.answer as (
    problem            text,
    replayed           boolean,
    provider_reference text,
    reference          uuid,
    amount             bigint,
    currency           text,
    state              text,
    at                 timestamptz,
    captured           bigint,
    decline_code       text,
    action_url         text,
    return_url         text
);

create table sandbox.request (
    key        text           not null constraint one_request_per_key primary key,
    command    text           not null,
    payment_id text           not null constraint request_of_payment references sandbox.payment,
    method     text,
    answer     sandbox.answer not null,
    constraint key_named check (length(key) between 1 and 255),
    constraint command_known check (command in ('CONFIRM', 'CANCEL')),
    constraint method_with_confirmation_only check ((command = 'CONFIRM') = (method is not null))
);

-- ``body`` is kept as text: what was signed once is signed again, byte for byte.
-- ``next_attempt_at`` is null once an event is delivered or given up.
create table sandbox.event (
    id              text        not null constraint event_id_unique primary key,
    payment_id      text        not null constraint event_of_payment references sandbox.payment,
    type            text        not null,
    created_at      timestamptz not null,
    body            json        not null,
    attempts        integer     not null default 0,
    next_attempt_at timestamptz,
    delivered_at    timestamptz,
    constraint attempts_not_negative check (attempts >= 0),
    constraint delivered_once check (delivered_at is null or next_attempt_at is null)
);

create index event_next_attempt_at on sandbox.event (next_attempt_at) where next_attempt_at is not null;

create function sandbox.answer_of(payment sandbox.payment, problem text) returns sandbox.answer
language sql immutable as $$
    select problem, false, payment.id, payment.reference, payment.amount, payment.currency, payment.state,
           payment.changed_at, payment.captured, payment.decline_code, payment.action_url, payment.return_url
$$;

create function sandbox.iso_time(moment timestamptz) returns text
language sql immutable as $$
    select pg_catalog.to_char(moment at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;

-- Ids follow from the payment's: the same story always has the same events.
create function sandbox.append_event(payment sandbox.payment, number integer, type text, at timestamptz, object json)
returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    event_id text := format('evt_%s_%s', substr(payment.id, 5), number);
begin
    insert into sandbox.event (id, payment_id, type, created_at, next_attempt_at, body)
    values (event_id, payment.id, append_event.type, append_event.at, clock_timestamp(), json_build_object(
        'id', event_id, 'type', append_event.type, 'created', sandbox.iso_time(append_event.at),
        'livemode', false, 'data', json_build_object('object', append_event.object)));
end
$$;

-- Write a payment's new state and its events. The caller holds the row's lock and has set what changes.
create function sandbox.record_change(payment sandbox.payment) returns sandbox.payment
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    succeeded constant boolean := payment.state = 'SUCCEEDED';
    charged_at timestamptz;
begin
    -- A payment's moments never stand still or go back, whatever the clock does; a success takes two of them.
    payment.changed_at := greatest(clock_timestamp(), payment.changed_at + interval '2 microseconds');
    payment.captured := case when succeeded then payment.amount else 0 end;
    payment.event_count := payment.event_count + case when succeeded then 2 else 1 end;
    update sandbox.payment as stored
       set state = payment.state, captured = payment.captured, decline_code = payment.decline_code,
           action_url = payment.action_url, return_url = payment.return_url,
           settles_at = payment.settles_at, event_count = payment.event_count,
           changed_at = payment.changed_at
     where stored.id = payment.id;
    perform sandbox.append_event(
        payment,
        payment.event_count - succeeded::integer,
        case payment.state
            when 'SUCCEEDED' then 'payment.succeeded'
            when 'PROCESSING' then 'payment.processing'
            when 'REQUIRES_ACTION' then 'payment.requires_action'
            when 'CANCELED' then 'payment.canceled'
            when 'REQUIRES_METHOD' then 'payment.failed'
        end,
        payment.changed_at,
        json_build_object(
            'id', payment.id, 'reference', payment.reference, 'state', payment.state,
            'at', sandbox.iso_time(payment.changed_at), 'amount', payment.amount,
            'currency', payment.currency, 'captured', payment.captured,
            'decline_code', payment.decline_code, 'action_url', payment.action_url));
    if succeeded then
        charged_at := payment.changed_at + interval '1 microsecond';
        perform sandbox.append_event(payment, payment.event_count, 'charge.updated', charged_at, json_build_object(
            'payment', payment.id, 'reference', payment.reference,
            'balance_transaction', format('txn_%s', substr(payment.id, 5)),
            'at', sandbox.iso_time(charged_at),
            'gross', payment.amount,
            -- 2.9 % rounded half up, and 30 of the smallest unit: never more than was paid.
            'fee', least(payment.amount, (payment.amount * 29 + 500) / 1000 + 30),
            'currency', payment.currency, 'available_on', sandbox.iso_time(payment.changed_at)));
    end if;
    return payment;
end
$$;

create function sandbox.create_payment(
    given_key text, given_id text, given_reference uuid, given_amount bigint, given_currency text,
    given_description text
) returns sandbox.answer
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    moment constant timestamptz := clock_timestamp();
    payment sandbox.payment;
    answer sandbox.answer;
begin
    if exists (select from sandbox.request where key = given_key) then
        answer.problem := 'KEY_REUSED';
        return answer;
    end if;
    insert into sandbox.payment as stored
        (id, reference, create_key, amount, currency, description, created_at, changed_at)
    values
        (given_id, given_reference, given_key, given_amount, given_currency, given_description, moment, moment)
    on conflict do nothing
    returning stored.* into payment;
    if found then
        return sandbox.answer_of(payment, null);
    end if;
    select * into payment from sandbox.payment as stored where stored.create_key = given_key;
    if not found then
        select * into payment from sandbox.payment as stored where stored.reference = given_reference;
    end if;
    answer := sandbox.answer_of(payment, case
        when payment.create_key = given_key and (payment.reference, payment.description)
             is distinct from (given_reference, given_description) then 'KEY_REUSED'
        when (payment.amount, payment.currency) is not distinct from (given_amount, given_currency) then null
        when payment.create_key = given_key then 'KEY_REUSED'
        else 'REFERENCE_REUSED'
    end);
    -- The answer is what creating it did, whatever became of it since.
    answer.state := 'REQUIRES_METHOD';
    answer.at := payment.created_at;
    answer.captured := 0;
    answer.decline_code := null;
    answer.action_url := null;
    answer.return_url := null;
    answer.replayed := true;
    return answer;
end
$$;

-- Return what a key answered before: null when it is new, KEY_REUSED when it asked for something else.
create function sandbox.earlier_answer(payment sandbox.payment, given_key text, given_command text, given_method text)
returns sandbox.answer
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    earlier sandbox.request;
    answer sandbox.answer;
begin
    select * into earlier from sandbox.request where key = given_key;
    if found then
        if (earlier.command, earlier.payment_id, earlier.method)
           is distinct from (given_command, payment.id, given_method) then
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

create function sandbox.confirm_payment(
    given_key text, given_payment text, given_method text, given_return_url text, given_action_url text,
    outcome text, outcome_decline_code text, outcome_settles_after interval
) returns sandbox.answer
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    payment sandbox.payment;
    answer sandbox.answer;
begin
    select * into payment from sandbox.payment where id = given_payment for no key update;
    if not found then
        answer.problem := 'NOT_FOUND';
        return answer;
    end if;
    answer := sandbox.earlier_answer(payment, given_key, 'CONFIRM', given_method);
    if answer.provider_reference is not null then
        return answer;
    end if;
    -- A payer who turned away from 3-D Secure may pay with another method.
    if payment.state not in ('REQUIRES_METHOD', 'REQUIRES_ACTION') then
        return sandbox.answer_of(payment, 'STATE_CONFLICT');
    end if;
    payment.state := outcome;
    payment.decline_code := outcome_decline_code;
    payment.action_url := case when outcome = 'REQUIRES_ACTION' then given_action_url end;
    payment.return_url := given_return_url;
    payment.settles_at := case when outcome = 'PROCESSING' then clock_timestamp() + outcome_settles_after end;
    payment := sandbox.record_change(payment);
    answer := sandbox.answer_of(payment, case when outcome_decline_code is not null then 'DECLINED' end);
    -- The same key for another payment at this moment: the unique key takes the whole effect back.
    insert into sandbox.request (key, command, payment_id, method, answer)
    values (given_key, 'CONFIRM', given_payment, given_method, answer);
    return answer;
end
$$;

create function sandbox.cancel_payment(given_key text, given_payment text) returns sandbox.answer
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    payment sandbox.payment;
    answer sandbox.answer;
begin
    select * into payment from sandbox.payment where id = given_payment for no key update;
    if not found then
        answer.problem := 'NOT_FOUND';
        return answer;
    end if;
    answer := sandbox.earlier_answer(payment, given_key, 'CANCEL', null);
    if answer.provider_reference is not null then
        return answer;
    end if;
    if payment.state in ('PROCESSING', 'SUCCEEDED') then
        return sandbox.answer_of(payment, 'STATE_CONFLICT');
    end if;
    if payment.state <> 'CANCELED' then
        payment.state := 'CANCELED';
        payment.decline_code := null;
        payment.action_url := null;
        payment := sandbox.record_change(payment);
    end if;
    answer := sandbox.answer_of(payment, null);
    insert into sandbox.request (key, command, payment_id, answer)
    values (given_key, 'CANCEL', given_payment, answer);
    return answer;
end
$$;

-- The payer's own answer on the 3-D Secure page. Giving the same answer twice changes nothing.
create function sandbox.authenticate_payment(given_payment text, accepted boolean) returns sandbox.answer
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    payment sandbox.payment;
    answer sandbox.answer;
begin
    select * into payment from sandbox.payment where id = given_payment for no key update;
    if not found then
        answer.problem := 'NOT_FOUND';
        return answer;
    end if;
    if payment.state = 'REQUIRES_ACTION' then
        payment.state := case when accepted then 'SUCCEEDED' else 'REQUIRES_METHOD' end;
        payment.decline_code := case when not accepted then 'AUTHENTICATION_FAILED' end;
        payment.action_url := null;
        return sandbox.answer_of(sandbox.record_change(payment), null);
    end if;
    return sandbox.answer_of(payment, case
        when accepted and payment.state = 'SUCCEEDED' then null
        when not accepted and payment.decline_code = 'AUTHENTICATION_FAILED' then null
        else 'STATE_CONFLICT'
    end);
end
$$;

-- Let the payments succeed whose processing has taken long enough.
create function sandbox.settle_due(most integer) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    moment constant timestamptz := clock_timestamp();
    payment sandbox.payment;
begin
    for payment in
        select * from sandbox.payment as stored where stored.settles_at <= moment
         order by stored.settles_at limit most for no key update skip locked
    loop
        payment.state := 'SUCCEEDED';
        payment.settles_at := null;
        perform sandbox.record_change(payment);
    end loop;
end
$$;

-- Settle what is due, and take events to send. Their next attempt moves beyond the lease, so that no other worker takes them meanwhile
-- and a worker that dies leaves them to the others.
create function sandbox.claim_events(most integer, lease interval)
returns table (id text, body text, attempts integer)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    moment constant timestamptz := clock_timestamp();
begin
    perform sandbox.settle_due(most);
    return query
    with due as materialized (
        select stored.id from sandbox.event as stored where stored.next_attempt_at <= moment
         order by stored.next_attempt_at limit most for no key update skip locked
    )
    update sandbox.event as stored
       set next_attempt_at = moment + lease, attempts = stored.attempts + 1
      from due
     where stored.id = due.id
    returning stored.id, stored.body::text, stored.attempts;
end
$$;

-- Write what became of the attempts. An event older than ``keep_trying`` is given up.
create function sandbox.record_attempts(
    ids text[], delivered boolean[], retry_after interval[], keep_trying interval
) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    moment constant timestamptz := clock_timestamp();
begin
    update sandbox.event as stored
       set delivered_at = case when attempt.delivered then moment end,
           next_attempt_at = case
               when not attempt.delivered and stored.created_at + keep_trying > moment
               then moment + attempt.retry_after
           end
      from unnest(ids, delivered, retry_after) as attempt (id, delivered, retry_after)
     where stored.id = attempt.id
       and stored.delivered_at is null; -- a slow worker's late failure does not undo another's delivery
end
$$;

grant usage on schema sandbox to comptoir_app;
grant select, insert, update on sandbox.payment, sandbox.request, sandbox.event to comptoir_app;
