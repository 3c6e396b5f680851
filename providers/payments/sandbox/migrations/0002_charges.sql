-- Confirming, capturing and cancelling payments.

drop function sandbox.confirm_payment(text, text, text, text, text, text, text, interval);

-- The outcome is that of the card, unless ``given_card`` says more: what the card does besides, or, under
-- ``by_amount``, what each amount does. A saved method does what its card did when it was saved; a rule that
-- matches goes before all of them.
create function sandbox.confirm_payment(
    given_key text, given_payment text, given_method text, given_return_url text, given_action_url text,
    outcome text, outcome_decline_code text, outcome_settles_after interval,
    given_card jsonb default null, given_off_session boolean default false
) returns sandbox.answer
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    input constant jsonb := case when given_off_session then '{"off_session": true}' end;
    payment sandbox.payment;
    saved sandbox.method;
    fault sandbox.fault;
    answer sandbox.answer;
    card jsonb := given_card;
    token text := given_method;
    clock sandbox.clock;
begin
    select * into clock from sandbox.clock;
    select * into payment from sandbox.payment where id = given_payment for no key update;
    if not found then
        answer.problem := 'NOT_FOUND';
        return answer;
    end if;
    answer := sandbox.earlier_answer(payment, given_key, 'CONFIRM', given_method, input);
    if answer.provider_reference is not null then
        return answer;
    end if;
    -- A payer who turned away from 3-D Secure may pay with another method.
    if payment.state not in ('REQUIRES_METHOD', 'REQUIRES_ACTION') then
        return sandbox.answer_of(payment, 'STATE_CONFLICT');
    end if;
    if outcome is null then
        select * into saved from sandbox.method where id = given_method and detached_at is null for key share;
        if not found then
            return sandbox.answer_of(payment, 'METHOD_INVALID');
        end if;
        card := saved.card;
        token := saved.token;
    end if;
    if clock.ruled then
        card := coalesce(
            sandbox.ruled('CHARGE', token, payment.amount, payment.currency, payment.description), card);
    end if;
    if card is not null then
        card := coalesce(card -> 'by_amount' -> payment.amount::text, card -> 'otherwise', card);
        outcome := card ->> 'state';
        outcome_decline_code := card ->> 'decline_code';
        card := card || jsonb_build_object('delay', outcome_settles_after::text);
    end if;
    if clock.armed then
        fault := sandbox.take_fault('CONFIRM', null);
    end if;
    if fault.effect in ('REQUEST_LOST', 'UNAVAILABLE') then
        return sandbox.answer_of(payment, fault.effect);
    end if;
    if given_off_session and outcome = 'REQUIRES_ACTION' then
        outcome := 'REQUIRES_METHOD';
        outcome_decline_code := 'AUTHENTICATION_REQUIRED';
        card := card || '{"reason": "authentication_required"}';
    end if;
    payment.state := case when outcome = 'SUCCEEDED' and payment.manual_capture then 'AUTHORIZED' else outcome end;
    payment.decline_code := outcome_decline_code;
    payment.action_url := case when outcome = 'REQUIRES_ACTION' then given_action_url end;
    payment.return_url := given_return_url;
    payment.card := card;
    payment := sandbox.record_change(payment, clock);
    if outcome = 'PROCESSING' then
        perform sandbox.schedule(payment.changed_at + outcome_settles_after, 'SETTLE_PAYMENT', payment.id, null);
    end if;
    answer := sandbox.answer_of(payment, case when outcome_decline_code is not null then 'DECLINED' end);
    answer.reason := card ->> 'reason';
    -- The same key for another payment at this moment: the unique key takes the whole effect back.
    insert into sandbox.request (key, command, payment_id, method, input, answer)
    values (given_key, 'CONFIRM', given_payment, given_method, input, answer);
    answer.lost := fault.effect is not distinct from 'ANSWER_LOST' or coalesce((card -> 'answer_lost')::boolean, false);
    return answer;
end
$$;

-- Capture an authorised payment, once. One that lapsed is cancelled by the attempt, if nobody did it yet.
create function sandbox.capture_payment(given_key text, given_payment text, given_amount bigint)
returns sandbox.answer
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    input constant jsonb := jsonb_build_object('amount', given_amount);
    payment sandbox.payment;
    fault sandbox.fault;
    answer sandbox.answer;
