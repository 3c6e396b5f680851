-- Disputes: what is disputed is withdrawn from our balance with a fee, and both come back when it is won.

-- ``outcome`` is how it ends once it was answered, unless the evidence says so: null leaves it under review.
create table sandbox.dispute (
    id                        text        not null constraint dispute_id_unique primary key,
    payment_id                text        not null constraint dispute_of_payment references sandbox.payment,
    amount                    bigint      not null,
    reason                    text        not null,
    state                     text        not null,
    outcome                   text,
    delay                     interval    not null,
    respond_by                timestamptz not null,
    evidence                  jsonb       not null default '{}',
    answered                  boolean     not null default false,
    fee                       bigint      not null default 1500,
    withdrawal_transaction    text,
    reinstatement_transaction text,
    event_count               integer     not null default 0,
    created_at                timestamptz not null,
    changed_at                timestamptz not null,
    constraint amount_positive check (amount > 0),
    constraint fee_not_negative check (fee >= 0),
    constraint reason_named check (reason <> ''),
    constraint state_known check (state in ('NEEDS_RESPONSE', 'UNDER_REVIEW', 'LOST', 'WON')),
    constraint outcome_known check (outcome in ('WON', 'LOST', 'LOST_THEN_WON')),
    constraint under_review_once_answered check (state <> 'UNDER_REVIEW' or answered),
    constraint reinstated_once_won check (reinstatement_transaction is null or state = 'WON')
);

create index dispute_payment on sandbox.dispute (payment_id, created_at);

create function sandbox.dispute_object(payment sandbox.payment, dispute sandbox.dispute) returns json
language sql stable as $$
    select json_build_object(
        'id', dispute.id, 'payment', payment.id, 'payment_reference', payment.reference, 'state', dispute.state,
        'at', sandbox.iso_time(dispute.changed_at), 'amount', dispute.amount, 'currency', payment.currency,
        'reason', dispute.reason, 'respond_by', sandbox.iso_time(dispute.respond_by),
        'withdrawal', case when dispute.withdrawal_transaction is not null then json_build_object(
            'balance_transaction', dispute.withdrawal_transaction, 'amount', dispute.amount, 'fee', dispute.fee) end,
        'reinstatement', case when dispute.reinstatement_transaction is not null then json_build_object(
            'balance_transaction', dispute.reinstatement_transaction, 'amount', dispute.amount,
            'fee', dispute.fee) end)
$$;

-- Write what changed of a dispute, and its event. The caller holds the locks of the payment and the dispute.
create function sandbox.change_dispute(payment sandbox.payment, dispute sandbox.dispute, type text)
returns sandbox.dispute
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    dispute.changed_at := greatest(sandbox.now(), dispute.changed_at + interval '1 microsecond');
    dispute.event_count := dispute.event_count + 1;
    if type = 'dispute.funds_withdrawn' then
        dispute.withdrawal_transaction := sandbox.book(
            format('txn_%s', substr(dispute.id, 5)), 'DISPUTE_WITHDRAWN', 'PAYMENT', payment.id, -dispute.amount,
            dispute.fee, payment.currency, dispute.changed_at);
        update sandbox.payment as stored set disputed = stored.disputed + dispute.amount where stored.id = payment.id;
    elsif type = 'dispute.funds_reinstated' then
        dispute.reinstatement_transaction := sandbox.book(
            format('txn_%s_won', substr(dispute.id, 5)), 'DISPUTE_WON', 'PAYMENT', payment.id, dispute.amount,
            -dispute.fee, payment.currency, dispute.changed_at);
        update sandbox.payment as stored set disputed = stored.disputed - dispute.amount where stored.id = payment.id;
    end if;
    update sandbox.dispute as stored
       set state = dispute.state, evidence = dispute.evidence, answered = dispute.answered,
           withdrawal_transaction = dispute.withdrawal_transaction,
           reinstatement_transaction = dispute.reinstatement_transaction, event_count = dispute.event_count,
           changed_at = dispute.changed_at
     where stored.id = dispute.id;
    perform sandbox.append_event(
        dispute.id, payment.id, dispute.event_count, type, dispute.changed_at,
        sandbox.dispute_object(payment, dispute), null);
    return dispute;
end
$$;

-- Open a dispute of what is captured and not disputed yet, or of a part of it.
create function sandbox.open_dispute(
    given_payment text, given_amount bigint, given_reason text, given_outcome text, given_delay interval
) returns sandbox.reply
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    payment sandbox.payment;
    dispute sandbox.dispute;
    moment timestamptz;
    amount bigint;
begin
    select * into payment from sandbox.payment where id = given_payment for no key update;
    if not found then
        return sandbox.refusal('NOT_FOUND', 'payment_not_found', null, null);
    end if;
    if payment.state <> 'SUCCEEDED' or payment.captured = payment.disputed then
        return sandbox.refusal('STATE_CONFLICT', 'nothing_to_dispute', 'payment', sandbox.payment_object(payment));
    end if;
    amount := coalesce(given_amount, payment.captured - payment.disputed);
    if amount not between 1 and payment.captured - payment.disputed then
        return sandbox.refusal('AMOUNT_INVALID', 'dispute_exceeds_captured', null, null);
    end if;
    moment := greatest(sandbox.now(), payment.changed_at + interval '2 microseconds');
    update sandbox.payment as stored set disputes = stored.disputes + 1 where stored.id = payment.id;
    insert into sandbox.dispute
        (id, payment_id, amount, reason, state, outcome, delay, respond_by, created_at, changed_at)
    values (
        format('sbd_%s', md5(format('%s/%s', payment.id, payment.disputes + 1))), payment.id, amount,
        coalesce(given_reason, 'fraudulent'), 'NEEDS_RESPONSE', nullif(given_outcome, 'BY_EVIDENCE'), given_delay,
        moment + interval '168 hours', moment, moment - interval '1 microsecond')
    returning * into dispute;
    dispute := sandbox.change_dispute(payment, dispute, 'dispute.created');
    dispute := sandbox.change_dispute(payment, dispute, 'dispute.funds_withdrawn');
    perform sandbox.schedule(dispute.respond_by, 'EXPIRE_DISPUTE', dispute.id, null);
    return row(null, null, false, false, 'dispute', sandbox.dispute_object(payment, dispute))::sandbox.reply;
