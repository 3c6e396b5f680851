-- Refunds: paid from our balance when they are accepted, and given back to it when they fail.

create table sandbox.refund (
    id                  text        not null constraint refund_id_unique primary key,
    payment_id          text        not null constraint refund_of_payment references sandbox.payment,
    reference           uuid        constraint one_refund_per_reference unique,
    amount              bigint      not null,
    reason              text        not null,
    state               text        not null,
    failure_code        text,
    balance_transaction text        not null,
    return_transaction  text,
    event_count         integer     not null default 0,
    created_at          timestamptz not null,
    changed_at          timestamptz not null,
    constraint amount_positive check (amount > 0),
    constraint reason_known check (reason in ('REQUESTED_BY_CUSTOMER', 'DUPLICATE', 'FRAUDULENT', 'OTHER')),
    constraint state_known check (state in ('PENDING', 'SUCCEEDED', 'FAILED')),
    constraint failure_says_why check ((state = 'FAILED') = (failure_code is not null)),
    constraint failure_returns_the_money check ((state = 'FAILED') = (return_transaction is not null))
);

create index refund_payment on sandbox.refund (payment_id, created_at);

create function sandbox.refund_object(payment sandbox.payment, refund sandbox.refund) returns json
language sql stable as $$
    select json_build_object(
        'id', refund.id, 'payment', payment.id, 'payment_reference', payment.reference,
        'reference', refund.reference, 'state', refund.state, 'at', sandbox.iso_time(refund.changed_at),
        'amount', refund.amount, 'currency', payment.currency, 'failure_code', refund.failure_code,
        'balance_transaction', refund.balance_transaction, 'return_transaction', refund.return_transaction)
$$;

-- Write a refund's next state. The caller holds the locks of the payment and the refund.
create function sandbox.change_refund(
    payment sandbox.payment, refund sandbox.refund, given_state text, given_failure_code text
) returns sandbox.refund
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    refund.state := given_state;
    refund.failure_code := given_failure_code;
    refund.changed_at := greatest(sandbox.now(), refund.changed_at + interval '1 microsecond');
    refund.event_count := refund.event_count + 1;
    if given_state = 'FAILED' then
        refund.return_transaction := sandbox.book(
            format('txn_%s_return', substr(refund.id, 5)), 'REFUND_RETURNED', 'PAYMENT', payment.id, refund.amount,
            0, payment.currency, refund.changed_at);
        update sandbox.payment as stored set refunded = stored.refunded - refund.amount where stored.id = payment.id;
    end if;
    update sandbox.refund as stored
       set state = refund.state, failure_code = refund.failure_code, return_transaction = refund.return_transaction,
           changed_at = refund.changed_at, event_count = refund.event_count
     where stored.id = refund.id;
    perform sandbox.append_event(
        refund.id, payment.id, refund.event_count,
        case given_state when 'FAILED' then 'refund.failed' else 'refund.updated' end,
        refund.changed_at, sandbox.refund_object(payment, refund), null);
    return refund;
end
$$;

-- ``given_amounts`` is what each amount does; a rule goes before it, what the payment's card says after it:
-- SUCCEEDS, PENDING (succeeds after the delay), FAILS (accepted, then failed) or FAILS_LATER (succeeds, and fails
-- after the delay). ``given_id`` may be null for a refund that is made at the provider itself.
create function sandbox.refund_payment(
    given_key text, given_id text, given_payment text, given_reference uuid, given_amount bigint,
    given_reason text, given_amounts jsonb, given_delay interval
) returns sandbox.reply
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    input constant jsonb := jsonb_build_object(
        'payment', given_payment, 'reference', given_reference, 'amount', given_amount, 'reason', given_reason);
    reply sandbox.reply := sandbox.earlier_reply(given_key, 'REFUND', input, 'refund');
    payment sandbox.payment;
    refund sandbox.refund;
    fault sandbox.fault;
    scenario text;
