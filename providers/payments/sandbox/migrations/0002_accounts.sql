-- Connected accounts: opened for a creator, ready once the creator gave what is missing.

create table sandbox.account (
    id          text        not null constraint account_id_unique primary key,
    creator     uuid        not null constraint one_account_per_creator unique,
    country     text        not null,
    return_url  text        not null,
    ready       boolean     not null,
    missing     text[]      not null,
    links       integer     not null default 0,
    event_count integer     not null default 0,
    created_at  timestamptz not null,
    changed_at  timestamptz not null,
    constraint ready_or_something_missing check (ready = (cardinality(missing) = 0))
);

create function sandbox.account_object(account sandbox.account) returns json
language sql stable as $$
    select json_build_object(
        'id', account.id, 'reference', account.creator, 'at', sandbox.iso_time(account.changed_at),
        'ready', account.ready, 'missing', account.missing)
$$;

-- Say what is missing, and tell. The caller holds the account's lock.
create function sandbox.change_account(account sandbox.account, given_missing text[]) returns sandbox.account
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    update sandbox.account as stored
       set missing = given_missing, ready = cardinality(given_missing) = 0,
           changed_at = greatest(sandbox.now(), stored.changed_at + interval '1 microsecond'),
           event_count = stored.event_count + 1
     where stored.id = account.id
    returning stored.* into account;
    perform sandbox.append_event(
        account.id, null, account.event_count, 'account.updated', account.changed_at, sandbox.account_object(account),
        null);
    return account;
end
$$;

-- Open a creator's account, or give another link to it. ``given_readiness``: AT_ONCE, LATER (after the delay) or
-- ASKED (the creator gives what is missing).
create function sandbox.onboard(
    given_key text, given_id text, given_creator uuid, given_country text, given_return_url text,
    given_readiness text, given_delay interval, given_page text
) returns sandbox.reply
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    input constant jsonb := jsonb_build_object(
        'creator', given_creator, 'country', given_country, 'return_url', given_return_url);
    asked constant text[] := '{identity_document,bank_account}';
    reply sandbox.reply := sandbox.earlier_reply(given_key, 'ONBOARD', input, 'account');
    moment constant timestamptz := sandbox.now();
    account sandbox.account;
    fault sandbox.fault;
begin
    if reply.replayed is not null then
        return reply;
    end if;
    select * into account from sandbox.account where creator = given_creator;
    if found and account.country <> given_country then
        return sandbox.refusal('REFERENCE_REUSED', 'account_country_is_fixed', null, null);
    end if;
    fault := sandbox.take_fault('ONBOARD', null);
    if fault.effect in ('REQUEST_LOST', 'UNAVAILABLE') then
        return sandbox.refusal(fault.effect, null, null, null);
    end if;
    insert into sandbox.account as stored
        (id, creator, country, return_url, ready, missing, created_at, changed_at)
    values (given_id, given_creator, given_country, given_return_url, false, asked, moment, moment)
    on conflict (creator) do update set return_url = excluded.return_url
    returning stored.* into account;
    if account.event_count = 0 then
        account := sandbox.change_account(account, case when given_readiness = 'AT_ONCE' then '{}' else asked end);
        if given_readiness = 'LATER' then
            perform sandbox.schedule(account.changed_at + given_delay, 'READY_ACCOUNT', account.id, null);
        end if;
    end if;
    update sandbox.account as stored set links = stored.links + 1 where stored.id = account.id
    returning stored.* into account;
    return sandbox.answered(
        given_key, 'ONBOARD', input, null, 'account',
        json_build_object(
            'account', sandbox.account_object(account),
            'onboarding_url', case when not account.ready
                then format('%s/%s?link=%s', given_page, account.id, account.links) end),
        fault.effect is not distinct from 'ANSWER_LOST');
end
$$;

-- Make an account ready, or take that away again. Doing it twice changes nothing.
create function sandbox.set_account_ready(given_account text, given_ready boolean) returns sandbox.reply
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    account sandbox.account;
begin
    select * into account from sandbox.account where id = given_account for no key update;
    if not found then
        return sandbox.refusal('NOT_FOUND', 'account_not_found', null, null);
    end if;
    if account.ready <> given_ready then
        account := sandbox.change_account(
            account, case when given_ready then '{}'::text[] else '{identity_document}'::text[] end);
    end if;
    return row(null, null, false, false, 'account', sandbox.account_object(account))::sandbox.reply;
end
$$;
