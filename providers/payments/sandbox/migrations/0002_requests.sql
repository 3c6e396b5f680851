-- A key belongs to one request, whatever it asks for.

-- Payments are answered with ``answer``, everything else with ``result``: the object as the command left it.
-- ``input`` is what else was asked, to tell a repeat from something else.
alter table sandbox.request
    drop constraint command_known,
    drop constraint method_with_confirmation_only,
    alter column payment_id drop not null,
    alter column answer drop not null,
    add column input  jsonb,
    add column result json,
    add constraint command_known check (command in (
        'CONFIRM', 'CAPTURE', 'CANCEL', 'REFUND', 'SAVE_METHOD', 'DETACH_METHOD', 'ONBOARD', 'TRANSFER',
        'REVERSE_TRANSFER', 'PAYOUT', 'ANSWER_DISPUTE')),
    add constraint method_with_confirmation_only check ((command = 'CONFIRM') = (method is not null)),
    add constraint answered_once check (num_nonnulls(answer, result) = 1);

-- What any command but those of payments answers. ``problem`` is why it was refused, ``detail`` the same more
-- closely. ``lost``: it took effect, and the answer shall not arrive. ``kind`` says what ``object`` is.
create type sandbox.reply as (
    problem  text,
    detail   text,
    replayed boolean,
    lost     boolean,
    kind     text,
    object   json
);

create function sandbox.refusal(problem text, detail text, kind text, object json) returns sandbox.reply
language sql immutable as $$
    select problem, detail, false, false, kind, object
$$;

-- Return what a key was answered before, null when it is new. Repeats that come at once wait for each other.
create function sandbox.earlier_reply(given_key text, given_command text, given_input jsonb, given_kind text)
returns sandbox.reply
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    earlier sandbox.request;
begin
    perform pg_advisory_xact_lock(hashtextextended(given_key, 5127340092));
    select * into earlier from sandbox.request where key = given_key;
    if found then
        if (earlier.command, earlier.input) is distinct from (given_command, given_input) then
            return sandbox.refusal('KEY_REUSED', null, null, null);
        end if;
        return row(null, null, true, false, given_kind, earlier.result)::sandbox.reply;
    end if;
    if exists (select from sandbox.payment where create_key = given_key) then
        return sandbox.refusal('KEY_REUSED', null, null, null);
    end if;
    return null;
end
$$;

-- Keep the answer for repeats of its key, and give it.
create function sandbox.answered(
    given_key text, given_command text, given_input jsonb, given_payment text, given_kind text, given_object json,
    given_lost boolean
) returns sandbox.reply
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    insert into sandbox.request (key, command, payment_id, input, result)
    values (given_key, given_command, given_payment, given_input, given_object);
    return row(null, null, false, given_lost, given_kind, given_object)::sandbox.reply;
end
$$;
