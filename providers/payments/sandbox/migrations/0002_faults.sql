-- What goes wrong on purpose. A fault is armed for the next ``remaining`` events or commands of a kind.

create table sandbox.fault (
    seq        bigint generated always as identity constraint fault_seq_unique primary key,
    target     text        not null,
    effect     text        not null,
    event_type text,
    copies     integer,
    delay      interval,
    remaining  integer     not null,
    armed_at   timestamptz not null default clock_timestamp(),
    constraint target_known check (target in (
        'EVENT', 'CREATE', 'CONFIRM', 'CAPTURE', 'CANCEL', 'REFUND', 'SAVE_METHOD', 'DETACH_METHOD', 'ONBOARD',
        'TRANSFER', 'REVERSE_TRANSFER', 'PAYOUT', 'ANSWER_DISPUTE')),
    constraint effect_fits_target check (case target
        when 'EVENT' then effect in ('DUPLICATE', 'DELAY', 'REORDER', 'LOSE')
        else effect in ('ANSWER_LOST', 'REQUEST_LOST', 'UNAVAILABLE') end),
    constraint event_type_of_events_only check (event_type is null or target = 'EVENT'),
    constraint copies_of_duplicates check ((effect = 'DUPLICATE') = (copies is not null) and copies between 1 and 100),
    constraint delay_of_delayed check ((effect = 'DELAY') = (delay is not null) and delay > interval '0'),
    constraint remaining_not_negative check (remaining >= 0)
);

create index fault_armed on sandbox.fault (target, seq) where remaining > 0;

create function sandbox.arm(
    given_target text, given_effect text, given_event_type text, given_copies integer, given_delay interval,
    given_times integer
) returns void
language sql as $$
    insert into sandbox.fault (target, effect, event_type, copies, delay, remaining)
    values (given_target, given_effect, given_event_type, given_copies, given_delay, given_times);
    update sandbox.clock set armed = true where not armed;
$$;

-- Return the fault that is armed for this, and count it; null when there is none.
create function sandbox.take_fault(given_target text, given_event_type text) returns sandbox.fault
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    armed sandbox.fault;
begin
    select * into armed from sandbox.fault as stored
     where stored.target = given_target and stored.remaining > 0
       and (stored.event_type is null or stored.event_type = given_event_type)
     order by stored.seq limit 1 for update;
    if found then
        update sandbox.fault as stored set remaining = stored.remaining - 1 where stored.seq = armed.seq;
    end if;
    return armed;
end
$$;

-- Rules: what shall happen to charges, refunds and payouts of a kind. Of several that match, the first holds.
create table sandbox.rule (
    seq         bigint generated always as identity constraint rule_seq_unique primary key,
    subject     text        not null,
    token       text,
    amount      bigint,
    currency    text,
    description text,
    behaviour   jsonb       not null,
    active      boolean     not null default true,
    added_at    timestamptz not null default clock_timestamp(),
    constraint subject_known check (subject in ('CHARGE', 'REFUND', 'PAYOUT')),
    constraint token_of_charges_only check (token is null or subject = 'CHARGE'),
    constraint description_of_payments_only check (description is null or subject <> 'PAYOUT')
);

create index rule_active on sandbox.rule (subject, seq) where active;

create function sandbox.add_rule(
    given_subject text, given_token text, given_amount bigint, given_currency text, given_description text,
    given_behaviour jsonb
) returns void
language sql as $$
    insert into sandbox.rule (subject, token, amount, currency, description, behaviour)
    values (given_subject, given_token, given_amount, given_currency, given_description, given_behaviour);
    update sandbox.clock set ruled = true where not ruled;
$$;

-- Disarm all faults, end all rules, let go of the events that were held back; say how many of each.
create function sandbox.reset(out faults bigint, out rules bigint, out events bigint)
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    update sandbox.clock set armed = false, ruled = false where armed or ruled;
    update sandbox.fault set remaining = 0 where remaining > 0;
    get diagnostics faults = row_count;
    update sandbox.rule set active = false where active;
    get diagnostics rules = row_count;
    update sandbox.event set fate = null, next_attempt_at = clock_timestamp() where fate = 'HELD';
    get diagnostics events = row_count;
end
$$;

-- ``description`` matches when the payment's has it in it; everything else has to be the same.
create function sandbox.ruled(
    given_subject text, given_token text, given_amount bigint, given_currency text, given_description text
) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    return (
        select rule.behaviour from sandbox.rule
         where rule.active and rule.subject = given_subject
           and (rule.token is null or rule.token = given_token)
           and (rule.amount is null or rule.amount = given_amount)
           and (rule.currency is null or rule.currency = given_currency)
           and (rule.description is null or strpos(given_description, rule.description) > 0)
         order by rule.seq limit 1);
end
$$;