begin
    if reply.replayed is not null then
        return reply;
    end if;
    select * into payment from sandbox.payment where id = given_payment for no key update;
    if not found then
        return sandbox.refusal('NOT_FOUND', 'payment_not_found', null, null);
    end if;
    select * into refund from sandbox.refund where reference = given_reference;
    if found then
        if (refund.payment_id, refund.amount) is distinct from (given_payment, given_amount) then
            return sandbox.refusal('REFERENCE_REUSED', null, null, null);
        end if;
        return row(null, null, true, false, 'refund', sandbox.refund_object(payment, refund))::sandbox.reply;
    end if;
    if payment.state <> 'SUCCEEDED' then
        return sandbox.refusal('STATE_CONFLICT', 'payment_not_captured', 'payment', sandbox.payment_object(payment));
    end if;
    if given_amount is null or given_amount not between 1 and payment.captured - payment.refunded then
        return sandbox.refusal('AMOUNT_INVALID', 'refund_exceeds_captured', 'payment', sandbox.payment_object(payment));
    end if;
    if given_amount > payment.captured - payment.refunded - payment.disputed then
        return sandbox.refusal('STATE_CONFLICT', 'payment_disputed', 'payment', sandbox.payment_object(payment));
    end if;
    fault := sandbox.take_fault('REFUND', null);
    if fault.effect in ('REQUEST_LOST', 'UNAVAILABLE') then
        return sandbox.refusal(fault.effect, null, null, null);
    end if;
    scenario := coalesce(
        sandbox.ruled('REFUND', null, given_amount, payment.currency, payment.description) ->> 'refund',
        given_amounts ->> given_amount::text,
        payment.card ->> 'refund',
        'SUCCEEDS');
    refund.id := coalesce(given_id, format('sbr_%s', md5(given_key)));
    refund.created_at := greatest(sandbox.now(), payment.changed_at + interval '2 microseconds');
    insert into sandbox.refund
        (id, payment_id, reference, amount, reason, state, balance_transaction, event_count, created_at, changed_at)
    values (
        refund.id, payment.id, given_reference, given_amount, given_reason,
        case when scenario in ('PENDING', 'FAILS') then 'PENDING' else 'SUCCEEDED' end,
        sandbox.book(
            format('txn_%s', substr(refund.id, 5)), 'REFUND', 'PAYMENT', payment.id, -given_amount, 0,
            payment.currency, refund.created_at),
        1, refund.created_at, refund.created_at)
    returning * into refund;
    update sandbox.payment as stored set refunded = stored.refunded + given_amount where stored.id = payment.id;
    perform sandbox.append_event(
        refund.id, payment.id, 1, 'refund.created', refund.created_at, sandbox.refund_object(payment, refund), null);
    reply := sandbox.answered(
        given_key, 'REFUND', input, payment.id, 'refund', sandbox.refund_object(payment, refund),
        fault.effect is not distinct from 'ANSWER_LOST');
    case scenario
        when 'PENDING' then
            perform sandbox.schedule(refund.created_at + given_delay, 'SUCCEED_REFUND', refund.id, null);
        when 'FAILS_LATER' then
            perform sandbox.schedule(refund.created_at + given_delay, 'FAIL_REFUND', refund.id, null);
        when 'FAILS' then
            perform sandbox.change_refund(payment, refund, 'FAILED', 'declined_by_bank');
        else null;
    end case;
    return reply;
end
$$;

-- Move a refund on, for the agenda and by control: to SUCCEEDED, or to FAILED even when it had succeeded.
create function sandbox.move_refund(given_refund text, given_state text) returns sandbox.reply
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    payment sandbox.payment;
    refund sandbox.refund;
begin
    select stored.* into payment from sandbox.payment as stored
     where stored.id = (select payment_id from sandbox.refund where id = given_refund) for no key update;
    select * into refund from sandbox.refund where id = given_refund for no key update;
    if not found then
        return sandbox.refusal('NOT_FOUND', 'refund_not_found', null, null);
    end if;
    if refund.state = 'FAILED' or refund.state = given_state then
        return sandbox.refusal(
            'STATE_CONFLICT', 'refund_state_conflict', 'refund', sandbox.refund_object(payment, refund));
    end if;
    refund := sandbox.change_refund(
        payment, refund, given_state, case when given_state = 'FAILED' then 'account_closed' end);
    return row(null, null, false, false, 'refund', sandbox.refund_object(payment, refund))::sandbox.reply;
end
$$;