end
$$;

-- Close a dispute, or win one on appeal. The caller holds the locks of the payment and the dispute.
create function sandbox.decide_dispute(
    payment sandbox.payment, dispute sandbox.dispute, given_state text, decided_at timestamptz
) returns sandbox.dispute
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    dispute.state := given_state;
    dispute := sandbox.change_dispute(payment, dispute, 'dispute.closed');
    if given_state = 'WON' then
        return sandbox.change_dispute(payment, dispute, 'dispute.funds_reinstated');
    end if;
    if dispute.outcome = 'LOST_THEN_WON' then
        perform sandbox.schedule(
            decided_at + dispute.delay, 'CLOSE_DISPUTE', dispute.id, '{"state": "WON", "from": "LOST"}');
    end if;
    return dispute;
end
$$;

-- ``given_evidence`` is added to what was given before. Once it is submitted the outcome comes after the delay:
-- that of the evidence, if it has one, or else of the card.
create function sandbox.answer_dispute(given_key text, given_dispute text, given_evidence jsonb, submit boolean)
returns sandbox.reply
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    input constant jsonb := jsonb_build_object(
        'dispute', given_dispute, 'evidence', given_evidence, 'submit', submit);
    reply sandbox.reply := sandbox.earlier_reply(given_key, 'ANSWER_DISPUTE', input, 'dispute');
    payment sandbox.payment;
    dispute sandbox.dispute;
    fault sandbox.fault;
    outcome text;
begin
    if reply.replayed is not null then
        return reply;
    end if;
    select stored.* into payment from sandbox.payment as stored
     where stored.id = (select payment_id from sandbox.dispute where id = given_dispute) for no key update;
    select * into dispute from sandbox.dispute where id = given_dispute for no key update;
    if not found then
        return sandbox.refusal('NOT_FOUND', 'dispute_not_found', null, null);
    end if;
    if dispute.state = 'NEEDS_RESPONSE' and sandbox.now() >= dispute.respond_by then
        dispute := sandbox.decide_dispute(payment, dispute, 'LOST', dispute.respond_by);
    end if;
    if dispute.state = 'LOST' and not dispute.answered and sandbox.now() >= dispute.respond_by then
        return sandbox.refusal(
            'EXPIRED', 'dispute_response_too_late', 'dispute', sandbox.dispute_object(payment, dispute));
    end if;
    if dispute.state <> 'NEEDS_RESPONSE' then
        return sandbox.refusal(
            'STATE_CONFLICT', 'dispute_takes_no_more_evidence', 'dispute', sandbox.dispute_object(payment, dispute));
    end if;
    fault := sandbox.take_fault('ANSWER_DISPUTE', null);
    if fault.effect in ('REQUEST_LOST', 'UNAVAILABLE') then
        return sandbox.refusal(fault.effect, null, null, null);
    end if;
    dispute.evidence := dispute.evidence || given_evidence;
    dispute.answered := submit;
    dispute.state := case when submit then 'UNDER_REVIEW' else 'NEEDS_RESPONSE' end;
    dispute := sandbox.change_dispute(payment, dispute, 'dispute.updated');
    outcome := case dispute.evidence ->> 'uncategorized_text'
        when 'winning_evidence' then 'WON' when 'losing_evidence' then 'LOST'
        else replace(dispute.outcome, 'LOST_THEN_WON', 'LOST') end;
    if submit and outcome is not null then
        perform sandbox.schedule(
            dispute.changed_at + dispute.delay, 'CLOSE_DISPUTE', dispute.id,
            jsonb_build_object('state', outcome, 'from', 'UNDER_REVIEW'));
    end if;
    return sandbox.answered(
        given_key, 'ANSWER_DISPUTE', input, payment.id, 'dispute', sandbox.dispute_object(payment, dispute),
        fault.effect is not distinct from 'ANSWER_LOST');
end
$$;

-- Close a dispute, by the agenda or by control. One that was lost can be won; one that was won is over. The
-- agenda closes only what still is in the state ``only_from``.
create function sandbox.close_dispute(
    given_dispute text, given_state text, decided_at timestamptz, only_from text
) returns sandbox.reply
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    payment sandbox.payment;
    dispute sandbox.dispute;
begin
    select stored.* into payment from sandbox.payment as stored
     where stored.id = (select payment_id from sandbox.dispute where id = given_dispute) for no key update;
    select * into dispute from sandbox.dispute where id = given_dispute for no key update;
    if not found then
        return sandbox.refusal('NOT_FOUND', 'dispute_not_found', null, null);
    end if;
    if dispute.state in ('WON', given_state) or dispute.state <> only_from then
        return sandbox.refusal(
            'STATE_CONFLICT', 'dispute_state_conflict', 'dispute', sandbox.dispute_object(payment, dispute));
    end if;
    dispute := sandbox.decide_dispute(payment, dispute, given_state, coalesce(decided_at, sandbox.now()));
    return row(null, null, false, false, 'dispute', sandbox.dispute_object(payment, dispute))::sandbox.reply;
end
$$;
