-- Transfers from our balance to a connected account.

create table sandbox.transfer (
    id                   text        not null constraint transfer_id_unique primary key,
    reference            uuid        not null constraint one_transfer_per_reference unique,
    account_id           text        not null constraint transfer_to_account references sandbox.account,
    amount               bigint      not null,
    currency             text        not null,
    balance_transaction  text        not null,
    reversal_transaction text,
    event_count          integer     not null default 0,
    created_at           timestamptz not null,
    changed_at           timestamptz not null,
    constraint amount_positive check (amount > 0)
);

create index transfer_account on sandbox.transfer (account_id, currency);

create function sandbox.transfer_object(transfer sandbox.transfer) returns json
language sql stable as $$
    select json_build_object(
        'id', transfer.id, 'reference', transfer.reference, 'account', transfer.account_id,
        'at', sandbox.iso_time(transfer.changed_at), 'amount', transfer.amount, 'currency', transfer.currency,
        'balance_transaction', transfer.balance_transaction, 'reversal_transaction', transfer.reversal_transaction)
$$;

create function sandbox.transfer_to_account(
    given_key text, given_id text, given_reference uuid, given_account text, given_amount bigint,
    given_currency text
) returns sandbox.reply
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    input constant jsonb := jsonb_build_object(
        'reference', given_reference, 'account', given_account, 'amount', given_amount, 'currency', given_currency);
    reply sandbox.reply := sandbox.earlier_reply(given_key, 'TRANSFER', input, 'transfer');
    moment constant timestamptz := sandbox.now();
    account sandbox.account;
    transfer sandbox.transfer;
    fault sandbox.fault;
begin
    if reply.replayed is not null then
        return reply;
    end if;
    select * into account from sandbox.account where id = given_account for no key update;
    if not found then
        return sandbox.refusal('NOT_FOUND', 'account_not_found', null, null);
    end if;
    select * into transfer from sandbox.transfer where reference = given_reference;
    if found then
        if (transfer.account_id, transfer.amount, transfer.currency)
           is distinct from (given_account, given_amount, given_currency) then
            return sandbox.refusal('REFERENCE_REUSED', null, null, null);
        end if;
        return row(null, null, true, false, 'transfer', sandbox.transfer_object(transfer))::sandbox.reply;
    end if;
    if given_amount is null or given_amount < 1 then
        return sandbox.refusal('AMOUNT_INVALID', 'transfer_amount_not_positive', null, null);
    end if;
    if not account.ready then
        return sandbox.refusal('ACCOUNT_NOT_READY', null, 'account', sandbox.account_object(account));
    end if;
    -- One transfer of a currency at a time: two at once would each find enough.
    perform pg_advisory_xact_lock(hashtextextended(given_currency, 5127340093));
    if sandbox.our_balance(given_currency) < given_amount then
        return sandbox.refusal('BALANCE_INSUFFICIENT', 'platform_balance_insufficient', null, null);
    end if;
    fault := sandbox.take_fault('TRANSFER', null);
    if fault.effect in ('REQUEST_LOST', 'UNAVAILABLE') then
        return sandbox.refusal(fault.effect, null, null, null);
    end if;
    insert into sandbox.transfer
        (id, reference, account_id, amount, currency, balance_transaction, event_count, created_at, changed_at)
    values (
        given_id, given_reference, given_account, given_amount, given_currency,
        sandbox.book(
            format('txn_%s', substr(given_id, 5)), 'TRANSFER', 'TRANSFER', given_id, -given_amount, 0, given_currency,
            moment),
        1, moment, moment)
    returning * into transfer;
    perform sandbox.append_event(
        transfer.id, null, 1, 'transfer.created', moment, sandbox.transfer_object(transfer), null);
    return sandbox.answered(
        given_key, 'TRANSFER', input, null, 'transfer', sandbox.transfer_object(transfer),
        fault.effect is not distinct from 'ANSWER_LOST');
end
$$;

-- Take all of a transfer back, once, from what the account still holds.
create function sandbox.reverse_transfer(given_key text, given_transfer text) returns sandbox.reply
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    input constant jsonb := jsonb_build_object('transfer', given_transfer);
    reply sandbox.reply := sandbox.earlier_reply(given_key, 'REVERSE_TRANSFER', input, 'transfer');
    account sandbox.account;
    transfer sandbox.transfer;
    fault sandbox.fault;
begin
    if reply.replayed is not null then
        return reply;
    end if;
    select stored.* into account from sandbox.account as stored
     where stored.id = (select account_id from sandbox.transfer where id = given_transfer) for no key update;
    select * into transfer from sandbox.transfer where id = given_transfer for no key update;
    if not found then
        return sandbox.refusal('NOT_FOUND', 'transfer_not_found', null, null);
    end if;
    if transfer.reversal_transaction is not null then
        return sandbox.refusal(
            'STATE_CONFLICT', 'transfer_already_reversed', 'transfer', sandbox.transfer_object(transfer));
    end if;
    if sandbox.account_balance(account.id, transfer.currency) < transfer.amount then
        return sandbox.refusal(
            'BALANCE_INSUFFICIENT', 'account_balance_insufficient', 'transfer', sandbox.transfer_object(transfer));
    end if;
    fault := sandbox.take_fault('REVERSE_TRANSFER', null);
    if fault.effect in ('REQUEST_LOST', 'UNAVAILABLE') then
        return sandbox.refusal(fault.effect, null, null, null);
    end if;
    transfer.changed_at := greatest(sandbox.now(), transfer.changed_at + interval '1 microsecond');
    update sandbox.transfer as stored
       set changed_at = transfer.changed_at, event_count = stored.event_count + 1,
           reversal_transaction = sandbox.book(
                format('txn_%s_reversal', substr(stored.id, 5)), 'TRANSFER_REVERSED', 'TRANSFER', stored.id,
                stored.amount, 0, stored.currency, transfer.changed_at)
     where stored.id = transfer.id
    returning stored.* into transfer;
    perform sandbox.append_event(
        transfer.id, null, transfer.event_count, 'transfer.reversed', transfer.changed_at,
        sandbox.transfer_object(transfer), null);
    return sandbox.answered(
        given_key, 'REVERSE_TRANSFER', input, null, 'transfer', sandbox.transfer_object(transfer),
        fault.effect is not distinct from 'ANSWER_LOST');
end
$$;
