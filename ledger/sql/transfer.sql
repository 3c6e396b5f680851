-- Posts one group of one movement: what ledger.post does, without anything that only several need. The same keys, the same
-- outcomes, the same order of locks.
--
-- The rows that were touched are the accounts themselves, or for a striped account the stripe of this connection.
create or replace function ledger.transfer(
    for_tenant text,
    the_key text,
    the_hash bytea,
    the_group uuid,
    effective_time timestamptz,
    the_movement uuid,
    debit_account bigint,
    credit_account bigint,
    amount numeric,
    movement_kind text,
    movement_reference uuid,
    out group_id uuid,
    out replayed boolean,
    out outcome text,
    out account bigint,
    out missing numeric,
    out decided_at timestamptz,
    out movement_id uuid,
    out debit_row bigint,
    out credit_row bigint,
    out debit_after numeric,
    out credit_after numeric,
    out debit_version bigint,
    out credit_version bigint
)
language plpgsql security definer
set search_path = ledger, pg_temp
-- A plan is made once, and kept for the life of a connection: one that was made while a table was small must not scan it
-- when it is large.
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    too_large constant numeric := '1e38';   -- where numeric(38, 0) ends
    stripe_number constant int := pg_backend_pid() % 16;
    attempts int := 0;
    stored record;
    locked record;
    debit record;
    credit record;
    has_debit boolean;
    has_credit boolean;
begin
    -- After waiting for another transaction, the next statement has to see what that one committed.
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'the ledger posts in READ COMMITTED transactions only'
            using errcode = 'active_sql_transaction';
    end if;
    loop
        -- What was decided before stays decided.
        select * into stored from ledger.request where tenant = for_tenant and key = the_key;
        if found then
            replayed := stored.body_hash = the_hash;
            if not replayed then
                outcome := 'key_reused';
                return;
            end if;
            group_id := stored.group_id;
            outcome := stored.outcome;
            account := stored.account;
            missing := stored.missing;
            decided_at := stored.decided_at;
            select id, m.debit, m.credit, m.debit_after, m.credit_after, m.debit_version, m.credit_version
            into movement_id, debit_row, credit_row, debit_after, credit_after, debit_version, credit_version
            from ledger.movement as m
            where group_id = stored.group_id;
            return;
        end if;

        -- One order of locking for everybody. Which rows come back is what they are once they are locked.
        has_debit := false;
        has_credit := false;
        for locked in
            select
                coalesce(stripe_of, id) as account, id, asset_id, posted, version, posted_at, state,
                case when guarded then held_out - credit_limit end as least
            from ledger.account
            where id in (
                coalesce(
                    (select id from ledger.account where stripe_of = debit_account and stripe = stripe_number),
                    debit_account
                ),
                coalesce(
                    (select id from ledger.account where stripe_of = credit_account and stripe = stripe_number),
                    credit_account
                )
            )
            order by lock_rank, id
            for no key update
        loop
            if locked.account = debit_account then
                debit := locked;
                has_debit := true;
            elsif locked.account = credit_account then
                credit := locked;
                has_credit := true;
            end if;
        end loop;

        replayed := false;
        outcome := case
            when amount is null or debit_account is null or credit_account is null or movement_kind is null then 'malformed'
            when amount <= 0 then 'amount_not_positive'
            when amount <> trunc(amount) then 'amount_not_whole'
            when amount >= too_large then 'amount_too_large'
            when debit_account = credit_account then 'same_account'
            when not (has_debit and has_credit) then 'unknown_account'
        end;
        -- Not one expression: a record that was never assigned has no columns to be passed over.
        if outcome is null then
            if debit.asset_id <> credit.asset_id then
                outcome := 'asset_mismatch';
            end if;
        end if;
        if outcome is not null then
            -- It decides nothing, so the key stays free.
            account := case
                when outcome = 'same_account' or outcome = 'unknown_account' and not has_debit then debit_account
                when outcome = 'unknown_account' then credit_account
            end;
            return;
        end if;

        -- After the locks, and never before what was posted already: the clock may be set back.
        decided_at := greatest(clock_timestamp(), debit.posted_at, credit.posted_at);
        debit_after := debit.posted - amount;
        credit_after := credit.posted + amount;
        outcome := 'posted';
        if debit.state = 'closed' or credit.state = 'closed' then
            outcome := 'account_closed';
            account := case debit.state when 'closed' then debit_account else credit_account end;
        elsif debit_after < debit.least then
            outcome := 'insufficient_funds';
            account := debit_account;
            missing := debit.least - debit_after;
        elsif debit_after <= -too_large or credit_after >= too_large then
            outcome := 'balance_too_large';
            account := case when debit_after <= -too_large then debit_account else credit_account end;
        end if;

        -- The answer first: where another call has taken the key meanwhile, nothing else is written.
        insert into ledger.request (tenant, key, body_hash, group_id, outcome, account, missing, movements, decided_at)
        values (
            for_tenant, the_key, the_hash, the_group, outcome, account, missing,
            case outcome when 'posted' then 1 else 0 end, decided_at
        )
        on conflict on constraint one_outcome_per_key do nothing;
        exit when found;
        attempts := attempts + 1;
        if attempts = 100 then
            raise exception 'the answer to % can be neither written nor read', the_key using errcode = 'assert_failure';
        end if;
        account := null;
        missing := null;
    end loop;

    group_id := the_group;
    if outcome = 'posted' then
        movement_id := the_movement;
        debit_row := debit.id;
        credit_row := credit.id;
        debit_version := debit.version + 1;
        credit_version := credit.version + 1;
        insert into ledger.movement (
            id, group_id, asset_id, kind, debit, credit, amount, reference,
            debit_after, credit_after, debit_version, credit_version, posted_at, effective_at
        )
        values (
            the_movement, the_group, debit.asset_id, movement_kind, debit_row, credit_row, amount, movement_reference,
            debit_after, credit_after, debit_version, credit_version, decided_at, coalesce(effective_time, decided_at)
        );
        update ledger.account
        set
            posted = case id when debit_row then debit_after else credit_after end,
            version = case id when debit_row then debit_version else credit_version end,
            posted_at = decided_at
        where id in (debit_row, credit_row);
    end if;
end
$$;

revoke execute on function ledger.transfer from public;
grant execute on function ledger.transfer to comptoir_app;
