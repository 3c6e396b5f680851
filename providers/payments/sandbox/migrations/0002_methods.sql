-- Payment methods that are kept for later. A customer's id follows from ours and needs no table.

-- ``card`` is what charging it does, as of when it was saved; ``token`` what rules know it by.
create table sandbox.method (
    id            text        not null constraint method_id_unique primary key,
    customer      uuid        not null,
    token         text        not null,
    card          jsonb       not null,
    brand         text        not null,
    last_four     text        not null,
    expires_month integer     not null,
    expires_year  integer     not null,
    saved_at      timestamptz not null,
    detached_at   timestamptz,
    constraint last_four_digits check (last_four ~ '^[0-9]{4}$'),
    constraint month_of_the_year check (expires_month between 1 and 12)
);

create function sandbox.method_object(method sandbox.method) returns json
language sql stable as $$
    select json_build_object(
        'id', method.id, 'customer', format('sbc_%s', replace(method.customer::text, '-', '')), 'kind', 'card',
        'brand', method.brand, 'last_four', method.last_four, 'expires_month', method.expires_month,
        'expires_year', method.expires_year)
$$;

create function sandbox.save_method(
    given_key text, given_id text, given_customer uuid, given_token text, given_card jsonb, given_brand text,
    given_last_four text, given_expires_month integer, given_expires_year integer
) returns sandbox.reply
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    input constant jsonb := jsonb_build_object('customer', given_customer, 'token', given_token);
    reply sandbox.reply := sandbox.earlier_reply(given_key, 'SAVE_METHOD', input, 'method');
    fault sandbox.fault;
    method sandbox.method;
begin
    if reply.replayed is not null then
        return reply;
    end if;
    fault := sandbox.take_fault('SAVE_METHOD', null);
    if fault.effect in ('REQUEST_LOST', 'UNAVAILABLE') then
        return sandbox.refusal(fault.effect, null, null, null);
    end if;
    insert into sandbox.method
        (id, customer, token, card, brand, last_four, expires_month, expires_year, saved_at)
    values (given_id, given_customer, given_token, given_card, given_brand, given_last_four, given_expires_month,
            given_expires_year, sandbox.now())
    returning * into method;
    return sandbox.answered(
        given_key, 'SAVE_METHOD', input, null, 'method', sandbox.method_object(method),
        fault.effect is not distinct from 'ANSWER_LOST');
end
$$;

create function sandbox.detach_method(given_key text, given_id text) returns sandbox.reply
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    input constant jsonb := jsonb_build_object('method', given_id);
    reply sandbox.reply := sandbox.earlier_reply(given_key, 'DETACH_METHOD', input, 'method');
    fault sandbox.fault;
    method sandbox.method;
begin
    if reply.replayed is not null then
        return reply;
    end if;
    select * into method from sandbox.method where id = given_id for update;
    if not found then
        return sandbox.refusal('NOT_FOUND', 'method_not_found', null, null);
    end if;
    fault := sandbox.take_fault('DETACH_METHOD', null);
    if fault.effect in ('REQUEST_LOST', 'UNAVAILABLE') then
        return sandbox.refusal(fault.effect, null, null, null);
    end if;
    update sandbox.method set detached_at = coalesce(detached_at, sandbox.now()) where id = given_id;
    return sandbox.answered(
        given_key, 'DETACH_METHOD', input, null, 'method', sandbox.method_object(method),
        fault.effect is not distinct from 'ANSWER_LOST');
end
$$;
