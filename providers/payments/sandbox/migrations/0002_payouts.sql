-- Payouts from a connected account to its bank. The account holds what was transferred to it and neither taken
-- back nor paid out; what a failed payout took comes back to it.

-- ``scenario``: PAID, FAILS, FAILS_AFTER_PAID or STAYS_IN_TRANSIT.
create table sandbox.payout (
    id           text        not null constraint payout_id_unique primary key,
    reference    uuid        not null constraint one_payout_per_reference unique,
    account_id   text        not null constraint payout_of_account references sandbox.account,
    amount       bigint      not null,
    currency     text        not null,
    state        text        not null default 'PENDING',
    scenario     text        not null,
    delay        interval    not null,
    arrives_at   timestamptz not null,
    failure_code text,
    event_count  integer     not null default 0,
    created_at   timestamptz not null,
    changed_at   timestamptz not null,
    constraint amount_positive check (amount > 0),
    constraint state_known check (state in ('PENDING', 'IN_TRANSIT', 'PAID', 'FAILED')),
    constraint scenario_known check (scenario in ('PAID', 'FAILS', 'FAILS_AFTER_PAID', 'STAYS_IN_TRANSIT')),
    constraint failure_says_why check ((state = 'FAILED') = (failure_code is not null))
);

create index payout_account on sandbox.payout (account_id, currency);

create function sandbox.account_balance(given_account text, given_currency text) returns bigint
language sql stable as $$
    select coalesce((
            select sum(transfer.amount) from sandbox.transfer
             where transfer.account_id = given_account and transfer.currency = given_currency
               and transfer.reversal_transaction is null), 0)::bigint
         - coalesce((
            select sum(payout.amount) from sandbox.payout
             where payout.account_id = given_account and payout.currency = given_currency
               and payout.state <> 'FAILED'), 0)::bigint
$$;

create function sandbox.payout_object(payout sandbox.payout) returns json
language sql stable as $$
    select json_build_object(
        'id', payout.id, 'reference', payout.reference, 'account', payout.account_id, 'state', payout.state,
        'at', sandbox.iso_time(payout.changed_at), 'amount', payout.amount, 'currency', payout.currency,
        'arrives_at', sandbox.iso_time(payout.arrives_at), 'failure_code', payout.failure_code)
$$;

create function sandbox.pay_out(
    given_key text, given_id text, given_reference uuid, given_account text, given_amount bigint,
    given_currency text, given_amounts jsonb, given_delay interval
) returns sandbox.reply
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    input constant jsonb := jsonb_build_object(
        'reference', given_reference, 'account', given_account, 'amount', given_amount, 'currency', given_currency);
    reply sandbox.reply := sandbox.earlier_reply(given_key, 'PAYOUT', input, 'payout');
    moment constant timestamptz := sandbox.now();
    account sandbox.account;
    payout sandbox.payout;
    fault sandbox.fault;
begin
    if reply.replayed is not null then
        return reply;
    end if;
    select * into account from sandbox.account where id = given_account for no key update;
    if not found then
        return sandbox.refusal('NOT_FOUND', 'account_not_found', null, null);
    end if;
    select * into payout from sandbox.payout where reference = given_reference;
    if found then
        if (payout.account_id, payout.amount, payout.currency)
           is distinct from (given_account, given_amount, given_currency) then
            return sandbox.refusal('REFERENCE_REUSED', null, null, null);
        end if;
        return row(null, null, true, false, 'payout', sandbox.payout_object(payout))::sandbox.reply;
    end if;
    if given_amount is null or given_amount < 1 then
        return sandbox.refusal('AMOUNT_INVALID', 'payout_amount_not_positive', null, null);
    end if;
    if not account.ready then
        return sandbox.refusal('ACCOUNT_NOT_READY', null, 'account', sandbox.account_object(account));
    end if;
    if sandbox.account_balance(given_account, given_currency) < given_amount then
        return sandbox.refusal('BALANCE_INSUFFICIENT', 'account_balance_insufficient', null, null);
    end if;
    fault := sandbox.take_fault('PAYOUT', null);
    if fault.effect in ('REQUEST_LOST', 'UNAVAILABLE') then
        return sandbox.refusal(fault.effect, null, null, null);
    end if;
    insert into sandbox.payout
        (id, reference, account_id, amount, currency, scenario, delay, arrives_at, event_count, created_at, changed_at)
    values (
        given_id, given_reference, given_account, given_amount, given_currency,
        coalesce(
            sandbox.ruled('PAYOUT', null, given_amount, given_currency, null) ->> 'payout',
            given_amounts ->> given_amount::text,
            'PAID'),
        given_delay, moment + 2 * given_delay, 1, moment, moment)
    returning * into payout;
    perform sandbox.append_event(
        payout.id, null, 1, 'payout.created', moment, sandbox.payout_object(payout), null);
    perform sandbox.schedule(moment + given_delay, 'SEND_PAYOUT', payout.id, '{"from": "PENDING"}');
    return sandbox.answered(
        given_key, 'PAYOUT', input, null, 'payout', sandbox.payout_object(payout),
        fault.effect is not distinct from 'ANSWER_LOST');
end
$$;

-- Move a payout on, for the agenda and by control. It never goes back, but one that was paid can fail. The agenda
-- moves only what still is in the state ``only_from``, and plans what its scenario has next from ``moved_at`` on;
-- what control did is the end of it.
create function sandbox.move_payout(given_payout text, given_state text, moved_at timestamptz, only_from text)
returns sandbox.reply
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    ranks constant text[] := '{PENDING,IN_TRANSIT,PAID,FAILED}';
    payout sandbox.payout;
    next_action text;
begin
    perform from sandbox.account as stored
     where stored.id = (select account_id from sandbox.payout where id = given_payout) for no key update;
    select * into payout from sandbox.payout where id = given_payout for no key update;
    if not found then
        return sandbox.refusal('NOT_FOUND', 'payout_not_found', null, null);
    end if;
    if array_position(ranks, given_state) <= array_position(ranks, payout.state) or payout.state <> only_from then
        return sandbox.refusal('STATE_CONFLICT', 'payout_state_conflict', 'payout', sandbox.payout_object(payout));
    end if;
    update sandbox.payout as stored
       set state = given_state, event_count = stored.event_count + 1,
           failure_code = case when given_state <> 'FAILED' then null
                               when stored.state = 'PAID' then 'returned_by_bank' else 'account_closed' end,
           changed_at = greatest(sandbox.now(), stored.changed_at + interval '1 microsecond')
     where stored.id = given_payout
    returning stored.* into payout;
    perform sandbox.append_event(
        payout.id, null, payout.event_count,
        case given_state when 'PAID' then 'payout.paid' when 'FAILED' then 'payout.failed' else 'payout.updated' end,
        payout.changed_at, sandbox.payout_object(payout), null);
    next_action := case
        when given_state = 'IN_TRANSIT' and payout.scenario in ('PAID', 'FAILS_AFTER_PAID') then 'PAY_PAYOUT'
        when given_state = 'IN_TRANSIT' and payout.scenario = 'FAILS' then 'FAIL_PAYOUT'
        when given_state = 'PAID' and payout.scenario = 'FAILS_AFTER_PAID' then 'FAIL_PAYOUT'
    end;
    if next_action is not null and moved_at is not null then
        perform sandbox.schedule(
            moved_at + payout.delay, next_action, payout.id, jsonb_build_object('from', given_state));
    end if;
    return row(null, null, false, false, 'payout', sandbox.payout_object(payout))::sandbox.reply;
end
$$;