begin
    select * into payment from sandbox.payment where id = given_payment for no key update;
    if not found then
        answer.problem := 'NOT_FOUND';
        return answer;
    end if;
    answer := sandbox.earlier_answer(payment, given_key, 'CAPTURE', null, input);
    if answer.provider_reference is not null then
        return answer;
    end if;
    if payment.state = 'AUTHORIZED' and sandbox.now() >= payment.capture_before then
        return sandbox.answer_of(sandbox.lapse_payment(payment), 'EXPIRED');
    end if;
    if payment.state <> 'AUTHORIZED' then
        return sandbox.answer_of(
            payment, case when payment.decline_code = 'EXPIRED' then 'EXPIRED' else 'STATE_CONFLICT' end);
    end if;
    if given_amount is null or given_amount not between 1 and payment.authorized then
        return sandbox.answer_of(payment, 'AMOUNT_INVALID');
    end if;
    fault := sandbox.take_fault('CAPTURE', null);
    if fault.effect in ('REQUEST_LOST', 'UNAVAILABLE') then
        return sandbox.answer_of(payment, fault.effect);
    end if;
    payment.state := 'SUCCEEDED';
    payment.captured := given_amount;
    answer := sandbox.answer_of(sandbox.record_change(payment), null);
    insert into sandbox.request (key, command, payment_id, input, answer)
    values (given_key, 'CAPTURE', given_payment, input, answer);
    answer.lost := fault.effect is not distinct from 'ANSWER_LOST';
    return answer;
end
$$;

-- The caller holds the lock of a payment that is authorised.
create function sandbox.lapse_payment(payment sandbox.payment) returns sandbox.payment
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    payment.state := 'CANCELED';
    payment.decline_code := 'EXPIRED';
    return sandbox.record_change(payment);
end
$$;

create or replace function sandbox.cancel_payment(given_key text, given_payment text) returns sandbox.answer
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    payment sandbox.payment;
    fault sandbox.fault;
    answer sandbox.answer;
begin
    select * into payment from sandbox.payment where id = given_payment for no key update;
    if not found then
        answer.problem := 'NOT_FOUND';
        return answer;
    end if;
    answer := sandbox.earlier_answer(payment, given_key, 'CANCEL', null, null);
    if answer.provider_reference is not null then
        return answer;
    end if;
    if payment.state in ('PROCESSING', 'SUCCEEDED') then
        return sandbox.answer_of(payment, 'STATE_CONFLICT');
    end if;
    fault := sandbox.take_fault('CANCEL', null);
    if fault.effect in ('REQUEST_LOST', 'UNAVAILABLE') then
        return sandbox.answer_of(payment, fault.effect);
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
    answer.lost := fault.effect is not distinct from 'ANSWER_LOST';
    return answer;
end
$$;

-- The payer's own answer on the 3-D Secure page. Giving the same answer twice changes nothing.
create or replace function sandbox.authenticate_payment(given_payment text, accepted boolean)
returns sandbox.answer
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
        payment.state := case
            when not accepted then 'REQUIRES_METHOD'
            when payment.manual_capture then 'AUTHORIZED'
            else 'SUCCEEDED'
        end;
        payment.decline_code := case when not accepted then 'AUTHENTICATION_FAILED' end;
        payment.action_url := null;
        return sandbox.answer_of(sandbox.record_change(payment), null);
    end if;
    return sandbox.answer_of(payment, case
        when accepted and payment.state in ('AUTHORIZED', 'SUCCEEDED') then null
        when not accepted and payment.decline_code = 'AUTHENTICATION_FAILED' then null
        else 'STATE_CONFLICT'
    end);
end
$$;

-- What was processing succeeds.
create function sandbox.settle_payment(given_payment text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    payment sandbox.payment;
begin
    select * into payment from sandbox.payment where id = given_payment for no key update;
    if payment.state = 'PROCESSING' then
        payment.state := case when payment.manual_capture then 'AUTHORIZED' else 'SUCCEEDED' end;
        perform sandbox.record_change(payment);
    end if;
end
$$;

-- An authorisation that nobody captured lapses: by itself once ``capture_before`` has come, at once when
-- ``early``.
create function sandbox.expire_payment(given_payment text, early boolean) returns sandbox.reply
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    payment sandbox.payment;
begin
    select * into payment from sandbox.payment where id = given_payment for no key update;
    if not found then
        return sandbox.refusal('NOT_FOUND', null, null, null);
    end if;
    if payment.state <> 'AUTHORIZED' or not (early or sandbox.now() >= payment.capture_before) then
        return sandbox.refusal('STATE_CONFLICT', 'payment_not_authorized', 'payment', sandbox.payment_object(payment));
    end if;
    return row(null, null, false, false, 'payment', sandbox.payment_object(sandbox.lapse_payment(payment)))
           ::sandbox.reply;
end
$$;
